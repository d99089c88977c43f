/* groups.c - worker groups: they ask, work, report; they die, are stopped and go on as if nothing had happened; two may speak under one
 * nonce. What a stage gives is a function of its inputs, so that two that ran the same stage agree (invariant 4). */
#include "tests/simulation/support/world.h"

#include <stdlib.h>
#include <string.h>

/* ---- nonces ---- */

struct hash nonce_hash(uint64_t nonce)
{
    struct hash h;
    uint64_t v[4] = {nonce + 1, dice_mix(nonce, 3, 1), dice_mix(nonce, 3, 2),
                     dice_mix(nonce, 3, 3)};
    /* The first half tells requests apart (CORE_KEY), so it must differ; it also holds the number. */
    memcpy(h.v, v, sizeof v);
    return h;
}

uint64_t nonce_number(struct hash h)
{
    uint64_t n;
    memcpy(&n, h.v, sizeof n);
    return n - 1;
}

/* ---- bodies ---- */

static uint32_t free_body(struct world *w)
{
    for (uint32_t b = 0; b < w->n_bodies; b++) {
        uint32_t at = (w->body_hint + b) % w->n_bodies;
        if (w->bodies[at].state) continue;
        w->body_hint = at + 1;
        return at;
    }
    if (w->n_bodies == w->bodies_room) return UINT32_MAX;
    return w->n_bodies++;
}

static void wake(struct world *w, uint32_t b, int64_t in_ms)
{
    agenda_add(&w->agenda, w->now_ms + in_ms, DO_BODY, b, ++w->bodies[b].stamp);
}

int group_begin(struct world *w, uint32_t slot, uint64_t nonce)
{
    struct nonce *n = &w->nonces[nonce];
    int k = n->body[0] != 0;
    uint32_t b = n->body[0] && n->body[1] ? UINT32_MAX : free_body(w);

    if (b == UINT32_MAX) return 0;
    uint64_t stamp = w->bodies[b].stamp;
    w->bodies[b] = (struct body){
        .state = BODY_ASKING, .nonce = nonce, .slot = slot, .heard_ms = w->now_ms, .stamp = stamp};
    w->bodies[b].dice = (struct dice){
        .seed = w->o.seed, .who = 1000000 + 4 * nonce + 2 * (uint64_t)(k) + ++n->begun * 1000003};
    w->bodies[b].next_id = dice_roll(&w->bodies[b].dice, 1000000);
    n->body[k] = b + 1;
    wake(w, b, 1 + (int64_t)dice_roll(&w->bodies[b].dice, 200));
    return 1;
}

/* It is gone, and says nothing any more. Whether somebody sees that is the launcher's affair. */
void group_end(struct world *w, uint32_t b)
{
    struct body *g = &w->bodies[b];
    struct nonce *n = &w->nonces[g->nonce];

    g->state = BODY_NONE;
    g->stamp++;
    if (n->body[0] == b + 1) {
        n->body[0] = n->body[1];
        n->body[1] = 0;
    } else if (n->body[1] == b + 1) {
        n->body[1] = 0;
    }
    launcher_saw_end(w, g->slot, g->nonce);
}

/* ---- speaking ---- */

/* A batch system that carries a running program to another node may change who it says it is. */
static void say_as_another(struct world *w, uint32_t b, const struct message *m)
{
    struct body *g = &w->bodies[b];
    uint64_t other = w->slots[dice_roll(&g->dice, w->shape.groups)].nonce;

    if (other != g->nonce && other < w->n_nonces)
        network_send(w, &g->dice, COORDINATOR, GROUP(other), m);
}

static void say(struct world *w, uint32_t b, struct message *m)
{
    struct body *g = &w->bodies[b];

    m->id = g->asked = ++g->next_id;
    m->version = g->nonce % 8 ? PROTO_VERSION : 1; /* one of yesterday's */
    if ((m->kind == MSG_heartbeat || m->kind == MSG_result) && fault(w, &g->dice, FAULT_impostor))
        say_as_another(w, b, m);
    network_send(w, &g->dice, COORDINATOR, GROUP(g->nonce), m);
}

static void say_hello(struct world *w, uint32_t b)
{
    struct body *g = &w->bodies[b];
    struct message m = {.kind = MSG_worker_hello,
                        .worker_hello = {.name = w->slots[g->slot].name,
                                         .nonce = nonce_hash(g->nonce),
                                         .ranks = 1,
                                         .host = "host",
                                         .device = "cpu"}};
    say(w, b, &m);
}

static void say_ready(struct world *w, uint32_t b)
{
    struct message m = {
        .kind = MSG_ready, .ready.base = w->image, .ready.commit = w->bodies[b].work.parent};
    say(w, b, &m);
    wake(w, b, 7000);
}

static void say_beat(struct world *w, uint32_t b)
{
    struct body *g = &w->bodies[b];
    struct message m = {.kind = MSG_heartbeat,
                        .heartbeat = {.job = g->work.job,
                                      .stage = g->work.stage,
                                      .epoch = g->work.epoch,
                                      .step = g->work.step,
                                      .of = g->work.of,
                                      .text = ""}};
    say(w, b, &m);
}

static void say_result(struct world *w, uint32_t b)
{
    struct body *g = &w->bodies[b];
    struct hash out = made_of(g->work.parent, g->work.seed, (enum stage_kind)g->work.stage);
    struct message m = {.kind = MSG_result,
                        .result = {.job = g->work.job,
                                   .stage = g->work.stage,
                                   .epoch = g->work.epoch,
                                   .code = (uint64_t)g->work.end,
                                   .seconds = 1,
                                   .line = "",
                                   .report = ""}};

    if (g->work.end == OK) m.result.outputs = (struct hashes){1, &out};
    if (g->work.falsely)
        m.result.outputs =
            (struct hashes){g->work.falsely == 1, &g->work.parent}; /* calls itself good */
    say(w, b, &m);
    wake(w, b, 2000 + (int64_t)dice_roll(&g->dice, 3000));
}

