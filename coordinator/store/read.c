/* read.c - single rows and pages of what the core does not keep in memory. */
#include "coordinator/store/row.h"

#include <stdlib.h>
#include <string.h>

static enum code not_found(struct query *q, const char *what, uint64_t id)
{
    enum code rc = query_end(q);
    return rc ? rc
              : err_set(q->err, ERR_NOT_FOUND, "%s %llu is not in the database", what,
                        (unsigned long long)id);
}

static enum code no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "out of memory");
}

/* ---- jobs ---- */

static enum code read_stages(struct store *s, struct arena *a, struct core_past *p, struct err *e)
{
    struct query q = query_begin(s, SQL_STAGES, "read stages", e);

    query_u64(&q, p->job.id);
    while (query_row(&q) && p->n_stages < CORE_STAGES) {
        struct core_stage *g = &p->stage[p->n_stages++];
        row_stage(&q, g);
        g->line = arena_strdup(a, g->line);
        if (!g->line && !q.code) q.code = no_memory(e);
    }
    return query_end(&q);
}

/* A query whose first row is a job. */
static enum code read_job(struct query *q, struct arena *a, struct store_job *out, int *there)
{
    struct job_words words;
    struct store *s = q->store;
    struct err *e = q->err;
    enum code rc;

    memset(out, 0, sizeof *out);
    if ((*there = query_row(q))) {
        row_job(q, &out->past.job, &words);
        out->past.token = arena_strdup(a, words.token);
        out->class_word = arena_strdup(a, words.class_word);
        out->concept = words.concept;
        if ((!out->past.token || !out->class_word) && !q->code) q->code = no_memory(e);
    }
    if ((rc = query_end(q)) || !*there) return rc;
    return out->past.job.started_ms ? read_stages(s, a, &out->past, e) : OK;
}

enum code store_job(struct store *s, uint64_t id, struct arena *a, struct store_job *out,
                    struct err *e)
{
    struct query q = query_begin(s, SQL_JOB, "read job", e);
    enum code rc;
    int there;

    query_u64(&q, id);
    if ((rc = read_job(&q, a, out, &there))) return rc;
    return there ? OK
                 : err_set(e, ERR_NOT_FOUND, "job %llu is not in the database",
                           (unsigned long long)id);
}

enum code store_job_by_key(struct store *s, struct hash key, struct arena *a, struct store_job *out,
                           int *there, struct err *e)
{
    struct query q = query_begin(s, SQL_JOB_BY_KEY, "find a request key", e);

    query_blob(&q, key.v, CORE_KEY);
    return read_job(&q, a, out, there);
}

/* ---- requests, outputs ---- */

enum code store_base(struct store *s, uint64_t lineage, struct arena *a, const char **path,
                     struct hash *hash, struct err *e)
{
    const char *known = recent_find(&s->bases, lineage, hash);
    struct query q;

    if (known) {
        *path = arena_strdup(a, known);
        return *path ? OK : no_memory(e);
    }
    q = query_begin(s, SQL_BASE, "read base", e);
    query_u64(&q, lineage);
    if (!query_row(&q)) return not_found(&q, "lineage", lineage);
    *path = query_copy_text(&q, a);
    *hash = query_get_hash(&q);
    if (!q.code) recent_keep(&s->bases, lineage, *path, hash);
    return query_end(&q);
}

enum code store_request(struct store *s, uint64_t job, uint64_t version, struct arena *a,
                        struct message *m, struct slice *bytes, struct err *e)
{
    struct packed_row row;
    struct message local;
    enum code rc;

    if (!m) m = &local;
    if ((rc = row_packed(s, job, a, &row, e)) || (rc = unpack_request(s, &row, a, m, e))) return rc;
    if (version && m->version > version) m->version = version;
    return bytes ? proto_encode(m, a, bytes, e) : OK;
}

/* The job that made the class images of this one. */
static enum code maker_of(struct store *s, uint64_t job, uint64_t *maker, struct err *e)
{
    struct query q = query_begin(s, SQL_MAKER, "find class images", e);

    query_u64(&q, job);
    if (!query_row(&q)) return not_found(&q, "job", job);
    *maker = query_get_u64(&q);
    return query_end(&q);
}

static enum code read_outputs(struct store *s, uint64_t job, enum stage_kind kind, struct arena *a,
                              struct hashes *outputs, const char **report, struct err *e)
{
    struct query q = query_begin(s, SQL_OUTPUTS, "read outputs", e);

    *outputs = (struct hashes){0};
    if (report) *report = "";
    query_u64(&q, job);
    query_u64(&q, (uint64_t)kind);
    if (query_row(&q)) {
        query_copy_hashes(&q, a, outputs);
        if (report) *report = query_copy_text(&q, a);
    }
    return query_end(&q);
}

enum code store_outputs(struct store *s, uint64_t job, enum stage_kind kind, struct arena *a,
                        struct hashes *outputs, const char **report, struct err *e)
{
    uint64_t maker = 0;
    enum code rc = read_outputs(s, job, kind, a, outputs, report, e);

    if (rc || outputs->n || kind != STAGE_PRIOR) return rc;
    if ((rc = maker_of(s, job, &maker, e)) || !maker || maker == job) return rc;
    return read_outputs(s, maker, kind, a, outputs, report, e);
}

enum code store_commit(struct store *s, uint32_t lineage, uint64_t number, struct core_commit *out,
                       struct err *e)
{
    struct query q = query_begin(s, SQL_COMMIT_ROW, "read commit", e);

