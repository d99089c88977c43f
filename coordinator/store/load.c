/* load.c - the core's rows after a restart. Jobs that have ended are not looked at. */
#include "coordinator/store/row.h"

#include <stdlib.h>
#include <string.h>

/* ---- the small tables ---- */

static enum code load_clock(struct store *s, struct core *c, uint64_t *open, struct err *e)
{
    struct query q = query_begin(s, SQL_CLOCK, "read the clock", e);
    struct core_clock clock = {0};

    if (query_row(&q)) {
        clock.job = query_get_u64(&q);
        clock.epoch = query_get_u64(&q);
        clock.seq = query_get_u64(&q);
        clock.open = query_get_u64(&q);
    } else if (!q.code) q.code = err_set(e, ERR_CORRUPT, "the table `clock` is empty");
    core_load_clock(c, clock);
    *open = clock.open;
    return query_end(&q);
}

/* Rows go into the core as lent strings: it copies what it keeps. */
static char *lent(struct query *q, struct arena *a)
{
    return (char *)(uintptr_t)query_copy_text(q, a);
}

static enum code load_users(struct store *s, struct core *c, struct arena *a, struct err *e)
{
    struct query q = query_begin(s, SQL_USERS, "read users", e);

    while (query_row(&q)) {
        struct core_user u = {.id = (uint32_t)query_get_u64(&q)};
        u.name = lent(&q, a);
        u.role = (enum role)query_get_u64(&q);
        u.group = lent(&q, a);
        u.key = query_get_hash(&q);
        u.revoked = (int)query_get_i64(&q);
        u.weight = query_get_u64(&q);
        u.max_queued = query_get_u64(&q);
        u.max_running = query_get_u64(&q);
        u.max_bytes = query_get_u64(&q);
        u.added_ms = query_get_i64(&q);
        u.used_ms = query_get_f64(&q);
        u.bytes = query_get_u64(&q);
        for (int i = 0; i < 3; i++) u.ended[i] = query_get_u64(&q);
        if (!q.code) q.code = core_load_user(c, &u, e);
    }
    return query_end(&q);
}

static enum code load_drains(struct store *s, struct core *c, struct err *e)
{
    struct query q = query_begin(s, SQL_DRAINS, "read drains", e);

    while (query_row(&q)) {
        const char *name = query_get_text(&q);
        if (!q.code) q.code = core_load_drain(c, name, e);
    }
    return query_end(&q);
}

/* One name a line, in place. */
static size_t split(char *text, char **names, size_t most)
{
    size_t n = 0;
    for (char *end; n < most && (end = strchr(text, '\n')); text = end + 1) {
        *end = '\0';
        names[n++] = text;
    }
    return n;
}

static enum code load_lineages(struct store *s, struct core *c, struct arena *a, struct err *e)
{
    struct query q = query_begin(s, SQL_LINEAGES, "read lineages", e);
    struct arena_mark mark = arena_mark(a);
    char *names[PROTO_SHARED];

    while (query_row(&q)) {
        arena_reset(a, mark);
        struct core_lineage l = {.id = (uint32_t)query_get_u64(&q)};
        l.name = lent(&q, a);
        l.owner = (uint32_t)query_get_u64(&q);
        l.key = query_get_hash(&q);
        l.digest = query_get_hash(&q);
        l.base_hash = query_get_hash(&q);
        l.created_ms = query_get_i64(&q);
        l.visibility = (uint8_t)query_get_u64(&q);
        l.on_failure = (uint8_t)query_get_u64(&q);
        l.held = (uint8_t)query_get_u64(&q);
        l.n_shared = split(lent(&q, a), names, PROTO_SHARED);
        l.shared = names;
        if (!q.code) q.code = core_load_lineage(c, &l, e);
    }
    return query_end(&q);
}

static enum code load_commits(struct store *s, struct core *c, struct err *e)
{
    struct query q = query_begin(s, SQL_COMMITS, "read commits", e);

    while (query_row(&q)) {
        uint32_t lineage = (uint32_t)query_get_u64(&q);
        struct core_commit k = {.number = query_get_u64(&q)};
        k.hash = query_get_hash(&q);
        k.parent = query_get_hash(&q);
        k.job = query_get_u64(&q);
        k.committed_ms = query_get_i64(&q);
        k.seconds = query_get_f64(&q);
        const char *token = query_get_text(&q);
        if (!q.code) q.code = core_load_commit(c, lineage, &k, token, e);
    }
    return query_end(&q);
}

static enum code load_priors(struct store *s, struct core *c, struct err *e)
{
    struct query q = query_begin(s, SQL_PRIORS, "read class images", e);

