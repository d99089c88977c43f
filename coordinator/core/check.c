/* check.c - the invariants that can be seen in one state, told one by one. A starting coordinator asks for all of them once, a
 * simulation after every step for those of what the step touched. */
#include "coordinator/core/state.h"

#include <stdlib.h>

#define BROKEN(...) return err_set(e, ERR_CORRUPT, __VA_ARGS__)
#define N(x) ((unsigned long long)(x))

/* ---- one stage ---- */

static enum code check_lease(const struct core *c, const struct core_job *j,
                             const struct core_stage *s, struct err *e)
{
    const struct group *g = s ? group_find(c, s->group) : NULL;

    if (!s || !s->epoch || hash_is_zero(s->group) || !s->attempts)
        BROKEN("invariant 5: a lease of job %llu without epoch or group", N(j->id));
    if (!g || g->row.lease != s)
        BROKEN("invariant 5: the group that holds a lease of job %llu does not know", N(j->id));
    if (!s->timer || !s->deadline_ms) BROKEN("a lease of job %llu never ends", N(j->id));
    if ((s->kind == STAGE_SCORE || s->kind == STAGE_TRAIN) &&
        s->chain != lineage_of(c, j)->row.n_commits)
        BROKEN("invariant 1: job %llu works on a parent that is not the head of %s", N(j->id),
               lineage_of(c, j)->row.name);
    return OK;
}

static enum code check_stage(const struct core *c, const struct core_job *j, enum stage_kind k,
                             struct err *e)
{
    enum stage_state state = stage_state(j, k);
    const struct core_stage *s = stage_of(j, k);
    int holds = k == STAGE_SCORE || k == STAGE_TRAIN;

    if (s && s->epoch > c->clock.epoch)
        BROKEN("invariant 5: job %llu has epoch %llu, the newest is %llu", N(j->id), N(s->epoch),
               N(c->clock.epoch));
    if (JOB_ENDED(j->state) && state && state < STAGE_DONE)
        BROKEN("job %llu has ended, its %s has not", N(j->id), proto_stage_kind((uint64_t)k));
    if (holds && (state == STAGE_READY || state == STAGE_LEASED) && !lineage_is_turn(c, j))
        BROKEN("invariant 1: job %llu of %s works before its turn", N(j->id),
               lineage_of(c, j)->row.name);
    if (k == STAGE_TRAIN && state && (state == STAGE_DONE) != (j->commit_number > 0))
        BROKEN("invariant 2: train of job %llu is %s, its commit is %s", N(j->id),
               proto_stage_state((uint64_t)state), j->commit_number ? "there" : "not there");
    if (state == STAGE_FAILED && j->state != JOB_FAILED && j->state != JOB_CANCELLED)
        BROKEN("a stage of job %llu failed, the job did not", N(j->id));
    if (s && s->not_before_ms && (state != STAGE_READY || !s->timer))
        BROKEN("job %llu: a back-off that never ends", N(j->id));
    return state == STAGE_LEASED ? check_lease(c, j, s, e) : OK;
}

/* ---- one job ---- */

/* What holds jobs together; stops waiting for ever. */
static enum code check_prior(const struct core *c, const struct core_job *j, struct err *e)
{
    const struct prior *p = prior_at(c, j->prior);
    enum stage_state state = stage_state(j, STAGE_PRIOR);
    int waits = j->list == WAITS_REST || j->list == WAITS_TURN;

    if (!state || JOB_ENDED(j->state)) return OK;
    if (!p) BROKEN("job %llu waits for class images that nobody knows", N(j->id));
    if (waits != (state == STAGE_WAITING))
        BROKEN("job %llu: its class images are %s, and it %s", N(j->id),
               proto_stage_state((uint64_t)state), waits ? "waits" : "does not wait");
    if (waits && !p->row.made && (!p->row.maker || !jobs_find(c, p->row.maker)))
        BROKEN("job %llu waits for class images that nobody makes", N(j->id));
    if (waits && p->row.made && !p->queued)
        BROKEN("job %llu waits for class images that are made", N(j->id));
    if ((state == STAGE_READY || state == STAGE_LEASED) && p->row.maker != j->id)
        BROKEN("two jobs make the class images of job %llu", N(j->id));
    return OK;
}

