/* jobs.c - what is told of one job: of the core as long as it keeps it, of the store else. Only those who may see it are told that
 * it is there (invariant 6). */
#include "coordinator/server/server.h"

#include <string.h>

static enum code no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "out of memory");
}

/* A job as it is durable and, while it has not ended, as the core has it. */
struct view {
    struct store_job row;
    const struct core_job *live; /* NULL: it has ended */
};

static enum code look(struct server *s, uint64_t id, struct arena *a, struct view *v, struct err *e)
{
    v->live = core_job(s->core, id);
    if (v->live && JOB_ENDED(v->live->state)) v->live = NULL;
    return store_job(s->store, id, a, &v->row, e);
}

static const struct core_job *job_in(const struct view *v)
{
    return v->live ? v->live : &v->row.past.job;
}

static const struct core_stage *stage_in(const struct view *v, enum stage_kind k)
{
    if (v->live) return core_stage_of(v->live, k);
    for (int i = 0; i < v->row.past.n_stages; i++)
        if (v->row.past.stage[i].kind == k) return &v->row.past.stage[i];
    return NULL;
}

/* ---- the row ---- */

static int64_t eta(const struct server *s, const struct core_stage *g)
{
    if (hash_is_zero(g->group) || !g->first_ms || g->step <= g->first_step || g->of < g->step)
        return -1;
    double per_step = (double)(s->now_ms - g->first_ms) / (double)(g->step - g->first_step);
    return (int64_t)(per_step * (double)(g->of - g->step));
}

static enum code results_of(struct server *s, const struct core_job *j, struct arena *a,
                            struct job_row *r, struct err *e)
{
    if (j->kind != JOB_LEARN)
        return store_outputs(s->store, j->id, j->kind == JOB_SAMPLE ? STAGE_SAMPLE : STAGE_EVALUATE,
                             a, &r->results, NULL, e);
    if (hash_is_zero(r->commit)) return OK;
    r->results = (struct hashes){1, arena_copy(a, &r->commit, sizeof r->commit)};
    return r->results.v ? OK : no_memory(e);
}

static enum code fill(struct server *s, const struct view *v, struct arena *a, struct job_row *r,
                      struct err *e)
{
    const struct core_job *j = job_in(v);
    enum stage_kind now = core_stage_now(j);
    const struct core_stage *g = now ? stage_in(v, now) : NULL;
    struct core_why why = {.starts_in_ms = -1};

    if (v->live) core_why(s->core, v->live, &why);
    *r = (struct job_row){.job = j->id,
                          .kind = j->kind,
                          .state = j->state,
                          .owner = core_user(s->core, j->owner)->name,
                          .lineage = core_lineage(s->core, j->lineage)->name,
                          .token = v->row.past.token,
                          .class_word = v->row.class_word,
                          .stage = (uint64_t)now,
                          .eta_ms = -1,
                          .submitted_ms = j->submitted_ms,
                          .started_ms = j->started_ms,
                          .finished_ms = j->finished_ms,
                          .commit = core_job_commit(s->core, j),
                          .priority = j->priority,
                          .held = v->live && core_job_held(s->core, v->live),
                          .starts_in_ms = why.starts_in_ms};
    if (g) {
        r->step = g->step;
        r->of = g->of;
        r->eta_ms = eta(s, g);
    }
    for (enum stage_kind k = STAGE_PRIOR; k < STAGE_KINDS; k++)
        if ((g = stage_in(v, k))) r->attempts += g->attempts;
    r->line = v->live ? why_line(s->core, v->live, s->now_ms, a) : why_ended(&v->row.past, a);
    return results_of(s, j, a, r, e);
}

enum code jobs_row(struct server *s, uint64_t id, struct arena *a, struct job_row *r, struct err *e)
{
    struct view v;
    enum code rc = look(s, id, a, &v, e);

    return rc ? rc : fill(s, &v, a, r, e);
}

/* ---- one job ---- */

static enum code find(struct server *s, const struct asked *q, uint64_t id, struct arena *a,
                      struct view *v, struct err *e)
{
    enum code rc = look(s, id, a, v, e);

    if (rc == ERR_NOT_FOUND ||
        (!rc && !core_sees(s->core, server_user(s, q), q->role, v->row.past.job.owner)))
        return err_set(e, ERR_NOT_FOUND, "there is no job %llu", (unsigned long long)id);
    return rc;
}

static enum code stage_row(struct server *s, const struct view *v, enum stage_kind k,
                           struct arena *a, struct stage_row *r, struct err *e)
{
    static const struct core_stage none;
    const struct core_stage *g = stage_in(v, k);
    enum stage_state state = core_stage_state(job_in(v), k);

    if (!g) g = &none;
    *r = (struct stage_row){.stage = (uint64_t)k,
                            .state = (uint64_t)state,
                            .attempts = g->attempts,
                            .losses = g->losses,
                            .epoch = g->epoch,
                            .step = g->step,
                            .of = g->of,
                            .seconds = g->seconds,
                            .line = state == STAGE_LEASED ? g->text : g->line};
    return store_outputs(s->store, job_in(v)->id, k, a, &r->outputs, &r->report, e);
}

enum code jobs_answer(struct server *s, const struct asked *q, struct arena *a, struct message *out,
                      struct err *e)
{
    uint64_t id = q->m.job.job;
    struct msg_job_info *m = &out->job_info;
    struct view v;
    enum code rc;

    *out = (struct message){.kind = MSG_job_info};
    if ((rc = find(s, q, id, a, &v, e))) return rc;
    m->rows = (struct job_rows){1, arena_alloc(a, sizeof *m->rows.v)};
    m->stages.v = arena_alloc(a, CORE_STAGES * sizeof *m->stages.v);
    if (!m->rows.v || !m->stages.v) return no_memory(e);
    if ((rc = fill(s, &v, a, m->rows.v, e)) ||
        (rc = store_request(s->store, id, q->m.version, a, NULL, &m->request, e)))
        return rc;
    for (enum stage_kind k = STAGE_PRIOR; k < STAGE_KINDS; k++)
        if (core_stage_state(job_in(&v), k) &&
            (rc = stage_row(s, &v, k, a, &m->stages.v[m->stages.n++], e)))
            return rc;
    return OK;
}

/* ---- watch ---- */

static void sort_by_seq(struct event_rows *rows)
{
    for (size_t i = 1; i < rows->n; i++) { /* two sorted runs, one of at most 64 */
        struct event_row r = rows->v[i];
        size_t k = i;
        for (; k > 0 && rows->v[k - 1].seq > r.seq; k--) rows->v[k] = rows->v[k - 1];
        rows->v[k] = r;
    }
}

enum code jobs_watch(struct server *s, const struct asked *q, struct arena *a, struct message *out,
                     struct err *e)
{
    const struct msg_watch *w = &q->m.watch;
    struct event_rows *rows = &out->events.rows;
    struct view v;
    enum code rc;

    *out = (struct message){.kind = MSG_events};
    if ((rc = find(s, q, w->job, a, &v, e)) ||
        (rc = store_events(s->store, w->job, w->after_seq, a, rows, e)))
        return rc;
    out->events.state = job_in(&v)->state;
    /* A full page of durable rows may have more behind it; progress would overtake them. */
    if (rows->n < PROTO_ROWS) rings_read(s->rings, w->job, w->after_seq, rows);
    sort_by_seq(rows);
    return OK;
}
