/* commit.c - the commit file, version 1 (docs/formats.md, "Commit"). All numbers little-endian.
 *
 *       0  8   magic "engramCM"
 *       8  4   version, 1                      12  4   D, length of the token's row
 *      16  8   n, neurons of the base model    24  8   k, ones in the mask = stored values
 *      32 32   base model's hash               64 32   parent's hash, zero for a first commit
 *      96 4x4  bytes of token, class word, kind, record
 *     112      those four texts, then zeros to a multiple of 8
 *              mask: ceil(n / 64) words        values: k floats        row: D floats
 *              SHA-256 of everything before it
 */
#include "pipeline/neurons/commit.h"

#include "base/arena.h"
#include "base/blob.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char MAGIC[8] = "engramCM";
#define VERSION 1
#define MADE_BYTES (1u << 20)            /* the record is a page of JSON; a megabyte is a lie */
#define NEURONS_MOST (UINT64_C(1) << 32) /* positions are 32 bits wide; SD-1.5 has 19 million */
#define DIM_MOST 65536u

enum code commit_encode(const struct commit *c, struct bytes *out, struct err *e)
{
    const char *text[4] = {c->token, c->class_word, c->kind, c->made ? c->made : ""};
    struct blob b = {0};
    blob_bytes(&b, MAGIC, sizeof MAGIC);
    blob_u32(&b, VERSION);
    blob_u32(&b, c->dim);
    blob_u64(&b, c->mask.n_bits);
    blob_u64(&b, c->n_values);
    blob_bytes(&b, c->base.v, HASH_BYTES);
    blob_bytes(&b, c->parent.v, HASH_BYTES);
    for (int i = 0; i < 4; i++) blob_u32(&b, (uint32_t)strlen(text[i]));
    for (int i = 0; i < 4; i++) blob_bytes(&b, text[i], strlen(text[i]));
    blob_align(&b, 8);
    blob_words(&b, c->mask.words, c->mask.n_words);
    blob_f32(&b, c->value, c->n_values);
    blob_f32(&b, c->row, c->dim);
    blob_seal(&b);
    if (b.t.failed) {
        text_fini(&b.t);
        return err_set(e, ERR_NOMEM, "out of memory writing the commit of %s", c->token);
    }
    *out = (struct bytes){(uint8_t *)b.t.s, b.t.n}; /* handed over */
    return OK;
}

static enum code corrupt(struct err *e, const char *why)
{
    return err_set(e, ERR_CORRUPT, "not a commit: %s", why);
}

/* One of the four texts into a fixed field or, for the record, fresh memory. */
static enum code text_get(struct blob_reader *r, uint32_t n, char *out, size_t room, struct err *e)
{
    if (n >= room || n > blob_left(r)) return corrupt(e, "a text is longer than its field");
    blob_get_bytes(r, out, n);
    out[n] = '\0';
    if (strlen(out) != n) return corrupt(e, "a text holds a zero byte");
    return OK;
}

static enum code header_get(struct blob_reader *r, struct commit *c, uint64_t *n_bits,
                            struct err *e)
{
    char magic[8];
    uint32_t length[4];
    blob_get_bytes(r, magic, sizeof magic);
    if (memcmp(magic, MAGIC, sizeof MAGIC)) return corrupt(e, "the magic is missing");
    uint32_t version = blob_get_u32(r);
    if (version != VERSION)
        return err_set(e, ERR_CORRUPT, "commit of version %u; this Engram reads version %d",
                       version, VERSION);
    c->dim = blob_get_u32(r);
    *n_bits = blob_get_u64(r);
    c->n_values = blob_get_u64(r);
    blob_get_bytes(r, c->base.v, HASH_BYTES);
    blob_get_bytes(r, c->parent.v, HASH_BYTES);
    for (int i = 0; i < 4; i++) length[i] = blob_get_u32(r);
    if (r->bad || c->dim > DIM_MOST || *n_bits >= NEURONS_MOST || c->n_values > *n_bits ||
        length[3] > MADE_BYTES)
        return corrupt(e, "a size in the header is impossible");
    c->made = mem_alloc((size_t)length[3] + 1, 1);
    if (!c->made) return err_set(e, ERR_NOMEM, "out of memory reading a commit");
    enum code rc = text_get(r, length[0], c->token, sizeof c->token, e);
    if (!rc) rc = text_get(r, length[1], c->class_word, sizeof c->class_word, e);
    if (!rc) rc = text_get(r, length[2], c->kind, sizeof c->kind, e);
    if (!rc) rc = text_get(r, length[3], c->made, (size_t)length[3] + 1, e);
    blob_get_align(r, 8);
    return rc;
}

static enum code body_get(struct blob_reader *r, struct commit *c, uint64_t n_bits, struct err *e)
{
    uint64_t words = (n_bits + 63) / 64;
    if (blob_left(r) != words * 8 + c->n_values * 4 + (uint64_t)c->dim * 4 + HASH_BYTES)
        return corrupt(e, "its length does not fit its header");
    enum code rc = mask_init(&c->mask, n_bits, e);
    if (rc) return rc;
    c->value = mem_alloc(c->n_values ? c->n_values : 1, sizeof(float));
    c->row = mem_alloc(c->dim ? c->dim : 1, sizeof(float));
    if (!c->value || !c->row) return err_set(e, ERR_NOMEM, "out of memory reading a commit");
    blob_get_words(r, c->mask.words, c->mask.n_words);
    blob_get_f32(r, c->value, c->n_values);
    blob_get_f32(r, c->row, c->dim);
    if (n_bits % 64 && c->mask.words[words - 1] >> (n_bits % 64))
        return corrupt(e, "mask bits past its end");
    if (mask_count(&c->mask) != c->n_values)
        return corrupt(e, "the mask does not count its values");
    for (size_t i = 0; i < c->n_values; i++)
        if (!isfinite(c->value[i])) return corrupt(e, "a value is not a number");
    for (uint32_t i = 0; i < c->dim; i++)
        if (!isfinite(c->row[i]))
            return corrupt(e, "the token's row holds something that is not a number");
    return OK;
}

enum code commit_decode(const void *data, size_t bytes, struct commit *out, struct err *e)
{
    *out = (struct commit){0};
    struct blob_reader r = blob_reader(data, bytes);
    uint64_t n_bits = 0;
    enum code rc = header_get(&r, out, &n_bits, e);
    if (!rc) rc = body_get(&r, out, n_bits, e);
    if (!rc && r.bad) rc = corrupt(e, "it ends too early");
    if (!rc && !blob_sealed(data, bytes)) rc = corrupt(e, "its checksum is wrong");
    if (rc) commit_fini(out);
    return rc;
}

void commit_fini(struct commit *c)
{
    mask_fini(&c->mask);
    free(c->value);
    free(c->row);
    free(c->made);
    *c = (struct commit){0};
}
