/* method.c - the list of methods, and what all of them share: masks as a file, prompts from patterns. */
#include "pipeline/method/method.h"

#include "base/blob.h"
#include "pipeline/method/cns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct method *const LIST[] = {&method_cns, NULL};

const struct method *const *method_list(void)
{
    return LIST;
}

const struct method *method_find(const char *name)
{
    for (const struct method *const *m = LIST; *m; m++)
        if (!strcmp((*m)->name, name)) return *m;
    return NULL;
}

static const char MASKS_MAGIC[8] = "engramMK";
#define MASKS_VERSION 1

void masks_fini(struct masks *m)
{
    mask_fini(&m->base);
    mask_fini(&m->general);
    mask_fini(&m->concept);
    mask_fini(&m->reg);
}

enum code masks_encode(const struct masks *m, struct bytes *out, struct err *e)
{
    const struct mask *four[] = {&m->base, &m->general, &m->concept, &m->reg};
    struct blob b = {0};
    blob_bytes(&b, MASKS_MAGIC, sizeof MASKS_MAGIC);
    blob_u32(&b, MASKS_VERSION);
    blob_u32(&b, 0);
    blob_u64(&b, m->concept.n_bits);
    for (int i = 0; i < 4; i++) blob_words(&b, four[i]->words, four[i]->n_words);
    blob_seal(&b);
    if (b.t.failed) {
        text_fini(&b.t);
        return err_set(e, ERR_NOMEM, "out of memory writing masks");
    }
    *out = (struct bytes){(uint8_t *)b.t.s, b.t.n};
    return OK;
}

enum code masks_decode(const void *data, size_t bytes, struct masks *out, struct err *e)
{
    struct mask *four[] = {&out->base, &out->general, &out->concept, &out->reg};
    struct blob_reader r = blob_reader(data, bytes);
    char magic[8];
    *out = (struct masks){0};
    blob_get_bytes(&r, magic, sizeof magic);
    uint32_t version = blob_get_u32(&r), zero = blob_get_u32(&r);
    uint64_t n = blob_get_u64(&r), words = n / 64 + (n % 64 != 0);
    if (r.bad || memcmp(magic, MASKS_MAGIC, sizeof magic) || version != MASKS_VERSION || zero ||
        words > bytes / 32 || blob_left(&r) != 4 * 8 * words + HASH_BYTES ||
        !blob_sealed(data, bytes))
        return err_set(e, ERR_CORRUPT, "not a masks file of version %d, or damaged", MASKS_VERSION);
    enum code rc = OK;
    for (int i = 0; !rc && i < 4; i++) {
        rc = mask_init(four[i], n, e);
        if (!rc) blob_get_words(&r, four[i]->words, words);
        if (!rc && n % 64 && four[i]->words[words - 1] >> (n % 64))
            rc = err_set(e, ERR_CORRUPT, "a masks file has bits past its end");
    }
    if (rc) masks_fini(out);
    return rc;
}

/* Copies one piece; the pattern's result is cut, never overrun. */
static char *put(char *out, const char *end, const char *s, size_t n)
{
    while (n-- && out < end) *out++ = *s++;
    return out;
}

void prompt_fill(const char *pattern, const char *token, const char *class_word, char *out,
                 size_t bytes)
{
    char *at = out, *end = out + bytes - 1;
    while (*pattern) {
        if (!strncmp(pattern, "{token}", 7)) {
            at = put(at, end, token, strlen(token));
            pattern += 7;
        } else if (!strncmp(pattern, "{class}", 7)) {
            at = put(at, end, class_word, strlen(class_word));
            pattern += 7;
        } else {
            at = put(at, end, pattern++, 1);
        }
    }
    *at = '\0';
}
