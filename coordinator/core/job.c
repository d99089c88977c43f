/* job.c - a job is its stages in order; its state follows from theirs.
 *
 *   any FAILED -> FAILED     all DONE -> DONE     any LEASED -> RUNNING
 *   any READY that the environment stopped -> PAUSED     else QUEUED     cancelled by its owner -> CANCELLED
 */
#include "coordinator/core/state.h"

#include <stdlib.h>
#include <string.h>

static void add_stage(struct core_job *j, enum stage_kind kind)
{
    assert(j->n_stages < CORE_STAGES);
    j->stages[j->n_stages++] =
        (struct core_stage){.kind = kind, .state = STAGE_WAITING, .dirty = 1};
}

void job_plan(struct core_job *j, uint64_t wants)
{
    switch (j->kind) {
    case JOB_LEARN:
        if (wants & WANT_PRIOR) add_stage(j, STAGE_PRIOR);
        if (wants & WANT_SCORE) add_stage(j, STAGE_SCORE);
        add_stage(j, STAGE_TRAIN);
        if (wants & WANT_SAMPLE) add_stage(j, STAGE_SAMPLE);
        if (wants & WANT_EVALUATE) add_stage(j, STAGE_EVALUATE);
        break;
    case JOB_SAMPLE: add_stage(j, STAGE_SAMPLE); break;
    case JOB_EVALUATE: add_stage(j, STAGE_EVALUATE); break;
    }
}

int job_is_live(const struct core_job *j)
{
    return !JOB_ENDED(j->state);
}

static int done_or_absent(struct core_job *j, enum stage_kind kind)
{
    const struct core_stage *s = stage_of(j, kind);
    return !s || s->state == STAGE_DONE;
}

/* Are the inputs of a waiting stage there, and is it its turn? A prior stage is prior.c's business. */
static int may_go(struct core *c, struct core_job *j, enum stage_kind kind)
{
    switch (kind) {
    case STAGE_SCORE: return lineage_is_turn(c, j) && done_or_absent(j, STAGE_PRIOR);
    case STAGE_TRAIN:
        return lineage_is_turn(c, j) && done_or_absent(j, STAGE_PRIOR) &&
               done_or_absent(j, STAGE_SCORE);
    case STAGE_SAMPLE:
    case STAGE_EVALUATE: return j->kind != JOB_LEARN || !hash_is_zero(j->commit);
    default: return 0;
    }
}

void job_advance(struct core *c, struct core_job *j)
{
    if (!job_is_live(j)) return;
    for (int i = 0; i < j->n_stages; i++)
        if (j->stages[i].state == STAGE_WAITING && may_go(c, j, j->stages[i].kind))
            stage_move(c, j, &j->stages[i], STAGE_GO);
}

static enum job_state state_of(const struct core_job *j)
{
    int done = 0, leased = 0, paused = 0;

    for (int i = 0; i < j->n_stages; i++) {
        const struct core_stage *s = &j->stages[i];
        done += s->state == STAGE_DONE;
        leased += s->state == STAGE_LEASED;
        paused += s->state == STAGE_READY && s->pauses > 0;
    }
    return done == j->n_stages ? JOB_DONE : leased ? JOB_RUNNING : paused ? JOB_PAUSED : JOB_QUEUED;
}

void job_refresh(struct core *c, struct core_job *j)
{
    enum job_state now = job_is_live(j) ? state_of(j) : j->state;

    if (now == j->state) return;
    if (now == JOB_DONE) {
        job_end(c, j, JOB_DONE, "");
        return;
    }
    j->state = now;
    core_touch(c, j);
    core_event_row(c, j, EVENT_STATE, NULL, "%s", proto_job_state((uint64_t)now));
}

static void leave_live(struct core *c, struct core_job *j)
{
    if (!j->live) return;
    j->live = 0;
    *(j->prev_live ? &j->prev_live->next_live : &c->first_live) = j->next_live;
    *(j->next_live ? &j->next_live->prev_live : &c->last_live) = j->prev_live;
    /* next_live stays: a walk over the live jobs that stands here goes on. */
}

void job_end(struct core *c, struct core_job *j, enum job_state state, const char *line)
{
    assert(job_is_live(j) && JOB_ENDED(state));
    j->state = state;
    j->finished_ms = c->now_ms;
    for (int i = 0; i < j->n_stages; i++) {
        struct core_stage *s = &j->stages[i];
        if (s->state >= STAGE_DONE) continue;
        if (s->state == STAGE_LEASED) s->epoch = ++c->epoch;
        stage_move(c, j, s, STAGE_DROP);
    }
    leave_live(c, j);
    core_touch(c, j);
    core_event_row(c, j, EVENT_STATE, NULL, "%s%s%s", proto_job_state((uint64_t)state),
                   line[0] ? ": " : "", line);
    prior_left(c, j);
    if (j->kind == JOB_LEARN) lineage_advance(c, c->lineages[j->lineage - 1]);
}
