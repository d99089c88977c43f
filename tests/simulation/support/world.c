/* world.c - time: what is next on the agenda happens; who is where; when it is over. */
#include "tests/simulation/support/world.h"

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N(x) ((unsigned long long)(x))

static const int64_t began_ms = 1700000000000;

const char *const fault_names[FAULTS] = {
#define FAULT(name, text) #name,
    FAULT_LIST
#undef FAULT
};
const char *const fault_texts[FAULTS] = {
#define FAULT(name, text) text,
    FAULT_LIST
#undef FAULT
};
const char *const bug_names[BUGS] = {"none",
#define BUG(name, text) #name,
                                     BUG_LIST
#undef BUG
};

/* ---- telling ---- */

void world_break(struct world *w, const char *invariant, const char *fmt, ...)
{
    va_list args;
    int n;

    if (w->broken[0]) return;
    snprintf(w->invariant, sizeof w->invariant, "%s", invariant);
    n = snprintf(w->broken, sizeof w->broken, "%s: event %llu, %.3f s: ", invariant,
                 N(w->counts.events), (double)(w->now_ms - began_ms) / 1000);
    va_start(args, fmt);
    vsnprintf(w->broken + n, sizeof w->broken - (size_t)n, fmt, args);
    va_end(args);
}

void world_tell(struct world *w, const char *fmt, ...)
{
    va_list args;

    if (!w->o.tell) return;
    printf("%5llu %10.3f s  ", N(w->counts.events), (double)(w->now_ms - began_ms) / 1000);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
}

/* ---- faults ---- */

static int is_kept(const struct world *w, enum fault f, uint64_t who, uint32_t ordinal)
{
    for (size_t i = 0; i < w->o.n_kept; i++) {
        const struct kept *k = &w->o.kept[i];
        if (k->fault == f && k->who == who && k->ordinal == ordinal) return 1;
    }
    return 0;
}

static void note_fault(struct world *w, enum fault f, uint64_t who, uint32_t ordinal)
{
    w->counts.faults[f]++;
    if (w->o.tell)
        world_tell(w, "fault %s.%llu.%u: %s", fault_names[f], N(who), ordinal, fault_texts[f]);
    if (!w->remember) return;
    if (w->n_happened == w->happened_room) {
        w->happened_room = w->happened_room ? 2 * w->happened_room : 256;
        w->happened = realloc(w->happened, w->happened_room * sizeof *w->happened);
        if (!w->happened) abort();
    }
    w->happened[w->n_happened++] = (struct kept){(uint8_t)f, ordinal, who};
}

int fault(struct world *w, struct dice *d, enum fault f)
{
    uint32_t ordinal = d->tried[f]++;

    if (w->calm || !w->shape.luck) return 0;
    if (dice_mix(d->seed, d->who << 8 | f, (uint64_t)ordinal | 1ull << 40) >> 44 >=
        fault_rates[f] * w->shape.luck / 16)
        return 0;
    if (w->o.without >> f & 1 || (w->o.kept && !is_kept(w, f, d->who, ordinal))) return 0;
    note_fault(w, f, d->who, ordinal);
    return 1;
}

/* ---- assertions of the core ---- */

/* A broken assertion is a violation like any other: it is told with its seed and shrunk. glibc calls this; there is no
 * way to hand it the world. What the core holds is given up. */
static struct {
    struct world *world;
    jmp_buf out;
} asserted;

_Noreturn void __assert_fail(const char *what, const char *file, unsigned line,
                             const char *function)
{
    if (!asserted.world) {
        fprintf(stderr, "%s:%u: %s: `%s` does not hold\n", file, line, function, what);
        abort();
    }
    world_break(asserted.world, "assert", "%s:%u: `%s` does not hold", file, line, what);
    longjmp(asserted.out, 1);
}

/* ---- what happens ---- */

static void deliver(struct world *w, uint32_t i)
{
    struct parcel *p = network_parcel(w, i);
    struct arena *a = &w->coordinator.arena;
    struct arena_mark mark = arena_mark(a);
    struct message m;

    if (p->to == COORDINATOR) {
        coordinator_hear(w, i);
        return;
    }
    /* What flipped bits make of an answer is nobody's promise: it is read, and forgotten. */
    if (network_open(w, p, a, &m) && !p->tampered) {
        if (w->o.tell)
            world_tell(w, "%s %llu hears `%s`", IS_PERSON(p->to) ? "user" : "group",
                       N(NUMBER_OF(p->to)), proto_name(m.kind));
        if (IS_PERSON(p->to)) person_hear(w, (uint32_t)NUMBER_OF(p->to), &m);
        else group_hear(w, NUMBER_OF(p->to), &m, dice_next(&w->dice));
    }
    network_drop(w, i);
    arena_reset(a, mark);
}

static void happen(struct world *w, const struct entry *e)
{
    switch ((enum what)e->what) {
    case DO_PARCEL: deliver(w, e->who); break;
    case DO_PERSON:
        if (w->people[e->who].stamp == e->stamp) person_act(w, e->who);
        break;
    case DO_BODY:
        if (w->bodies[e->who].stamp == e->stamp && w->bodies[e->who].state) group_act(w, e->who);
        break;
    case DO_LAUNCH:
        if (w->slots[e->who].stamp == e->stamp) launcher_act(w, e->who);
        break;
    case DO_DEATH:
        world_tell(w, "the launcher reports the end of group %llu", N(e->stamp));
        coordinator_group_lost(w, e->stamp);
        break;
    case DO_TURN:
        if (w->coordinator.stamp == e->stamp) coordinator_turn(w);
        break;
    case DO_BOOT: coordinator_boot(w); break;
    }
}

