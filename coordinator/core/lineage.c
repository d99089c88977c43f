/* lineage.c - order. A lineage's learn jobs are decided one after the other, as they were submitted: a job is decided when it
 * has committed or has ended without. learns[turn] is the first that is not; only it may score and train.
 * A job that failed is skipped: the next one learns on the same head.
 */
#include "coordinator/core/state.h"

int lineage_decided(const struct core_job *j)
{
    return JOB_ENDED(j->state) || !hash_is_zero(j->commit);
}

int lineage_is_turn(const struct core *c, const struct core_job *j)
{
    const struct core_lineage *l = core_lineage(c, j->lineage);
    return l->turn < l->n_learns && l->learns[l->turn] == j->id;
}

/* Decisions can come in any order (a waiting job may be cancelled), the turn passes over all that are there. */
void lineage_advance(struct core *c, struct core_lineage *l)
{
    while (l->turn < l->n_learns && lineage_decided(core_job(c, l->learns[l->turn]))) l->turn++;
    if (l->turn < l->n_learns) job_advance(c, core_find_job(c, l->learns[l->turn]));
}

int lineage_add_learn(struct core *c, struct core_lineage *l, uint64_t job)
{
    if (!core_grow(c, &l->learns, &l->learns_room, l->n_learns, sizeof *l->learns)) return 0;
    l->learns[l->n_learns++] = job;
    return 1;
}

int lineage_append(struct core *c, struct core_lineage *l, struct core_commit commit)
{
    if (!core_grow(c, &l->commits, &l->commits_room, l->n_commits, sizeof *l->commits)) return 0;
    l->commits[l->n_commits++] = commit;
    l->head = commit.hash;
    return 1;
}

const struct core_commit *lineage_find(const struct core_lineage *l, struct hash commit)
{
    for (size_t i = l->n_commits; i > 0; i--)
        if (hash_equal(l->commits[i - 1].hash, commit)) return &l->commits[i - 1];
    return NULL;
}

enum code lineage_commit(struct core *c, struct core_job *j, struct hash commit, double seconds,
                         struct err *e)
{
    struct core_lineage *l = c->lineages[j->lineage - 1];
    const struct core_stage *score = core_stage_of(j, STAGE_SCORE);
    struct core_commit row = {.hash = commit,
                              .parent = l->head,
                              .number = l->n_commits + 1,
                              .job = j->id,
                              .committed_ms = c->now_ms,
                              .seconds = seconds + (score ? score->seconds : 0)};

    assert(lineage_is_turn(c, j) && hash_is_zero(j->commit));  /* invariant 2 */
    assert(j->parent_known && hash_equal(j->parent, l->head)); /* invariant 1 */
    if (lineage_find(l, commit))
        return err_set(e, ERR_INTERNAL, "train gave a commit that the lineage has already");
    if (!lineage_append(c, l, row)) return err_set(e, ERR_NOMEM, "out of memory");
    j->commit = commit;
    j->commit_number = row.number;
    core_touch(c, j);
    core_put_commit(c, l, row);
    lineage_advance(c, l);
    return OK;
}
