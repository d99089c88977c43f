/* named.c - who names which objects: a walk over all rows in pieces. Nothing keeps such lists, because nobody asks often. */
#include "coordinator/store/row.h"

/* A row of schema version 1 is a whole message. */
static enum code decode_images(struct slice request, uint64_t job, store_names *named, void *self,
                               struct err *e)
{
    struct arena a = {0};
    struct message m;
    enum code rc = proto_decode(request.data, request.n, &a, &m, e);

    if (!rc && m.kind == MSG_learn)
        named(self, job, (const uint8_t *)m.learn.images.v, m.learn.images.n);
    arena_fini(&a);
    return rc;
}

enum code named_images(struct store *s, struct store_place *at, size_t *rows, store_names *named,
                       void *self, struct err *e)
{
    struct query q = query_begin(s, SQL_NAMED_IMAGES, "look for an object", e);
    size_t seen = 0, n;

    query_u64(&q, at->job);
    query_u64(&q, *rows);
    while (query_row(&q)) {
        at->job = query_get_u64(&q);
        struct slice request = query_get_blob(&q);
        const uint8_t *images = pack_images(request, &n);
        if (images) named(self, at->job, images, n);
        else q.code = decode_images(request, at->job, named, self, e);
        seen++;
    }
    at->jobs_done = seen < *rows;
    *rows -= seen;
    return query_end(&q);
}

static enum code walk_outputs(struct store *s, struct store_place *at, size_t *rows,
                              store_names *named, void *self, struct err *e)
{
    struct query q = query_begin(s, SQL_NAMED_OUTPUTS, "look for an object", e);

    query_u64(&q, at->stage_job);
    query_u64(&q, at->stage_kind);
    query_u64(&q, *rows);
    while (query_row(&q)) {
        at->stage_job = query_get_u64(&q);
        at->stage_kind = query_get_u64(&q);
        struct slice outputs = query_get_blob(&q);
        named(self, at->stage_job, outputs.data, outputs.n / HASH_BYTES);
        --*rows;
    }
    return query_end(&q);
}

enum code store_named(struct store *s, struct store_place *at, size_t rows, store_names *named,
                      void *self, int *more, struct err *e)
{
    enum code rc = OK;

    if (!at->jobs_done) rc = named_images(s, at, &rows, named, self, e);
    if (!rc && rows) rc = walk_outputs(s, at, &rows, named, self, e);
    *more = rows == 0;
    return rc;
}