static enum code check_place(const struct core *c, const struct core_job *j, struct err *e)
{
    enum stage_kind k =
        JOB_ENDED(j->state) || (j->flags & JOB_HELD) ? (enum stage_kind)0 : fair_ready_stage(j);
    const struct flow *f = flow_at(c, j->flow);

    if ((k != 0) != (j->list == IN_FLOW))
        BROKEN("job %llu %s begin and %s among those that may", N(j->id), k ? "could" : "cannot",
               j->list == IN_FLOW ? "is" : "is not");
    if (f && (f->user != j->owner || f->lineage != j->lineage || f->priority != j->priority ||
              f->class != fair_class(c, j, k)))
        BROKEN("job %llu stands among others than its like", N(j->id));
    if (f && f->ringed == lineage_of(c, j)->row.held)
        BROKEN("job %llu: its lineage is %s, its flow is not", N(j->id),
               f->ringed ? "held" : "not held");
    return OK;
}

static enum code check_job(const struct core *c, const struct core_job *j, struct err *e)
{
    int open = 0, leased = 0;
    enum code rc;

    for
        EACH_STAGE(k)
        {
            if ((rc = check_stage(c, j, k, e))) return rc;
            open += stage_state(j, k) && stage_state(j, k) != STAGE_DONE;
            leased += stage_state(j, k) == STAGE_LEASED;
        }
    if (!j->stages || !open != (j->state == JOB_DONE))
        BROKEN("job %llu is %s with %d stages that are not done", N(j->id),
               proto_job_state(j->state), open);
    if ((leased > 0) != (j->state == JOB_RUNNING))
        BROKEN("job %llu is %s with %d leases", N(j->id), proto_job_state(j->state), leased);
    if (!JOB_ENDED(j->state) && j->id < c->clock.open && !(j->flags & JOB_MARKED))
        BROKEN("job %llu is open, and a restart would pass it over", N(j->id));
    if ((j->flags & JOB_HOLDS) && (j->state != JOB_FAILED || j->commit_number))
        BROKEN("job %llu holds its lineage and is %s", N(j->id), proto_job_state(j->state));
    if ((rc = check_prior(c, j, e))) return rc;
    return check_place(c, j, e);
}

/* ---- one lineage ---- */

static enum code check_turn(const struct core *c, const struct lineage *l, struct err *e)
{
    const struct core_job *j = job_at(c, l->row.first);

    if (!j) return OK;
    if (j->kind != JOB_LEARN || j->lineage != l->row.id || j->earlier)
        BROKEN("order: the turn of %s is at job %llu, which is not its first", l->row.name,
               N(j->id));
    if (lineage_decided(j))
        BROKEN("order: it is the turn of job %llu of %s, which is decided", N(j->id), l->row.name);
    if (!JOB_ENDED(j->state) && stage_state(j, STAGE_TRAIN) == STAGE_WAITING &&
        stage_state(j, STAGE_SCORE) == STAGE_WAITING &&
        (!stage_state(j, STAGE_PRIOR) || stage_state(j, STAGE_PRIOR) == STAGE_DONE))
        BROKEN("order: it is the turn of job %llu of %s, and it waits", N(j->id), l->row.name);
    return OK;
}

static enum code check_head(const struct lineage *l, struct err *e)
{
    struct hash none = {{0}};
    size_t n = l->row.n_commits;

    if (!hash_equal(l->row.head, n ? l->row.commits[n - 1].hash : none))
        BROKEN("invariant 1: the head of %s is not its last commit", l->row.name);
    return OK;
}

static enum code check_order(const struct core *c, const struct lineage *l, struct err *e)
{
    size_t n = 0;

    for (const struct core_job *j = job_at(c, l->row.first); j; j = job_at(c, j->later), n++) {
        const struct core_job *next = job_at(c, j->later);
        if (lineage_decided(j) || j->lineage != l->row.id)
            BROKEN("order: job %llu is decided and waits in %s", N(j->id), l->row.name);
        if (next && (next->earlier != j->self || next->place <= j->place))
            BROKEN("order: in %s job %llu stands before job %llu", l->row.name, N(j->id),
                   N(next->id));
    }
    if (n != l->row.n_undecided)
        BROKEN("order: %s counts %zu undecided jobs, %zu are there", l->row.name,
               l->row.n_undecided, n);
    return OK;
}

