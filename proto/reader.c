/* reader.c - reads canonical msgpack by schema: the caller says what must come, everything else is refused.
 * Bounds are checked again here although wire_check has been over the bytes: two belts, one trusts neither. */
#include "proto/wire.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

void reader_fail(struct reader *r, enum code c, const char *what)
{
    if (r->code) return;
    if (r->where.row >= 0)
        r->code = err_set(r->err, c, "%s.%s[%ld]: %s", r->where.message, r->where.field,
                          r->where.row, what);
    else r->code = err_set(r->err, c, "%s.%s: %s", r->where.message, r->where.field, what);
}

static const uint8_t *take(struct reader *r, size_t n)
{
    if (r->absent) return NULL;
    if (!r->code && (size_t)(r->end - r->at) < n) reader_fail(r, ERR_PROTOCOL, "message ends here");
    if (r->code) return NULL;
    r->at += n;
    return r->at - n;
}

static uint64_t take_big_endian(struct reader *r, size_t n)
{
    const uint8_t *p = take(r, n);
    uint64_t v = 0;
    for (size_t i = 0; p && i < n; i++) v = v << 8 | p[i];
    return v;
}

/* A length: `fixed` values sit in the head byte `base | n`, longer ones follow heads h8 (0: does not exist), h16, h32. The
 * shortest form only. */
static uint64_t take_length(struct reader *r, unsigned base, unsigned fixed, unsigned h8,
                            unsigned h16, const char *what)
{
    const uint8_t *p = take(r, 1);
    uint64_t n, least;

    if (!p) return 0;
    if (fixed && *p >= base && *p <= base + fixed) return *p - base;
    if (h8 && *p == h8) {
        n = take_big_endian(r, 1);
        least = fixed ? (uint64_t)fixed + 1 : 0;
    } else if (*p == h16) {
        n = take_big_endian(r, 2);
        least = h8 ? 0x100 : (uint64_t)fixed + 1;
    } else if (*p == h16 + 1) {
        n = take_big_endian(r, 4);
        least = 0x10000;
    } else {
        reader_fail(r, ERR_PROTOCOL, what);
        return 0;
    }
    if (!r->code && n < least)
        reader_fail(r, ERR_PROTOCOL, "length is not written in its shortest form");
    return r->code ? 0 : n;
}

void reader_map(struct reader *r, size_t n_keys)
{
    uint64_t n = take_length(r, 0x80, 15, 0, 0xde, "a map is expected");
    if (!r->code && n != n_keys)
        reader_fail(r, ERR_PROTOCOL, n < n_keys ? "fields are missing" : "unknown fields");
}

void reader_key(struct reader *r, const char *name)
{
    size_t len = strlen(name);
    if (r->code || r->absent) return;
    uint64_t n = take_length(r, 0xa0, 31, 0xd9, 0xda, "a field name is expected");
    const uint8_t *p = take(r, (size_t)n);
    r->where.field = name;
    if (p && (n != len || memcmp(p, name, len)))
        reader_fail(r, ERR_PROTOCOL, "this field is expected here and another one stands there");
}

size_t reader_array(struct reader *r, size_t max)
{
    uint64_t n = take_length(r, 0x90, 15, 0, 0xdc, "a list is expected");
    if (!r->code && n > max) reader_fail(r, ERR_PROTOCOL, "the list is too long");
    return r->code ? 0 : (size_t)n;
}

uint64_t reader_u64(struct reader *r, uint64_t max)
{
    static const uint64_t least[4] = {0x80, 0x100, 0x10000, 0x100000000};
    const uint8_t *p = take(r, 1);
    uint64_t v;

    if (!p) return 0;
    if (*p < 0x80) {
        v = *p;
    } else if (*p >= 0xcc && *p <= 0xcf) {
        unsigned k = *p - 0xccu;
        v = take_big_endian(r, (size_t)1 << k);
        if (!r->code && v < least[k])
            reader_fail(r, ERR_PROTOCOL, "number is not written in its shortest form");
    } else {
        reader_fail(r, ERR_PROTOCOL, "a whole number, not negative, is expected");
        return 0;
    }
    if (!r->code && v > max) reader_fail(r, ERR_PROTOCOL, "number is beyond its limit");
    return r->code ? 0 : v;
}

