/* load.c - the core from its rows, after a restart. Rows were written by us in whole transactions, so whatever does not fit is
 * corruption, and is named instead of guessed around. */
#include "coordinator/core/state.h"

#include <stdlib.h>

#define N(x) ((unsigned long long)(x))

static enum code out_of_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "out of memory while loading the database");
}

void core_load_clock(struct core *c, struct core_clock clock)
{
    c->clock = clock;
    c->loading = 1;
}

enum code core_load_user(struct core *c, const struct core_user *row, struct err *e)
{
    if (row->id != c->n_users + 1)
        return err_set(e, ERR_CORRUPT, "user %u follows user %zu", row->id, c->n_users);
    return user_add(c, row) ? OK : out_of_memory(e);
}

enum code core_load_drain(struct core *c, const char *name, struct err *e)
{
    group_drain(c, name, 1);
    return c->broken ? out_of_memory(e) : OK;
}

enum code core_load_lineage(struct core *c, const struct core_lineage *row, struct err *e)
{
    if (row->id != c->n_lineages + 1)
        return err_set(e, ERR_CORRUPT, "lineage %u follows lineage %zu", row->id, c->n_lineages);
    if (!user_at(c, row->owner))
        return err_set(e, ERR_CORRUPT, "lineage %s belongs to user %u, who is not there", row->name,
                       row->owner);
    return lineage_add(c, row) ? OK : out_of_memory(e);
}

enum code core_load_commit(struct core *c, uint32_t lineage, const struct core_commit *row,
                           const char *token, struct err *e)
{
    struct lineage *l = lineage_at(c, lineage);

    if (!l || row->number != l->row.n_commits + 1 || !hash_equal(row->parent, l->row.head))
        return err_set(e, ERR_CORRUPT, "commit %llu of lineage %u does not continue its chain",
                       N(row->number), lineage);
    return lineage_append(c, l, row->hash, row->job) && lineage_take_token(c, l, token, row->job)
               ? OK
               : out_of_memory(e);
}

enum code core_load_prior(struct core *c, const struct core_prior *row, struct err *e)
{
    if (row->id != c->n_priors + 1)
        return err_set(e, ERR_CORRUPT, "class images %u follow class images %zu", row->id,
                       c->n_priors);
    return prior_add(c, row) ? OK : out_of_memory(e);
}

/* ---- jobs ---- */

static int fits(const struct core *c, const struct core_job *row)
{
    const struct lineage *l = lineage_at(c, row->lineage);

    if (!row->id || row->id > c->clock.job || jobs_find(c, row->id)) return 0;
    if (!l || !user_at(c, row->owner) || (row->prior && !prior_at(c, row->prior))) return 0;
    if (row->commit_number > l->row.n_commits || row->priority >= PRIORITIES) return 0;
    return row->kind >= JOB_LEARN && row->kind <= JOB_EVALUATE && row->state >= JOB_QUEUED &&
           row->state <= JOB_CANCELLED;
}

enum code core_load_job(struct core *c, const struct core_job *row, const char *token,
                        struct err *e)
{
    struct core_job *j;
    struct lineage *l;

    if (!fits(c, row))
        return err_set(e, ERR_CORRUPT,
                       "job %llu does not fit to its lineage, user, class images "
                       "or commit",
                       N(row->id));
    if (JOB_ENDED(row->state) && !(row->flags & JOB_HOLDS)) return OK;
    if (!(j = jobs_add(c, row))) return out_of_memory(e);
    if (!j->place) j->place = j->id << 20;
    if (j->place > c->last_place) c->last_place = j->place;
    if (j->kind != JOB_LEARN || j->commit_number) return OK;
    l = lineage_of(c, j);
    lineage_enter(c, l, j);
    return lineage_take_token(c, l, token, j->id) ? OK : out_of_memory(e);
}

/* Its group may well be at work: it is known by its lease, and asked `who` when it speaks. */
static void hold_lease(struct core *c, struct core_job *j, struct core_stage *s)
{
    struct group *g = group_find(c, s->group);

    if (!g && !(g = group_add(c, s->group))) return;
    g->row.lease = s;
    c->leased++;
    fair_resume(c, j, s);
}

