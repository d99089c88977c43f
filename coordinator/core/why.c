/* why.c - why a job does not run, and when it may. Each reason is known without looking at other jobs but those that its
 * lineage orders before it; the estimate is what the stages that ended so far took, and honest about the rest. */
#include "coordinator/core/state.h"

static double mean_of(const struct core *c, enum stage_kind k)
{
    return c->mean_ms[k];
}

/* How long a learn job holds its lineage. 0: nothing of the kind has been seen. */
static double turn_ms(const struct core *c)
{
    return mean_of(c, STAGE_SCORE) + mean_of(c, STAGE_TRAIN);
}

/* Left of the stage that runs, by its own pace, else by the mean. */
static double left_ms(const struct core *c, const struct core_stage *s)
{
    double spent = (double)(c->now_ms - s->granted_ms), all = mean_of(c, s->kind);

    if (s->of > s->step && s->step > s->first_step && s->first_ms)
        return (double)(c->now_ms - s->first_ms) / (double)(s->step - s->first_step) *
               (double)(s->of - s->step);
    return all > spent ? all - spent : 0;
}

static int64_t groups_at_work(const struct core *c)
{
    return (int64_t)(c->known_groups - c->draining_groups);
}

/* ---- reasons ---- */

static void why_turn(const struct core *c, const struct core_job *j, struct core_why *w)
{
    const struct core_job *t = job_at(c, lineage_of(c, j)->row.first);
    const struct core_stage *s;
    enum stage_kind k = core_stage_now(t);

    *w = (struct core_why){.reason = WHY_TURN,
                           .stage = w->stage,
                           .job = t->id,
                           .before = core_before(c, j),
                           .starts_in_ms = -1};
    if (JOB_ENDED(t->state)) {
        w->reason = WHY_FAILED;
        return;
    }
    if (turn_ms(c) <= 0 || groups_at_work(c) == 0) return;
    w->starts_in_ms = (int64_t)((double)(w->before - 1) * turn_ms(c));
    s = stage_state(t, k) == STAGE_LEASED ? stage_of(t, k) : NULL;
    w->starts_in_ms += (int64_t)(s ? left_ms(c, s) : turn_ms(c));
}

static void why_prior(const struct core *c, const struct core_job *j, struct core_why *w)
{
    const struct prior *p = prior_at(c, j->prior);
    const struct core_job *m = p->row.maker ? jobs_find(c, p->row.maker) : NULL;
    const struct core_stage *s = m ? stage_of(m, STAGE_PRIOR) : NULL;

    w->reason = WHY_PRIOR;
    w->job = p->row.maker;
    if (s && stage_state(m, STAGE_PRIOR) == STAGE_LEASED) w->starts_in_ms = (int64_t)left_ms(c, s);
}

/* Those of higher priority, then its place in its flow as often as users and lineages share with it. */
static uint64_t stages_before(const struct core *c, const struct core_job *j)
{
    static const uint8_t rank[PRIORITIES] = {
        [PRIORITY_HIGH] = 0, [PRIORITY_NORMAL] = 1, [PRIORITY_LOW] = 2};
    const struct flow *f = flow_at(c, j->flow);
    uint64_t higher = 0, place, beside;

    for (int p = 0; p < PRIORITIES; p++)
        if (rank[p] < rank[j->priority]) higher += c->ready_at[p];
    place = f ? (uint64_t)(uint32_t)(j->ticket - job_at(c, f->first)->ticket) : 0;
    beside = c->ready_at[j->priority] ? c->ready_at[j->priority] - 1 : 0;
    place *= c->n_heap[j->priority] ? c->n_heap[j->priority] : 1;
    return higher + (place < beside ? place : beside);
}

static void why_ready(const struct core *c, const struct core_job *j, struct core_why *w)
{
    const struct user *u = user_at(c, j->owner);
    int64_t groups = groups_at_work(c);

    if (u->row.revoked) w->reason = WHY_REVOKED;
    else if (c->stopping) w->reason = WHY_STOPPING;
    else if (!c->known_groups) w->reason = WHY_NO_GROUP;
    else if (!groups) w->reason = WHY_DRAINING;
    else if (u->row.max_running && u->row.leased >= u->row.max_running) w->reason = WHY_QUOTA;
    else {
        w->reason = WHY_SHARE;
        w->before = stages_before(c, j);
        if (mean_of(c, w->stage) > 0)
            w->starts_in_ms = (int64_t)((double)(w->before + 1) * mean_of(c, w->stage)) / groups;
    }
}

void core_why(const struct core *c, const struct core_job *j, struct core_why *w)
{
    const struct core_stage *s;

    *w = (struct core_why){.stage = core_stage_now(j), .starts_in_ms = -1};
    if (JOB_ENDED(j->state) || !w->stage) return;
    s = stage_of(j, w->stage);
    switch (stage_state(j, w->stage)) {
    case STAGE_LEASED: w->starts_in_ms = 0; return;
    case STAGE_READY:
        if (core_job_held(c, j)) w->reason = WHY_HELD;
        else if (s && s->not_before_ms) {
            w->reason = WHY_BACK_OFF;
            w->at_ms = s->not_before_ms;
            w->starts_in_ms = s->not_before_ms > c->now_ms ? s->not_before_ms - c->now_ms : 0;
        } else why_ready(c, j, w);
        return;
    default:
        if (core_job_held(c, j)) w->reason = WHY_HELD;
        else if (j->kind == JOB_LEARN && !j->commit_number && !lineage_is_turn(c, j))
            why_turn(c, j, w);
        else if (w->stage == STAGE_PRIOR) why_prior(c, j, w);
        else w->reason = WHY_TURN;
    }
}
