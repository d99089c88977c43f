/* decode.c - a function per record and message, made from messages.def, and the envelope around them. */
#include "proto/wire.h"

#include <string.h>

/* clang-format off */
#define U64(name, max) reader_key(r, #name); m->name = reader_u64(r, max);
#define I64(name) reader_key(r, #name); m->name = reader_i64(r);
#define F64(name) reader_key(r, #name); m->name = reader_f64(r);
#define STR(name, max) reader_key(r, #name); m->name = reader_str(r, max);
#define BYTES(name, max) reader_key(r, #name); m->name = reader_bytes(r, max);
#define HASH(name) reader_key(r, #name); m->name = reader_hash(r);
#define STRS(name, n, max) reader_key(r, #name); m->name = reader_strs(r, n, max);
#define HASHES(name, n) reader_key(r, #name); m->name = reader_hashes(r, n);
#define ROWS(name, record, max)                                     \
    reader_key(r, #name);                                           \
    m->name.v = reader_rows(r, max, sizeof *m->name.v, least_bytes_##record(r->version), &m->name.n); \
    for (size_t i = 0; i < m->name.n && !r->code; i++)              \
        read_##record(r, &m->name.v[i]);
#define SINCE(since) r->absent = r->version < since;
#define RECORD(name)                                                \
    static void read_##name(struct reader *r, struct name *m)       \
    {                                                               \
        reader_map(r, fields_in_##name(r->version));
#define END_RECORD(name) r->absent = 0; }
#define MESSAGE(number, name, from, since)                                 \
    static void read_msg_##name(struct reader *r, struct msg_##name *m) \
    {                                                               \
        reader_map(r, fields_in_msg_##name(r->version));
#define END(name) r->absent = 0; }
#include "proto/messages.def"
/* clang-format on */

/* Version, number, id: understood one by one, so that a refusal can name as much as was readable. */
static void read_envelope(struct reader *r, struct message *m)
{
    r->where = (struct where){"message", "envelope", -1};
    if (reader_array(r, 4) != 4) reader_fail(r, ERR_PROTOCOL, "a list of four is expected");
    uint64_t version = reader_u64(r, PROTO_ANY);
    if (!r->code && (version < PROTO_OLDEST || version > PROTO_VERSION)) {
        r->code = err_set(r->err, ERR_PROTOCOL,
                          "message of protocol version %llu; this program speaks %d to %d: "
                          "let both be of the same Engram",
                          (unsigned long long)version, PROTO_OLDEST, PROTO_VERSION);
    }
    m->version = r->version = r->code ? 0 : version;
    uint64_t kind = reader_u64(r, PROTO_SMALL);
    m->id = reader_u64(r, PROTO_ANY);
    if (!r->code && proto_from((enum msg_kind)kind) == FROM_NOBODY)
        reader_fail(r, ERR_PROTOCOL, "no message has this number");
    if (!r->code && version < proto_since((enum msg_kind)kind))
        r->code = err_set(r->err, ERR_PROTOCOL,
                          "`%s` in version %llu of the protocol; it is there since version %llu",
                          proto_name((enum msg_kind)kind), (unsigned long long)version,
                          (unsigned long long)proto_since((enum msg_kind)kind));
    if (!r->code) m->kind = (enum msg_kind)kind;
}

struct proto_envelope proto_peek(const void *data, size_t n)
{
    struct message m = {.kind = MSG_none};
    struct reader r = {.at = data, .end = (const uint8_t *)data + n};

    read_envelope(&r, &m);
    return (struct proto_envelope){m.version, m.id, m.kind};
}

enum code proto_decode(const void *data, size_t n, struct arena *a, struct message *out,
                       struct err *e)
{
    struct reader r = {.arena = a, .err = e};
    enum code rc;

    memset(out, 0, sizeof *out);
    if ((rc = wire_check(data, n, e))) return rc;
    r.at = data;
    r.end = r.at + n;
    read_envelope(&r, out);
    r.where = (struct where){proto_name(out->kind), "fields", -1};
    if (r.code) return r.code;
    switch (out->kind) {
#define MESSAGE(number, name, from, since) \
    case MSG_##name:                       \
        read_msg_##name(&r, &out->name);   \
        break;
#include "proto/messages.def"
    case MSG_none:
    case MSG_KINDS: break;
    }
    return r.code;
}
