/* stage.c - the life of one stage.
 *
 *              GO                  GRANT                 SUCCEED
 *   WAITING ---------> READY --------------> LEASED ----------------> DONE
 *      |                 ^                     |  |                    ^
 *      |                 +---- AGAIN, LOSE ----+  +---- FAIL ---> FAILED
 *      +---------------------------- SHARE ----------------------------+
 *
 *   WAITING, READY, LEASED -- DROP --> DROPPED       (the job was cancelled or failed in another stage)
 *
 * A lease is the pair (epoch, deadline). Epochs come from one counter, so a newer one is higher whatever the stage. When
 * a lease is taken away (LOSE, DROP, a release) the stage's epoch rises too: the old holder's messages no longer fit.
 * When it ends by a result, the epoch stays: the same result said again is recognised and answered `done` again.
 */
#include "coordinator/core/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table ---- */

#define IN(state) (1u << STAGE_##state)

struct transition {
    enum stage_event ev;
    unsigned from;
    enum stage_state to;
    const char *why;
};

/* clang-format off */
static const struct transition table[] = {
    { STAGE_GO,      IN(WAITING),                         STAGE_READY,   "1: score and train only for the job whose turn it is" },
    { STAGE_SHARE,   IN(WAITING),                         STAGE_DONE,    "4: a stage is a function of its inputs, whoever ran it" },
    { STAGE_GRANT,   IN(READY),                           STAGE_LEASED,  "5: one lease at a time, under a new epoch" },
    { STAGE_SUCCEED, IN(LEASED),                          STAGE_DONE,    "2, 5: only under the newest epoch, once" },
    { STAGE_AGAIN,   IN(LEASED),                          STAGE_READY,   "5: nothing of the attempt counts" },
    { STAGE_LOSE,    IN(LEASED),                          STAGE_READY,   "5: the epoch rises, the old group is not heard" },
    { STAGE_FAIL,    IN(LEASED),                          STAGE_FAILED,  "7: with one line that says why" },
    { STAGE_DROP,    IN(WAITING) | IN(READY) | IN(LEASED), STAGE_DROPPED, "6: only its owner, or a failure of its own job" },
};
/* clang-format on */

void stage_move(struct core *c, struct core_job *j, struct core_stage *s, enum stage_event ev)
{
    const struct transition *t = &table[ev];

    assert(t->ev == ev && (t->from & 1u << s->state));
    if (s->state == STAGE_LEASED) {
        c->leased--;
        s->deadline_ms = 0;
        memset(&s->group, 0, sizeof s->group);
    }
    s->state = t->to;
    if (s->state == STAGE_LEASED) c->leased++;
    s->dirty = 1;
    core_touch(c, j);
}

struct core_stage *stage_of(struct core_job *j, enum stage_kind kind)
{
    for (int i = 0; i < j->n_stages; i++)
        if (j->stages[i].kind == kind) return &j->stages[i];
    return NULL;
}

/* ---- back-off: base doubling to a minute ---- */

static int64_t back_off(uint64_t times, int64_t base_ms)
{
    int64_t ms = base_ms;
    for (uint64_t i = 1; i < times && ms < 60000; i++) ms *= 2;
    return ms < 60000 ? ms : 60000;
}

static void set_line(struct core *c, struct core_stage *s, const char *line)
{
    free(s->line);
    s->line = line && line[0] ? core_own(c, line) : NULL;
}

static void forget_progress(struct core_stage *s)
{
    s->step = s->of = s->first_step = 0;
    s->first_ms = 0;
    free(s->text);
    s->text = NULL;
}

/* ---- lease ---- */

static void note_parent(struct core *c, struct core_job *j, const struct core_stage *s)
{
    struct hash head = core_lineage(c, j->lineage)->head;

    if (s->kind != STAGE_SCORE && s->kind != STAGE_TRAIN) return;
    if (!j->parent_known) j->parent = head;
    j->parent_known = 1;
    assert(hash_equal(j->parent, head)); /* invariant 1: it was its turn all the time */
}

void stage_grant(struct core *c, struct core_job *j, struct core_stage *s, struct hash group)
{
    stage_move(c, j, s, STAGE_GRANT);
    note_parent(c, j, s);
    s->epoch = ++c->epoch;
    s->attempts++;
    s->group = group;
    s->deadline_ms = c->now_ms + c->settings.term_ms;
    s->not_before_ms = 0;
    forget_progress(s);
    set_line(c, s, NULL);
    if (!j->started_ms) j->started_ms = c->now_ms;
    core_event_row(c, j, EVENT_STAGE, s, "%s begins%s", proto_stage_kind((uint64_t)s->kind),
                   s->attempts > 1 ? " again" : "");
    job_refresh(c, j);
}

void stage_beat(struct core *c, struct core_job *j, struct core_stage *s,
                const struct msg_heartbeat *b)
{
    s->deadline_ms = c->now_ms + c->settings.term_ms;
    if (!s->first_ms) {
        s->first_ms = c->now_ms;
        s->first_step = b->step;
    }
    /* A group that dies again and again, but each time further on, is not what the limit is for. */
    if (b->step > s->best_step) {
        s->best_step = b->step;
        s->losses = 0;
    }
    int same = b->step == s->step && b->of == s->of && strcmp(b->text, s->text ? s->text : "") == 0;
    if (same) return;
    s->step = b->step;
    s->of = b->of;
    free(s->text);
    s->text = b->text[0] ? core_own(c, b->text) : NULL;
    core_event_row(c, j, EVENT_PROGRESS, s, "%s", b->text);
}

