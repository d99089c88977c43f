/* operate.c - what users and admins do to what is there: cancel, retry, pause, drain, forget, stop. Each may be said again:
 * the second time changes nothing and is answered in the same way. What an admin does, and what cannot be undone, is
 * written down (audit). */
#include "coordinator/core/state.h"

#define N(x) ((unsigned long long)(x))

/* ---- the job that is meant ---- */

struct target {
    struct core_job *j;         /* kept; NULL: it has ended */
    const struct core_job *row; /* j, or as the store has it */
};

/* 0: told no. */
static int find(struct core *c, const struct core_event *ev, uint64_t id, struct target *t)
{
    t->j = jobs_find(c, id);
    t->row = t->j ? t->j : ev->past ? &ev->past->job : NULL;
    if (!t->row) core_refuse(c, ERR_NOT_FOUND, "there is no job %llu", N(id));
    else if (!user_owns(c, t->row->owner))
        core_refuse(c, ERR_DENIED, "job %llu belongs to %s", N(id),
                    user_at(c, t->row->owner)->row.name);
    else return 1;
    return 0;
}

static void refuse_ended(struct core *c, const struct core_job *row)
{
    core_refuse(c, ERR_INPUT, "job %llu has ended already: %s", N(row->id),
                proto_job_state(row->state));
}

/* ---- cancel ---- */

void operate_cancel(struct core *c, const struct core_event *ev)
{
    struct target t;
    const char *line;

    if (!find(c, ev, ev->message->cancel.job, &t)) return;
    if (t.row->state == JOB_CANCELLED) {
        core_done(c, "");
        return;
    }
    if (!t.j || (JOB_ENDED(t.j->state) && !(t.j->flags & JOB_HOLDS))) {
        refuse_ended(c, t.row);
        return;
    }
    line = t.j->kind == JOB_LEARN && t.j->commit_number ? "its commit stays" : "";
    job_end(c, t.j, JOB_CANCELLED, line);
    core_audit(c, "cancel job %llu", N(t.row->id));
    core_done(c, line);
}

/* ---- retry ---- */

/* It comes back from the store with the stages that had a lease. */
static struct core_job *bring_back(struct core *c, const struct core_past *past)
{
    struct core_job marked = past->job, *j;

    marked.flags |= JOB_MARKED;
    j = jobs_add(c, &marked);
    for (int i = 0; j && i < past->n_stages; i++) {
        const struct core_stage *row = &past->stage[i];
        struct core_stage *s = stage_record(c, j, row->kind);
        if (!s) return NULL;
        s->epoch = row->epoch;
        s->attempts = row->attempts;
        s->best_step = row->best_step;
        s->chain = row->chain;
        s->granted_ms = row->granted_ms;
        s->seconds = row->seconds;
        s->line = row->line && row->line[0] ? core_own(c, row->line) : NULL;
    }
    return j;
}

/* A place in the lineage and the token, which another job may have taken since. */
static int may_enter(struct core *c, const struct lineage *l, const char *token, uint64_t id)
{
    uint64_t holder = lineage_token(c, l, token);

    if (holder && holder != id)
        core_refuse(c, ERR_EXISTS, "token %s of job %llu was taken in %s by job %llu since", token,
                    N(id), l->row.name, N(holder));
    else if (l->row.n_commits + l->row.n_undecided >= PROTO_CHAIN)
        core_refuse(c, ERR_INPUT, "lineage %s has %zu concepts, learned or waiting; at most %d",
                    l->row.name, l->row.n_commits + l->row.n_undecided, PROTO_CHAIN);
    else return 1;
    return 0;
}

static int may_retry(struct core *c, const struct core_event *ev, const struct target *t)
{
    const struct core_user *u = core_user(c, t->row->owner);
    int open = t->row->kind == JOB_LEARN && !t->row->commit_number;

    if (t->row->state == JOB_DONE) core_refuse(c, ERR_INPUT, "job %llu is done", N(t->row->id));
    else if (t->row->flags & JOB_FORGOTTEN)
        core_refuse(c, ERR_INPUT, "job %llu is forgotten: its photos and prompts are gone",
                    N(t->row->id));
    else if (u->max_queued && u->queued + u->running + u->paused >= u->max_queued)
        core_refuse(c, ERR_DENIED, "user %s has as many jobs as they may: %llu", u->name,
                    N(u->max_queued));
    else if (!t->j || !open || (t->row->flags & JOB_HOLDS))
        return !open || (t->row->flags & JOB_HOLDS) ||
               may_enter(c, lineage_of(c, t->row), ev->past->token, t->row->id);
    else /* it ended a moment ago and is not durable yet */
        core_refuse(c, ERR_AGAIN, "job %llu has ended just now: ask again", N(t->row->id));
    return 0;
}

static void enter_again(struct core *c, struct core_job *j, const char *token)
{
    struct lineage *l = lineage_of(c, j);
    uint64_t by_id = c->clock.job << 20;

    c->last_place = c->last_place + 1 > by_id + 1 ? c->last_place + 1 : by_id + 1;
    j->place = c->last_place;
    lineage_take_token(c, l, token, j->id);
    lineage_enter(c, l, j);
}

