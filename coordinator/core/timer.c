/* timer.c - what happens by itself: leases that run out, back-offs that end. A binary heap of stages by when; each knows its
 * place, so that a heartbeat moves one entry. */
#include "coordinator/core/state.h"

static int64_t when(const struct core_stage *s)
{
    return s->deadline_ms ? s->deadline_ms : s->not_before_ms;
}

static int sooner(const struct core_stage *a, const struct core_stage *b)
{
    return when(a) < when(b) || (when(a) == when(b) && a->epoch < b->epoch);
}

static void put(struct core *c, size_t i, struct core_stage *s)
{
    c->timers[i] = s;
    s->timer = i + 1;
}

static void sift(struct core *c, size_t i, struct core_stage *s)
{
    for (; i && sooner(s, c->timers[(i - 1) / 2]); i = (i - 1) / 2)
        put(c, i, c->timers[(i - 1) / 2]);
    for (size_t k; (k = 2 * i + 1) < c->n_timers; i = k) {
        if (k + 1 < c->n_timers && sooner(c->timers[k + 1], c->timers[k])) k++;
        if (!sooner(c->timers[k], s)) break;
        put(c, i, c->timers[k]);
    }
    put(c, i, s);
}

static void take_out(struct core *c, struct core_stage *s)
{
    size_t i = s->timer - 1;
    struct core_stage *last = c->timers[--c->n_timers];

    s->timer = 0;
    if (last != s) sift(c, i, last);
}

void timer_set(struct core *c, struct core_stage *s)
{
    if (!when(s)) {
        if (s->timer) take_out(c, s);
        return;
    }
    if (!s->timer) {
        if (!core_grow(c, &c->timers, &c->timers_room, c->n_timers, sizeof(struct core_stage *)))
            return;
        put(c, c->n_timers++, s);
    }
    sift(c, s->timer - 1, s);
}

int64_t timer_next(const struct core *c)
{
    return c->n_timers ? when(c->timers[0]) : INT64_MAX;
}

struct core_stage *timer_due(struct core *c)
{
    return c->n_timers && when(c->timers[0]) <= c->now_ms ? c->timers[0] : NULL;
}