/* ---- how a lease ends ---- */

static void fail(struct core *c, struct core_job *j, struct core_stage *s, const char *line)
{
    char text[PROTO_LINE + 1];

    stage_move(c, j, s, STAGE_FAIL);
    set_line(c, s, line);
    snprintf(text, sizeof text, "%s: %s", proto_stage_kind((uint64_t)s->kind), line);
    job_end(c, j, JOB_FAILED, proto_line(text));
}

/* One more loss. */
static void lost(struct core *c, struct core_job *j, struct core_stage *s, const char *why)
{
    char text[PROTO_LINE + 1];

    s->losses++;
    if (s->losses >= c->settings.loss_limit) {
        snprintf(text, sizeof text,
                 "given up after %llu losses without progress beyond step %llu; the last: %s",
                 (unsigned long long)s->losses, (unsigned long long)s->best_step, why);
        fail(c, j, s, proto_line(text));
        return;
    }
    core_event_row(c, j, EVENT_STAGE, s, "%s lost: %s", proto_stage_kind((uint64_t)s->kind), why);
    stage_move(c, j, s, STAGE_LOSE);
    s->not_before_ms = c->now_ms + back_off(s->losses, 500);
    set_line(c, s, why);
    job_refresh(c, j);
}

void stage_lose(struct core *c, struct core_job *j, struct core_stage *s, const char *why)
{
    s->epoch = ++c->epoch;
    lost(c, j, s, why);
}

void stage_release(struct core *c, struct core_job *j, struct core_stage *s)
{
    s->epoch = ++c->epoch;
    core_event_row(c, j, EVENT_STAGE, s, "%s put back", proto_stage_kind((uint64_t)s->kind));
    stage_move(c, j, s, STAGE_AGAIN);
    job_refresh(c, j);
}

void stage_expire(struct core *c)
{
    struct core_job *next;

    if (!c->leased) return;
    for (struct core_job *j = c->first_live; j; j = next) {
        next = j->next_live;
        for (int k = 0; k < j->n_stages && job_is_live(j); k++)
            if (j->stages[k].state == STAGE_LEASED && j->stages[k].deadline_ms <= c->now_ms)
                stage_lose(c, j, &j->stages[k], "its worker group fell silent");
    }
}

/* ---- results ---- */

enum verdict { GOOD, PAUSE, AGAIN, LOST, BAD };

static enum verdict judge(uint64_t code)
{
    switch ((enum code)code) {
    case OK: return GOOD;
    case ERR_FULL:
    case ERR_IO:
    case ERR_ENVIRONMENT:
    case ERR_NOMEM:
    case ERR_AGAIN: return PAUSE;
    case ERR_CANCELLED:
    case ERR_STALE: return AGAIN;
    case ERR_INTERNAL: return LOST;
    default: return BAD;
    }
}

static void pause_for(struct core *c, struct core_job *j, struct core_stage *s,
                      const struct msg_result *r)
{
    int64_t wait;

    s->pauses++;
    wait = back_off(s->pauses, 5000);
    stage_move(c, j, s, STAGE_AGAIN);
    s->not_before_ms = c->now_ms + wait;
    set_line(c, s, r->line[0] ? r->line : err_name((enum code)r->code));
    core_event_row(c, j, EVENT_STAGE, s, "%s paused, again in %d s: %s",
                   proto_stage_kind((uint64_t)s->kind), (int)(wait / 1000), s->line ? s->line : "");
    job_refresh(c, j);
}

/* What is wrong with a result that calls itself good; NULL: nothing. */
static const char *flaw(const struct core_stage *s, const struct msg_result *r)
{
    if (s->kind == STAGE_TRAIN && (r->outputs.n != 1 || hash_is_zero(r->outputs.v[0])))
        return "a train stage must give exactly one commit";
    if ((s->kind == STAGE_PRIOR || s->kind == STAGE_SCORE) && r->outputs.n == 0)
        return "the stage gave no output";
    return NULL;
}

static void succeed(struct core *c, struct core_job *j, struct core_stage *s,
                    const struct message *m)
{
    struct err e = {0};

    if (s->kind == STAGE_TRAIN &&
        lineage_commit(c, j, m->result.outputs.v[0], m->result.seconds, &e)) {
        lost(c, j, s, e.text);
        return;
    }
    stage_move(c, j, s, STAGE_SUCCEED);
    s->seconds = m->result.seconds;
    s->losses = s->pauses = 0;
    s->result = m;
    core_event_row(c, j, EVENT_STAGE, s, "%s done in %.1f s", proto_stage_kind((uint64_t)s->kind),
                   s->seconds);
    if (s->kind == STAGE_PRIOR) prior_made(c, j);
    job_advance(c, j);
    job_refresh(c, j);
}

void stage_result(struct core *c, struct core_job *j, struct core_stage *s, const struct message *m)
{
    const struct msg_result *r = &m->result;
    enum verdict v = judge(r->code);
    const char *wrong = v == GOOD ? flaw(s, r) : NULL;

    if (wrong) v = LOST;
    switch (v) {
    case GOOD: succeed(c, j, s, m); break;
    case PAUSE: pause_for(c, j, s, r); break;
    case AGAIN:
        stage_move(c, j, s, STAGE_AGAIN);
        job_refresh(c, j);
        break;
    case LOST: lost(c, j, s, wrong ? wrong : r->line[0] ? r->line : "internal error"); break;
    case BAD: fail(c, j, s, r->line[0] ? r->line : err_name((enum code)r->code)); break;
    }
}