int64_t reader_i64(struct reader *r)
{
    static const int64_t most[4] = {-33, INT8_MIN - 1, INT16_MIN - 1, (int64_t)INT32_MIN - 1};

    if (r->code || r->absent || r->at == r->end || *r->at < 0x80 ||
        (*r->at >= 0xcc && *r->at <= 0xcf))
        return (int64_t)reader_u64(r, INT64_MAX);
    uint8_t b = *take(r, 1);
    if (b >= 0xe0) return (int64_t)b - 0x100;
    if (b < 0xd0 || b > 0xd3) {
        reader_fail(r, ERR_PROTOCOL, "a whole number is expected");
        return 0;
    }
    unsigned k = b - 0xd0u, bits = 8u << k;
    uint64_t u = take_big_endian(r, (size_t)1 << k);
    if (r->code) return 0;
    if (bits < 64 && u >> (bits - 1)) u |= UINT64_MAX << bits;
    int64_t v;
    memcpy(&v, &u, sizeof v);
    if (v > most[k]) {
        reader_fail(r, ERR_PROTOCOL, "number is not written in its shortest form");
        return 0;
    }
    return v;
}

double reader_f64(struct reader *r)
{
    const uint8_t *p = take(r, 1);
    double v;

    if (p && *p != 0xcb) reader_fail(r, ERR_PROTOCOL, "a 64-bit floating-point number is expected");
    uint64_t u = take_big_endian(r, 8);
    memcpy(&v, &u, sizeof v);
    if (!r->code && !isfinite(v)) reader_fail(r, ERR_PROTOCOL, "number is not finite");
    return r->code ? 0 : v;
}

const char *reader_str(struct reader *r, size_t max)
{
    uint64_t n = take_length(r, 0xa0, 31, 0xd9, 0xda, "text is expected");
    const uint8_t *p = take(r, (size_t)n);
    char *s;

    if (p && n > max) reader_fail(r, ERR_PROTOCOL, "text is longer than its limit");
    if (p && !wire_utf8(p, (size_t)n)) reader_fail(r, ERR_PROTOCOL, "text is no UTF-8");
    if (r->code || n == 0) return "";
    s = arena_alloc(r->arena, (size_t)n + 1);
    if (!s) {
        reader_fail(r, ERR_NOMEM, "out of memory");
        return "";
    }
    memcpy(s, p, (size_t)n);
    return s;
}

struct slice reader_bytes(struct reader *r, size_t max)
{
    uint64_t n = take_length(r, 0, 0, 0xc4, 0xc5, "bytes are expected");
    const uint8_t *p = take(r, (size_t)n);

    if (p && n > max) reader_fail(r, ERR_PROTOCOL, "more bytes than the limit");
    if (r->code) return (struct slice){0};
    return (struct slice){n ? p : NULL, (size_t)n};
}

struct hash reader_hash(struct reader *r)
{
    struct slice s = reader_bytes(r, HASH_BYTES);
    struct hash h = {{0}};

    if (r->absent) return h;
    if (!r->code && s.n != HASH_BYTES) reader_fail(r, ERR_PROTOCOL, "a hash has 32 bytes");
    if (!r->code) memcpy(h.v, s.data, HASH_BYTES);
    return h;
}

struct strs reader_strs(struct reader *r, size_t n, size_t max)
{
    struct strs v = {.n = reader_array(r, n)};

    if (v.n == 0) return v;
    v.v = arena_alloc(r->arena, v.n * sizeof *v.v);
    if (!v.v) {
        reader_fail(r, ERR_NOMEM, "out of memory");
        return (struct strs){0};
    }
    for (size_t i = 0; i < v.n; i++) {
        if (!r->code) r->where.row = (long)i;
        v.v[i] = reader_str(r, max);
    }
    r->where.row = -1;
    return v;
}

/* A list of hashes is one byte string: a hundred names cost one item and no heads. */
struct hashes reader_hashes(struct reader *r, size_t n)
{
    struct slice s = reader_bytes(r, n * HASH_BYTES);
    struct hashes v = {.n = s.n / HASH_BYTES};

    if (!r->code && s.n % HASH_BYTES)
        reader_fail(r, ERR_PROTOCOL, "a list of hashes has a multiple of 32 bytes");
    if (r->code || v.n == 0) return (struct hashes){0};
    v.v = arena_copy(r->arena, s.data, s.n);
    if (!v.v) {
        reader_fail(r, ERR_NOMEM, "out of memory");
        return (struct hashes){0};
    }
    return v;
}

void *reader_rows(struct reader *r, size_t max, size_t bytes, size_t least, size_t *n)
{
    void *rows;

    *n = reader_array(r, max);
    if (*n > (size_t)(r->end - r->at) / least) {
        reader_fail(r, ERR_PROTOCOL, "message ends before so many rows");
        *n = 0;
    }
    if (*n == 0) return NULL;
    rows = arena_alloc(r->arena, *n * bytes);
    if (!rows) {
        reader_fail(r, ERR_NOMEM, "out of memory");
        *n = 0;
    }
    return rows;
}
