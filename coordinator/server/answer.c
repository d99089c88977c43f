/* answer.c - questions that change nothing: ping, lineage_list, queue, job, watch, log. Answers are pages that fit into one
 * message; what does not fit is said by `total`. */
#include "coordinator/server/server.h"

#include <string.h>
#include <unistd.h>

enum { PAGE_BYTES = 3 << 20 }; /* of a message of 4 MiB; rows are estimated generously */

static enum code nomem(struct err *e)
{
    return err_set(e, ERR_NOMEM, "out of memory");
}

/* Everything here belongs to the one user of this coordinator; others' rows do not exist (invariant 6). */
static int is_mine(const struct server *s, const char *owner)
{
    return strcmp(owner, s->user) == 0;
}

static enum code no_lineage(const struct server *s, const char *name, struct err *e)
{
    const char *near = core_nearest_lineage(s->core, name);

    if (near)
        return err_set(e, ERR_NOT_FOUND, "there is no lineage `%s`; did you mean `%s`?", name,
                       near);
    return err_set(e, ERR_NOT_FOUND, "there is no lineage `%s`", name);
}

/* ---- ping ---- */

static enum code answer_ping(struct server *s, const struct message *ask, struct arena *a,
                             struct message *out, struct err *e)
{
    const char *launcher = s->launch_trouble ? s->launch_trouble(s->launch_self) : "";
    const struct core_group *groups;
    struct msg_pong *p = &out->pong;
    size_t n;

    (void)ask;
    (void)a;
    (void)e;
    *out = (struct message){.kind = MSG_pong,
                            .pong = {.version = ENGRAM_VERSION,
                                     .pid = (uint64_t)getpid(),
                                     .home = s->home,
                                     .now_ms = s->now_ms}};
    groups = core_groups(s->core, &n);
    p->groups = n;
    for (size_t i = 0; i < n; i++) p->ranks += groups[i].ranks;
    for (uint64_t id = 1; id <= core_last_job(s->core); id++) {
        enum job_state state = core_job(s->core, id)->state;
        p->queued += state == JOB_QUEUED || state == JOB_PAUSED;
        p->running += state == JOB_RUNNING;
    }
    p->line = core_stopping(s->core) ? "stopping"
              : launcher[0]          ? launcher
              : n                    ? ""
                                     : "no worker group has said hello yet";
    return OK;
}

/* ---- lineages ---- */

static enum code answer_lineages(struct server *s, const struct message *ask, struct arena *a,
                                 struct message *out, struct err *e)
{
    const char *name = ask->lineage_list.name;
    size_t most = core_last_lineage(s->core) < PROTO_ROWS ? core_last_lineage(s->core) : PROTO_ROWS;
    struct lineage_rows *rows = &out->lineages.rows;
    size_t bytes = 0;
    enum code rc;

    *out = (struct message){.kind = MSG_lineages};
    rows->v = arena_alloc(a, (most + 1) * sizeof *rows->v);
    if (!rows->v) return nomem(e);
    for (uint64_t id = 1; id <= core_last_lineage(s->core) && rows->n < most && bytes < PAGE_BYTES;
         id++) {
        const struct core_lineage *l = core_lineage(s->core, id);
        if (!is_mine(s, l->owner) || (name[0] && strcmp(name, l->name))) continue;
        struct lineage_row *r = &rows->v[rows->n++];
        *r = (struct lineage_row){.name = l->name,
                                  .owner = l->owner,
                                  .head = l->head,
                                  .n_commits = l->n_commits,
                                  .created_ms = l->created_ms};
        for (size_t i = l->turn; i < l->n_learns; i++)
            r->n_waiting += !JOB_ENDED(core_job(s->core, l->learns[i])->state);
        if ((rc = store_base(s->store, id, a, &r->base_path, &r->base_hash, e))) return rc;
        bytes += 512 + strlen(r->base_path);
    }
    return name[0] && rows->n == 0 ? no_lineage(s, name, e) : OK;
}

/* ---- jobs ---- */

static int64_t eta(const struct server *s, const struct core_stage *g)
{
    if (g->state != STAGE_LEASED || !g->first_ms || g->step <= g->first_step || g->of < g->step)
        return -1;
    double per_step = (double)(s->now_ms - g->first_ms) / (double)(g->step - g->first_step);
    return (int64_t)(per_step * (double)(g->of - g->step));
}

