/* group.c - worker groups: who is there, who waits for work, who still holds a lease.
 *
 * A group is its nonce. The table here is memory only; what must survive (which group holds which lease under which epoch)
 * stands in the stage. A group that the table does not know is asked `who`; nothing is lost by that.
 */
#include "coordinator/core/state.h"

#include <stdio.h>
#include <string.h>

enum { FORGET_MS = 60000 }; /* a group silent for so long without a lease has left the table */

static struct core_group *find(struct core *c, struct hash nonce)
{
    for (size_t i = 0; i < c->n_groups; i++)
        if (hash_equal(c->groups[i].nonce, nonce)) return &c->groups[i];
    return NULL;
}

static struct core_stage *held_by(struct core *c, struct hash nonce, struct core_job **job)
{
    for (struct core_job *j = c->leased ? c->first_live : NULL; j; j = j->next_live)
        for (int k = 0; k < j->n_stages; k++)
            if (j->stages[k].state == STAGE_LEASED && hash_equal(j->stages[k].group, nonce)) {
                *job = j;
                return &j->stages[k];
            }
    return NULL;
}

static void answer(struct core *c, struct message m)
{
    core_answer(c, c->ev->from, m);
}

static void go_on(struct core *c)
{
    answer(c, (struct message){.kind = MSG_go_on, .go_on.term_ms = (uint64_t)c->settings.term_ms});
}

static void give_up(struct core *c, enum code code, const char *why)
{
    answer(c,
           (struct message){.kind = MSG_give_up, .give_up = {.code = (uint64_t)code, .why = why}});
}

/* The known group of a message, or `who` as the answer and NULL. */
static struct core_group *known(struct core *c, const struct core_event *ev)
{
    struct core_group *g = find(c, ev->group);

    if (g) g->seen_ms = c->now_ms;
    else answer(c, (struct message){.kind = MSG_who, .who.line = "hello?"});
    return g;
}

/* ---- hello ---- */

static void copy_name(char to[PROTO_NAME + 1], const char *from)
{
    snprintf(to, PROTO_NAME + 1, "%s", from);
}

void group_hello(struct core *c, const struct core_event *ev)
{
    const struct msg_worker_hello *h = &ev->message->worker_hello;
    struct core_group *g = find(c, h->nonce);

    if (!hash_equal(h->nonce, ev->group)) {
        core_refuse(c, ERR_PROTOCOL, "worker_hello: the nonce is not the one of the connection");
        return;
    }
    if (!g) {
        if (!core_grow(c, &c->groups, &c->groups_room, c->n_groups, sizeof *c->groups)) return;
        g = &c->groups[c->n_groups++];
        memset(g, 0, sizeof *g);
        g->nonce = h->nonce;
    }
    copy_name(g->name, h->name);
    copy_name(g->host, h->host);
    copy_name(g->device, h->device);
    g->ranks = h->ranks;
    g->pid = h->pid;
    g->seen_ms = c->now_ms;
    go_on(c);
}

/* ---- work ---- */

static void give(struct core *c, struct core_address to, const struct core_job *j,
                 const struct core_stage *s)
{
    struct core_actions *a = c->out;

    if (!core_grow(c, &a->tells, &a->tells_room, a->n_tells, sizeof *a->tells)) return;
    a->tells[a->n_tells++] = (struct core_tell){
        .type = TELL_STAGE, .to = to, .job = j->id, .epoch = s->epoch, .stage = s->kind};
}

void group_ready(struct core *c, const struct core_event *ev)
{
    struct core_group *g = known(c, ev);
    struct core_job *j;
    struct core_stage *s;

    if (!g) return;
    g->parked = 0;
    if ((s = held_by(c, g->nonce,
                     &j))) { /* the answer was lost: the same again, under the same epoch */
        s->deadline_ms = c->now_ms + c->settings.term_ms;
        give(c, ev->from, j, s);
        return;
    }
    if (c->stopping) {
        answer(c, (struct message){.kind = MSG_end, .end.why = "the coordinator stops"});
        return;
    }
    g->parked = 1;
    g->parked_at = ev->from;
    g->parked_until_ms = c->now_ms + c->settings.poll_ms;
}

