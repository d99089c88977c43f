/* rank_loop.c - rank 0 speaks, all ranks work. */
#include "workers/rank_loop.h"

#include "base/log.h"
#include "workers/comm_mpi.h"
#include "workers/lease.h"
#include "workers/supply.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct order {
    uint64_t bytes;
}; /* of the encoded stage that follows; 0: leave */

static void sleep_ms(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    nanosleep(&t, NULL); /* a signal may cut it short: the caller looks at lease_leaving */
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* What is wrong with the input only its owner is told, by the result: the words may be theirs. */
static void say(enum log_level level, const struct msg_stage *s, const char *event, enum code code,
                const char *what)
{
    struct log_about a = {.event = event,
                          .job = s->job,
                          .epoch = s->epoch,
                          .lineage = s->lineage,
                          .stage = proto_stage_kind(s->stage),
                          .code = code ? err_name(code) : NULL};
    unsigned long long job = (unsigned long long)s->job;
    if (log_may_quote(code)) log_event(level, &a, "job %llu %s: %s", job, a.stage, what);
    else log_event(level, &a, "job %llu %s: refused; engram show %llu says why", job, a.stage, job);
}

/* Rank 0: the next stage, encoded, or *out empty to leave. Errors: nobody has answered for a long time. */
static enum code ask(struct group *g, struct link *link, struct arena *a, struct slice *out,
                     struct err *e)
{
    double silent_since = now_s();
    *out = (struct slice){0};
    while (!lease_leaving) {
        struct message ready = {.kind = MSG_ready,
                                .ready = {.base = g->model ? g->model->hash : (struct hash){{0}}}},
                       answer;
        enum code rc = link_call(link, &ready, a, &answer, e);
        if (rc == ERR_CANCELLED) continue;
        if (rc == ERR_ENVIRONMENT && (now_s() - silent_since) * 1000.0 < SILENCE_MS) continue;
        if (rc) return rc;
        silent_since = now_s();
        if (answer.kind == MSG_end) return OK;
        if (answer.kind == MSG_stage) return proto_encode(&answer, a, out, e);
        if (answer.kind == MSG_idle && answer.idle.wait_ms) sleep_ms((int64_t)answer.idle.wait_ms);
    }
    return OK;
}

/* All ranks: the same bytes, or none. */
static enum code share(struct group *g, struct slice mine, struct arena *a, struct slice *out,
                       struct err *e)
{
    struct order o = {.bytes = mine.n};
    enum code rc = comm_mpi_broadcast_patiently(g->ranks, &o, sizeof o, 0, e);
    if (rc || !o.bytes) {
        *out = (struct slice){0};
        return rc;
    }
    uint8_t *room = g->ranks->rank == 0 ? (uint8_t *)(uintptr_t)mine.data : arena_alloc(a, o.bytes);
    if (!room) return err_set(e, ERR_NOMEM, "out of memory for a stage message");
    *out = (struct slice){room, o.bytes};
    return g->ranks->broadcast(g->ranks, room, o.bytes, 0, e);
}

/* Says the result until it is heard. A result that does not count any more is dropped: somebody else has the stage. */
static void tell(struct link *link, const struct msg_stage *s, enum code code,
                 const struct err *why, struct outcome *o, double seconds, struct arena *a)
{
    struct message m = {
        .kind = MSG_result,
        .result = {
            .job = s->job, .stage = s->stage, .epoch = s->epoch, .code = code, .seconds = seconds}};
    if (code) m.result.line = why->text;
    else {
        m.result.outputs = (struct hashes){o->n, o->output};
        m.result.report = o->report.s ? o->report.s : "";
    }
    struct message answer;
    struct err e = {0};
    double since = now_s();
    for (;;) {
        enum code rc = link_call(link, &m, a, &answer, &e);
        if (rc == OK) {
            if (answer.kind == MSG_give_up)
                say(LOG_WARN, s, "result_late", OK, "its result came too late");
            return;
        }
        if ((now_s() - since) * 1000.0 > SILENCE_MS) break;
        sleep_ms(rc == ERR_ENVIRONMENT || rc == ERR_CANCELLED ? 100 : 1000);
        if (lease_leaving && rc == ERR_CANCELLED) break;
    }
    say(LOG_ERROR, s, "result_undelivered", e.code, e.text);
}

/* The stage, with its objects brought before and sent after it by rank 0 where the home is far away. */
static enum code run_supplied(struct group *g, struct supply *supply, const struct msg_stage *s,
                              struct arena *a, struct outcome *out, struct err *why)
{
    enum code rc = supply ? supply_bring(supply, s, g, a, why) : OK;
    rc = collectives_agree(g->ranks, rc, why);
    if (!rc) rc = group_run(g, s, a, out, why);
    if (!rc && supply) rc = supply_send(supply, s, out, g, why);
    if (supply) supply_rest(supply);
    return rc;
}

static enum code work(struct group *g, struct link *link, struct supply *supply, struct slice bytes,
                      struct arena *a, struct err *e)
{
    struct message m;
    struct outcome out = {0};
    struct lease lease = {0};
    struct err why = {0};
    enum code rc = proto_decode(bytes.data, bytes.n, a, &m, e);
    if (rc) return rc;
    double start = now_s();
    if (link) {
        say(LOG_INFO, &m.stage, "stage_begins", OK, "begins");
        lease_begin(&lease, link, &m.stage);
        g->progress = lease_progress;
        g->progress_self = &lease;
    }
    rc = run_supplied(g, supply, &m.stage, a, &out, &why);
    g->progress = NULL;
    if (rc && link) say(LOG_WARN, &m.stage, "stage_ends", rc, why.text);
    else if (link) say(LOG_INFO, &m.stage, "stage_ends", OK, "ends well");
    if (link && !lease.lost) tell(link, &m.stage, rc, &why, &out, now_s() - start, a);
    text_fini(&out.report);
    lease_end(&lease);
    return OK;
}

enum code rank_loop(struct group *g, struct link *link, struct supply *supply, struct err *e)
{
    enum code rc = OK;
    for (int leave = 0; !rc && !leave;) {
        struct arena a = {0};
        struct slice mine = {0}, stage;
        enum code asked = link ? ask(g, link, &a, &mine, e) : OK;
        rc = share(g, mine, &a, &stage, asked ? NULL : e);
        if (!rc) rc = asked;
        leave = stage.n == 0;
        if (!rc && !leave) rc = work(g, link, supply, stage, &a, e);
        arena_fini(&a);
    }
    return rc;
}
