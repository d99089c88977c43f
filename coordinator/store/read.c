/* read.c - the core's rows after a restart, and what the core does not keep in memory. */
#include "coordinator/store/db.h"

#include <string.h>

/* ---- the core ---- */

/* A query whose text columns go into rows as lent strings: the core copies what it keeps. */
static char *lent(struct arena *a, const char *s)
{
    return arena_strdup(a, s);
}

static enum code load_lineages(struct store *s, struct core *c, struct arena *a, struct err *e)
{
    struct query q = query_begin(s, SQL_LINEAGES, "read lineages", e);

    while (query_row(&q)) {
        struct core_lineage l = {.id = query_get_u64(&q)};
        l.name = lent(a, query_get_text(&q));
        l.owner = lent(a, query_get_text(&q));
        l.key = query_get_hash(&q);
        l.digest = query_get_hash(&q);
        l.created_ms = query_get_i64(&q);
        if (!q.code) q.code = core_load_lineage(c, &l, e);
    }
    return query_end(&q);
}

static enum code load_commits(struct store *s, struct core *c, struct err *e)
{
    struct query q = query_begin(s, SQL_COMMITS, "read commits", e);

    while (query_row(&q)) {
        uint64_t lineage = query_get_u64(&q);
        struct core_commit k = {.number = query_get_u64(&q)};
        k.hash = query_get_hash(&q);
        k.parent = query_get_hash(&q);
        k.job = query_get_u64(&q);
        k.committed_ms = query_get_i64(&q);
        k.seconds = query_get_f64(&q);
        if (!q.code) q.code = core_load_commit(c, lineage, &k, e);
    }
    return query_end(&q);
}

/* The head is written twice, as a column and as the last commit; a hand that moved one of them is noticed. */
static enum code check_heads(struct store *s, struct err *e)
{
    struct query q = query_begin(s, SQL_ASTRAY, "check heads", e);

    if (query_row(&q))
        q.code = err_set(e, ERR_CORRUPT, "the head of lineage %s is not its last commit",
                         query_get_text(&q));
    return query_end(&q);
}

static enum code load_jobs(struct store *s, struct core *c, struct arena *a, struct err *e)
{
    struct query q = query_begin(s, SQL_JOBS, "read jobs", e);
    struct arena_mark mark = arena_mark(a);

    while (query_row(&q)) {
        arena_reset(a, mark);
        struct core_job j = {.id = query_get_u64(&q)};
        j.kind = (enum job_kind)query_get_u64(&q);
        j.state = (enum job_state)query_get_u64(&q);
        j.lineage = query_get_u64(&q);
        j.owner = lent(a, query_get_text(&q));
        j.key = query_get_hash(&q);
        j.digest = query_get_hash(&q);
        j.token = lent(a, query_get_text(&q));
        j.class_word = lent(a, query_get_text(&q));
        j.concept = (enum concept_kind)query_get_u64(&q);
        j.prior_key = query_get_hash(&q);
        j.parent = query_get_hash(&q);
        j.commit = query_get_hash(&q);
        j.commit_number = query_get_u64(&q);
        j.submitted_ms = query_get_i64(&q);
        j.started_ms = query_get_i64(&q);
        j.finished_ms = query_get_i64(&q);
        if (!q.code) q.code = core_load_job(c, &j, e);
    }
    return query_end(&q);
}

static enum code load_stages(struct store *s, struct core *c, struct arena *a, struct err *e)
{
    struct query q = query_begin(s, SQL_STAGES, "read stages", e);
    struct arena_mark mark = arena_mark(a);

    while (query_row(&q)) {
        arena_reset(a, mark);
        uint64_t job = query_get_u64(&q);
        struct core_stage g = {.kind = (enum stage_kind)query_get_u64(&q)};
        g.state = (enum stage_state)query_get_u64(&q);
        g.epoch = query_get_u64(&q);
        g.attempts = query_get_u64(&q);
        g.losses = query_get_u64(&q);
        g.pauses = query_get_u64(&q);
        g.best_step = query_get_u64(&q);
        g.source = query_get_u64(&q);
        g.not_before_ms = query_get_i64(&q);
        g.deadline_ms = query_get_i64(&q);
        g.group = query_get_hash(&q);
        g.seconds = query_get_f64(&q);
        g.line = lent(a, query_get_text(&q));
        if (!q.code) q.code = core_load_stage(c, job, &g, e);
    }
    return query_end(&q);
}

enum code store_load(struct store *s, struct core *c, int64_t now_ms, struct err *e)
{
    struct query q = query_begin(s, SQL_LAST_SEQ, "read events", e);
    struct arena a = {0};
    uint64_t last_seq = query_row(&q) ? query_get_u64(&q) : 0;
    enum code rc = query_end(&q);

