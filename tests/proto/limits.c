/* Every limit of messages.def, on both sides: what is at the limit is written and read, what is one beyond it is neither.
 * A writer without limits, made from the same list, plays the peer that does not keep them. */
#include "proto/wire.h"
#include "tests/tap.h"

static struct arena arena;
static struct hash no_hashes[PROTO_OUTPUTS + 1];
static const char *no_texts[PROTO_PROMPTS + 1];
static uint8_t no_bytes[PROTO_PART + 1];

/* Which limit is tried: the turn-th of the message. extra 0: exactly at it, 1: one beyond. */
struct edge {
    int turn;
    uint64_t extra;
    const char *field;
};

static int mine(struct edge *e, const char *field)
{
    e->field = field;
    return e->turn-- == 0;
}

static const char *letters(size_t n)
{
    char *s = arena_alloc(&arena, n + 1);
    return memset(s, 'x', n);
}

/* clang-format off */
#define U64(name, max) if ((max) < UINT64_MAX && mine(e, #name)) return m->name = (max) + e->extra, 1;
#define STR(name, max) if (mine(e, #name)) return m->name = letters((max) + e->extra), 1;
#define BYTES(name, max) if (mine(e, #name)) return m->name = (struct slice){no_bytes, (max) + e->extra}, 1;
#define HASHES(name, most) if (mine(e, #name)) return m->name = (struct hashes){(most) + e->extra, no_hashes}, 1;
#define STRS(name, most, max)                                                         \
    if (mine(e, #name)) return m->name = (struct strs){(most) + e->extra, no_texts}, 1; \
    if (mine(e, #name)) {                                                             \
        m->name = (struct strs){1, arena_alloc(&arena, sizeof *m->name.v)};           \
        m->name.v[0] = letters((max) + e->extra);                                     \
        return 1;                                                                     \
    }
#define ROWS(name, record, most)                                                      \
    m->name = (struct record##s){(most) + e->extra,                                   \
                                 arena_alloc(&arena, ((most) + 1) * sizeof *m->name.v)}; \
    if (mine(e, #name)) return 1;                                                     \
    m->name.n = 1;                                                                    \
    if (edge_##record(e, m->name.v)) return 1;                                        \
    m->name = (struct record##s){0};
#define RECORD(name) static int edge_##name(struct edge *e, struct name *m) { (void)m; (void)e;
#define END_RECORD(name) return 0; }
#define MESSAGE(number, name, from, since)                                            \
    static int edge_msg_##name(struct edge *e, struct msg_##name *m) { (void)m; (void)e;
#define END(name) return 0; }
#include "proto/messages.def"

#define U64(name, max) writer_key(w, #name); writer_u64(w, m->name, UINT64_MAX);
#define I64(name) writer_key(w, #name); writer_i64(w, m->name);
#define F64(name) writer_key(w, #name); writer_f64(w, m->name);
#define STR(name, max) writer_key(w, #name); writer_str(w, m->name, SIZE_MAX);
#define BYTES(name, max) writer_key(w, #name); writer_bytes(w, m->name, SIZE_MAX);
#define HASH(name) writer_key(w, #name); writer_hash(w, m->name);
#define STRS(name, n, max) writer_key(w, #name); writer_strs(w, m->name, SIZE_MAX, SIZE_MAX);
#define HASHES(name, most) writer_key(w, #name); writer_hashes(w, m->name, m->name.n);
#define ROWS(name, record, max)                                                       \
    writer_key(w, #name);                                                             \
    writer_array(w, m->name.n, SIZE_MAX);                                             \
    for (size_t i = 0; i < m->name.n; i++) careless_##record(w, &m->name.v[i]);
#define RECORD(name)                                                                  \
    static void careless_##name(struct writer *w, const struct name *m)               \
    {                                                                                 \
        writer_map(w, fields_in_##name(w->version));
#define END_RECORD(name) }
#define MESSAGE(number, name, from, since)                                            \
    static void careless_msg_##name(struct writer *w, const struct msg_##name *m)     \
    {                                                                                 \
        writer_map(w, fields_in_msg_##name(w->version));
#define END(name) }
#include "proto/messages.def"
/* clang-format on */

static int edge_of(struct edge *e, struct message *m)
{
    int there = 0;
    switch (m->kind) {
#define MESSAGE(number, name, from, since)    \
    case MSG_##name:                          \
        there = edge_msg_##name(e, &m->name); \
        break;
#include "proto/messages.def"
    case MSG_none:
    case MSG_KINDS: break;
    }
    return there;
}

static struct slice careless(const struct message *m)
{
    static uint8_t room[2 * PROTO_BYTES];
    struct writer w = {.data = room, .room = sizeof room, .version = PROTO_VERSION};

    writer_array(&w, 4, 4);
    writer_u64(&w, PROTO_VERSION, UINT64_MAX);
    writer_u64(&w, (uint64_t)m->kind, UINT64_MAX);
    writer_u64(&w, m->id, UINT64_MAX);
    switch (m->kind) {
#define MESSAGE(number, name, from, since) \
    case MSG_##name:                       \
        careless_msg_##name(&w, &m->name); \
        break;
#include "proto/messages.def"
    case MSG_none:
    case MSG_KINDS: break;
    }
    return (struct slice){w.code ? NULL : room, w.n};
}

/* Does the line of the error name the field? */
static int names(const struct err *e, enum msg_kind kind, const char *field)
{
    char place[100];
    int n = snprintf(place, sizeof place, "%s.%s", proto_name(kind), field);
    return strncmp(e->text, place, (size_t)n) == 0;
}

static int at_limit(const struct message *m)
{
    struct slice s = {0}, peer = careless(m);
    struct message in;
    struct err e = {0};
    int good = peer.data && proto_encode(m, &arena, &s, &e) == OK && s.n == peer.n &&
               memcmp(s.data, peer.data, s.n) == 0 &&
               proto_decode(s.data, s.n, &arena, &in, &e) == OK;
    if (!good) note("%s", e.text);
    return good;
}

static int beyond(const struct message *m, const char *field)
{
    struct slice s, peer = careless(m);
    struct message in;
    struct err written = {0}, read = {0};
    int good = peer.data && proto_encode(m, &arena, &s, &written) == ERR_INPUT &&
               names(&written, m->kind, field) &&
               proto_decode(peer.data, peer.n, &arena, &in, &read) == ERR_PROTOCOL &&
               names(&read, m->kind, field) && in.kind == m->kind && in.id == m->id;
    if (!good) note("%s of %s: %s; %s", field, proto_name(m->kind), written.text, read.text);
    return good;
}

static int try_kind(enum msg_kind kind)
{
    int n = 0, good = 0;

    for (;; n++) {
        struct message at = {.kind = kind, .id = 5}, over = at;
        struct edge e = {.turn = n}, f = {.turn = n, .extra = 1};
        if (!edge_of(&e, &at)) break;
        edge_of(&f, &over);
        good += at_limit(&at) && beyond(&over, f.field);
        arena_fini(&arena);
    }
    arena_fini(&arena);
    is_int(good, n, "each of %d limits of %s holds on both sides, and is named", n,
           proto_name(kind));
    return n;
}

/* Eight letters are looked at together; what is wrong among them is seen at every place, and what is right is not taken for wrong. */
static void text_by_eights(void)
{
    static const uint8_t bad[] = {0, 0x80, 0xc3, 0xff, 0xed, 0xf5};
    uint8_t s[33];
    int seen = 0, wrong = 0, tries = 0;

    for (size_t n = 1; n <= sizeof s - 1; n++)
        for (size_t at = 0; at < n; at++) {
            memset(s, 'a', sizeof s);
            for (size_t b = 0; b < sizeof bad; b++, tries++) {
                s[at] = bad[b];
                seen += !wire_utf8(s, n);
            }
            s[at] = 0x7f;
            wrong += !wire_utf8(s, n);
            s[at] = 0x01;
            wrong += !wire_utf8(s, n);
            s[at] = 0xc3;
            s[at + 1] = 0xa4;
            wrong += !wire_utf8(s, at + 1 < n ? n : n + 1);
        }
    is_int(seen, tries, "bytes that are no text are seen at each place of a text, %d", tries);
    is_int(wrong, 0, "and no text is refused");
}

int main(void)
{
    static const enum msg_kind kinds[] = {
#define MESSAGE(number, name, from, since) MSG_##name,
#include "proto/messages.def"
    };
    int n = 0;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) n += try_kind(kinds[i]);
    ok(n > 150, "there are many: %d", n);
    text_by_eights();
    return done_testing();
}
