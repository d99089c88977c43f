/* functions.c - what the way down to schema version 1 asks of us in SQL: whole requests, and their names. */
#include "coordinator/store/functions.h"
#include "coordinator/store/row.h"

#include <string.h>

static void fail(sqlite3_context *c, const char *line)
{
    sqlite3_result_error(c, line, -1);
}

static void give(sqlite3_context *c, const void *data, size_t n)
{
    if (n) sqlite3_result_blob64(c, data, n, SQLITE_TRANSIENT);
    else sqlite3_result_zeroblob(c, 0);
}

static enum code read_request(struct store *s, sqlite3_int64 job, struct arena *a,
                              struct message *m, struct err *e)
{
    struct packed_row row;
    enum code rc = row_packed(s, (uint64_t)job, a, &row, e);
    return rc ? rc : unpack_request(s, &row, a, m, e);
}

static void request_of(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct store *s = sqlite3_user_data(c);
    const char *what = (const char *)sqlite3_value_text(v[1]);
    struct arena a = {0};
    struct message m;
    struct slice bytes;
    struct err e;
    int learn;

    (void)n;
    if (read_request(s, sqlite3_value_int64(v[0]), &a, &m, &e)) {
        fail(c, e.text);
        arena_fini(&a);
        return;
    }
    learn = m.kind == MSG_learn;
    m.version = 1;
    if (strcmp(what, "key") == 0)
        give(c,
             learn                  ? m.learn.key.v
             : m.kind == MSG_sample ? m.sample.key.v
                                    : m.evaluate.key.v,
             HASH_BYTES);
    else if (strcmp(what, "images") == 0)
        give(c, learn ? m.learn.images.v : NULL, learn ? m.learn.images.n * HASH_BYTES : 0);
    else if (strcmp(what, "prior_key") == 0)
        if (learn) give(c, m.learn.prior_key.v, HASH_BYTES);
        else sqlite3_result_zeroblob(c, HASH_BYTES);
    else if (proto_encode(&m, &a, &bytes, &e)) fail(c, e.text);
    else give(c, bytes.data, bytes.n);
    arena_fini(&a);
}

static void sha256(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct hash h = hash_bytes(sqlite3_value_blob(v[0]), (size_t)sqlite3_value_bytes(v[0]));
    (void)n;
    give(c, h.v, HASH_BYTES);
}

enum code functions_add(struct store *s, struct err *e)
{
    int flags = SQLITE_UTF8 | SQLITE_DIRECTONLY;

    if (sqlite3_create_function(s->db, "request_of", 2, flags, s, request_of, NULL, NULL) ||
        sqlite3_create_function(s->db, "sha256", 1, flags, s, sha256, NULL, NULL))
        return db_error(s, e, "functions");
    return OK;
}