/* ---- working ---- */

/* The input's fault: a function of the stage, whoever runs it. The surroundings' fault: bad luck. */
static enum code how_it_ends(struct world *w, struct body *g)
{
    static const enum code bad[] = {ERR_FULL,     ERR_IO,        ERR_NOMEM,
                                    ERR_INTERNAL, ERR_CANCELLED, ERR_ENVIRONMENT};
    uint64_t fate = dice_mix(w->o.seed, g->work.seed, 77 + g->work.stage);

    if (w->shape.luck && fate % 50 == 0) return fate % 3 ? ERR_INPUT : ERR_CORRUPT;
    return fault(w, &g->dice, FAULT_group_fails) ? bad[dice_roll(&g->dice, 6)] : OK;
}

static void begin(struct world *w, uint32_t b, const struct msg_stage *s)
{
    struct body *g = &w->bodies[b];

    g->state = BODY_WORKING;
    g->was_fenced = 0;
    g->work.job = s->job;
    g->work.epoch = s->epoch;
    g->work.stage = s->stage;
    g->work.seed = s->seed;
    g->work.term_ms = s->term_ms;
    g->work.step = 0;
    g->work.of = dice_roll(&g->dice, w->shape.steps + 1);
    g->work.parent = s->chain.n ? s->chain.v[s->chain.n - 1] : (struct hash){{0}};
    g->work.end = how_it_ends(w, g);
    g->work.falsely = g->work.end == OK && fault(w, &g->dice, FAULT_false_good)
                          ? 1 + (int)dice_roll(&g->dice, 2)
                          : 0;
    wake(w, b, 10 + (int64_t)dice_roll(&g->dice, 1000));
}

static void work(struct world *w, uint32_t b)
{
    struct body *g = &w->bodies[b];

    if (w->now_ms - g->heard_ms > (int64_t)g->work.term_ms && dice_roll(&g->dice, 2)) {
        g->state = BODY_ASKING; /* heard nothing for a term: it may be another's by now */
        say_ready(w, b);
    } else if (g->work.step < g->work.of) {
        g->work.step++;
        say_beat(w, b);
        wake(w, b, 300 + (int64_t)dice_roll(&g->dice, 4000));
    } else {
        g->state = BODY_REPORTING;
        say_result(w, b);
    }
}

static int misfortune(struct world *w, uint32_t b)
{
    struct body *g = &w->bodies[b];

    if (fault(w, &g->dice, FAULT_group_dies)) {
        group_end(w, b);
        return 1;
    }
    if (fault(w, &g->dice, FAULT_group_sleeps)) {
        int64_t ms = (int64_t)dice_roll(&g->dice, dice_roll(&g->dice, 2) ? 10000 : 100000);
        g->asleep_until_ms = w->now_ms + ms;
        g->was_fenced = 1;
        wake(w, b, ms + 1);
        return 1;
    }
    if (fault(w, &g->dice, FAULT_false_death)) {
        g->was_fenced = 1;
        launcher_lies(w, b);
    }
    if (fault(w, &g->dice, FAULT_twin)) group_begin(w, g->slot, g->nonce);
    return 0;
}

/* One that its launcher does not know of any more goes sooner or later. */
static int stray(struct world *w, uint32_t b)
{
    struct body *g = &w->bodies[b];

    if (w->slots[g->slot].nonce == g->nonce || g->state != BODY_ASKING || dice_roll(&g->dice, 8))
        return 0;
    group_end(w, b);
    return 1;
}

void group_act(struct world *w, uint32_t b)
{
    struct body *g = &w->bodies[b];

    if (misfortune(w, b) || stray(w, b)) return;
    switch (g->state) {
    case BODY_NONE: break;
    case BODY_ASKING: say_ready(w, b); break;
    case BODY_WORKING: work(w, b); break;
    case BODY_REPORTING: say_result(w, b); break; /* again: its outputs are durable */
    }
}

/* ---- hearing ---- */

static void given_up(struct world *w, uint32_t b, uint64_t code)
{
    struct body *g = &w->bodies[b];

    w->counts.zombies_refused += g->was_fenced && code == ERR_STALE && g->state != BODY_ASKING;
    g->state = BODY_ASKING;
    wake(w, b, 1);
}

static void hear(struct world *w, uint32_t b, const struct message *m)
{
    struct body *g = &w->bodies[b];

    if (w->now_ms < g->asleep_until_ms || m->id != g->asked) return;
    g->heard_ms = w->now_ms;
    switch (m->kind) {
    case MSG_stage:
        if (g->state == BODY_ASKING) begin(w, b, &m->stage);
        break;
    case MSG_who:
        say_hello(w, b);
        wake(w, b, 50);
        break;
    case MSG_give_up: given_up(w, b, m->give_up.code); break;
    case MSG_done:
        if (g->state == BODY_REPORTING) g->state = BODY_ASKING;
        wake(w, b, 1);
        break;
    case MSG_idle: wake(w, b, 1); break;
    case MSG_end: group_end(w, b); break;
    default: break;
    }
}

/* Two programs with one nonce: either may get what is said to it. */
void group_hear(struct world *w, uint64_t nonce, const struct message *m, uint64_t luck)
{
    const struct nonce *n = &w->nonces[nonce];
    uint32_t b = n->body[0] && n->body[1] ? n->body[luck & 1] : n->body[0];

    if (b) hear(w, b - 1, m);
}
