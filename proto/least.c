/* least.c - the oldest version of the protocol that says all of a message: later fields that are empty need none. */
#include "proto/proto.h"

/* clang-format off */
#define SINCE(since) now = since;
#define NEEDS(full) if ((full) && now > least) least = now;
#define U64(name, max) NEEDS(m->name)
#define I64(name) NEEDS(m->name)
#define F64(name) NEEDS(m->name != 0)
#define STR(name, max) NEEDS(m->name && *m->name)
#define BYTES(name, max) NEEDS(m->name.n)
#define HASH(name) NEEDS(!hash_is_zero(m->name))
#define STRS(name, most, max) NEEDS(m->name.n)
#define HASHES(name, most) NEEDS(m->name.n)
#define ROWS(name, record, max)                             \
    NEEDS(m->name.n)                                        \
    for (size_t i = 0; i < m->name.n; i++) {                \
        uint64_t row = least_of_##record(&m->name.v[i]);    \
        if (row > least) least = row;                       \
    }
#define RECORD(name)                                        \
    static uint64_t least_of_##name(const struct name *m)   \
    {                                                       \
        uint64_t now = PROTO_OLDEST, least = PROTO_OLDEST;  \
        (void)m;                                            \
        (void)now;
#define END_RECORD(name) return least; }
#define MESSAGE(number, name, from, since)                          \
    static uint64_t least_of_msg_##name(const struct msg_##name *m) \
    {                                                               \
        uint64_t now = since, least = since;                        \
        (void)m;                                                    \
        (void)now;
#define END(name) return least; }
#include "proto/messages.def"
/* clang-format on */

uint64_t proto_least(const struct message *m)
{
    uint64_t least = PROTO_VERSION;
    switch (m->kind) {
#define MESSAGE(number, name, from, since)     \
    case MSG_##name:                           \
        least = least_of_msg_##name(&m->name); \
        break;
#include "proto/messages.def"
    case MSG_none:
    case MSG_KINDS: break;
    }
    return least;
}
