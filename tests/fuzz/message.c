/* A message of any kind, as it comes out of a socket. What is accepted has these bytes and no others, is msgpack to the
 * library, takes no more memory than its size allows, and survives being written for a peer of the other version. Requests
 * inside a message are looked at in the same way. */
#include "proto/wire.h"
#include "tests/fuzz/support/fuzz.h"

#include <msgpack.h>
#include <string.h>

static void take(const void *data, size_t n, int depth);

/* The library reads whatever passes the first look, up to its last byte. */
static void library_reads(const void *data, size_t n)
{
    msgpack_unpacked u;
    size_t off = 0;
    msgpack_unpacked_init(&u);
    must(msgpack_unpack_next(&u, data, n, &off) == MSGPACK_UNPACK_SUCCESS && off == n);
    msgpack_unpacked_destroy(&u);
}

static void same_bytes(const struct message *m, const void *data, size_t n, struct arena *a)
{
    struct slice again;
    struct err e = {0};
    must(!proto_encode(m, a, &again, &e));
    must(again.n == n && !memcmp(again.data, data, n));
}

/* Written for every version that has it: what a reader of that version makes of it has one encoding, too. */
static void other_versions(struct message m, struct arena *a)
{
    for (uint64_t v = proto_since(m.kind); v <= PROTO_VERSION; v++) {
        struct message there;
        struct slice s;
        struct err e = {0};
        m.version = v;
        enum code rc = proto_encode(&m, a, &s, &e);
        if (rc) {
            must(rc == ERR_INPUT && strstr(e.text, "bytes; a message has at most"));
            continue; /* it grew by the names of fields that it did not have */
        }
        must(!proto_decode(s.data, s.n, a, &there, &e));
        must(there.version == v && there.kind == m.kind && there.id == m.id);
        same_bytes(&there, s.data, s.n, a);
    }
}

/* Memory runs out at the allocation that the id names. */
static void short_of_memory(const void *data, size_t n, uint64_t id)
{
    struct arena a = {0};
    struct message m;
    struct err e = {0};
    arena_fail_after(1 + (long)(id % 16));
    enum code rc = proto_decode(data, n, &a, &m, &e);
    arena_fail_after(0);
    must(rc == OK || rc == ERR_NOMEM);
    if (rc) fuzz_refused(rc, &e);
    arena_fini(&a);
}

static void inside(const struct message *m, int depth)
{
    if (m->kind == MSG_job_info) take(m->job_info.request.data, m->job_info.request.n, depth);
    if (m->kind == MSG_stage) take(m->stage.request.data, m->stage.request.n, depth);
    if (m->kind != MSG_submit_many) return;
    for (size_t i = 0; i < m->submit_many.rows.n; i++) {
        struct slice s = m->submit_many.rows.v[i].request;
        take(s.data, s.n, depth);
    }
}

static void take(const void *data, size_t n, int depth)
{
    struct arena a = {0};
    struct message m;
    struct err e = {0};
    enum code rc = proto_decode(data, n, &a, &m, &e);

    must(a.used <= 8 * n + 64);
    if (!wire_check(data, n, NULL)) library_reads(data, n);
    else must(rc == ERR_PROTOCOL && m.kind == MSG_none && !a.used);
    if (rc) {
        must(rc == ERR_PROTOCOL);
        fuzz_refused(rc, &e);
    } else {
        must(proto_from(m.kind) != FROM_NOBODY && proto_since(m.kind) <= m.version);
        same_bytes(&m, data, n, &a);
        other_versions(m, &a);
        short_of_memory(data, n, m.id);
        if (depth < 2) inside(&m, depth + 1);
    }
    arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    take(data, n, 0);
    return 0;
}