void operate_retry(struct core *c, const struct core_event *ev)
{
    struct target t;
    int held;

    if (!find(c, ev, ev->message->retry.job, &t)) return;
    if (!JOB_ENDED(t.row->state)) {
        core_done(c, "it has not ended");
        return;
    }
    if (!may_retry(c, ev, &t)) return;
    held = (t.row->flags & JOB_HOLDS) != 0;
    if (!t.j && !(t.j = bring_back(c, ev->past))) return;
    if (t.j->kind == JOB_LEARN && !t.j->commit_number && !held)
        enter_again(c, t.j, ev->past->token);
    jobs_mark(c, t.j);
    job_revive(c, t.j);
    prior_join(c, t.j);
    if (t.j->kind == JOB_LEARN) lineage_advance(c, lineage_of(c, t.j));
    job_advance(c, t.j);
    job_refresh(c, t.j);
    if (t.j->owner != c->asker->row.id) core_audit(c, "retry job %llu", N(t.j->id));
    core_done(c, "");
}

/* ---- pause ---- */

static void pause_job(struct core *c, const struct core_event *ev, uint64_t id, int on)
{
    struct target t;

    if (!find(c, ev, id, &t)) return;
    if (!t.j || JOB_ENDED(t.j->state)) {
        refuse_ended(c, t.row);
        return;
    }
    if (on != ((t.j->flags & JOB_HELD) != 0)) {
        t.j->flags ^= JOB_HELD;
        core_touch(c, t.j);
        core_event_row(c, t.j, EVENT_STATE, NULL, "%s by %s", on ? "held" : "resumed",
                       c->asker->row.name);
        fair_list(c, t.j, 0);
        prior_settle(c, t.j);
        if (t.j->owner != c->asker->row.id)
            core_audit(c, "%s job %llu", on ? "pause" : "resume", N(id));
    }
    core_done(c, "");
}

static void pause_lineage(struct core *c, const char *name, int on)
{
    struct lineage *l = share_find(c, name);
    struct core_job *turn;

    if (!l) return;
    if (on != l->row.held) {
        l->row.held = (uint8_t)on;
        put_lineage(c, l, NULL);
        fair_hold(c, l);
        if ((turn = job_at(c, l->row.first))) prior_settle(c, turn);
        if (l->row.owner != c->asker->row.id)
            core_audit(c, "%s lineage %s", on ? "pause" : "resume", name);
    }
    core_done(c, "");
}

void operate_pause(struct core *c, const struct core_event *ev)
{
    const struct msg_pause *m = &ev->message->pause;

    if ((m->job != 0) == (m->lineage[0] != '\0'))
        core_refuse(c, ERR_INPUT, "pause: a job or a lineage, one of them");
    else if (m->job) pause_job(c, ev, m->job, (int)m->on);
    else pause_lineage(c, m->lineage, (int)m->on);
}

/* ---- drain, forget, stop ---- */

void operate_drain(struct core *c, const struct core_event *ev)
{
    const struct msg_drain *m = &ev->message->drain;

    if (!user_must_be_admin(c, "draining worker groups")) return;
    group_drain(c, m->group, (int)m->on);
    put_drain(c, m->group, (int)m->on);
    core_audit(c, "%s %s%s", m->on ? "drain" : "use again", m->group[0] ? "group " : "all groups",
               m->group);
    core_done(c, "");
}

void operate_forget(struct core *c, const struct core_event *ev)
{
    struct target t;
    struct user *u;

    if (!find(c, ev, ev->message->forget.job, &t)) return;
    if (!JOB_ENDED(t.row->state) || (t.row->flags & JOB_HOLDS)) {
        core_refuse(c, ERR_INPUT, "job %llu is %s: cancel it first", N(t.row->id),
                    proto_job_state(t.row->state));
        return;
    }
    if (t.j) { /* it ended a moment ago and is not durable yet */
        core_refuse(c, ERR_AGAIN, "job %llu has ended just now: ask again", N(t.row->id));
        return;
    }
    if (!(t.row->flags & JOB_FORGOTTEN)) {
        u = user_at(c, t.row->owner);
        u->row.bytes -= ev->past->bytes < u->row.bytes ? ev->past->bytes : u->row.bytes;
        put_user(c, u);
        put_forget(c, t.row->id);
        core_audit(c, "forget job %llu", N(t.row->id));
    }
    tell_forget(
        c,
        t.row->id); /* also when it was said before: a kill may have come between row and objects */
    core_done(c, "");
}

void operate_stop(struct core *c, const struct core_event *ev)
{
    if (!user_must_be_admin(c, "stopping the coordinator")) return;
    /* A second stop may only be more impatient. */
    c->drain = ev->message->stop.drain && (!c->stopping || c->drain);
    c->stopping = 1;
    core_audit(c, "stop%s", c->drain ? ", running stages end first" : "");
    core_done(c, "");
}
