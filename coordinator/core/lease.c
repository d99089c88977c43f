/* lease.c - what a group says about the stage that it was given: is it heard (invariant 5), and what follows. Only the newest epoch
 * of a stage counts, and only from the group that holds it; a result that was heard before is answered as it was.
 */
#include "coordinator/core/state.h"

#include <stdio.h>

static void give_up(struct core *c, enum code code, const char *why)
{
    core_answer(
        c, c->ev->from,
        (struct message){.kind = MSG_give_up, .give_up = {.code = (uint64_t)code, .why = why}});
}

/* What a message about a stage is worth. */
enum standing { CURRENT, SAID_BEFORE, STALE, CANCELLED };

static enum standing of_the_past(const struct core_past *p, enum stage_kind k, uint64_t epoch)
{
    if (!p) return STALE;
    for (int i = 0; i < p->n_stages; i++) {
        enum stage_state s = stage_state(&p->job, k);
        if (p->stage[i].kind == k && p->stage[i].epoch == epoch &&
            (s == STAGE_DONE || s == STAGE_FAILED))
            return SAID_BEFORE;
    }
    return p->job.state == JOB_CANCELLED ? CANCELLED : STALE;
}

static enum standing fenced(struct core *c, const struct core_event *ev, uint64_t job,
                            uint64_t kind, uint64_t epoch, struct core_job **j,
                            struct core_stage **s)
{
    enum stage_kind k = kind < STAGE_KINDS ? (enum stage_kind)kind : (enum stage_kind)0;

    *j = jobs_find(c, job);
    *s = *j ? stage_of(*j, k) : NULL;
    if (!*j) return of_the_past(ev->past, k, epoch);
    if (*s && epoch && (*s)->epoch == epoch) {
        enum stage_state now = stage_state(*j, k);
        if (now == STAGE_LEASED) return hash_equal((*s)->group, ev->group) ? CURRENT : STALE;
        return SAID_BEFORE;
    }
    return (*j)->state == JOB_CANCELLED ? CANCELLED : STALE;
}

static void stale(struct core *c, enum standing w)
{
    if (w == CANCELLED) give_up(c, ERR_CANCELLED, "the job was cancelled");
    else give_up(c, ERR_STALE, "the lease was lost");
}

void group_heartbeat(struct core *c, const struct core_event *ev)
{
    const struct msg_heartbeat *b = &ev->message->heartbeat;
    struct core_stage *s;
    struct core_job *j;
    enum standing w;

    if (!group_known(c, ev)) return;
    w = fenced(c, ev, b->job, b->stage, b->epoch, &j, &s);
    if (w != CURRENT) {
        stale(c, w);
    } else if (c->stopping && !c->drain) {
        stage_release(c, j, s);
        give_up(c, ERR_CANCELLED, "the coordinator stops; the stage goes on when it is back");
    } else {
        stage_beat(c, j, s, b);
        group_go_on(c);
    }
}

void group_result(struct core *c, const struct core_event *ev)
{
    const struct msg_result *r = &ev->message->result;
    struct core_stage *s;
    struct core_job *j;
    enum standing w;

    if (!group_known(c, ev)) return;
    w = fenced(c, ev, r->job, r->stage, r->epoch, &j, &s);
    if (w == CURRENT) stage_result(c, j, s, ev->message);
    if (w == CURRENT || w == SAID_BEFORE) core_done(c, "");
    else stale(c, w);
}

void group_lost(struct core *c, struct hash nonce)
{
    struct group *g = group_find(c, nonce);
    struct core_stage *s;
    struct core_job *j;
    char why[PROTO_LINE + 1];

    if (!g) return;
    if (g->row.lease) {
        j = jobs_find(c, g->row.lease->job);
        s = stage_of(j, g->row.lease->kind);
        snprintf(why, sizeof why, "worker group %s died", g->row.known ? g->row.name : "(unknown)");
        stage_lose(c, j, s, proto_line(why));
    }
    group_remove(c, g);
}