void group_assign(struct core *c)
{
    for (size_t i = 0; i < c->n_groups && !c->stopping; i++) {
        struct core_group *g = &c->groups[i];
        struct core_job *j;
        struct core_stage *s;
        if (!g->parked) continue;
        if (!(s = fair_choose(c, &j))) return;
        g->parked = 0;
        fair_granted(c, j, s);
        stage_grant(c, j, s, g->nonce);
        give(c, g->parked_at, j, s);
    }
}

void group_tick(struct core *c)
{
    struct core_job *j;

    for (size_t i = 0; i < c->n_groups;) {
        struct core_group *g = &c->groups[i];
        if (g->parked && c->stopping) {
            g->parked = 0;
            core_answer(c, g->parked_at,
                        (struct message){.kind = MSG_end, .end.why = "the coordinator stops"});
        } else if (g->parked && g->parked_until_ms <= c->now_ms) {
            g->parked = 0;
            core_answer(c, g->parked_at, (struct message){.kind = MSG_idle});
        }
        if (c->now_ms - g->seen_ms > FORGET_MS && !g->parked && !held_by(c, g->nonce, &j))
            *g = c->groups[--c->n_groups];
        else i++;
    }
}

/* ---- lease ---- */

/* The leased stage that a message speaks of, under its newest epoch; NULL: stale. *said: it was a result, heard before. */
static struct core_stage *fenced(struct core *c, const struct core_event *ev, uint64_t job,
                                 uint64_t kind, uint64_t epoch, struct core_job **j, int *said)
{
    struct core_stage *s;

    *said = 0;
    *j = core_find_job(c, job);
    s = *j ? stage_of(*j, (enum stage_kind)kind) : NULL;
    if (!s || !epoch || s->epoch != epoch) return NULL;
    if (s->state != STAGE_LEASED) {
        *said = 1;
        return NULL;
    }
    return hash_equal(s->group, ev->group) ? s : NULL;
}

static void stale(struct core *c, const struct core_job *j)
{
    if (j && j->state == JOB_CANCELLED) give_up(c, ERR_CANCELLED, "the job was cancelled");
    else give_up(c, ERR_STALE, "the lease was lost");
}

void group_heartbeat(struct core *c, const struct core_event *ev)
{
    const struct msg_heartbeat *b = &ev->message->heartbeat;
    struct core_group *g = known(c, ev);
    struct core_stage *s;
    struct core_job *j;
    int said;

    if (!g) return;
    s = fenced(c, ev, b->job, b->stage, b->epoch, &j, &said);
    if (!s) {
        stale(c, j);
    } else if (c->stopping && !c->drain) {
        stage_release(c, j, s);
        give_up(c, ERR_CANCELLED, "the coordinator stops; the stage goes on when it is back");
    } else {
        stage_beat(c, j, s, b);
        go_on(c);
    }
}

void group_result(struct core *c, const struct core_event *ev)
{
    const struct msg_result *r = &ev->message->result;
    struct core_group *g = known(c, ev);
    struct core_stage *s;
    struct core_job *j;
    int said;

    if (!g) return;
    s = fenced(c, ev, r->job, r->stage, r->epoch, &j, &said);
    if (s) stage_result(c, j, s, ev->message);
    if (s || said) core_done(c, "");
    else stale(c, j);
}

void group_lost(struct core *c, struct hash nonce)
{
    struct core_group *g = find(c, nonce);
    struct core_stage *s;
    struct core_job *j;
    char why[PROTO_LINE + 1];

    if ((s = held_by(c, nonce, &j))) {
        snprintf(why, sizeof why, "worker group %s died", g ? g->name : "(unknown)");
        stage_lose(c, j, s, proto_line(why));
    }
    if (g) *g = c->groups[--c->n_groups];
}
