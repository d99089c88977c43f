/* writer.c - writes canonical msgpack: each value in its one shortest form. With data == NULL it only counts, so that the
 * caller allocates once and exactly. */
#include "proto/wire.h"

#include <math.h>
#include <string.h>

static void fail(struct writer *w, const char *what, uint64_t is, uint64_t limit)
{
    if (w->code) return;
    if (w->where.row >= 0)
        w->code = err_set(w->err, ERR_INPUT, "%s.%s[%ld]: %s (%llu, limit %llu)", w->where.message,
                          w->where.field, w->where.row, what, (unsigned long long)is,
                          (unsigned long long)limit);
    else
        w->code = err_set(w->err, ERR_INPUT, "%s.%s: %s (%llu, limit %llu)", w->where.message,
                          w->where.field, what, (unsigned long long)is, (unsigned long long)limit);
}

static void put(struct writer *w, const void *data, size_t n)
{
    if (w->code || n == 0) return;
    if (w->data && n <= w->room - w->n) memcpy(w->data + w->n, data, n);
    w->n += n;
}

static void put_big_endian(struct writer *w, unsigned head, uint64_t v, size_t n)
{
    uint8_t b[9];
    b[0] = (uint8_t)head;
    for (size_t i = 0; i < n; i++) b[1 + i] = (uint8_t)(v >> 8 * (n - 1 - i));
    put(w, b, 1 + n);
}

/* The mirror of the reader's take_length. */
static void put_length(struct writer *w, unsigned base, unsigned fixed, unsigned h8, unsigned h16,
                       size_t n)
{
    if (fixed && n <= fixed) put_big_endian(w, base + (unsigned)n, 0, 0);
    else if (h8 && n <= 0xff) put_big_endian(w, h8, n, 1);
    else if (n <= 0xffff) put_big_endian(w, h16, n, 2);
    else put_big_endian(w, h16 + 1, n, 4);
}

void writer_map(struct writer *w, size_t n_keys)
{
    put_length(w, 0x80, 15, 0, 0xde, n_keys);
}

void writer_key(struct writer *w, const char *name)
{
    size_t n = strlen(name);
    if (w->code) return;
    w->where.field = name;
    put_length(w, 0xa0, 31, 0xd9, 0xda, n);
    put(w, name, n);
}

void writer_array(struct writer *w, size_t n, size_t max)
{
    if (n > max) fail(w, "the list is too long", n, max);
    put_length(w, 0x90, 15, 0, 0xdc, n);
}

void writer_u64(struct writer *w, uint64_t v, uint64_t max)
{
    if (v > max) fail(w, "number is too large", v, max);
    if (v < 0x80) put_big_endian(w, (unsigned)v, 0, 0);
    else if (v <= 0xff) put_big_endian(w, 0xcc, v, 1);
    else if (v <= 0xffff) put_big_endian(w, 0xcd, v, 2);
    else if (v <= 0xffffffff) put_big_endian(w, 0xce, v, 4);
    else put_big_endian(w, 0xcf, v, 8);
}

void writer_i64(struct writer *w, int64_t v)
{
    uint64_t u = (uint64_t)v;
    if (v >= 0) writer_u64(w, u, INT64_MAX);
    else if (v >= -32) put_big_endian(w, (unsigned)(u & 0xff), 0, 0);
    else if (v >= INT8_MIN) put_big_endian(w, 0xd0, u, 1);
    else if (v >= INT16_MIN) put_big_endian(w, 0xd1, u, 2);
    else if (v >= INT32_MIN) put_big_endian(w, 0xd2, u, 4);
    else put_big_endian(w, 0xd3, u, 8);
}

void writer_f64(struct writer *w, double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    if (!isfinite(v)) fail(w, "number is not finite", 0, 0);
    put_big_endian(w, 0xcb, u, 8);
}

void writer_str(struct writer *w, const char *s, size_t max)
{
    size_t n = s ? strlen(s) : 0;
    if (n > max) fail(w, "text is too long", n, max);
    if (s && !wire_utf8((const uint8_t *)s, n)) fail(w, "text is no UTF-8", n, max);
    put_length(w, 0xa0, 31, 0xd9, 0xda, n);
    put(w, s, n);
}

void writer_bytes(struct writer *w, struct slice s, size_t max)
{
    if (s.n > max) fail(w, "too many bytes", s.n, max);
    put_length(w, 0, 0, 0xc4, 0xc5, s.n);
    put(w, s.data, s.n);
}

void writer_hash(struct writer *w, struct hash h)
{
    writer_bytes(w, (struct slice){h.v, HASH_BYTES}, HASH_BYTES);
}

void writer_strs(struct writer *w, struct strs v, size_t n, size_t max)
{
    writer_array(w, v.n, n);
    for (size_t i = 0; i < v.n && !w->code; i++) {
        w->where.row = (long)i;
        writer_str(w, v.v[i], max);
    }
    w->where.row = -1;
}

void writer_hashes(struct writer *w, struct hashes v, size_t n)
{
    const uint8_t *bytes = v.n ? v.v[0].v : NULL;
    if (v.n > n) fail(w, "the list is too long", v.n, n);
    else writer_bytes(w, (struct slice){bytes, v.n * HASH_BYTES}, n * HASH_BYTES);
}