enum code core_load_stage(struct core *c, const struct core_stage *row, struct err *e)
{
    struct core_job *j = jobs_find(c, row->job);
    enum stage_state state;
    struct core_stage *s;

    if (!j) return OK;
    state = stage_state(j, row->kind);
    if (row->kind >= STAGE_KINDS || !state || stage_of(j, row->kind) ||
        row->epoch > c->clock.epoch || (state == STAGE_LEASED) == hash_is_zero(row->group))
        return err_set(e, ERR_CORRUPT, "stage %s of job %llu does not fit",
                       proto_stage_kind((uint64_t)row->kind), N(row->job));
    if (!(s = stage_record(c, j, row->kind))) return out_of_memory(e);
    s->epoch = row->epoch;
    s->attempts = row->attempts;
    s->losses = row->losses;
    s->pauses = row->pauses;
    s->best_step = row->best_step;
    s->chain = row->chain;
    s->granted_ms = row->granted_ms;
    s->group = row->group;
    s->seconds = row->seconds;
    if (row->line && row->line[0]) s->line = core_own(c, row->line);
    if (state == STAGE_LEASED) hold_lease(c, j, s);
    return c->broken ? out_of_memory(e) : OK;
}

/* ---- what follows from the rows ---- */

static int by_place(const void *a, const void *b)
{
    const struct core_job *const *x = a, *const *y = b;
    return (*x)->place < (*y)->place ? -1 : (*x)->place > (*y)->place;
}

/* Jobs came by their ids; those that were retried stand further behind. */
static int order_lineage(struct core *c, struct lineage *l)
{
    struct core_job **all, *j;
    size_t n = 0;
    int sorted = 1;

    for (j = job_at(c, l->row.first); j && j->later; j = job_at(c, j->later))
        sorted &= j->place < job_at(c, j->later)->place;
    if (sorted) return 1;
    if (!(all = mem_alloc(l->row.n_undecided, sizeof *all))) return 0;
    while ((j = job_at(c, l->row.first))) {
        all[n++] = j;
        lineage_leave(c, l, j);
    }
    qsort(all, n, sizeof *all, by_place);
    for (size_t i = 0; i < n; i++) lineage_enter(c, l, all[i]);
    free(all);
    return 1;
}

static void start_leases(struct core *c)
{
    for (size_t i = 0; i < c->n_groups; i++) {
        const struct core_stage *lease = c->groups[i]->row.lease;
        struct core_stage *s = lease ? stage_of(jobs_find(c, lease->job), lease->kind) : NULL;
        if (!s) continue;
        s->deadline_ms = c->now_ms + c->settings.term_ms;
        c->groups[i]->row.seen_ms = c->now_ms;
        timer_set(c, s);
    }
}

static void start_jobs(struct core *c)
{
    for (uint32_t slot = 1; slot <= c->slots; slot++) {
        struct core_job *j = job_at(c, slot);
        struct prior *p = prior_at(c, j->prior);
        if (!j->id) continue;
        if (p && !JOB_ENDED(j->state) && stage_state(j, STAGE_PRIOR) == STAGE_WAITING) {
            prior_wait(c, p, j);
            if (p->row.made) prior_queue_made(c, p);
        }
        fair_list(c, j, 0);
    }
    for (size_t i = 0; i < c->n_users; i++)
        if (c->users[i]->row.used_ms > c->floor_ms) c->floor_ms = c->users[i]->row.used_ms;
}

enum code core_restart(struct core *c, int64_t now_ms, struct err *e)
{
    c->loading = 1;
    c->now_ms = now_ms;
    for (size_t i = 0; i < c->n_lineages; i++)
        if (!order_lineage(c, c->lineages[i])) return out_of_memory(e);
    start_leases(c);
    start_jobs(c);
    c->loading = 0;
    return c->broken ? out_of_memory(e) : core_check(c, e);
}
