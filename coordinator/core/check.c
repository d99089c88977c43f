/* check.c - the invariants that can be seen in one state, told one by one. The simulation asks after every event, a starting
 * coordinator once. */
#include "coordinator/core/state.h"

#include <string.h>

#define BROKEN(...) return err_set(e, ERR_CORRUPT, __VA_ARGS__)
#define N(x) ((unsigned long long)(x))

static enum code check_chain(const struct core *c, const struct core_lineage *l, struct err *e)
{
    struct hash head = {{0}};

    for (size_t i = 0; i < l->n_commits; i++) {
        const struct core_commit *k = &l->commits[i];
        const struct core_job *j = core_job(c, k->job);
        if (k->number != i + 1 || !hash_equal(k->parent, head))
            BROKEN("invariant 1: commit %zu of %s is not on its parent", i + 1, l->name);
        if (!j || j->kind != JOB_LEARN || j->lineage != l->id || !hash_equal(j->commit, k->hash) ||
            j->commit_number != k->number)
            BROKEN("invariant 2: commit %zu of %s and job %llu do not name each other", i + 1,
                   l->name, N(k->job));
        if (i > 0 && l->commits[i - 1].job >= k->job)
            BROKEN("order: in %s job %llu committed after job %llu", l->name, N(k->job),
                   N(l->commits[i - 1].job));
        head = k->hash;
    }
    if (!hash_equal(head, l->head))
        BROKEN("invariant 1: the head of %s is not its last commit", l->name);
    return OK;
}

static enum code check_turn(const struct core *c, const struct core_lineage *l, struct err *e)
{
    size_t committed = 0;

    for (size_t i = 0; i < l->n_learns; i++) {
        const struct core_job *j = core_job(c, l->learns[i]);
        committed += !hash_is_zero(j->commit);
        if (i < l->turn && !lineage_decided(j))
            BROKEN("order: the turn of %s passed job %llu, which is undecided", l->name, N(j->id));
        if (i == l->turn && lineage_decided(j))
            BROKEN("order: it is the turn of job %llu of %s, which is decided", N(j->id), l->name);
        for (int k = 0; k < j->n_stages && i > l->turn; k++)
            if ((j->stages[k].kind == STAGE_SCORE || j->stages[k].kind == STAGE_TRAIN) &&
                (j->stages[k].state == STAGE_READY || j->stages[k].state == STAGE_LEASED))
                BROKEN("invariant 1: job %llu of %s works before its turn", N(j->id), l->name);
    }
    if (committed != l->n_commits)
        BROKEN("invariant 2: %s has %zu commits by %zu jobs", l->name, l->n_commits, committed);
    return OK;
}

static enum code check_stage(const struct core *c, const struct core_job *j,
                             const struct core_stage *s, struct err *e)
{
    const struct core_lineage *l = core_lineage(c, j->lineage);
    int ended = s->state >= STAGE_DONE;
    int holds = s->kind == STAGE_SCORE || s->kind == STAGE_TRAIN;

    if (s->epoch > c->epoch)
        BROKEN("invariant 5: job %llu has epoch %llu, the newest is %llu", N(j->id), N(s->epoch),
               N(c->epoch));
    if (JOB_ENDED(j->state) && !ended)
        BROKEN("job %llu has ended, its %s has not", N(j->id), proto_stage_kind((uint64_t)s->kind));
    if (s->state == STAGE_LEASED && (!s->epoch || hash_is_zero(s->group) || !s->attempts))
        BROKEN("invariant 5: a lease of job %llu without epoch or group", N(j->id));
    if (holds && s->state == STAGE_LEASED && !hash_equal(j->parent, l->head))
        BROKEN("invariant 1: job %llu works on a parent that is not the head of %s", N(j->id),
               l->name);
    if (s->kind == STAGE_TRAIN && (s->state == STAGE_DONE) != !hash_is_zero(j->commit))
        BROKEN("invariant 2: train of job %llu is %s, its commit is %s", N(j->id),
               proto_stage_state((uint64_t)s->state),
               hash_is_zero(j->commit) ? "not there" : "there");
    if (s->state == STAGE_FAILED && j->state != JOB_FAILED)
        BROKEN("a stage of job %llu failed, the job did not", N(j->id));
    return OK;
}

/* What holds jobs together; stops waiting for ever. */
static enum code check_job(const struct core *c, const struct core_job *j, struct err *e)
{
    int done = 0, leased = 0;
    enum code rc;

    for (int k = 0; k < j->n_stages; k++) {
        if ((rc = check_stage(c, j, &j->stages[k], e))) return rc;
        done += j->stages[k].state == STAGE_DONE;
        leased += j->stages[k].state == STAGE_LEASED;
    }
    if (j->n_stages == 0 || (done == j->n_stages) != (j->state == JOB_DONE))
        BROKEN("job %llu is %s with %d of %d stages done", N(j->id),
               proto_job_state((uint64_t)j->state), done, j->n_stages);
    if ((leased > 0) != (j->state == JOB_RUNNING))
        BROKEN("job %llu is %s with %d leases", N(j->id), proto_job_state((uint64_t)j->state),
               leased);
    return OK;
}

static enum code check_prior(const struct core *c, const struct core_job *j, struct err *e)
{
    const struct core_stage *s = core_stage_of(j, STAGE_PRIOR);
    uint64_t at = s ? map_get(&c->prior_keys, j->prior_key) : 0;

    if (!s || JOB_ENDED(j->state)) return OK;
    if (!at) BROKEN("job %llu waits for class images that nobody knows", N(j->id));
    if (s->state == STAGE_WAITING &&
        (c->priors[at - 1].made || !core_job(c, c->priors[at - 1].maker) ||
         JOB_ENDED(core_job(c, c->priors[at - 1].maker)->state)))
        BROKEN("job %llu waits for class images that nobody makes", N(j->id));
    if ((s->state == STAGE_READY || s->state == STAGE_LEASED) && c->priors[at - 1].maker != j->id)
        BROKEN("two jobs make the class images of job %llu", N(j->id));
    return OK;
}

enum code core_check(const struct core *c, struct err *e)
{
    int leased = 0;
    enum code rc;

    for (size_t i = 0; i < c->n_lineages; i++)
        if ((rc = check_chain(c, c->lineages[i], e)) || (rc = check_turn(c, c->lineages[i], e)))
            return rc;
    for (size_t i = 0; i < c->n_jobs; i++) {
        const struct core_job *j = c->jobs[i];
        if ((rc = check_job(c, j, e)) || (rc = check_prior(c, j, e))) return rc;
        if (j->live != !JOB_ENDED(j->state))
            BROKEN("job %llu is %s and %s the list of live ones", N(j->id),
                   proto_job_state((uint64_t)j->state), j->live ? "in" : "not in");
        for (int k = 0; k < j->n_stages; k++) leased += j->stages[k].state == STAGE_LEASED;
    }
    if (leased != c->leased) BROKEN("%d leases are counted, %d are there", c->leased, leased);
    return OK;
}
