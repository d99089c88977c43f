#include "tests/core/support/shelf.h"

#include "coordinator/core/core.h"

#include <stdlib.h>
#include <string.h>

static char *copy(const char *s)
{
    return strdup(s ? s : "");
}

/* Row `id` of a table that grows by one at most. */
static void *row(void *table, size_t *n, uint64_t id, size_t size)
{
    uint8_t **v = table;

    if (id > *n) {
        *v = realloc(*v, id * size);
        memset(*v + *n * size, 0, (id - *n) * size);
        *n = id;
    }
    return *v + (id - 1) * size;
}

static void put_user(struct shelf *s, const struct core_user *u)
{
    struct core_user *r = row(&s->users, &s->n_users, u->id, sizeof *r);
    free(r->name);
    free(r->group);
    *r = *u;
    r->name = copy(u->name);
    r->group = copy(u->group);
}

static void drop_shared(struct core_lineage *l)
{
    for (size_t i = 0; i < l->n_shared; i++) free(l->shared[i]);
    free(l->shared);
}

static void put_lineage(struct shelf *s, const struct core_lineage *l)
{
    struct core_lineage *r = row(&s->lineages, &s->n_lineages, l->id, sizeof *r);
    free(r->name);
    drop_shared(r);
    *r = *l;
    r->name = copy(l->name);
    r->shared = l->n_shared ? malloc(l->n_shared * sizeof *r->shared) : NULL;
    for (size_t i = 0; i < l->n_shared; i++) r->shared[i] = copy(l->shared[i]);
}

static void put_job(struct shelf *s, const struct core_put *p)
{
    struct core_past *r = row(&s->jobs, &s->n_jobs, p->job->id, sizeof *r);
    r->job = *p->job;
    r->job.records = NULL;
    r->job.self = 0;
    if (p->fresh) r->token = copy(p->message->kind == MSG_learn ? p->message->learn.token : "");
}

static void put_stage(struct shelf *s, const struct core_stage *g)
{
    struct core_past *r = row(&s->jobs, &s->n_jobs, g->job, sizeof *r);
    int i = 0;

    while (i < r->n_stages && r->stage[i].kind != g->kind) i++;
    if (i == r->n_stages) r->n_stages++;
    free(r->stage[i].line);
    r->stage[i] = *g;
    r->stage[i].line = copy(g->line);
    r->stage[i].text = NULL;
    r->stage[i].next = NULL;
    r->stage[i].result = NULL;
}

static void put_commit(struct shelf *s, const struct core_put *p)
{
    s->commits = realloc(s->commits, (s->n_commits + 1) * sizeof *s->commits);
    s->commits[s->n_commits++] = (struct shelf_commit){p->lineage->id, p->commit};
}

void shelf_keep(struct shelf *s, const struct core_actions *a, size_t n_puts)
{
    for (size_t i = 0; i < n_puts; i++) {
        const struct core_put *p = &a->puts[i];
        switch (p->type) {
        case PUT_USER: put_user(s, p->user); break;
        case PUT_LINEAGE: put_lineage(s, p->lineage); break;
        case PUT_PRIOR:
            *(struct core_prior *)row(&s->priors, &s->n_priors, p->prior->id, sizeof *p->prior) =
                *p->prior;
            break;
        case PUT_JOB: put_job(s, p); break;
        case PUT_STAGE: put_stage(s, p->stage); break;
        case PUT_COMMIT: put_commit(s, p); break;
        case PUT_FORGET: s->jobs[p->id - 1].job.flags |= JOB_FORGOTTEN; break;
        case PUT_CLOCK: s->clock = *p->clock; break;
        case PUT_EVENT:
        case PUT_AUDIT:
        case PUT_DRAIN: break;
        }
    }
}

const struct core_past *shelf_past(const struct shelf *s, const struct core *c,
                                   const struct message *m)
{
    struct hash key;
    uint64_t job;

    switch (core_wants_past(c, m, &key, &job)) {
    case CORE_PAST_JOB: return job <= s->n_jobs ? &s->jobs[job - 1] : NULL;
    case CORE_PAST_KEY:
        for (size_t i = 0; i < s->n_jobs; i++)
            if (memcmp(s->jobs[i].job.key, key.v, CORE_KEY) == 0) return &s->jobs[i];
        return NULL;
    default: return NULL;
    }
}

static enum code load_jobs(const struct shelf *s, struct core *c, struct err *e)
{
    enum code rc = OK;

    for (size_t i = 0; i < s->n_jobs && !rc; i++)
        if (i + 1 >= s->clock.open || (s->jobs[i].job.flags & (JOB_HOLDS | JOB_MARKED)))
            rc = core_load_job(c, &s->jobs[i].job, s->jobs[i].token, e);
    for (size_t i = 0; i < s->n_jobs && !rc; i++)
        for (int k = 0; k < s->jobs[i].n_stages && !rc; k++)
            rc = core_load_stage(c, &s->jobs[i].stage[k], e);
    return rc;
}

enum code shelf_load(const struct shelf *s, struct core *c, int64_t now_ms, struct err *e)
{
    enum code rc = OK;

    core_load_clock(c, s->clock);
    for (size_t i = 0; i < s->n_users && !rc; i++) rc = core_load_user(c, &s->users[i], e);
    for (size_t i = 0; i < s->n_lineages && !rc; i++) rc = core_load_lineage(c, &s->lineages[i], e);
    for (size_t i = 0; i < s->n_commits && !rc; i++)
        rc = core_load_commit(c, s->commits[i].lineage, &s->commits[i].row,
                              s->jobs[s->commits[i].row.job - 1].token, e);
    for (size_t i = 0; i < s->n_priors && !rc; i++) rc = core_load_prior(c, &s->priors[i], e);
    if (!rc) rc = load_jobs(s, c, e);
    return rc ? rc : core_restart(c, now_ms, e);
}

void shelf_fini(struct shelf *s)
{
    for (size_t i = 0; i < s->n_users; i++) {
        free(s->users[i].name);
        free(s->users[i].group);
    }
    for (size_t i = 0; i < s->n_lineages; i++) {
        free(s->lineages[i].name);
        drop_shared(&s->lineages[i]);
    }
    for (size_t i = 0; i < s->n_jobs; i++) {
        for (int k = 0; k < s->jobs[i].n_stages; k++) free(s->jobs[i].stage[k].line);
        free((char *)(uintptr_t)s->jobs[i].token);
    }
    free(s->users);
    free(s->lineages);
    free(s->priors);
    free(s->jobs);
    free(s->commits);
    memset(s, 0, sizeof *s);
}