/* ---- until it is over ---- */

static void calm_down(struct world *w)
{
    w->calm = 1;
    w->calm_since_ms = w->now_ms;
    w->coordinator.stands_until_ms = 0;
    world_tell(w, "no more faults");
    person_wake(w, 0, 1);
    /* Everything that can wait, back off and be learned one after the other, by one group: a stage of steps + 2 seconds. */
    w->calm_ms = 2 * 3600000 + (int64_t)(w->ledger.unended + w->shape.users * 10u) * 5 *
                                   (int64_t)(4 * w->shape.steps + 20) * 1000;
}

static int over(const struct world *w)
{
    return w->calm && w->ledger.unended == 0 && w->asking == 0 && w->coordinator.core &&
           !w->ledger.n_undo;
}

static void play(struct world *w)
{
    struct entry e;

    while (!w->broken[0] && !over(w) && agenda_next(&w->agenda, &e)) {
        w->now_ms = e.at_ms;
        happen(w, &e);
        if (!w->calm && w->counts.events >= w->o.events) calm_down(w);
        if (w->o.stop_after && w->counts.events > w->o.stop_after) return;
        if (w->calm && w->now_ms > w->calm_since_ms + w->calm_ms)
            world_break(w, "live",
                        "%.1f hours without faults, and %llu jobs have not ended, %llu users wait",
                        (double)w->calm_ms / 3600000, N(w->ledger.unended), N(w->asking));
    }
    if (!w->broken[0] && !over(w)) world_break(w, "live", "nothing will ever happen again");
    if (!w->broken[0]) coordinator_check(w);
    if (!w->broken[0]) ledger_final(w);
}

void world_run(struct world *w)
{
    asserted.world = w;
    if (setjmp(asserted.out)) w->coordinator.core = NULL;
    else play(w);
    asserted.world = NULL;
}

/* ---- making and ending ---- */

static void *array(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p) abort();
    return p;
}

static void make_names(struct world *w)
{
    w->lineage_names = array(w->shape.lineages, sizeof *w->lineage_names);
    w->team_names = array(4, sizeof *w->team_names);
    w->names = array(w->shape.users + 4, sizeof *w->names);
    for (uint32_t i = 0; i < w->shape.lineages; i++) snprintf(w->lineage_names[i], 16, "l%u", i);
    for (int i = 0; i < 4; i++) {
        snprintf(w->team_names[i], 8, "t%d", i);
        snprintf(w->at_names[i], 16, "@%s", w->team_names[i]);
    }
    for (uint32_t i = 0; i < w->shape.users; i++) w->names[w->n_names++] = w->people[i].name;
    for (int i = 0; i < 4; i++) w->names[w->n_names++] = w->at_names[i];
    w->prompts[0] = "a photo";
    w->prompts[1] = "another";
    w->image = nonce_hash(1ull << 43);
}

static void make_people(struct world *w)
{
    w->people = array(w->shape.users, sizeof *w->people);
    for (uint32_t i = 0; i < w->shape.users; i++) {
        struct person *p = &w->people[i];
        p->dice = (struct dice){.seed = w->o.seed, .who = 1000 + i};
        p->is_admin = i == 0;
        snprintf(p->name, sizeof p->name, i ? "u%u" : "ann", i);
        person_wake(w, i, 1 + (int64_t)dice_roll(&p->dice, 2000));
    }
}

static void make_slots(struct world *w)
{
    w->slots = array(w->shape.groups, sizeof *w->slots);
    w->bodies_room = 3 * w->shape.groups + 8;
    w->bodies = array(w->bodies_room, sizeof *w->bodies);
    for (uint32_t i = 0; i < w->shape.groups; i++) {
        struct slot *s = &w->slots[i];
        s->dice = (struct dice){.seed = w->o.seed, .who = 500000 + i};
        snprintf(s->name, sizeof s->name, "group-%u", i + 1);
        agenda_add(&w->agenda, w->now_ms + (int64_t)dice_roll(&s->dice, 1000), DO_LAUNCH, i,
                   ++s->stamp);
    }
}

struct world *world_make(const struct world_options *o, struct err *e)
{
    struct world *w = array(1, sizeof *w);

    w->o = *o;
    w->now_ms = began_ms;
    if (shape_choose(&w->shape, o, e)) {
        free(w);
        return NULL;
    }
    w->dice = (struct dice){.seed = o->seed, .who = 1};
    w->coordinator.dice = (struct dice){.seed = o->seed, .who = 3};
    w->asks = (struct dice){.seed = o->seed, .who = 4};
    make_people(w);
    make_names(w);
    make_slots(w);
    ledger_init(w);
    if (w->shape.sqlite && o->folder)
        snprintf(w->disk.path, sizeof w->disk.path, "%s/seed-%llu.db", o->folder, N(o->seed));
    if (!w->broken[0]) coordinator_boot(w);
    return w;
}

static void forget_database(const struct world *w)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-mark"};
    char path[600];

    for (int i = 0; w->disk.path[0] && i < 4; i++) {
        snprintf(path, sizeof path, "%s%s", w->disk.path, ends[i]);
        unlink(path);
    }
}

void world_free(struct world *w)
{
    if (!w) return;
    for (uint32_t i = 0; i < w->shape.users; i++) arena_fini(&w->people[i].many);
    network_fini(w);
    coordinator_fini(w);
    disk_fini(w);
    ledger_fini(w);
    forget_database(w);
    agenda_fini(&w->agenda);
    free(w->people);
    free(w->slots);
    free(w->bodies);
    free(w->nonces);
    free(w->lineage_names);
    free(w->team_names);
    free(w->names);
    free(w->happened);
    free(w);
}
