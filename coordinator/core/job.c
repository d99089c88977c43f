/* job.c - a job is its stages in order; its state follows from theirs.
 *
 *   any FAILED -> FAILED     all DONE -> DONE     any LEASED -> RUNNING
 *   any READY that the environment stopped -> PAUSED     else QUEUED     cancelled by who may -> CANCELLED
 */
#include "coordinator/core/state.h"

static uint32_t add(uint32_t stages, enum stage_kind k)
{
    return stages | (uint32_t)STAGE_WAITING << 3 * k;
}

uint32_t job_plan(enum job_kind kind, uint64_t wants)
{
    uint32_t s = 0;

    if (kind == JOB_SAMPLE) return add(s, STAGE_SAMPLE);
    if (kind == JOB_EVALUATE) return add(s, STAGE_EVALUATE);
    if (wants & WANT_PRIOR) s = add(s, STAGE_PRIOR);
    if (wants & WANT_SCORE) s = add(s, STAGE_SCORE);
    s = add(s, STAGE_TRAIN);
    if (wants & WANT_SAMPLE) s = add(s, STAGE_SAMPLE);
    if (wants & WANT_EVALUATE) s = add(s, STAGE_EVALUATE);
    return s;
}

/* ---- what can start ---- */

static int done_or_absent(const struct core_job *j, enum stage_kind k)
{
    return stage_state(j, k) == 0 || stage_state(j, k) == STAGE_DONE;
}

/* Are the inputs of a waiting stage there, and is it its turn? A prior stage is prior.c's business. */
static int may_go(const struct core *c, const struct core_job *j, enum stage_kind k)
{
    switch (k) {
    case STAGE_SCORE: return lineage_is_turn(c, j) && done_or_absent(j, STAGE_PRIOR);
    case STAGE_TRAIN:
        return lineage_is_turn(c, j) && done_or_absent(j, STAGE_PRIOR) &&
               done_or_absent(j, STAGE_SCORE);
    case STAGE_SAMPLE:
    case STAGE_EVALUATE: return j->kind != JOB_LEARN || j->commit_number > 0;
    default: return 0;
    }
}

/* A job that failed after its score and is tried again later may find another head. */
static void redo_score(struct core *c, struct core_job *j)
{
    const struct core_stage *s = stage_of(j, STAGE_SCORE);

    if (s && lineage_is_turn(c, j) && stage_state(j, STAGE_SCORE) == STAGE_DONE &&
        s->chain != lineage_of(c, j)->row.n_commits)
        stage_move(c, j, STAGE_SCORE, STAGE_REDO);
}

void job_advance(struct core *c, struct core_job *j)
{
    if (JOB_ENDED(j->state)) return;
    redo_score(c, j);
    for
        EACH_STAGE(k)
    if (stage_state(j, k) == STAGE_WAITING && may_go(c, j, k)) stage_move(c, j, k, STAGE_GO);
    if (j->prior) prior_settle(c, j);
    fair_list(c, j, 0);
}

/* ---- its state ---- */

static enum job_state state_of(const struct core_job *j)
{
    int open = 0, leased = 0, paused = 0;

    for
        EACH_STAGE(k)
        {
            enum stage_state s = stage_state(j, k);
            const struct core_stage *r = s == STAGE_READY ? stage_of(j, k) : NULL;
            open += s && s != STAGE_DONE;
            leased += s == STAGE_LEASED;
            paused += r && r->pauses > 0;
        }
    return !open ? JOB_DONE : leased ? JOB_RUNNING : paused ? JOB_PAUSED : JOB_QUEUED;
}

void job_set_state(struct core *c, struct core_job *j, enum job_state state)
{
    struct user *u = user_at(c, j->owner);

    jobs_count(c, j, -1);
    if (JOB_ENDED(j->state)) u->row.ended[j->state - JOB_DONE]--;
    j->state = (uint8_t)state;
    if (JOB_ENDED(j->state)) u->row.ended[j->state - JOB_DONE]++;
    jobs_count(c, j, 1);
    core_touch(c, j);
}

void job_refresh(struct core *c, struct core_job *j)
{
    enum job_state now = JOB_ENDED(j->state) ? (enum job_state)j->state : state_of(j);

    if (now == j->state) return;
    if (now == JOB_DONE) {
        job_end(c, j, JOB_DONE, "");
        return;
    }
    job_set_state(c, j, now);
    core_event_row(c, j, EVENT_STATE, NULL, "%s", proto_job_state((uint64_t)now));
}

/* ---- its end ---- */

static void drop_stages(struct core *c, struct core_job *j)
{
    for
        EACH_STAGE(k)
        {
            enum stage_state s = stage_state(j, k);
            if (!s || s >= STAGE_DONE) continue;
            if (s == STAGE_LEASED) stage_of(j, k)->epoch = ++c->clock.epoch;
            stage_move(c, j, k, STAGE_DROP);
        }
}

/* A learn job that ends undecided leaves its lineage to the next, or keeps it. */
static void leave_order(struct core *c, struct core_job *j, enum job_state state)
{
    struct lineage *l = lineage_of(c, j);

    j->flags &= (uint8_t)~JOB_HOLDS;
    if (j->kind != JOB_LEARN || j->commit_number) return;
    if (state == JOB_FAILED && l->row.on_failure == FAILURE_WAIT) {
        j->flags |= JOB_HOLDS;
        return;
    }
    lineage_leave(c, l, j);
    lineage_drop_token(l, j->id);
}

void job_end(struct core *c, struct core_job *j, enum job_state state, const char *line)
{
    assert(JOB_ENDED(state) && (!JOB_ENDED(j->state) || (j->flags & JOB_HOLDS)));
    fair_unlist(c, j);
    drop_stages(c, j);
    j->finished_ms = c->now_ms;
    leave_order(c, j, state);
    job_set_state(c, j, state);
    put_user(c, user_at(c, j->owner));
    core_event_row(c, j, EVENT_STATE, NULL, "%s%s%s", proto_job_state((uint64_t)state),
                   line[0] ? ": " : "", line);
    core_news(c, j, NULL, NEWS_ENDED, NULL);
    prior_leave(c, j);
    if (j->kind == JOB_LEARN) lineage_advance(c, lineage_of(c, j));
}

void job_revive(struct core *c, struct core_job *j)
{
    for
        EACH_STAGE(k)
        {
            struct core_stage *s = stage_of(j, k);
            if (stage_state(j, k) != STAGE_FAILED && stage_state(j, k) != STAGE_DROPPED) continue;
            if (s) s->losses = s->pauses = 0;
            stage_move(c, j, k, STAGE_RETRY);
        }
    j->finished_ms = 0;
    j->flags &= (uint8_t)~JOB_HOLDS;
    job_set_state(c, j, JOB_QUEUED);
    put_user(c, user_at(c, j->owner));
    core_event_row(c, j, EVENT_STATE, NULL, "queued again");
}
