/* score.c - neurons by importance: |W| times the norm of the input channel, the largest share of each group.
 *
 * The pass is over groups of weights (rows by default), each read from memory once for all prompts. For each prompt in turn
 * the k largest scores are selected (tensor/cpu/select.c), and the group's ones go where the caller wants them: to the
 * prompt's own mask, or to a count per neuron for ANDs and votes. Groups are independent, so threads never meet, except
 * that neighbouring rows may share a mask word: work is cut so that they do not (see groups_in_tile).
 *
 * Scores are float32 products of float32 |W| and v rounded to float32; ranking ties keep the smaller index. The choice
 * of single precision is part of the definition: the same bytes on every machine.
 */
#include "pipeline/neurons/score.h"

#include "base/arena.h"
#include "base/parallel.h"
#include "pipeline/tensor/kernels.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void score_norms(const struct score_options *o, const float *states, int T, int D, int n,
                 double *out)
{
    int first = o->tokens == SCORE_ALL ? 0 : 1;
    int end = T;
    if (o->tokens == SCORE_CONTENT) end = n - 1;
    if (o->tokens == SCORE_CONTENT_EOS) end = n;
    for (int j = 0; j < D; j++) out[j] = 0.0;
    for (int t = first; t < end; t++) {
        const float *c = states + (size_t)t * (size_t)D;
        double scale = 1.0;
        if (o->rownorm) {
            double sum = 0.0;
            for (int j = 0; j < D; j++) sum += (double)c[j] * c[j];
            scale = sum > 0.0 ? 1.0 / sum : 0.0;
        }
        for (int j = 0; j < D; j++) out[j] += scale * (double)c[j] * c[j];
    }
    for (int j = 0; j < D; j++) out[j] = sqrt(out[j]);
}

/* One pass: what a group is, and who hears about its selections. */
struct pass {
    const struct kv_layout *layout;
    const float *w;
    const struct score_options *o;
    const double *norms; /* [P][D] */
    int P, D;
    struct mask *mask;   /* [P] every prompt's own, or NULL */
    struct mask *common; /* what `need` prompts select, or NULL */
    size_t need;
    /* made by pass_prepare */
    select_fn *select;
    size_t *group_begin;                     /* [n_groups + 1] in the flat vector */
    size_t n_groups, groups_per_tile, words; /* words: of the widest group */
    size_t block;                            /* groups that take turns */
    int planes;                              /* bits of a count of prompts */
    int all;          /* need is P: then one plane is enough, of who was selected by all so far */
    float *v;         /* norms, as floats */
    uint8_t *scratch; /* per thread, see struct room */
    size_t scratch_bytes;
};

/* A thread's scratch. Counts of votes lie in bit planes: bit i of plane b is bit b of neuron i's count, so that one
 * operation counts for 64 neurons. */
struct room {
    int32_t *scores;
    uint64_t *ones, *plane;      /* [words], [block][planes][words] */
    float *moved;                /* [block] */
    struct selection_hint *hint; /* [P] */
};

