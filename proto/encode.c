/* encode.c - a function per record and message, made from messages.def, and the envelope around them. */
#include "proto/wire.h"

/* clang-format off */
#define U64(name, max) writer_key(w, #name); writer_u64(w, m->name, max);
#define I64(name) writer_key(w, #name); writer_i64(w, m->name);
#define F64(name) writer_key(w, #name); writer_f64(w, m->name);
#define STR(name, max) writer_key(w, #name); writer_str(w, m->name, max);
#define BYTES(name, max) writer_key(w, #name); writer_bytes(w, m->name, max);
#define HASH(name) writer_key(w, #name); writer_hash(w, m->name);
#define STRS(name, n, max) writer_key(w, #name); writer_strs(w, m->name, n, max);
#define HASHES(name, n) writer_key(w, #name); writer_hashes(w, m->name, n);
#define ROWS(name, record, max)                                     \
    writer_key(w, #name);                                           \
    writer_array(w, m->name.n, max);                                \
    for (size_t i = 0; i < m->name.n && !w->code; i++)              \
        write_##record(w, &m->name.v[i]);
#define SINCE(since) if (w->version < since) return;
#define RECORD(name)                                                \
    static void write_##name(struct writer *w, const struct name *m) \
    {                                                               \
        writer_map(w, fields_in_##name(w->version));
#define END_RECORD(name) }
#define MESSAGE(number, name, from, since)                                 \
    static void write_msg_##name(struct writer *w, const struct msg_##name *m) \
    {                                                               \
        writer_map(w, fields_in_msg_##name(w->version));
#define END(name) }
#include "proto/messages.def"
/* clang-format on */

static void write_message(struct writer *w, const struct message *m)
{
    w->where = (struct where){proto_name(m->kind), "id", -1};
    writer_array(w, 4, 4);
    writer_u64(w, w->version, PROTO_SMALL);
    writer_u64(w, (uint64_t)m->kind, PROTO_SMALL);
    writer_u64(w, m->id, PROTO_ANY);
    switch (m->kind) {
#define MESSAGE(number, name, from, since) \
    case MSG_##name:                       \
        write_msg_##name(w, &m->name);     \
        return;
#include "proto/messages.def"
    case MSG_none:
    case MSG_KINDS: break;
    }
    w->code = err_set(w->err, ERR_INTERNAL, "message kind %d does not exist", (int)m->kind);
}

enum code proto_encode(const struct message *m, struct arena *a, struct slice *out, struct err *e)
{
    uint64_t version = m->version ? m->version : PROTO_VERSION;
    struct writer count = {.err = e, .version = version}, w = {.err = e, .version = version};

    if (version < PROTO_OLDEST || version > PROTO_VERSION || version < proto_since(m->kind))
        return err_set(e, ERR_INTERNAL, "%s: version %llu of the protocol does not have it",
                       proto_name(m->kind), (unsigned long long)version);
    write_message(&count, m);
    if (count.code) return count.code;
    if (count.n > PROTO_BYTES)
        return err_set(e, ERR_INPUT, "%s: %zu bytes; a message has at most %u", proto_name(m->kind),
                       count.n, PROTO_BYTES);
    w.data = arena_alloc(a, count.n);
    if (!w.data)
        return err_set(e, ERR_NOMEM, "%s: out of memory for %zu bytes", proto_name(m->kind),
                       count.n);
    w.room = count.n;
    write_message(&w, m);
    *out = (struct slice){w.data, w.n};
    return w.code;
}