    while (query_row(&q)) {
        struct core_prior p = {.id = (uint32_t)query_get_u64(&q)};
        p.key = query_get_hash(&q);
        p.maker = query_get_u64(&q);
        p.made = (int)query_get_i64(&q);
        if (!q.code) q.code = core_load_prior(c, &p, e);
    }
    return query_end(&q);
}

/* What is written twice must agree: the head and the last commit, a commit and its job. */
static enum code check_commits(struct store *s, struct err *e)
{
    struct query q = query_begin(s, SQL_ASTRAY, "check heads", e);
    enum code rc;

    if (query_row(&q))
        q.code = err_set(e, ERR_CORRUPT, "the head of lineage %s is not its last commit",
                         query_get_text(&q));
    if ((rc = query_end(&q))) return rc;
    q = query_begin(s, SQL_UNNAMED, "check commits", e);
    if (query_row(&q))
        q.code = err_set(e, ERR_CORRUPT, "a commit and job %llu do not name each other",
                         (unsigned long long)query_get_u64(&q));
    return query_end(&q);
}

/* ---- jobs that have not ended ---- */

/* Reads the rows of a query of jobs. Those that ever had a lease are noted: they have stages. */
struct ids {
    uint64_t *v; /* owned */
    size_t n, room;
};

static int note(struct ids *ids, uint64_t id)
{
    size_t room = ids->room ? 2 * ids->room : 1024;
    uint64_t *v = ids->n < ids->room ? ids->v : mem_grow(ids->v, ids->room, room, sizeof *v);

    if (!v) return 0;
    if (v != ids->v) ids->room = room;
    ids->v = v;
    ids->v[ids->n++] = id;
    return 1;
}

static enum code read_jobs(struct query *q, struct core *c, struct ids *leased)
{
    struct job_words words;
    struct core_job j;

    while (query_row(q)) {
        row_job(q, &j, &words);
        if (!q->code) q->code = core_load_job(c, &j, words.token, q->err);
        if (!q->code && j.started_ms && !note(leased, j.id))
            q->code = err_set(q->err, ERR_NOMEM, "out of memory");
    }
    return query_end(q);
}

/* Few: retried, open for very long, or failed where the lineage waits. */
static enum code load_marked(struct store *s, struct core *c, uint64_t open, struct ids *leased,
                             struct err *e)
{
    struct query q = query_begin(s, SQL_MARKED, "find marked jobs", e);
    struct ids marked = {0};
    enum code rc;

    query_u64(&q, open);
    while (query_row(&q))
        if (!note(&marked, query_get_u64(&q))) q.code = err_set(e, ERR_NOMEM, "out of memory");
    rc = query_end(&q);
    for (size_t i = 0; i < marked.n && !rc; i++) {
        q = query_begin(s, SQL_JOB, "read a marked job", e);
        query_u64(&q, marked.v[i]);
        rc = read_jobs(&q, c, leased);
    }
    free(marked.v);
    return rc;
}

static enum code load_open(struct store *s, struct core *c, uint64_t open, struct ids *leased,
                           struct err *e)
{
    struct query q = query_begin(s, SQL_JOBS, "read jobs", e);

    query_u64(&q, open);
    return read_jobs(&q, c, leased);
}

static enum code load_stages(struct store *s, struct core *c, const struct ids *leased,
                             struct err *e)
{
    struct core_stage g;
    enum code rc = OK;

    for (size_t i = 0; i < leased->n && !rc; i++) {
        struct query q = query_begin(s, SQL_STAGES, "read stages", e);
        query_u64(&q, leased->v[i]);
        while (query_row(&q)) {
            row_stage(&q, &g);
            if (!q.code) q.code = core_load_stage(c, &g, e);
        }
        rc = query_end(&q);
    }
    return rc;
}

enum code store_load(struct store *s, struct core *c, int64_t now_ms, struct err *e)
{
    struct ids leased = {0};
    struct arena a = {0};
    uint64_t open = 0;
    enum code rc = store_ready(s, e);

    if (!rc) rc = load_clock(s, c, &open, e);
    if (!rc) rc = load_users(s, c, &a, e);
    if (!rc) rc = load_drains(s, c, e);
    if (!rc) rc = load_lineages(s, c, &a, e);
    if (!rc) rc = load_commits(s, c, e);
    if (!rc) rc = check_commits(s, e);
    if (!rc) rc = load_priors(s, c, e);
    if (!rc) rc = load_marked(s, c, open, &leased, e);
    if (!rc) rc = load_open(s, c, open, &leased, e);
    if (!rc) rc = load_stages(s, c, &leased, e);
    if (!rc) rc = core_restart(c, now_ms, e);
    free(leased.v);
    arena_fini(&a);
    return rc ? err_context(e, "%s", s->path) : OK;
}