static size_t to_line(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static size_t room_bytes(const struct pass *p)
{
    return to_line(select_scratch(p->words * 64)) +
           to_line((1 + p->block * (size_t)p->planes) * p->words * sizeof(uint64_t)) +
           to_line(p->block * sizeof(float)) +
           to_line((size_t)p->P * sizeof(struct selection_hint));
}

static struct room room_of(const struct pass *p)
{
    uint8_t *at = p->scratch + (size_t)parallel_thread_index() * p->scratch_bytes;
    struct room r = {.scores = (int32_t *)(void *)at};
    r.ones = (uint64_t *)(void *)(at + to_line(select_scratch(p->words * 64)));
    r.plane = r.ones + p->words;
    r.moved = (float *)(void *)(r.plane + p->block * (size_t)p->planes * p->words);
    r.hint = (struct selection_hint *)(void *)(at + p->scratch_bytes -
                                               to_line((size_t)p->P * sizeof *r.hint));
    return r;
}

/* Every count plus one where ones has a one: addition with carry, from the lowest plane up. */
static void vote(uint64_t *plane, int planes, size_t words, uint64_t *ones)
{
    for (int b = 0; b < planes; b++, plane += words)
        for (size_t i = 0; i < words; i++) {
            uint64_t carry = plane[i] & ones[i];
            plane[i] ^= ones[i];
            ones[i] = carry;
        }
}

/* ones: where the count is need or more. Planes from the highest down, as one compares two numbers digit by digit. */
static void elect(const uint64_t *plane, int planes, size_t words, size_t need, uint64_t *ones)
{
    for (size_t i = 0; i < words; i++) {
        uint64_t more = 0, equal = UINT64_MAX;
        for (int b = planes - 1; b >= 0; b--) {
            uint64_t bit = plane[(size_t)b * words + i];
            if (!(need >> b & 1)) more |= equal & bit;
            equal &= need >> b & 1 ? bit : ~bit;
        }
        ones[i] = more | equal;
    }
}

/* Sets the bits begin.. of a mask that are ones in `ones`, of which n count. */
static void mask_take(struct mask *m, size_t begin, const uint64_t *ones, size_t n)
{
    uint64_t *to = m->words + begin / 64;
    size_t shift = begin % 64;
    for (size_t i = 0; i < n; i += 64) {
        uint64_t x = ones[i / 64];
        if (n - i < 64) x &= (UINT64_C(1) << (n - i)) - 1;
        to[i / 64] |= x << shift;
        if (shift && x >> (64 - shift)) to[i / 64 + 1] |= x >> (64 - shift);
    }
}

/* One prompt, one group, the j-th of its block. A group's thresholds have moved from the last group's by about the same
 * factor for all prompts: its weights are larger or smaller. */
static void pass_prompt(const struct pass *p, const struct room *r, size_t g, size_t j, int i)
{
    size_t begin = p->group_begin[g], n = p->group_begin[g + 1] - begin, words = (n + 63) / 64;
    uint64_t *plane = r->plane + j * (size_t)p->planes * p->words;
    float last = r->hint[i].at;
    r->hint[i].at *= i ? r->moved[j] : 1.0f;
    p->select(&(struct selection){.w = p->w + begin,
                                  .v = p->v + (size_t)i * (size_t)p->D,
                                  .n = n,
                                  .cols = (size_t)p->D,
                                  .k = (size_t)(p->o->fraction * (double)n),
                                  .scratch = r->scores,
                                  .hint = &r->hint[i],
                                  .ones = r->ones});
    r->moved[j] = last > 0.0f && r->hint[i].at > 0.0f ? r->hint[i].at / last : 1.0f;
    if (p->mask) mask_take(&p->mask[i], begin, r->ones, n);
    if (p->common && p->all)
        for (size_t w = 0; w < words; w++) plane[w] &= r->ones[w];
    else if (p->common) vote(plane, p->planes, words, r->ones);
}

/* Neighbouring groups take turns at a prompt, so that its norms are in L1 for all but the first. */
static void pass_block(const struct pass *p, const struct room *r, size_t g, size_t n)
{
    if (p->common)
        memset(r->plane, p->all ? 0xff : 0, n * (size_t)p->planes * p->words * sizeof *r->plane);
    for (int i = 0; i < p->P; i++)
        for (size_t j = 0; j < n; j++) pass_prompt(p, r, g + j, j, i);
    for (size_t j = 0; p->common && j < n; j++) {
        size_t begin = p->group_begin[g + j], bits = p->group_begin[g + j + 1] - begin;
        uint64_t *plane = r->plane + j * (size_t)p->planes * p->words;
        if (!p->all) elect(plane, p->planes, (bits + 63) / 64, p->need, plane);
        mask_take(p->common, begin, plane, bits);
    }
}

static void pass_tile(void *arg, long tile)
{
    const struct pass *p = arg;
    struct room r = room_of(p);
    size_t g = (size_t)tile * p->groups_per_tile, end = g + p->groups_per_tile;
    if (end > p->n_groups) end = p->n_groups;
    for (; g < end; g += p->block) pass_block(p, &r, g, end - g < p->block ? end - g : p->block);
}

/* Groups per tile such that tiles begin at multiples of 64 neurons, so that no two threads write one mask word: 64 rows
 * always do. A matrix is a tile when all of them start at such a multiple, else everything is one tile. */
static size_t groups_in_tile(const struct pass *p, size_t n_groups)
{
    for (size_t per = p->o->group == SCORE_ROW ? 64 : 1; per < n_groups; per *= 2) {
        size_t ok = 1;
        for (size_t g = 0; g < n_groups && ok; g += per) ok = p->group_begin[g] % 64 == 0;
        if (ok) return per;
    }
    return n_groups;
}

static enum code group_starts(struct pass *p)
{
    const struct kv_layout *l = p->layout;
    size_t count = 0;
    if (p->o->group == SCORE_GLOBAL) count = 1;
    else if (p->o->group == SCORE_MATRIX) count = (size_t)l->n;
    else
        for (int i = 0; i < l->n; i++) count += (size_t)l->matrix[i].rows;
    size_t *b = mem_alloc(count + 1, sizeof *b);
    if (!b) return ERR_NOMEM;
    size_t at = 0;
    if (p->o->group == SCORE_GLOBAL) b[at++] = 0;
    else
        for (int i = 0; i < l->n; i++) {
            const struct kv_matrix *m = &l->matrix[i];
            size_t rows = p->o->group == SCORE_ROW ? (size_t)m->rows : 1;
            for (size_t r = 0; r < rows; r++) b[at++] = m->offset + r * (size_t)m->cols;
        }
    b[at] = l->n_weights;
    p->group_begin = b;
    p->n_groups = count;
    return OK;
}

static enum code pass_prepare(struct pass *p)
{
    size_t widest = 0, norms = (size_t)p->P * (size_t)p->D;
    p->select = kernels_cpu()->select;
    if (group_starts(p)) return ERR_NOMEM;
    for (size_t g = 0; g < p->n_groups; g++)
        if (p->group_begin[g + 1] - p->group_begin[g] > widest)
            widest = p->group_begin[g + 1] - p->group_begin[g];
    p->groups_per_tile = groups_in_tile(p, p->n_groups);
    p->words = (widest + 63) / 64;
    p->block = p->words <= 32 ? 4 : 1;
    p->all = p->need == (size_t)p->P;
    p->planes = p->common ? 1 : 0;
    while (p->common && !p->all && p->P >> p->planes) p->planes++;
    p->scratch_bytes = room_bytes(p);
    p->scratch = mem_alloc((size_t)parallel_threads(), p->scratch_bytes + 1);
    p->v = mem_alloc(norms + 1, sizeof *p->v);
    if (!p->scratch || !p->v) return ERR_NOMEM;
    for (size_t i = 0; i < norms; i++) p->v[i] = (float)p->norms[i];
    return OK;
}

static enum code pass_run(struct pass *p, struct err *e)
{
    enum code rc = pass_prepare(p);
    if (rc) err_set(e, rc, "out of memory while scoring %d prompts", p->P);
    else if (p->n_groups)
        parallel_for((long)((p->n_groups + p->groups_per_tile - 1) / p->groups_per_tile), pass_tile,
                     p);
    free(p->scratch);
    free(p->v);
    free(p->group_begin);
    return rc;
}

static void mask_clear(struct mask *m)
{
    memset(m->words, 0, m->n_words * sizeof *m->words);
}

enum code score_prompts(const struct kv_layout *l, const float *w, const struct score_options *o,
                        const double *norms, int P, int D, struct mask *mask, struct err *e)
{
    for (int i = 0; i < P; i++) {
        assert(mask[i].n_bits == l->n_weights);
        mask_clear(&mask[i]);
    }
    struct pass p = {.layout = l, .w = w, .o = o, .norms = norms, .P = P, .D = D, .mask = mask};
    return pass_run(&p, e);
}

enum code score_common(const struct kv_layout *l, const float *w, const struct score_options *o,
                       const double *norms, int P, int D, double share, struct collectives *c,
                       struct mask *out, struct err *e)
{
    /* An AND may be cut by prompt, because AND over ranks is exact; a vote needs the whole count on one rank. */
    int split = share >= 1.0, size = split ? c->size : 1, rank = split ? c->rank : 0;
    int first = (int)((long)P * rank / size), n = (int)((long)P * (rank + 1) / size) - first;
    struct pass p = {.layout = l,
                     .w = w,
                     .o = o,
                     .norms = norms + (size_t)first * (size_t)D,
                     .P = n,
                     .D = D,
                     .common = out,
                     .need = split ? (size_t)n : (size_t)ceil(share * P - 1e-9)};
    mask_clear(out);
    enum code rc = collectives_agree(c, pass_run(&p, e), e);
    if (rc == OK && size > 1) rc = c->band(c, out->words, out->n_words, e);
    return rc;
}

enum code score_curve(const struct kv_layout *l, const float *w, const struct score_options *o,
                      const double *norms, int P, int D, double *out, struct err *e)
{
    struct mask one = {0}, all = {0};
    enum code rc = mask_init(&one, l->n_weights, e);
    if (rc == OK) rc = mask_init(&all, l->n_weights, e);
    if (rc == OK) mask_fill(&all);
    for (int i = 0; rc == OK && i < P; i++) {
        rc = score_prompts(l, w, o, norms + (size_t)i * (size_t)D, 1, D, &one, e);
        if (rc == OK) {
            size_t ones = mask_count(&one);
            mask_and(&all, &one);
            out[i] = ones ? (double)mask_count(&all) / (double)ones : 0.0;
        }
    }
    mask_fini(&one);
    mask_fini(&all);
    return rc;
}