static enum code results_of(struct server *s, const struct core_job *j, struct arena *a,
                            struct hashes *out, struct err *e)
{
    if (j->kind != JOB_LEARN)
        return store_outputs(s->store, j->id, j->stages[0].kind, a, out, NULL, e);
    *out = (struct hashes){0};
    if (hash_is_zero(j->commit)) return OK;
    *out = (struct hashes){1, arena_copy(a, &j->commit, sizeof j->commit)};
    return out->v ? OK : nomem(e);
}

static enum code job_row(struct server *s, const struct core_job *j, struct arena *a,
                         struct job_row *r, struct err *e)
{
    const struct core_stage *g = core_stage_now(j);

    *r = (struct job_row){.job = j->id,
                          .kind = (uint64_t)j->kind,
                          .state = (uint64_t)j->state,
                          .owner = j->owner,
                          .lineage = core_lineage(s->core, j->lineage)->name,
                          .token = j->token,
                          .class_word = j->class_word,
                          .eta_ms = -1,
                          .submitted_ms = j->submitted_ms,
                          .started_ms = j->started_ms,
                          .finished_ms = j->finished_ms,
                          .commit = j->commit};
    if (g) {
        r->stage = (uint64_t)g->kind;
        r->step = g->step;
        r->of = g->of;
        r->eta_ms = eta(s, g);
    }
    for (int i = 0; i < j->n_stages; i++) r->attempts += j->stages[i].attempts;
    r->line = why_line(s->core, j, s->now_ms, a);
    return results_of(s, j, a, &r->results, e);
}

static int wanted(const struct server *s, const struct msg_queue *q, const struct core_job *j)
{
    return is_mine(s, j->owner) && (!q->states || (q->states >> j->state & 1)) &&
           (!q->lineage[0] || strcmp(q->lineage, core_lineage(s->core, j->lineage)->name) == 0);
}

static enum code answer_queue(struct server *s, const struct message *ask, struct arena *a,
                              struct message *out, struct err *e)
{
    const struct msg_queue *q = &ask->queue;
    size_t most = q->limit ? (size_t)q->limit : PROTO_ROWS, bytes = 0;
    struct job_rows *rows = &out->jobs.rows;
    enum code rc;

    *out = (struct message){.kind = MSG_jobs};
    if (q->lineage[0] && !core_lineage_named(s->core, q->lineage))
        return no_lineage(s, q->lineage, e);
    rows->v = arena_alloc(a, most * sizeof *rows->v);
    if (!rows->v) return nomem(e);
    for (uint64_t id = core_last_job(s->core); id > 0; id--) {
        const struct core_job *j = core_job(s->core, id);
        if (!wanted(s, q, j)) continue;
        out->jobs.total++;
        if (rows->n == most || bytes >= PAGE_BYTES) continue;
        if ((rc = job_row(s, j, a, &rows->v[rows->n], e))) return rc;
        bytes += 1500 + rows->v[rows->n++].results.n * HASH_BYTES;
    }
    return OK;
}

static enum code stage_row(struct server *s, const struct core_job *j, const struct core_stage *g,
                           struct arena *a, struct stage_row *r, struct err *e)
{
    *r = (struct stage_row){.stage = (uint64_t)g->kind,
                            .state = (uint64_t)g->state,
                            .attempts = g->attempts,
                            .losses = g->losses,
                            .epoch = g->epoch,
                            .step = g->step,
                            .of = g->of,
                            .seconds = g->seconds,
                            .line = g->state == STAGE_LEASED ? g->text : g->line};
    return store_outputs(s->store, j->id, g->kind, a, &r->outputs, &r->report, e);
}

static enum code find_job(struct server *s, uint64_t id, const struct core_job **j, struct err *e)
{
    *j = core_job(s->core, id);
    if (!*j || !is_mine(s, (*j)->owner))
        return err_set(e, ERR_NOT_FOUND, "there is no job %llu", (unsigned long long)id);
    return OK;
}

static enum code answer_job(struct server *s, const struct message *ask, struct arena *a,
                            struct message *out, struct err *e)
{
    const struct core_job *j;
    struct msg_job_info *m = &out->job_info;
    enum code rc;

