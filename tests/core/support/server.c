/* server.c - the coordinator as a process: the core between a network and a disk, and the moments at which it may die. */
#include "tests/core/support/world.h"

#include "coordinator/server/server.h"

#include <stdlib.h>
#include <string.h>

static const struct core_settings settings = {.term_ms = 30000, .poll_ms = 2000, .loss_limit = 3};

void server_boot(struct world *w)
{
    struct err e;

    core_actions_clear(&w->actions);
    w->core = core_make(&settings);
    if (disk_load(w, w->core, &e)) {
        world_break(w, "after a restart: %s", e.text);
        return;
    }
    w->ledger.restarts++;
    ledger_loaded(w);
}

void server_crash(struct world *w)
{
    core_free(w->core);
    w->core = NULL;
    core_actions_clear(&w->actions);
    w->up_at = w->now + (int64_t)world_roll(w, 3) * (int64_t)world_roll(w, 30000);
}

/* ---- carrying out ---- */

static void send_stage(struct world *w, const struct core_tell *t, int to)
{
    const struct core_job *j = core_job(w->core, t->job);
    const struct core_lineage *l = core_lineage(w->core, j->lineage);
    struct message m = {.kind = MSG_stage,
                        .id = t->to.id,
                        .stage = {.job = t->job,
                                  .stage = (uint64_t)t->stage,
                                  .epoch = t->epoch,
                                  .lineage = l->name,
                                  .term_ms = 30000}};
    struct hash head = l->head;
    struct arena a = {0};
    struct err e;

    if (t->stage == STAGE_SCORE || t->stage == STAGE_TRAIN)
        m.stage.chain = (struct hashes){!hash_is_zero(head), &head};
    if (w->store) { /* the real one, with everything in it */
        struct server s = {.core = w->core, .store = w->store, .settings = settings};
        if (stage_message(&s, t, &a, &m, &e)) world_break(w, "stage message: %s", e.text);
        m.id = t->to.id;
    }
    world_send(w, to, TO_SERVER, &m);
    arena_fini(&a);
}

static void tell(struct world *w, struct core_tell *t)
{
    int to;
    memcpy(&to, t->to.peer, sizeof to);
    if (t->type == TELL_PROGRESS || t->type == TELL_NEWS) return;
    if (t->type == TELL_STAGE) send_stage(w, t, to);
    else if (to != TO_SERVER) world_send(w, to, TO_SERVER, &t->answer);
}

static void tell_all(struct world *w)
{
    for (size_t i = 0; i < w->actions.n_tells; i++) {
        if (world_chance(w, 2)) { /* died in the middle of answering */
            server_crash(w);
            return;
        }
        tell(w, &w->actions.tells[i]);
    }
}

/* The disk is full: nothing of the batch is there, nobody is told anything good, the core is loaded again. */
static void full(struct world *w)
{
    w->ledger.full++;
    core_free(w->core);
    server_boot(w);
}

/* One batch: durable, then told. It may die before, between and after, and the disk may refuse. */
static void carry_out(struct world *w)
{
    struct core_actions *a = &w->actions;

    if (a->n_puts && world_chance(w, 8)) {
        full(w);
        return;
    }
    if (w->o.bug == BUG_ANSWER_EARLY) tell_all(w);
    if (!w->core) return;
    if (world_chance(w, 4)) {
        if (w->o.bug == BUG_TORN_WRITE && a->n_puts)
            disk_apply(w, a, (size_t)world_roll(w, a->n_puts));
        server_crash(w);
        return;
    }
    if (!disk_apply(w, a, a->n_puts)) return;
    ledger_puts(w, a);
    if (w->o.bug != BUG_ANSWER_EARLY) tell_all(w);
    if (w->core) core_actions_clear(a);
}

static void check(struct world *w)
{
    struct err e;
    w->steps++;
    if (w->actions.failed) world_break(w, "the core is out of memory");
    if (core_check_step(w->core, &e)) world_break(w, "%s", e.text);
    if (w->steps % 64 == 0 && core_check(w->core, &e)) world_break(w, "%s", e.text);
}

/* ---- events ---- */

static void no_expiry(struct world *w)
{
    const struct core_stage *s;

    for (uint32_t at = 0; (s = core_each_lease(w->core, &at));)
        ((struct core_stage *)(uintptr_t)s)->deadline_ms = INT64_MAX;
}

/* The wrapper of two planted bugs: the fence and the key are taken away before the core sees them. */
static void spoil(struct world *w, struct message *m, struct core_event *ev)
{
    if (w->o.bug == BUG_NO_FENCE && m->kind == MSG_result) {
        const struct core_job *j = core_job(w->core, m->result.job);
        const struct core_stage *s = j ? core_stage_of(j, (enum stage_kind)m->result.stage) : NULL;
        if (s && core_stage_state(j, s->kind) == STAGE_LEASED) {
            m->result.epoch = s->epoch;
            ((struct core_stage *)(uintptr_t)s)->group = ev->group;
        }
    }
    if (w->o.bug == BUG_NO_KEY && m->kind == MSG_sample)
        m->sample.key = world_name(w, "spoiled", w->keys++);
}

static void step(struct world *w, const struct parcel *p, struct arena *a)
{
    struct message *m = arena_alloc(a, sizeof *m);
    struct core_event ev = {
        .type = CORE_MESSAGE, .message = m, .user = p->from < CLIENTS ? "ann" : NULL};
    struct core_request request = {.message = m};
    struct message canonical;
    struct slice bytes;
    struct err e;

    if (proto_decode(p->data, p->n, a, m, &e)) {
        world_break(w, "a request cannot be read: %s", e.text);
        return;
    }
    memcpy(ev.from.peer, &p->from, sizeof p->from);
    ev.from.n = sizeof p->from;
    ev.from.id = m->id;
    ev.group = p->nonce;
    spoil(w, m, &ev);
    canonical = *m;
    canonical.id = 0;
    proto_encode(&canonical, a, &bytes, &e);
    request.digest = hash_bytes(bytes.data, bytes.n);
    request.bytes = bytes.n;
    request.past = ev.past = disk_past(w, m, a);
    ev.requests = &request;
    ev.n_requests = 1;
    core_step(w->core, &ev, w->now, &w->actions);
    check(w);
}

void server_deliver(struct world *w, struct parcel *p, int n)
{
    struct arena a = {0};

    for (int i = 0; i < n && w->core && !w->broken[0]; i++) step(w, &p[i], &a);
    if (w->core && !w->broken[0]) carry_out(w);
    for (int i = 0; i < n; i++) free(p[i].data);
    arena_fini(&a);
}

static void own(struct world *w, const struct core_event *ev)
{
    if (w->o.bug == BUG_NO_EXPIRY) no_expiry(w);
    core_step(w->core, ev, w->now, &w->actions);
    check(w);
    if (!w->broken[0]) carry_out(w);
}

void server_tick(struct world *w)
{
    struct core_event ev = {.type = CORE_TICK};
    own(w, &ev);
}

void server_group_died(struct world *w, struct hash nonce)
{
    struct core_event ev = {.type = CORE_GROUP_LOST, .group = nonce};
    if (w->core) own(w, &ev);
}