/* A job that is kept and a commit name each other. */
static enum code check_commit(const struct core *c, const struct core_job *j, struct err *e)
{
    const struct core_lineage *l = &lineage_of(c, j)->row;

    if (j->commit_number > l->n_commits)
        BROKEN("invariant 2: job %llu names commit %u of %s, which has %zu", N(j->id),
               j->commit_number, l->name, l->n_commits);
    if (j->kind == JOB_LEARN && j->commit_number && l->commits[j->commit_number - 1].job != j->id)
        BROKEN("invariant 2: commit %u of %s and job %llu do not name each other", j->commit_number,
               l->name, N(j->id));
    return OK;
}

/* ---- counters ---- */

static enum code check_counters(const struct core *c, struct err *e)
{
    const struct core_stage *first = c->n_timers ? c->timers[0] : NULL;
    uint64_t ready = c->ready_at[0] + c->ready_at[1] + c->ready_at[2];

    if (c->ready > ready)
        BROKEN("%llu stages could begin, %llu jobs are ready", N(c->ready), N(ready));
    if (c->leased < c->n_state[JOB_RUNNING])
        BROKEN("%llu leases are counted, %llu jobs run", N(c->leased), N(c->n_state[JOB_RUNNING]));
    if (first && first->timer != 1) BROKEN("the first timer does not know its place");
    if (c->waits[1].n && c->ready && !c->stopping)
        BROKEN("%zu groups wait and %llu stages could begin", c->waits[1].n, N(c->ready));
    return OK;
}

static enum code recount(const struct core *c, struct err *e)
{
    uint64_t *leased = mem_alloc(c->n_users + 1, sizeof *leased), all = 0, jobs = 0;
    uint64_t *ready = mem_alloc(c->n_users + 1, sizeof *ready);
    enum code rc = leased && ready ? OK : err_set(e, ERR_NOMEM, "out of memory");

    for (uint32_t at = 0; !rc;) {
        const struct core_job *j = core_each_job(c, &at);
        if (!j) break;
        for
            EACH_STAGE(k) leased[j->owner] += stage_state(j, k) == STAGE_LEASED;
        ready[j->owner] += j->list == IN_FLOW && flow_at(c, j->flow)->ringed;
    }
    for (size_t i = 1; i <= c->n_users && !rc; i++) {
        const struct core_user *u = core_user(c, (uint32_t)i);
        all += leased[i];
        jobs += u->queued + u->running + u->paused;
        if (u->leased != leased[i] || u->ready != ready[i])
            rc = err_set(e, ERR_CORRUPT,
                         "user %s is counted %llu leases and %llu ready jobs, has %llu and %llu",
                         u->name, N(u->leased), N(u->ready), N(leased[i]), N(ready[i]));
    }
    free(leased);
    free(ready);
    if (rc) return rc;
    if (all != c->leased) BROKEN("%llu leases are counted, %llu are there", N(c->leased), N(all));
    if (jobs != c->n_state[JOB_QUEUED] + c->n_state[JOB_RUNNING] + c->n_state[JOB_PAUSED])
        BROKEN("users are counted %llu jobs, there are others", N(jobs));
    return OK;
}

/* ---- all ---- */

enum code core_check(const struct core *c, struct err *e)
{
    const struct core_job *j;
    uint32_t at = 0;
    enum code rc;

    for (size_t i = 0; i < c->n_lineages; i++)
        if ((rc = check_head(c->lineages[i], e)) || (rc = check_turn(c, c->lineages[i], e)) ||
            (rc = check_order(c, c->lineages[i], e)))
            return rc;
    while ((j = core_each_job(c, &at)))
        if ((rc = check_job(c, j, e)) || (rc = check_commit(c, j, e))) return rc;
    if ((rc = recount(c, e))) return rc;
    return check_counters(c, e);
}

enum code core_check_step(const struct core *c, struct err *e)
{
    enum code rc;

    for (size_t i = 0; i < c->n_touched; i++) {
        const struct core_job *j = job_at(c, c->touched[i]);
        const struct lineage *l = j->id ? lineage_of(c, j) : NULL;
        if (!l) continue;
        if ((rc = check_job(c, j, e)) || (rc = check_commit(c, j, e)) || (rc = check_head(l, e)) ||
            (rc = check_turn(c, l, e)))
            return rc;
    }
    return check_counters(c, e);
}
