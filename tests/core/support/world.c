/* world.c - time, the network, and who dies when. */
#include "tests/core/support/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const planted_names[PLANTED] = {
    "none",   "answer-early", "torn-write",  "no-fence",
    "no-key", "no-expiry",    "lost-commit", "epoch-reused",
};

uint64_t world_roll(struct world *w, uint64_t bound)
{
    uint64_t z = w->dice += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % bound;
}

int world_chance(struct world *w, int per_mille)
{
    return !w->calm && world_roll(w, 1000) < (uint64_t)per_mille;
}

struct hash world_name(struct world *w, const char *what, uint64_t n)
{
    char text[96];
    int len = snprintf(text, sizeof text, "%s %llu %llu", what, (unsigned long long)w->o.seed,
                       (unsigned long long)n);
    return hash_bytes(text, (size_t)len);
}

void world_break(struct world *w, const char *fmt, ...)
{
    va_list args;
    int n;

    if (w->broken[0]) return;
    n = snprintf(w->broken, sizeof w->broken,
                 "seed %llu, step %ld, t=%lld ms: ", (unsigned long long)w->o.seed, w->steps,
                 (long long)w->now);
    va_start(args, fmt);
    vsnprintf(w->broken + n, sizeof w->broken - (size_t)n, fmt, args);
    va_end(args);
}

/* ---- network ---- */

static int sooner(const struct parcel *a, const struct parcel *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void heap_push(struct world *w, struct parcel p)
{
    size_t i = w->n_parcels++;
    if (w->n_parcels > w->parcels_room) {
        w->parcels_room = w->parcels_room ? 2 * w->parcels_room : 64;
        w->parcels = realloc(w->parcels, w->parcels_room * sizeof *w->parcels);
    }
    for (; i && sooner(&p, &w->parcels[(i - 1) / 2]); i = (i - 1) / 2)
        w->parcels[i] = w->parcels[(i - 1) / 2];
    w->parcels[i] = p;
}

static struct parcel heap_pop(struct world *w)
{
    struct parcel top = w->parcels[0], last = w->parcels[--w->n_parcels];
    size_t i = 0, k;
    while ((k = 2 * i + 1) < w->n_parcels) {
        if (k + 1 < w->n_parcels && sooner(&w->parcels[k + 1], &w->parcels[k])) k++;
        if (!sooner(&w->parcels[k], &last)) break;
        w->parcels[i] = w->parcels[k];
        i = k;
    }
    if (w->n_parcels) w->parcels[i] = last;
    return top;
}

static int64_t delay(struct world *w)
{
    return world_chance(w, 30) ? 100 + (int64_t)world_roll(w, 40000)
                               : 1 + (int64_t)world_roll(w, 20);
}

static void post(struct world *w, int to, int from, struct slice s)
{
    uint8_t *copy = malloc(s.n);
    memcpy(copy, s.data, s.n);
    struct parcel p = {.at = w->now + delay(w),
                       .order = w->order++,
                       .to = to,
                       .from = from,
                       .data = copy,
                       .n = s.n};
    if (from >= CLIENTS)
        p.nonce = w->group[from - CLIENTS].nonce; /* of who sent it, whoever lives when it comes */
    heap_push(w, p);
}

void world_send(struct world *w, int to, int from, const struct message *m)
{
    struct arena a = {0};
    struct slice s;
    struct err e;

    if (proto_encode(m, &a, &s, &e)) world_break(w, "a message cannot be written: %s", e.text);
    else if (!world_chance(w, 30)) {
        post(w, to, from, s);
        if (world_chance(w, 30)) post(w, to, from, s);
    }
    arena_fini(&a);
}

static void to_actor(struct world *w, const struct parcel *p)
{
    struct arena a = {0};
    struct message m;
    struct err e;

    if (proto_decode(p->data, p->n, &a, &m, &e))
        world_break(w, "an answer cannot be read: %s", e.text);
    else if (p->to < CLIENTS) client_hear(w, p->to, &m);
    else group_hear(w, p->to - CLIENTS, &m);
    arena_fini(&a);
}

/* ---- faults ---- */

static void misfortunes(struct world *w)
{
    if (w->core && world_chance(w, 1) && world_roll(w, 10) == 0) server_crash(w);
    for (int i = 0; i < GROUPS; i++) {
        struct group *g = &w->group[i];
        if (g->state != GROUP_DEAD && world_chance(w, 1) && world_roll(w, 8) == 0) group_die(w, i);
        if (g->state == GROUP_WORKING && g->stalled_until_ms < w->now && world_chance(w, 1))
            g->stalled_until_ms = w->now + (int64_t)world_roll(w, 90000);
    }
}

/* ---- the loop ---- */

static void deliver_due(struct world *w)
{
    struct parcel batch[8];
    int n = 0;

    while (w->n_parcels && w->parcels[0].at <= w->now && !w->broken[0]) {
        struct parcel p = heap_pop(w);
        if (p.to != TO_SERVER) {
            to_actor(w, &p);
            free(p.data);
            continue;
        }
        batch[n++] = p;
        if (n == 8 || world_roll(w, 3) == 0) {
            server_deliver(w, batch, n);
            n = 0;
        }
    }
    if (n) server_deliver(w, batch, n);
}

static int quiet(const struct world *w)
{
    if (!w->core) return 0;
    for (int i = 0; i < CLIENTS; i++)
        if (!client_settled(w, i)) return 0;
    struct core_backlog now;
    core_backlog(w->core, &now);
    return now.queued + now.running + now.paused == 0;
}

static void advance(struct world *w)
{
    int64_t to = w->now + 1 + (int64_t)world_roll(w, 40);
    w->now = to;
    if (!w->core && w->now >= w->up_at) server_boot(w);
    misfortunes(w);
    deliver_due(w);
    for (int i = 0; i < CLIENTS && !w->broken[0]; i++) client_act(w, i);
    for (int i = 0; i < GROUPS && !w->broken[0]; i++) group_act(w, i);
    if (w->core && world_roll(w, 25) == 0) server_tick(w);
}

enum { CALM_MS = 2 * 3600 * 1000 }; /* of virtual time until everything must have ended */

void world_run(struct world *w)
{
    while (w->steps < w->o.events && !w->broken[0]) advance(w);
    w->calm = 1;
    for (int64_t end = w->now + CALM_MS; !w->broken[0] && !quiet(w);) {
        if (w->now >= end)
            world_break(w, "liveness: two hours without faults and not everything has ended");
        advance(w);
    }
    if (!w->broken[0]) ledger_final(w);
}

struct world *world_make(const struct world_options *o)
{
    struct world *w = calloc(1, sizeof *w);

    w->o = *o;
    w->dice = o->seed * 0x2545f4914f6cdd1du + 1;
    w->now = 1700000000000;
    if (o->database) {
        char path[512];
        struct err e;
        snprintf(path, sizeof path, "%s/seed-%llu.db", o->database, (unsigned long long)o->seed);
        if (store_open(&w->store, path, &e)) world_break(w, "%s", e.text);
    }
    if (!w->broken[0]) server_boot(w);
    return w;
}

void world_free(struct world *w)
{
    while (w->n_parcels) free(heap_pop(w).data);
    free(w->parcels);
    core_free(w->core);
    core_actions_fini(&w->actions);
    store_close(w->store);
    disk_fini(w);
    free(w);
}
