/* stage.c - the life of one stage.
 *
 *              GO                  GRANT                 SUCCEED
 *   WAITING ---------> READY --------------> LEASED ----------------> DONE
 *    |  ^ ^              | ^                  |   |                   ^  |
 *    |  | +--- YIELD ----+ +--- AGAIN, LOSE --+   +--- FAIL ---> FAILED  |
 *    |  +--------------------------- RETRY (FAILED, DROPPED), REDO ------+
 *    +------------------------------ SHARE ---------------------------+
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
    { STAGE_YIELD,   IN(READY),                           STAGE_WAITING, "4: ditto, whoever runs it first" },
    { STAGE_GRANT,   IN(READY),                           STAGE_LEASED,  "5: one lease at a time, under a new epoch" },
    { STAGE_SUCCEED, IN(LEASED),                          STAGE_DONE,    "2, 5: only under the newest epoch, once" },
    { STAGE_AGAIN,   IN(LEASED),                          STAGE_READY,   "5: nothing of the attempt counts" },
    { STAGE_LOSE,    IN(LEASED),                          STAGE_READY,   "5: the epoch rises, the old group is not heard" },
    { STAGE_FAIL,    IN(LEASED),                          STAGE_FAILED,  "7: with one line that says why" },
    { STAGE_DROP,    IN(WAITING) | IN(READY) | IN(LEASED), STAGE_DROPPED, "6: only who may, or a failure of its own job" },
    { STAGE_RETRY,   IN(FAILED) | IN(DROPPED),            STAGE_WAITING, "6: only who may; what was done stays done" },
    { STAGE_REDO,    IN(DONE),                            STAGE_WAITING, "1: masks of another head do not count" },
};
/* clang-format on */

enum stage_state stage_state(const struct core_job *j, enum stage_kind k)
{
    return (enum stage_state)(j->stages >> 3 * k & 7);
}

static void set_state(struct core_job *j, enum stage_kind k, enum stage_state to)
{
    j->stages = (j->stages & ~(7u << 3 * k)) | (uint32_t)to << 3 * k;
}

/* What a lease leaves behind when it ends, however it ends. */
static void leave_lease(struct core *c, struct core_job *j, struct core_stage *s, int good)
{
    struct group *g = group_find(c, s->group);

    if (g && g->row.lease == s) g->row.lease = NULL;
    c->leased--;
    memset(&s->group, 0, sizeof s->group);
    s->deadline_ms = 0;
    timer_set(c, s);
    fair_settle(c, j, s, good);
}

void stage_move(struct core *c, struct core_job *j, enum stage_kind k, enum stage_event ev)
{
    const struct transition *t = &table[ev];
    enum stage_state from = stage_state(j, k);
    struct core_stage *s = stage_of(j, k);

    assert(t->ev == ev && (t->from & 1u << from));
    set_state(j, k, t->to);
    if (from == STAGE_LEASED) leave_lease(c, j, s, ev == STAGE_SUCCEED);
    else stage_take(c, j, k);
    if (s) core_touch_stage(c, j, s);
    else core_touch(c, j);
}

/* ---- records ---- */

struct core_stage *stage_of(const struct core_job *j, enum stage_kind k)
{
    struct core_stage *s = j->records;
    while (s && s->kind != k) s = s->next;
    return s;
}

struct core_stage *stage_record(struct core *c, struct core_job *j, enum stage_kind k)
{
    struct core_stage *s = stage_of(j, k);

    if (s) return s;
    if (!(s = mem_alloc(1, sizeof *s))) {
        c->broken = 1;
        return NULL;
    }
    s->kind = k;
    s->job = j->id;
    s->next = j->records;
    j->records = s;
    return s;
}

void stage_free_all(struct core *c, struct core_job *j)
{
    for (struct core_stage *s = j->records, *next; s; s = next) {
        next = s->next;
        s->deadline_ms = s->not_before_ms = 0;
        timer_set(c, s);
        free(s->line);
        free(s->text);
        free(s);
    }
    j->records = NULL;
}

/* Back-off ends here when the stage goes elsewhere. */
void stage_take(struct core *c, struct core_job *j, enum stage_kind k)
{
    struct core_stage *s = stage_of(j, k);

    if (!s || !s->not_before_ms) return;
    s->not_before_ms = 0;
    timer_set(c, s);
}

void stage_set_line(struct core *c, struct core_stage *s, const char *line)
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

/* How many commits it works on. While it is a job's turn nobody else commits, so score and train agree (invariant 1). */
static uint64_t chain_of(const struct core *c, const struct core_job *j, enum stage_kind k)
{
    const struct core_stage *score = stage_of(j, STAGE_SCORE);
    uint64_t head = lineage_of(c, j)->row.n_commits;

    if (k == STAGE_SAMPLE || k == STAGE_EVALUATE) return j->commit_number;
    if (k == STAGE_PRIOR) return 0;
    assert(lineage_is_turn(c, j) && (k != STAGE_TRAIN || !score || score->chain == head));
    return head;
}

