/* coordinator.c - the process around the core, as coordinator/server/dispatch.c is it: messages in, one transaction, answers out; and the
 * moments between any two of its writes at which it, or the disk, may die. */
#include "tests/simulation/support/world.h"

#include <stdlib.h>
#include <string.h>

static const struct core_settings settings = {.term_ms = 30000, .poll_ms = 5000, .loss_limit = 3};

enum { LOOK_MS = 5000, RETRY_MS = 1000, LEAVE_MS = 15000 };

/* ---- clock: wall time at the start, then a clock that never runs back ---- */

static int64_t now(struct world *w)
{
    struct coordinator *k = &w->coordinator;
    int64_t t = w->now_ms + k->ahead_ms;

    if (w->now_ms >= k->stands_until_ms && t > k->now_ms) k->now_ms = t;
    return k->now_ms;
}

static void clock_faults(struct world *w)
{
    struct coordinator *k = &w->coordinator;

    if (fault(w, &k->dice, FAULT_clock_stands))
        k->stands_until_ms = w->now_ms + 1000 + (int64_t)dice_roll(&k->dice, 120000);
    if (fault(w, &k->dice, FAULT_clock_leaps))
        k->ahead_ms += 1000 + (int64_t)dice_roll(&k->dice, 8 * 3600000);
}

static void turn_at(struct world *w, int64_t at_ms)
{
    struct coordinator *k = &w->coordinator;

    if (k->turn_at_ms > w->now_ms && k->turn_at_ms <= at_ms) return;
    k->turn_at_ms = at_ms;
    agenda_add(&w->agenda, at_ms, DO_TURN, 0, ++k->stamp);
}

/* ---- coming and going ---- */

/* Memory may run out on the way; then it is tried again like a disk that cannot be read. */
static enum code read_all(struct world *w, struct err *e)
{
    struct coordinator *k = &w->coordinator;
    int short_of_memory = fault(w, &k->dice, FAULT_no_memory_to_load);
    enum code rc;

    k->core = core_make(&settings);
    if (!k->core) return err_set(e, ERR_NOMEM, "no core");
    if ((rc = disk_reopen(w, e))) return rc;
    if (short_of_memory)
        arena_fail_after(1 + (long)dice_roll(&k->dice, 20 + 4 * w->ledger.unended));
    rc = disk_load(w, k->core, e);
    arena_fail_after(0);
    return rc;
}

static void load(struct world *w)
{
    struct coordinator *k = &w->coordinator;
    struct err e;
    enum code rc;

    core_free(k->core);
    k->core = NULL;
    k->blind = fault(w, &k->dice, FAULT_disk_blind);
    if (k->blind) return;
    rc = read_all(w, &e);
    if (rc == ERR_NOMEM) {
        core_free(k->core);
        k->core = NULL;
        k->blind = 1;
    } else if (rc) {
        world_break(w, "whole", "what the coordinator wrote it cannot read: %s", e.text);
    } else {
        w->counts.restarts++;
        ledger_restarted(w);
    }
}

void coordinator_boot(struct world *w)
{
    struct coordinator *k = &w->coordinator;

    k->down = 0;
    k->ahead_ms = 0;
    k->stands_until_ms = 0;
    k->now_ms = w->now_ms;
    if (fault(w, &k->dice, FAULT_clock_back))
        k->ahead_ms = -1000 - (int64_t)dice_roll(&k->dice, 5 * 3600000);
    k->now_ms += k->ahead_ms;
    core_actions_clear(&k->actions);
    load(w);
    k->turn_at_ms = 0;
    turn_at(w, w->now_ms + 1);
}

/* Gone at once, as by kill -9. What was said to it is lost with it. */
static void die(struct world *w, const char *when)
{
    struct coordinator *k = &w->coordinator;

    world_tell(w, "the coordinator dies %s", when);
    core_free(k->core);
    k->core = NULL;
    for (; k->waiting; k->waiting--) {
        network_drop(w, k->inbox[k->first]);
        k->first = (k->first + 1) % k->room;
    }
    core_actions_clear(&k->actions);
    k->down = 1;
    k->stops = 0;
    k->up_at_ms =
        w->now_ms + 1 + (int64_t)dice_roll(&k->dice, 3) * (int64_t)dice_roll(&k->dice, 30000);
    agenda_add(&w->agenda, k->up_at_ms, DO_BOOT, 0, 0);
}

void coordinator_fini(struct world *w)
{
    struct coordinator *k = &w->coordinator;

    core_free(k->core);
    core_actions_fini(&k->actions);
    arena_fini(&k->arena);
    free(k->inbox);
}

/* ---- one step ---- */