    *out = (struct message){.kind = MSG_job_info};
    if ((rc = find_job(s, ask->job.job, &j, e))) return rc;
    m->rows = (struct job_rows){1, arena_alloc(a, sizeof *m->rows.v)};
    m->stages = (struct stage_rows){(size_t)j->n_stages,
                                    arena_alloc(a, (size_t)j->n_stages * sizeof *m->stages.v)};
    if (!m->rows.v || !m->stages.v) return nomem(e);
    if ((rc = job_row(s, j, a, m->rows.v, e)) ||
        (rc = store_request(s->store, j->id, a, &m->request, e)))
        return rc;
    for (int i = 0; i < j->n_stages; i++)
        if ((rc = stage_row(s, j, &j->stages[i], a, &m->stages.v[i], e))) return rc;
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

static enum code answer_watch(struct server *s, const struct message *ask, struct arena *a,
                              struct message *out, struct err *e)
{
    const struct core_job *j;
    struct event_rows *rows = &out->events.rows;
    enum code rc;

    *out = (struct message){.kind = MSG_events};
    if ((rc = find_job(s, ask->watch.job, &j, e)) ||
        (rc = store_events(s->store, j->id, ask->watch.after_seq, a, rows, e)))
        return rc;
    out->events.state = (uint64_t)j->state;
    /* A full page of durable rows may have more behind it; progress would overtake them. */
    if (rows->n < PROTO_ROWS) rings_read(s->rings, j->id, ask->watch.after_seq, rows);
    sort_by_seq(rows);
    return OK;
}

/* ---- log ---- */

static enum code commit_row(struct server *s, const struct core_commit *k, struct arena *a,
                            struct commit_row *r, struct err *e)
{
    const struct core_job *j = core_job(s->core, k->job);
    const struct core_stage *evaluate = core_stage_of(j, STAGE_EVALUATE),
                            *sample = core_stage_of(j, STAGE_SAMPLE);
    struct hashes reports = {0};
    enum code rc;

    *r = (struct commit_row){.number = k->number,
                             .commit = k->hash,
                             .parent = k->parent,
                             .job = k->job,
                             .token = j->token,
                             .class_word = j->class_word,
                             .kind = (uint64_t)j->concept,
                             .seconds = k->seconds,
                             .committed_ms = k->committed_ms};
    if ((rc = store_images(s->store, j->id, a, &r->images, e))) return rc;
    if (sample && sample->state == STAGE_DONE &&
        (rc = store_outputs(s->store, j->id, STAGE_SAMPLE, a, &r->previews, NULL, e)))
        return rc;
    if (evaluate && evaluate->state == STAGE_DONE &&
        (rc = store_outputs(s->store, j->id, STAGE_EVALUATE, a, &reports, NULL, e)))
        return rc;
    if (reports.n) r->evaluation = reports.v[0];
    return OK;
}

static enum code answer_log(struct server *s, const struct message *ask, struct arena *a,
                            struct message *out, struct err *e)
{
    const struct core_lineage *l = core_lineage_named(s->core, ask->log.lineage);
    size_t most = ask->log.limit ? (size_t)ask->log.limit : PROTO_ROWS, bytes = 0;
    struct commit_rows *rows = &out->commits.rows;
    enum code rc;

    *out = (struct message){.kind = MSG_commits};
    if (!l || !is_mine(s, l->owner)) return no_lineage(s, ask->log.lineage, e);
    out->commits.total = l->n_commits;
    rows->v = arena_alloc(a, most * sizeof *rows->v);
    if (!rows->v) return nomem(e);
    for (size_t i = (size_t)ask->log.after;
         i < l->n_commits && rows->n < most && bytes < PAGE_BYTES; i++) {
        struct commit_row *r = &rows->v[rows->n];
        if ((rc = commit_row(s, &l->commits[i], a, r, e))) return rc;
        bytes += 700 + (r->images.n + r->previews.n) * HASH_BYTES;
        rows->n++;
    }
    return OK;
}

/* ---- table ---- */

typedef enum code answer_fn(struct server *s, const struct message *ask, struct arena *a,
                            struct message *out, struct err *e);

static answer_fn *const answers[MSG_KINDS] = {
    [MSG_ping] = answer_ping, [MSG_lineage_list] = answer_lineages, [MSG_queue] = answer_queue,
    [MSG_job] = answer_job,   [MSG_watch] = answer_watch,           [MSG_log] = answer_log,
};

int answer_knows(enum msg_kind kind)
{
    return answers[kind] != NULL;
}

enum code answer_make(struct server *s, const struct message *ask, struct arena *a,
                      struct message *out, struct err *e)
{
    return answers[ask->kind](s, ask, a, out, e);
}
