/* worker.c - worker groups: they ask, work, report; they die, fall silent and come back as if nothing had happened. What a stage
 * gives is a function of its inputs, so that two that ran the same stage agree (invariant 4). */
#include "tests/core/support/world.h"

#include <string.h>

static int me(int i)
{
    return CLIENTS + i;
}

static void send(struct world *w, int i, struct message *m)
{
    m->id = w->group[i].waiting_id = ++w->group[i].next_id;
    world_send(w, TO_SERVER, me(i), m);
}

static void be_born(struct world *w, int i)
{
    struct group *g = &w->group[i];
    *g = (struct group){.state = GROUP_ASKING,
                        .nonce = world_name(w, "nonce", ++w->nonces),
                        .act_ms = w->now,
                        .next_id = world_roll(w, 1000000)};
}

void group_die(struct world *w, int i)
{
    struct group *g = &w->group[i];
    struct hash nonce = g->nonce;

    *g =
        (struct group){.state = GROUP_DEAD, .act_ms = w->now + 500 + (int64_t)world_roll(w, 20000)};
    if (world_roll(w, 2)) server_group_died(w, nonce); /* the launcher may see it, or not */
}

static void say_hello(struct world *w, int i)
{
    struct message m = {.kind = MSG_worker_hello,
                        .worker_hello = {.name = "group", .nonce = w->group[i].nonce, .ranks = 1}};
    send(w, i, &m);
}

static void say_ready(struct world *w, int i)
{
    struct message m = {.kind = MSG_ready};
    send(w, i, &m);
    w->group[i].act_ms = w->now + 5000;
}

static void say_beat(struct world *w, int i)
{
    struct group *g = &w->group[i];
    struct message m = {.kind = MSG_heartbeat,
                        .heartbeat = {.job = g->work.job,
                                      .stage = g->work.stage,
                                      .epoch = g->work.epoch,
                                      .step = g->work.step,
                                      .of = g->work.of}};
    send(w, i, &m);
}

static enum code luck(struct world *w)
{
    static const enum code codes[] = {ERR_FULL,      ERR_IO,    ERR_NOMEM,  ERR_INTERNAL,
                                      ERR_CANCELLED, ERR_INPUT, ERR_CORRUPT};
    return world_chance(w, 60) ? codes[world_roll(w, 7)] : OK;
}

static struct hash made(struct world *w, const struct group *g)
{
    struct hash both[2] = {g->work.parent,
                           world_name(w, proto_stage_kind(g->work.stage), g->work.job)};
    return hash_bytes(both, sizeof both);
}

static void say_result(struct world *w, int i, enum code code)
{
    struct group *g = &w->group[i];
    struct hash out = made(w, g);
    struct message m = {
        .kind = MSG_result,
        .result = {.job = g->work.job,
                   .stage = g->work.stage,
                   .epoch = g->work.epoch,
                   .code = (uint64_t)code,
                   .seconds = (double)g->work.epoch, /* twice: the ledger reads it here */
                   .line = code ? "as bad luck would have it" : ""}};

    if (code == OK) m.result.outputs = (struct hashes){1, &out};
    if (code == ERR_INPUT || code == ERR_CORRUPT) w->ledger.job[g->work.job].bad_result = 1;
    send(w, i, &m);
    g->act_ms = w->now + 2000;
}

static void work(struct world *w, int i)
{
    struct group *g = &w->group[i];

    if (g->work.step++ < g->work.of) {
        say_beat(w, i);
        g->act_ms = w->now + 500 + (int64_t)world_roll(w, 2500);
        return;
    }
    g->state = GROUP_REPORTING;
    say_result(w, i, luck(w));
}

void group_act(struct world *w, int i)
{
    struct group *g = &w->group[i];

    if (w->now < g->act_ms || w->now < g->stalled_until_ms) return;
    switch (g->state) {
    case GROUP_DEAD: be_born(w, i); break;
    case GROUP_ASKING: say_ready(w, i); break;
    case GROUP_WORKING: work(w, i); break;
    case GROUP_REPORTING:
        say_result(w, i, OK);
        break; /* again: the outputs are durable, so is the verdict */
    }
}

static void begin(struct world *w, int i, const struct msg_stage *s)
{
    struct group *g = &w->group[i];

    g->state = GROUP_WORKING;
    g->work.job = s->job;
    g->work.epoch = s->epoch;
    g->work.stage = s->stage;
    g->work.step = 0;
    g->work.of = 1 + world_roll(w, 6);
    g->work.parent = s->chain.n ? s->chain.v[s->chain.n - 1] : (struct hash){{0}};
    g->act_ms = w->now + 100;
}

void group_hear(struct world *w, int i, const struct message *m)
{
    struct group *g = &w->group[i];

    if (g->state == GROUP_DEAD || m->id != g->waiting_id || w->now < g->stalled_until_ms) return;
    switch (m->kind) {
    case MSG_stage:
        if (g->state == GROUP_ASKING) begin(w, i, &m->stage);
        break;
    case MSG_who:
        say_hello(w, i);
        g->act_ms = w->now + 50;
        break;
    case MSG_give_up:
        g->state = GROUP_ASKING;
        w->ledger.results_dropped++;
        g->act_ms = w->now;
        break;
    case MSG_done:
        if (g->state == GROUP_REPORTING) g->state = GROUP_ASKING;
        g->act_ms = w->now;
        break;
    case MSG_idle: g->act_ms = w->now; break;
    default: break;
    }
}