void coordinator_check(struct world *w)
{
    struct coordinator *k = &w->coordinator;
    struct err e;

    if (core_check(k->core, &e)) world_break(w, "check", "%s", e.text);
    ledger_compare(w);
    w->counts.checks++;
    k->check_at =
        w->counts.events + 256 + 3 * (w->ledger.unended + w->shape.groups + w->shape.users);
}

/* ---- a step told, for people ---- */

static void tell_step(struct world *w, const struct core_event *ev, uint64_t asker)
{
    if (!w->o.tell) return;
    if (ev->type == CORE_MESSAGE)
        world_tell(w, "the coordinator hears `%s` of %s %llu", proto_name(ev->message->kind),
                   IS_PERSON(asker) ? "user" : "group", (unsigned long long)NUMBER_OF(asker));
}

static void step(struct world *w, const struct core_event *ev, uint64_t asker, int tampered)
{
    struct coordinator *k = &w->coordinator;
    size_t puts = k->actions.n_puts, tells = k->actions.n_tells;
    struct err e;

    if (k->actions
            .failed) { /* nothing of this batch will ever be, and the process goes on with it */
        core_step(k->core, ev, now(w), &k->actions);
        return;
    }
    w->counts.events++;
    tell_step(w, ev, asker);
    ledger_before(w, ev, asker, tampered);
    if (fault(w, &k->dice, FAULT_no_memory)) arena_fail_after(1 + (long)dice_roll(&k->dice, 8));
    core_step(k->core, ev, now(w), &k->actions);
    arena_fail_after(0);
    if (k->actions.failed) return;
    if (core_check_step(k->core, &e)) world_break(w, "check", "%s", e.text);
    else ledger_after(w, puts, tells);
}

static void step_message(struct world *w, uint32_t parcel)
{
    const struct parcel *p = network_parcel(w, parcel);
    struct core_event ev;

    if (!event_of(w, parcel, &ev)) return;
    w->counts.messages++;
    step(w, &ev, p->from, p->tampered);
}

/* ---- one batch ---- */

static void tell(struct world *w, const struct core_tell *t)
{
    struct coordinator *k = &w->coordinator;
    struct message m;
    struct hash room[2];
    uint64_t to;

    memcpy(&to, t->to.peer, sizeof to);
    if (t->type != TELL_ANSWER && t->type != TELL_STAGE) return;
    ledger_told(w, t);
    if (w->broken[0]) return;
    if (t->type == TELL_STAGE) disk_stage_message(w, t, &m, room);
    else m = t->answer;
    m.id = t->to.id;
    w->counts.answers++;
    if (t->to.n) network_send(w, &k->dice, to, COORDINATOR, &m);
}

static void tell_all(struct world *w)
{
    struct core_actions *a = &w->coordinator.actions;

    for (size_t i = 0; i < a->n_tells && w->coordinator.core; i++) {
        if (i && fault(w, &w->coordinator.dice, FAULT_kill_between)) die(w, "between two answers");
        else tell(w, &a->tells[i]);
    }
}

static void refuse(struct world *w, uint64_t to, uint64_t id, enum code code)
{
    struct message m = {
        .kind = MSG_refused, .id = id, .refused = {.code = (uint64_t)code, .line = ""}};
    network_send(w, &w->coordinator.dice, to, COORDINATOR, &m);
}

/* The disk has nothing of the batch; everybody in it is told so, and the core is loaded again. */
static void refused_by_disk(struct world *w)
{
    struct coordinator *k = &w->coordinator;

    world_tell(w, "%s, and %zu rows go", k->actions.failed ? "memory ran out" : "the disk refuses",
               k->actions.n_puts);
    if (w->o.bug == BUG_silent_refusal) tell_all(w);
    ledger_undo(w);
    core_actions_clear(&k->actions);
    load(w);
}

static void write_batch(struct world *w)
{
    struct core_actions *a = &w->coordinator.actions;

    if (a->n_puts) world_tell(w, "the disk has %zu rows", a->n_puts);
    if (disk_apply(w, a, a->n_puts)) ledger_durable(w);
}

/* Killed while the disk writes: the batch is there or it is not. */
static void killed_during(struct world *w)
{
    struct coordinator *k = &w->coordinator;
    struct core_actions *a = &k->actions;

    if (dice_roll(&k->dice, 2)) {
        write_batch(w);
    } else {
        if (w->o.bug == BUG_torn_write && a->n_puts)
            disk_apply(w, a, dice_roll(&k->dice, a->n_puts));
        ledger_undo(w);
    }
    die(w, "during the transaction");
}

