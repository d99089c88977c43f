/* why.c - "why is my job waiting": the one thing that blocks it, named. */
#include "coordinator/server/server.h"

#define N(x) ((unsigned long long)(x))

static const char *stage_name(const struct core_why *w)
{
    return proto_stage_kind((uint64_t)w->stage);
}

static const char *why_ready(const struct core_why *w, const char *line, struct arena *a)
{
    const char *stage = stage_name(w);

    switch (w->reason) {
    case WHY_REVOKED: return arena_printf(a, "%s waits: its owner is revoked", stage);
    case WHY_QUOTA:
        return arena_printf(a, "%s waits: its owner runs as many stages as they may", stage);
    case WHY_STOPPING: return arena_printf(a, "%s waits: the coordinator stops", stage);
    case WHY_NO_GROUP: return arena_printf(a, "%s waits: no worker group is there", stage);
    case WHY_DRAINING: return arena_printf(a, "%s waits: all worker groups are draining", stage);
    default: break;
    }
    if (line[0]) return arena_printf(a, "%s is tried again: %s", stage, line);
    if (w->before == 0) return arena_printf(a, "%s waits for a free worker group", stage);
    return arena_printf(a, "%s waits for a free worker group, about %llu stages come first", stage,
                        N(w->before));
}

static const char *why_waiting(const struct core_why *w, const struct core_job *j, int64_t now_ms,
                               const char *line, struct arena *a)
{
    long long left = (w->at_ms - now_ms + 999) / 1000;

    switch (w->reason) {
    case WHY_HELD: return "held: somebody paused it or its lineage";
    case WHY_TURN:
        if (!w->job || w->job == j->id) return "waits for an earlier stage";
        return arena_printf(a, "waits for job %llu, which comes first in its lineage", N(w->job));
    case WHY_FAILED:
        return arena_printf(a,
                            "waits for job %llu, which failed: its lineage goes on when somebody "
                            "retries or cancels it",
                            N(w->job));
    case WHY_PRIOR:
        return arena_printf(a, "waits for the class images that job %llu makes", N(w->job));
    case WHY_BACK_OFF:
        return arena_printf(a, "%s is tried again in %lld s: %s", stage_name(w), left, line);
    default: return why_ready(w, line, a);
    }
}

/* A copy of our own: lines may be cut to the limit. */
static const char *cut(const char *line, struct arena *a)
{
    char *mine = line ? arena_strdup(a, line) : NULL;
    return mine ? proto_line(mine) : "";
}

const char *why_line(const struct core *c, const struct core_job *j, int64_t now_ms,
                     struct arena *a)
{
    const struct core_stage *s;
    struct core_why w;

    core_why(c, j, &w);
    s = w.stage ? core_stage_of(j, w.stage) : NULL;
    if (w.reason == WHY_NOT) return cut(s && s->text ? s->text : "", a);
    return cut(why_waiting(&w, j, now_ms, s && s->line ? s->line : "", a), a);
}

static const char *how_ended(const struct core_past *p, struct arena *a)
{
    if (p->job.state == JOB_CANCELLED)
        return p->job.kind == JOB_LEARN && p->job.commit_number ? "its commit stays" : "";
    if (p->job.state != JOB_FAILED) return "";
    for (int i = 0; i < p->n_stages; i++) {
        const struct core_stage *s = &p->stage[i];
        if (core_stage_state(&p->job, s->kind) == STAGE_FAILED)
            return cut(arena_printf(a, "%s: %s", proto_stage_kind((uint64_t)s->kind),
                                    s->line && s->line[0] ? s->line : "failed"),
                       a);
    }
    return "failed";
}

const char *why_ended(const struct core_past *p, struct arena *a)
{
    const char *how = how_ended(p, a);

    if (!(p->job.flags & JOB_FORGOTTEN)) return how;
    return cut(arena_printf(a, "%s%sforgotten: its photos, pictures and prompts were removed", how,
                            *how ? "; " : ""),
               a);
}
