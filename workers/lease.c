/* lease.c - heartbeats from the working thread. */
#include "workers/lease.h"
#include "base/pulse.h"

#include <stdio.h>
#include <time.h>

#define BEAT_MS 250 /* also what progress bars see; 1/40 of the shortest term */
#define PULSE_MS 2000

volatile sig_atomic_t lease_leaving;

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void hear(struct lease *l)
{
    struct message answer;
    struct arena_mark mark = arena_mark(&l->arena);
    if (link_hear(l->link, 0, &l->arena, &answer, NULL) == OK) {
        if (answer.kind == MSG_go_on) {
            l->heard_ms = now_ms();
            l->term_ms = (int64_t)answer.go_on.term_ms;
        }
        if (answer.kind == MSG_give_up || answer.kind == MSG_end) l->lost = 1;
    }
    arena_reset(&l->arena, mark);
}

static void beat(struct lease *l, int64_t now)
{
    struct message m = {.kind = MSG_heartbeat,
                        .heartbeat = {.job = l->job,
                                      .stage = l->stage,
                                      .epoch = l->epoch,
                                      .step = (uint64_t)l->step,
                                      .of = (uint64_t)l->of,
                                      .text = l->line}};
    link_tell(l->link, &m, NULL);
    l->told_ms = now;
}

int lease_progress(void *self, int64_t step, int64_t of, const char *line)
{
    struct lease *l = self;
    int64_t now = now_ms();
    l->step = step;
    l->of = of;
    snprintf(l->line, sizeof l->line, "%s", line ? line : "");
    hear(l);
    if (now - l->told_ms >= BEAT_MS) beat(l, now);
    if (now - l->heard_ms > l->term_ms) l->lost = 1; /* somebody else may hold it by now */
    return l->lost || lease_leaving;
}

/* Inside a step. Whether the lease is lost is acted upon at the step's end. */
static void lease_pulse(void *self)
{
    struct lease *l = self;
    int64_t now = now_ms();
    if (now - l->told_ms < PULSE_MS) return;
    hear(l);
    beat(l, now);
}

void lease_begin(struct lease *l, struct link *link, const struct msg_stage *s)
{
    *l = (struct lease){.link = link,
                        .job = s->job,
                        .stage = s->stage,
                        .epoch = s->epoch,
                        .term_ms = (int64_t)s->term_ms};
    l->heard_ms = l->told_ms = now_ms();
    pulse_listen(lease_pulse, l);
}

void lease_end(struct lease *l)
{
    pulse_listen(NULL, NULL);
    arena_fini(&l->arena);
}