    if (!rc) rc = load_lineages(s, c, &a, e);
    if (!rc) rc = load_commits(s, c, e);
    if (!rc) rc = check_heads(s, e);
    if (!rc) rc = load_jobs(s, c, &a, e);
    if (!rc) rc = load_stages(s, c, &a, e);
    if (!rc) rc = core_restart(c, last_seq, now_ms, e);
    arena_fini(&a);
    return rc ? err_context(e, "%s", s->path) : OK;
}

/* ---- single rows ---- */

static enum code not_found(struct query *q, const char *what, uint64_t id)
{
    enum code rc = query_end(q);
    return rc ? rc
              : err_set(q->err, ERR_NOT_FOUND, "%s %llu is not in the database", what,
                        (unsigned long long)id);
}

static void copy_blob(struct query *q, struct arena *a, struct slice *out)
{
    struct slice s = query_get_blob(q);

    *out = (struct slice){s.n ? arena_copy(a, s.data, s.n) : NULL, s.n};
    if (s.n && !out->data && !q->code) q->code = err_set(q->err, ERR_NOMEM, "out of memory");
}

static void copy_hashes(struct query *q, struct arena *a, struct hashes *out)
{
    struct slice s = query_get_blob(q);

    *out = (struct hashes){.n = s.n / HASH_BYTES};
    if (s.n == 0) return;
    out->v = arena_copy(a, s.data, s.n);
    if (!out->v && !q->code) q->code = err_set(q->err, ERR_NOMEM, "out of memory");
}

static const char *copy_text(struct query *q, struct arena *a)
{
    const char *s = arena_strdup(a, query_get_text(q));
    if (!s && !q->code) q->code = err_set(q->err, ERR_NOMEM, "out of memory");
    return s ? s : "";
}

enum code store_base(struct store *s, uint64_t lineage, struct arena *a, const char **path,
                     struct hash *hash, struct err *e)
{
    struct query q = query_begin(s, SQL_BASE, "read base", e);

    query_u64(&q, lineage);
    if (!query_row(&q)) return not_found(&q, "lineage", lineage);
    *path = copy_text(&q, a);
    *hash = query_get_hash(&q);
    return query_end(&q);
}

enum code store_request(struct store *s, uint64_t job, struct arena *a, struct slice *request,
                        struct err *e)
{
    struct query q = query_begin(s, SQL_REQUEST, "read request", e);

    query_u64(&q, job);
    if (!query_row(&q)) return not_found(&q, "job", job);
    copy_blob(&q, a, request);
    return query_end(&q);
}

enum code store_images(struct store *s, uint64_t job, struct arena *a, struct hashes *images,
                       struct err *e)
{
    struct query q = query_begin(s, SQL_IMAGES, "read images", e);

    query_u64(&q, job);
    if (!query_row(&q)) return not_found(&q, "job", job);
    copy_hashes(&q, a, images);
    return query_end(&q);
}

enum code store_outputs(struct store *s, uint64_t job, enum stage_kind kind, struct arena *a,
                        struct hashes *outputs, const char **report, struct err *e)
{
    struct query q = query_begin(s, SQL_OUTPUTS, "read outputs", e);
    const char *text;
    uint64_t source;
    enum code rc;

    query_u64(&q, job);
    query_u64(&q, (uint64_t)kind);
    if (!query_row(&q)) return not_found(&q, "a stage of job", job);
    copy_hashes(&q, a, outputs);
    text = copy_text(&q, a);
    source = query_get_u64(&q);
    if ((rc = query_end(&q))) return rc;
    if (report) *report = text;
    /* A maker's source is 0, so this goes one step down at most. */
    return source && source != job ? store_outputs(s, source, kind, a, outputs, report, e) : OK;
}

enum code store_events(struct store *s, uint64_t job, uint64_t after, struct arena *a,
                       struct event_rows *rows, struct err *e)
{
    struct query q = query_begin(s, SQL_EVENTS, "read events", e);

    rows->n = 0;
    rows->v = arena_alloc(a, PROTO_ROWS * sizeof *rows->v);
    if (!rows->v) q.code = err_set(e, ERR_NOMEM, "out of memory");
    query_u64(&q, job);
    query_u64(&q, after);
    query_u64(&q, PROTO_ROWS);
    while (query_row(&q)) {
        struct event_row *r = &rows->v[rows->n++];
        r->seq = query_get_u64(&q);
        r->type = query_get_u64(&q);
        r->stage = query_get_u64(&q);
        r->step = query_get_u64(&q);
        r->of = query_get_u64(&q);
        r->at_ms = query_get_i64(&q);
        r->text = copy_text(&q, a);
    }
    return query_end(&q);
}
