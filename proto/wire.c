/* wire.c - the look at foreign bytes that comes before everything else. Bounded work, no allocation. */
#include "proto/wire.h"

#include <string.h>

/* What one head byte announces: bytes of payload to skip and items that follow inside. */
struct head {
    size_t size;
    uint64_t payload, items;
    int bad;
};

static uint64_t big_endian(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) v = v << 8 | p[i];
    return v;
}

/* Heads 0xc0..0xdf: width of the length field, and what the length counts. */
enum counts { NOTHING, PAYLOAD, ITEMS, PAIRS, REFUSED };
struct shape {
    uint8_t width, payload;
    uint8_t counts;
};

/* clang-format off */
static const struct shape shapes[32] = {
    [0xc0 - 0xc0] = { 0, 0, NOTHING }, [0xc1 - 0xc0] = { 0, 0, REFUSED },
    [0xc2 - 0xc0] = { 0, 0, NOTHING }, [0xc3 - 0xc0] = { 0, 0, NOTHING },
    [0xc4 - 0xc0] = { 1, 0, PAYLOAD }, [0xc5 - 0xc0] = { 2, 0, PAYLOAD }, [0xc6 - 0xc0] = { 4, 0, PAYLOAD },
    [0xc7 - 0xc0] = { 0, 0, REFUSED }, [0xc8 - 0xc0] = { 0, 0, REFUSED }, [0xc9 - 0xc0] = { 0, 0, REFUSED },
    [0xca - 0xc0] = { 0, 4, NOTHING }, [0xcb - 0xc0] = { 0, 8, NOTHING },
    [0xcc - 0xc0] = { 0, 1, NOTHING }, [0xcd - 0xc0] = { 0, 2, NOTHING },
    [0xce - 0xc0] = { 0, 4, NOTHING }, [0xcf - 0xc0] = { 0, 8, NOTHING },
    [0xd0 - 0xc0] = { 0, 1, NOTHING }, [0xd1 - 0xc0] = { 0, 2, NOTHING },
    [0xd2 - 0xc0] = { 0, 4, NOTHING }, [0xd3 - 0xc0] = { 0, 8, NOTHING },
    [0xd4 - 0xc0] = { 0, 0, REFUSED }, [0xd5 - 0xc0] = { 0, 0, REFUSED }, [0xd6 - 0xc0] = { 0, 0, REFUSED },
    [0xd7 - 0xc0] = { 0, 0, REFUSED }, [0xd8 - 0xc0] = { 0, 0, REFUSED },
    [0xd9 - 0xc0] = { 1, 0, PAYLOAD }, [0xda - 0xc0] = { 2, 0, PAYLOAD }, [0xdb - 0xc0] = { 4, 0, PAYLOAD },
    [0xdc - 0xc0] = { 2, 0, ITEMS }, [0xdd - 0xc0] = { 4, 0, ITEMS },
    [0xde - 0xc0] = { 2, 0, PAIRS }, [0xdf - 0xc0] = { 4, 0, PAIRS },
};
/* clang-format on */

static struct head head_read(const uint8_t *p, size_t left)
{
    uint8_t b = p[0];
    struct head h = {.size = 1};

    if (b < 0x80 || b >= 0xe0) return h;
    if (b < 0x90) {
        h.items = 2u * (b & 15u);
    } else if (b < 0xa0) {
        h.items = b & 15u;
    } else if (b < 0xc0) {
        h.payload = b & 31u;
    } else {
        struct shape s = shapes[b - 0xc0];
        h.size = 1u + s.width;
        if (s.counts == REFUSED || h.size > left) {
            h.bad = 1;
            return h;
        }
        uint64_t n = big_endian(p + 1, s.width);
        h.payload = s.counts == PAYLOAD ? n : s.payload;
        h.items = s.counts == ITEMS ? n : s.counts == PAIRS ? 2 * n : 0;
    }
    return h;
}

enum code wire_check(const uint8_t *data, size_t n, struct err *e)
{
    uint64_t left[PROTO_DEPTH + 1] = {1}; /* items still to come, per level */
    size_t at = 0, items = 0;
    int depth = 0;

    if (n > PROTO_BYTES)
        return err_set(e, ERR_PROTOCOL, "message of %zu bytes; at most %u are read", n,
                       PROTO_BYTES);
    for (;;) {
        while (depth > 0 && left[depth] == 0) depth--;
        if (left[depth] == 0) break;
        left[depth]--;
        if (at == n)
            return err_set(e, ERR_PROTOCOL, "message ends in the middle, after %zu bytes", n);
        if (++items > PROTO_ITEMS)
            return err_set(e, ERR_PROTOCOL, "message holds more than %d values", PROTO_ITEMS);
        struct head h = head_read(data + at, n - at);
        if (h.bad)
            return err_set(e, ERR_PROTOCOL, "byte %zu: 0x%02x does not occur in messages", at,
                           data[at]);
        at += h.size;
        if (h.payload > n - at || h.items > n - at)
            return err_set(e, ERR_PROTOCOL, "byte %zu: a length beyond the end of the message",
                           at - h.size);
        at += h.payload;
        if (h.items == 0) continue;
        if (depth == PROTO_DEPTH)
            return err_set(e, ERR_PROTOCOL, "byte %zu: nested deeper than %d", at - h.size,
                           PROTO_DEPTH);
        left[++depth] = h.items;
    }
    if (at != n) return err_set(e, ERR_PROTOCOL, "%zu bytes after the end of the message", n - at);
    return OK;
}

/* The second byte's range depends on the first: that
 * is what excludes overlong forms, surrogates and everything above U+10FFFF. */
size_t wire_utf8_step(const uint8_t *s, size_t n)
{
    uint8_t b = s[0], least = 0x80, most = 0xbf;
    size_t len;

    if (b < 0x80) return b != 0;
    if (b < 0xc2 || b > 0xf4) return 0;
    len = b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
    if (len > n) return 0;
    if (b == 0xe0) least = 0xa0;
    if (b == 0xed) most = 0x9f;
    if (b == 0xf0) least = 0x90;
    if (b == 0xf4) most = 0x8f;
    if (s[1] < least || s[1] > most) return 0;
    for (size_t i = 2; i < len; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    return len;
}

/* Eight characters of ASCII at once, none of them NUL. */
static int is_plain(const uint8_t *s)
{
    uint64_t v;

    memcpy(&v, s, sizeof v);
    return !((v | (v - UINT64_C(0x0101010101010101))) & UINT64_C(0x8080808080808080));
}

int wire_utf8(const uint8_t *s, size_t n)
{
    while (n > 0) {
        if (n >= 8 && is_plain(s)) {
            s += 8;
            n -= 8;
            continue;
        }
        size_t step = wire_utf8_step(s, n);
        if (step == 0) return 0;
        s += step;
        n -= step;
    }
    return 1;
}