void stage_grant(struct core *c, struct core_job *j, enum stage_kind k, struct group *g)
{
    struct core_stage *s = stage_record(c, j, k);

    if (!s) return;
    stage_move(c, j, k, STAGE_GRANT);
    s->chain = chain_of(c, j, k);
    s->epoch = ++c->clock.epoch;
    s->attempts++;
    s->group = g->row.nonce;
    s->granted_ms = c->now_ms;
    s->deadline_ms = c->now_ms + c->settings.term_ms;
    timer_set(c, s);
    c->leased++;
    g->row.lease = s;
    forget_progress(s);
    stage_set_line(c, s, NULL);
    if (!j->started_ms) j->started_ms = c->now_ms;
    core_event_row(c, j, EVENT_STAGE, s, "%s begins%s", proto_stage_kind((uint64_t)k),
                   s->attempts > 1 ? " again" : "");
    core_news(c, j, s, NEWS_BEGINS, NULL);
    fair_charge(c, j, s);
    fair_list(c, j, 0);
    job_refresh(c, j);
}

void stage_beat(struct core *c, struct core_job *j, struct core_stage *s,
                const struct msg_heartbeat *b)
{
    s->deadline_ms = c->now_ms + c->settings.term_ms;
    timer_set(c, s);
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

int64_t stage_back_off(uint64_t times, int64_t base_ms)
{
    int64_t ms = base_ms; /* doubling, to a minute */
    for (uint64_t i = 1; i < times && ms < 60000; i++) ms *= 2;
    return ms < 60000 ? ms : 60000;
}

/* Ready again, in front of its like, after a while. */
void stage_wait(struct core *c, struct core_job *j, struct core_stage *s, int64_t ms)
{
    s->not_before_ms = ms ? c->now_ms + ms : 0;
    timer_set(c, s);
    fair_list(c, j, 1);
    if (s->kind == STAGE_PRIOR) prior_settle(c, j);
    job_refresh(c, j);
}

void stage_fail(struct core *c, struct core_job *j, struct core_stage *s, const char *line)
{
    char text[PROTO_LINE + 1];

    stage_move(c, j, s->kind, STAGE_FAIL);
    stage_set_line(c, s, line);
    snprintf(text, sizeof text, "%s: %s", proto_stage_kind((uint64_t)s->kind), line);
    job_end(c, j, JOB_FAILED, proto_line(text));
}

/* One more loss. Which group it was and how far it came stands in the events: the evidence. */
void stage_lost(struct core *c, struct core_job *j, struct core_stage *s, const char *why)
{
    const struct group *g = group_find(c, s->group);
    const char *stage = proto_stage_kind((uint64_t)s->kind);
    char text[PROTO_LINE + 1];

    s->losses++;
    core_event_row(c, j, EVENT_STAGE, s, "%s lost: %s (group %s on %s, at step %llu)", stage, why,
                   g && g->row.known ? g->row.name : "unknown",
                   g && g->row.known ? g->row.host : "unknown", (unsigned long long)s->step);
    core_news(c, j, s, NEWS_LOST, why);
    if (s->losses >= c->settings.loss_limit) {
        core_news(c, j, s, NEWS_QUARANTINED, NULL);
        snprintf(text, sizeof text,
                 "quarantined after %llu losses in a row without progress beyond step %llu, the "
                 "last: %s; the events name the groups, `engram retry %llu` releases it",
                 (unsigned long long)s->losses, (unsigned long long)s->best_step, why,
                 (unsigned long long)j->id);
        stage_fail(c, j, s, proto_line(text));
        return;
    }
    stage_move(c, j, s->kind, STAGE_LOSE);
    stage_set_line(c, s, why);
    stage_wait(c, j, s, stage_back_off(s->losses, 500));
}

void stage_lose(struct core *c, struct core_job *j, struct core_stage *s, const char *why)
{
    s->epoch = ++c->clock.epoch;
    stage_lost(c, j, s, why);
}

void stage_release(struct core *c, struct core_job *j, struct core_stage *s)
{
    s->epoch = ++c->clock.epoch;
    core_event_row(c, j, EVENT_STAGE, s, "%s put back", proto_stage_kind((uint64_t)s->kind));
    core_news(c, j, s, NEWS_PUT_BACK, NULL);
    stage_move(c, j, s->kind, STAGE_AGAIN);
    stage_wait(c, j, s, 0);
}

/* Leases that ran out are lost; where a back-off has ended the stage may begin. */
void stage_expire(struct core *c)
{
    struct core_stage *s;

    while ((s = timer_due(c))) {
        struct core_job *j = jobs_find(c, s->job);
        if (s->deadline_ms) {
            stage_lose(c, j, s, "its worker group fell silent");
        } else {
            stage_take(c, j, s->kind);
            fair_list(c, j, 1);
        }
    }
}

/* ---- looking ---- */

enum stage_state core_stage_state(const struct core_job *j, enum stage_kind k)
{
    return stage_state(j, k);
}

const struct core_stage *core_stage_of(const struct core_job *j, enum stage_kind k)
{
    return stage_of(j, k);
}

enum stage_kind core_stage_now(const struct core_job *j)
{
    enum stage_kind first = (enum stage_kind)0;

    for
        EACH_STAGE(k)
        {
            if (stage_state(j, k) == STAGE_LEASED) return k;
            if (!first && stage_state(j, k) && stage_state(j, k) < STAGE_DONE) first = k;
        }
    return first;
}