    query_u64(&q, lineage);
    query_u64(&q, number);
    if (!query_row(&q)) return not_found(&q, "commit", number);
    *out = (struct core_commit){.number = number};
    out->parent = query_get_hash(&q);
    out->committed_ms = query_get_i64(&q);
    out->seconds = query_get_f64(&q);
    return query_end(&q);
}

/* ---- events, audit ---- */

/* Submitting is an event that is written in the job's own row, with a number below all that follow. */
static enum code queued_event(struct store *s, uint64_t job, struct event_row *r, struct err *e)
{
    struct query q = query_begin(s, SQL_SUBMITTED, "read events", e);

    query_u64(&q, job);
    if (!query_row(&q)) return not_found(&q, "job", job);
    *r = (struct event_row){.type = EVENT_STATE, .at_ms = query_get_i64(&q), .text = "queued"};
    r->seq = ((uint64_t)r->at_ms << 10) - 1;
    return query_end(&q);
}

enum code store_events(struct store *s, uint64_t job, uint64_t after, struct arena *a,
                       struct event_rows *rows, struct err *e)
{
    struct query q;
    enum code rc;

    rows->n = 0;
    rows->v = arena_alloc(a, PROTO_ROWS * sizeof *rows->v);
    if (!rows->v) return no_memory(e);
    if ((rc = queued_event(s, job, rows->v, e))) return rc;
    rows->n = rows->v[0].seq > after;
    q = query_begin(s, SQL_EVENTS, "read events", e);
    query_u64(&q, job);
    query_u64(&q, after);
    query_u64(&q, PROTO_ROWS - rows->n);
    while (query_row(&q)) {
        struct event_row *r = &rows->v[rows->n++];
        r->seq = query_get_u64(&q);
        r->type = query_get_u64(&q);
        r->stage = query_get_u64(&q);
        r->step = query_get_u64(&q);
        r->of = query_get_u64(&q);
        r->at_ms = query_get_i64(&q);
        r->text = query_copy_text(&q, a);
    }
    return query_end(&q);
}

enum code store_audit(struct store *s, uint64_t after, size_t limit, struct arena *a,
                      struct audit_rows *rows, struct err *e)
{
    struct query q = query_begin(s, SQL_AUDIT, "read the audit", e);

    rows->n = 0;
    rows->v = arena_alloc(a, (limit + 1) * sizeof *rows->v);
    if (!rows->v) q.code = no_memory(e);
    query_u64(&q, after);
    query_u64(&q, limit);
    while (query_row(&q)) {
        struct audit_row *r = &rows->v[rows->n++];
        r->seq = query_get_u64(&q);
        r->at_ms = query_get_i64(&q);
        r->user = query_copy_text(&q, a);
        r->what = query_copy_text(&q, a);
    }
    return query_end(&q);
}

/* ---- pages ---- */

static int newest_first(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x > *y ? -1 : *x < *y;
}

/* A query of ids, and of states where they are to be looked at, joins those that are there. */
static enum code gather(struct query *q, uint64_t states, uint64_t *ids, size_t *n)
{
    while (query_row(q)) {
        ids[*n] = query_get_u64(q);
        *n += !states || (states >> query_get_u64(q) & 1);
    }
    return query_end(q);
}

enum code store_page(struct store *s, uint32_t owner, uint64_t states, uint64_t below, size_t limit,
                     uint64_t *ids, size_t *n, struct err *e)
{
    uint64_t *all = mem_alloc(limit * 4 + *n, sizeof *all);
    enum code rc = all ? OK : no_memory(e);
    size_t found = *n;

    if (all) memcpy(all, ids, *n * sizeof *ids);
    for (uint64_t state = JOB_DONE - 1; state <= JOB_CANCELLED && !rc; state++) {
        int marked = state < JOB_DONE;
        struct query q;
        if (!marked && states && !(states >> state & 1)) continue;
        q = query_begin(s, marked ? SQL_PAGE_MARKED : SQL_PAGE_ENDED, "read a page of jobs", e);
        query_u64(&q, owner);
        if (!marked) query_u64(&q, state);
        query_u64(&q, below ? below : INT64_MAX);
        query_u64(&q, limit);
        rc = gather(&q, marked ? states : 0, all, &found);
    }
    if (found) qsort(all, found, sizeof *all, newest_first);
    *n = found < limit ? found : limit;
    if (!rc && *n) memcpy(ids, all, *n * sizeof *ids);
    free(all);
    return rc;
}

enum code store_walk(struct store *s, uint64_t below, store_wants *wants, void *self, size_t limit,
                     size_t *budget, uint64_t *ids, size_t *n, uint64_t *next, struct err *e)
{
    struct query q = query_begin(s, SQL_PAGE_WALK, "read a page of jobs", e);

    *next = below ? below : INT64_MAX;
    query_u64(&q, *next);
    while (*n<limit && * budget> 0) {
        if (!query_row(&q)) {
            *next = 0;
            break;
        }
        uint64_t id = query_get_u64(&q), state;
        uint32_t owner = (uint32_t)query_get_u64(&q), lineage;
        state = query_get_u64(&q);
        lineage = (uint32_t)query_get_u64(&q);
        if (wants(self, owner, state, lineage)) ids[(*n)++] = id;
        *next = id;
        --*budget;
    }
    return query_end(&q);
}