static void carry_out(struct world *w)
{
    struct coordinator *k = &w->coordinator;
    struct core_actions *a = &k->actions;

    if (a->failed || (a->n_puts && fault(w, &k->dice, FAULT_disk_refuses))) {
        refused_by_disk(w);
        return;
    }
    if (fault(w, &k->dice, FAULT_kill_before)) {
        ledger_undo(w);
        die(w, "before the transaction");
        return;
    }
    if (w->o.bug == BUG_answer_early) tell_all(w);
    if (!k->core) return;
    if (a->n_puts && fault(w, &k->dice, FAULT_kill_during)) {
        killed_during(w);
        return;
    }
    write_batch(w);
    if (fault(w, &k->dice, FAULT_kill_after)) {
        die(w, "after the transaction, before an answer");
        return;
    }
    if (w->o.bug != BUG_answer_early) tell_all(w);
    if (k->core) core_actions_clear(a);
}

/* ---- turns ---- */

void coordinator_hear(struct world *w, uint32_t parcel)
{
    struct coordinator *k = &w->coordinator;

    if (k->down) { /* the sender's socket keeps it, or it was on the wire */
        if (dice_roll(&k->dice, 2)) network_drop(w, parcel);
        else
            agenda_add(&w->agenda, k->up_at_ms + 1 + (int64_t)dice_roll(&k->dice, 50), DO_PARCEL,
                       parcel, 0);
        return;
    }
    if (k->waiting == k->room) {
        size_t room = k->room ? 2 * k->room : 64;
        uint32_t *more = malloc(room * sizeof *more);
        if (!more) abort();
        for (size_t i = 0; i < k->waiting; i++) more[i] = k->inbox[(k->first + i) % k->room];
        free(k->inbox);
        k->inbox = more;
        k->first = 0;
        k->room = room;
    }
    k->inbox[(k->first + k->waiting++) % k->room] = parcel;
    turn_at(w, w->now_ms + (int64_t)dice_roll(&k->dice, 3));
}

static uint32_t receive(struct coordinator *k)
{
    uint32_t i = k->inbox[k->first];
    k->first = (k->first + 1) % k->room;
    k->waiting--;
    return i;
}

static void refuse_all(struct world *w)
{
    struct coordinator *k = &w->coordinator;

    while (k->waiting) {
        uint32_t i = receive(k);
        struct parcel *p = network_parcel(w, i);
        struct message m;
        if (network_open(w, p, &k->arena, &m)) refuse(w, p->from, m.id, ERR_IO);
        network_drop(w, i);
    }
    load(w);
    turn_at(w, w->now_ms + RETRY_MS);
}

static void leave_if_stopped(struct world *w)
{
    struct coordinator *k = &w->coordinator;

    if (!core_stopping(k->core)) return;
    if (!k->stops) k->stops = (uint64_t)w->now_ms;
    if (core_leased(k->core) == 0 || w->now_ms > (int64_t)k->stops + LEAVE_MS)
        die(w, "because it was stopped");
}

static void next_turn(struct world *w)
{
    struct coordinator *k = &w->coordinator;
    int64_t next = core_next_ms(k->core), in = next == INT64_MAX ? LOOK_MS : next - now(w);

    if (k->waiting) in = 1;
    turn_at(w, w->now_ms + (in < 1 ? 1 : in > LOOK_MS ? LOOK_MS : in));
}

void coordinator_turn(struct world *w)
{
    struct coordinator *k = &w->coordinator;
    struct core_event tick = {.type = CORE_TICK};
    struct arena_mark none = {0};

    k->turn_at_ms = 0;
    if (k->down) return;
    clock_faults(w);
    if (!k->core) {
        refuse_all(w);
        arena_reset(&k->arena, none);
        return;
    }
    for (uint32_t n = 0; n < w->shape.batch && k->waiting && !w->broken[0]; n++) {
        uint32_t i = receive(k);
        step_message(w, i);
        network_drop(w, i);
    }
    if (!w->broken[0]) step(w, &tick, COORDINATOR, 0);
    if (!w->broken[0]) carry_out(w);
    if (k->core && !w->broken[0] && w->counts.events >= k->check_at) coordinator_check(w);
    if (k->core && !w->broken[0]) leave_if_stopped(w);
    if (k->core && !w->broken[0]) next_turn(w);
    else if (!k->down) turn_at(w, w->now_ms + RETRY_MS);
    arena_reset(&k->arena, none);
}

void coordinator_group_lost(struct world *w, uint64_t nonce)
{
    struct coordinator *k = &w->coordinator;
    struct core_event ev = {.type = CORE_GROUP_LOST, .group = nonce_hash(nonce)};
    struct arena_mark none = {0};

    if (!k->core) return;
    step(w, &ev, COORDINATOR, 0);
    if (!w->broken[0]) carry_out(w);
    if (k->core) turn_at(w, w->now_ms + 1);
    arena_reset(&k->arena, none);
}
