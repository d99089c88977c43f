#include "tests/proto/support/random_message.h"

#include <string.h>

const enum msg_kind random_kinds[] = {
#define MESSAGE(number, name, from, since) MSG_##name,
#include "proto/messages.def"
};
const int random_n_kinds = (int)(sizeof random_kinds / sizeof *random_kinds);

uint64_t dice_roll(struct dice *d)
{
    uint64_t z = d->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t dice_below(struct dice *d, uint64_t bound)
{
    return dice_roll(d) % bound;
}

/* Numbers near the places where the encoding changes its width. */
static uint64_t some_u64(struct dice *d, uint64_t max)
{
    uint64_t edge = (uint64_t)1 << dice_below(d, 64), v;

    switch (dice_below(d, 4)) {
    case 0: v = edge; break;
    case 1: v = edge - 1; break;
    case 2: v = max; break;
    default: v = dice_roll(d) >> dice_below(d, 64);
    }
    return v > max ? v % (max + 1) : v;
}

static int64_t some_i64(struct dice *d)
{
    int64_t v = (int64_t)some_u64(d, INT64_MAX);
    return dice_below(d, 2) ? v : -v - 1;
}

static double some_f64(struct dice *d)
{
    static const double edges[] = {0, -0.0, 1, -1, 1e308, 5e-324, 0.1};
    if (dice_below(d, 3) == 0) return edges[dice_below(d, 7)];
    return ((double)dice_roll(d) - 9e18) / 1024;
}

static size_t some_length(struct dice *d, size_t max, size_t mostly)
{
    switch (dice_below(d, 8)) {
    case 0: return 0;
    case 1: return max < 4000 ? max : mostly;
    default: return (size_t)dice_below(d, (max < mostly ? max : mostly) + 1);
    }
}

static const char *some_str(struct dice *d, struct arena *a, size_t max)
{
    static const char *const bits[] = {
        "a", "<rex>", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\x95", "\n", "\x7f"};
    size_t want = some_length(d, max, 80), n = 0;
    char *s = arena_alloc(a, want + 1);

    while (n < want) {
        const char *bit = bits[dice_below(d, 7)];
        if (n + strlen(bit) > want) bit = "z";
        memcpy(s + n, bit, strlen(bit));
        n += strlen(bit);
    }
    return s;
}

static struct slice some_bytes(struct dice *d, struct arena *a, size_t max)
{
    size_t n = some_length(d, max, 300);
    uint8_t *p = arena_alloc(a, n + 1);
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)dice_roll(d);
    return (struct slice){n ? p : NULL, n};
}

static struct hash some_hash(struct dice *d)
{
    struct hash h = {{0}};
    if (dice_below(d, 4) == 0) return h;
    for (size_t i = 0; i < HASH_BYTES; i++) h.v[i] = (uint8_t)dice_roll(d);
    return h;
}

static struct strs some_strs(struct dice *d, struct arena *a, size_t n, size_t max)
{
    struct strs v = {.n = some_length(d, n, 6)};
    v.v = arena_alloc(a, (v.n + 1) * sizeof *v.v);
    for (size_t i = 0; i < v.n; i++) v.v[i] = some_str(d, a, max);
    return v;
}

static struct hashes some_hashes(struct dice *d, struct arena *a, size_t n)
{
    struct hashes v = {.n = some_length(d, n, 6)};
    v.v = arena_alloc(a, (v.n + 1) * sizeof *v.v);
    for (size_t i = 0; i < v.n; i++) v.v[i] = some_hash(d);
    return v;
}

/* clang-format off */
#define U64(name, max) m->name = some_u64(d, max);
#define I64(name) m->name = some_i64(d);
#define F64(name) m->name = some_f64(d);
#define STR(name, max) m->name = some_str(d, a, max);
#define BYTES(name, max) m->name = some_bytes(d, a, max);
#define HASH(name) m->name = some_hash(d);
#define STRS(name, n, max) m->name = some_strs(d, a, n, max);
#define HASHES(name, n) m->name = some_hashes(d, a, n);
#define ROWS(name, record, max)                                                      \
    m->name.n = (size_t)dice_below(d, (max) < 5 ? (max) + 1 : 5);                    \
    m->name.v = arena_alloc(a, (m->name.n + 1) * sizeof *m->name.v);                 \
    for (size_t i = 0; i < m->name.n; i++) fill_##record(d, a, &m->name.v[i]);
#define RECORD(name)                                                                 \
    static void fill_##name(struct dice *d, struct arena *a, struct name *m)         \
    {                                                                                \
        (void)a;
#define END_RECORD(name) }
#define MESSAGE(number, name, from, since)                                                  \
    static void fill_msg_##name(struct dice *d, struct arena *a, struct msg_##name *m) \
    {                                                                                \
        (void)a;
#define END(name) }
#include "proto/messages.def"
/* clang-format on */

struct message random_message(struct dice *d, struct arena *a, enum msg_kind kind)
{
    struct message m = {.kind = kind, .id = some_u64(d, PROTO_ANY)};
    switch (kind) {
#define MESSAGE(number, name, from, since) \
    case MSG_##name:                       \
        fill_msg_##name(d, a, &m.name);    \
        break;
#include "proto/messages.def"
    case MSG_none:
    case MSG_KINDS: break;
    }
    return m;
}
