/* why.c - "why is my job waiting": the one thing that blocks it, named. */
#include "coordinator/server/server.h"

#include <string.h>

#define N(x) ((unsigned long long)(x))

static const char *why_failed(const struct core_job *j, struct arena *a)
{
    for (int i = 0; i < j->n_stages; i++) {
        const struct core_stage *s = &j->stages[i];
        if (s->state == STAGE_FAILED)
            return arena_printf(a, "%s: %s", proto_stage_kind((uint64_t)s->kind),
                                s->line ? s->line : "failed");
    }
    return "failed";
}

static uint64_t whose_turn(const struct core *c, const struct core_job *j)
{
    const struct core_lineage *l = core_lineage(c, j->lineage);
    return l->turn < l->n_learns ? l->learns[l->turn] : 0;
}

/* The job that makes the class images this one waits for. */
static uint64_t prior_maker(const struct core *c, const struct core_job *j)
{
    for (uint64_t id = 1; id <= core_last_job(c); id++) {
        const struct core_job *k = core_job(c, id);
        const struct core_stage *s = core_stage_of(k, STAGE_PRIOR);
        if (k != j && s && hash_equal(k->prior_key, j->prior_key) &&
            (s->state == STAGE_READY || s->state == STAGE_LEASED))
            return id;
    }
    return 0;
}

static const char *why_waiting(const struct core *c, const struct core_job *j,
                               const struct core_stage *s, struct arena *a)
{
    uint64_t turn = whose_turn(c, j);

    if (s->kind == STAGE_PRIOR)
        return arena_printf(a, "waits for the class images that job %llu makes",
                            N(prior_maker(c, j)));
    if (turn && turn != j->id)
        return arena_printf(a, "waits for job %llu, which comes first in its lineage", N(turn));
    return "waits for an earlier stage";
}

static const char *why_ready(const struct core *c, const struct core_stage *s, int64_t now_ms,
                             struct arena *a)
{
    long long left = (s->not_before_ms - now_ms + 999) / 1000;
    const char *stage = proto_stage_kind((uint64_t)s->kind), *line = s->line ? s->line : "";
    size_t groups;

    core_groups(c, &groups);
    if (s->not_before_ms > now_ms)
        return arena_printf(a, "%s is tried again in %lld s: %s", stage, left, line);
    if (line[0]) return arena_printf(a, "%s is tried again: %s", stage, line);
    return groups ? arena_printf(a, "%s waits for a free worker group", stage)
                  : arena_printf(a, "%s waits: no worker group is there", stage);
}

const char *why_line(const struct core *c, const struct core_job *j, int64_t now_ms,
                     struct arena *a)
{
    const struct core_stage *s = core_stage_now(j);
    const char *line;

    if (j->state == JOB_FAILED) line = why_failed(j, a);
    else if (j->state == JOB_CANCELLED)
        line = j->kind == JOB_LEARN && !hash_is_zero(j->commit) ? "its commit stays" : "";
    else if (!s) line = "";
    else if (s->state == STAGE_LEASED) line = s->text ? s->text : "";
    else if (s->state == STAGE_READY) line = why_ready(c, s, now_ms, a);
    else line = why_waiting(c, j, s, a);
    /* A copy of our own: lines may be cut to the limit. */
    char *mine = line ? arena_strdup(a, line) : NULL;
    return mine ? proto_line(mine) : "";
}
