/* blob.c - little-endian records. */
#include "base/blob.h"

#include "base/hash.h"

#include <string.h>

void blob_bytes(struct blob *b, const void *data, size_t n)
{
    text_add_bytes(&b->t, data, n);
}

void blob_u32(struct blob *b, uint32_t v)
{
    uint8_t raw[4];
    for (int i = 0; i < 4; i++) raw[i] = (uint8_t)(v >> (8 * i));
    blob_bytes(b, raw, sizeof raw);
}

void blob_u64(struct blob *b, uint64_t v)
{
    blob_u32(b, (uint32_t)v);
    blob_u32(b, (uint32_t)(v >> 32));
}

void blob_words(struct blob *b, const uint64_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++) blob_u64(b, v[i]);
}

void blob_f32(struct blob *b, const float *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &v[i], sizeof bits);
        blob_u32(b, bits);
    }
}

void blob_align(struct blob *b, size_t to)
{
    while (b->t.n % to && !b->t.failed) blob_bytes(b, "", 1);
}

void blob_seal(struct blob *b)
{
    if (b->t.failed) return;
    struct hash h = hash_bytes(b->t.s, b->t.n);
    blob_bytes(b, h.v, sizeof h.v);
}

struct blob_reader blob_reader(const void *data, size_t n)
{
    return (struct blob_reader){.data = data, .n = n};
}

void blob_get_bytes(struct blob_reader *r, void *out, size_t n)
{
    if (r->bad || n > r->n - r->at) {
        r->bad = 1;
        if (n) memset(out, 0, n);
        return;
    }
    if (n) memcpy(out, r->data + r->at, n);
    r->at += n;
}

uint32_t blob_get_u32(struct blob_reader *r)
{
    uint8_t raw[4];
    blob_get_bytes(r, raw, sizeof raw);
    return (uint32_t)raw[0] | (uint32_t)raw[1] << 8 | (uint32_t)raw[2] << 16 |
           (uint32_t)raw[3] << 24;
}

uint64_t blob_get_u64(struct blob_reader *r)
{
    uint64_t low = blob_get_u32(r);
    return low | (uint64_t)blob_get_u32(r) << 32;
}

void blob_get_words(struct blob_reader *r, uint64_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = blob_get_u64(r);
}

void blob_get_f32(struct blob_reader *r, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = blob_get_u32(r);
        memcpy(&out[i], &bits, sizeof bits);
    }
}

void blob_get_align(struct blob_reader *r, size_t to)
{
    while (r->at % to && !r->bad) {
        uint8_t zero;
        blob_get_bytes(r, &zero, 1);
        if (zero) r->bad = 1;
    }
}

size_t blob_left(const struct blob_reader *r)
{
    return r->bad ? 0 : r->n - r->at;
}

int blob_sealed(const void *data, size_t n)
{
    if (n < HASH_BYTES) return 0;
    struct hash h = hash_bytes(data, n - HASH_BYTES);
    return memcmp(h.v, (const uint8_t *)data + n - HASH_BYTES, HASH_BYTES) == 0;
}
