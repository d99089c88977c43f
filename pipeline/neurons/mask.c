/* mask.c - packed masks and their algebra. Bits past n_bits stay zero: every function here keeps that. */
#include "pipeline/neurons/mask.h"

#include "base/arena.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64

enum code mask_init(struct mask *m, size_t n_bits, struct err *e)
{
    *m = (struct mask){.n_bits = n_bits, .n_words = (n_bits + WORD_BITS - 1) / WORD_BITS};
    m->words = mem_alloc(m->n_words ? m->n_words : 1, sizeof(uint64_t));
    if (m->words) return OK;
    *m = (struct mask){0};
    return err_set(e, ERR_NOMEM, "out of memory for a mask of %zu neurons", n_bits);
}

enum code mask_copy(struct mask *m, const struct mask *from, struct err *e)
{
    enum code rc = mask_init(m, from->n_bits, e);
    if (rc == OK) memcpy(m->words, from->words, from->n_words * sizeof(uint64_t));
    return rc;
}

void mask_fini(struct mask *m)
{
    free(m->words);
    *m = (struct mask){0};
}

void mask_fill(struct mask *m)
{
    memset(m->words, 0xff, m->n_words * sizeof(uint64_t));
    size_t tail = m->n_bits % WORD_BITS;
    if (tail) m->words[m->n_words - 1] = (UINT64_C(1) << tail) - 1;
}

void mask_and(struct mask *m, const struct mask *b)
{
    assert(m->n_bits == b->n_bits);
    for (size_t i = 0; i < m->n_words; i++) m->words[i] &= b->words[i];
}

void mask_or(struct mask *m, const struct mask *b)
{
    assert(m->n_bits == b->n_bits);
    for (size_t i = 0; i < m->n_words; i++) m->words[i] |= b->words[i];
}

void mask_and_not(struct mask *m, const struct mask *b)
{
    assert(m->n_bits == b->n_bits);
    for (size_t i = 0; i < m->n_words; i++) m->words[i] &= ~b->words[i];
}

static size_t ones(uint64_t w)
{
    return (size_t)__builtin_popcountll(w);
}

size_t mask_count(const struct mask *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_words; i++) n += ones(m->words[i]);
    return n;
}

double mask_density(const struct mask *m)
{
    return m->n_bits ? (double)mask_count(m) / (double)m->n_bits : 0.0;
}

static void count_both(const struct mask *a, const struct mask *b, size_t *both, size_t *either)
{
    assert(a->n_bits == b->n_bits);
    *both = *either = 0;
    for (size_t i = 0; i < a->n_words; i++) {
        *both += ones(a->words[i] & b->words[i]);
        *either += ones(a->words[i] | b->words[i]);
    }
}

double mask_iou(const struct mask *a, const struct mask *b)
{
    size_t both, either;
    count_both(a, b, &both, &either);
    return either ? (double)both / (double)either : 0.0;
}

double mask_overlap(const struct mask *a, const struct mask *b)
{
    size_t both, either, own = mask_count(a);
    count_both(a, b, &both, &either);
    return own ? (double)both / (double)own : 0.0;
}

enum code mask_positions(const struct mask *m, uint32_t **out, size_t *n, struct err *e)
{
    size_t count = mask_count(m), at = 0;
    uint32_t *list = mem_alloc(count ? count : 1, sizeof *list);
    if (!list) return err_set(e, ERR_NOMEM, "out of memory for a list of %zu neurons", count);
    for (size_t w = 0; w < m->n_words; w++)
        for (uint64_t bits = m->words[w]; bits; bits &= bits - 1)
            list[at++] = (uint32_t)(w * WORD_BITS + (size_t)__builtin_ctzll(bits));
    *out = list;
    *n = count;
    return OK;
}
