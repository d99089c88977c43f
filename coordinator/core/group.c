/* group.c - worker groups: who is there, who waits for work, who still holds a lease.
 *
 * A group is its nonce. The table here is memory only; what must survive (which group holds which lease under which epoch)
 * stands in the stage. A group that the table does not know, or knows by its lease only, is asked `who`; nothing is lost by
 * that. Which groups are drained is durable, by name.
 */
#include "coordinator/core/state.h"

#include <stdio.h>
#include <stdlib.h>

enum { FORGET_MS = 60000 }; /* a group silent for so long without a lease has left the table */
enum { NOT_WAITING, FOR_WORK, DRAINING };

/* ---- the table ---- */

static struct group *group_at(const struct core *c, uint32_t slot)
{
    return slot ? c->groups[slot - 1] : NULL;
}

static uint32_t hash_of(const struct core *c, struct hash nonce)
{
    return map_hash(c->settings.seed, nonce.v, HASH_BYTES);
}

struct group *group_find(const struct core *c, struct hash nonce)
{
    uint32_t hash = hash_of(c, nonce);
    size_t at;

    for (uint32_t i = map_first(&c->group_nonces, hash, &at); i;
         i = map_next(&c->group_nonces, hash, &at))
        if (hash_equal(group_at(c, i)->row.nonce, nonce)) return group_at(c, i);
    return NULL;
}

static void seen_out(struct core *c, struct group *g)
{
    *(g->sooner ? &group_at(c, g->sooner)->later : &c->seen_first) = g->later;
    *(g->later ? &group_at(c, g->later)->sooner : &c->seen_last) = g->sooner;
}

static void seen_in(struct core *c, struct group *g)
{
    g->sooner = c->seen_last;
    g->later = 0;
    *(c->seen_last ? &group_at(c, c->seen_last)->later : &c->seen_first) = g->slot;
    c->seen_last = g->slot;
}

static void heard(struct core *c, struct group *g)
{
    g->row.seen_ms = c->now_ms;
    seen_out(c, g);
    seen_in(c, g);
}

struct group *group_add(struct core *c, struct hash nonce)
{
    uint32_t slot = c->free_group;
    struct group *g = group_at(c, slot);

    if (g) {
        c->free_group = g->next;
    } else {
        if (!core_grow(c, &c->groups, &c->groups_room, c->n_groups, sizeof *c->groups)) return NULL;
        if (!(g = mem_alloc(1, sizeof *g))) {
            c->broken = 1;
            return NULL;
        }
        c->groups[c->n_groups++] = g;
        slot = (uint32_t)c->n_groups;
    }
    *g = (struct group){.row = {.nonce = nonce, .seen_ms = c->now_ms}, .slot = slot};
    if (!map_add(&c->group_nonces, hash_of(c, nonce), slot)) c->broken = 1;
    seen_in(c, g);
    return g;
}

static void unpark(struct core *c, struct group *g)
{
    struct waiting *w = &c->waits[g->waits];

    g->row.parked = 0;
    if (!g->waits) return;
    *(g->prev ? &group_at(c, g->prev)->next : &w->first) = g->next;
    *(g->next ? &group_at(c, g->next)->prev : &w->last) = g->prev;
    w->n--;
    g->waits = NOT_WAITING;
    g->next = g->prev = 0;
}

static void park(struct core *c, struct group *g)
{
    struct waiting *w;

    g->row.parked = 1;
    g->waits = g->row.draining ? DRAINING : FOR_WORK;
    w = &c->waits[g->waits];
    g->prev = w->last;
    g->next = 0;
    *(w->last ? &group_at(c, w->last)->next : &w->first) = g->slot;
    w->last = g->slot;
    w->n++;
}

void group_remove(struct core *c, struct group *g)
{
    unpark(c, g);
    seen_out(c, g);
    map_remove(&c->group_nonces, hash_of(c, g->row.nonce), g->slot);
    if (g->row.known) {
        c->known_groups--;
        c->known_ranks -= g->row.ranks;
        c->draining_groups -= g->row.draining != 0;
    }
    *g = (struct group){.slot = g->slot, .next = c->free_group};
    c->free_group = g->slot;
}

void group_free_all(struct core *c)
{
    for (size_t i = 0; i < c->n_groups; i++) free(c->groups[i]);
    free(c->groups);
    map_fini(&c->group_nonces);
}

/* ---- drain ---- */

static size_t drain_at(const struct core *c, const char *name)
{
    size_t i = 0;
    while (i < c->n_drains && strcmp(c->drains[i], name)) i++;
    return i;
}

int group_drained(const struct core *c, const char *name)
{
    return drain_at(c, "") < c->n_drains || drain_at(c, name) < c->n_drains;
}

static void mark(struct core *c, struct group *g)
{
    int draining = group_drained(c, g->row.name), parked = g->row.parked;

    if (!g->row.known || draining == g->row.draining) return;
    c->draining_groups += draining ? 1u : -1u;
    if (parked) unpark(c, g);
    g->row.draining = draining;
    if (parked) park(c, g);
}

void group_drain(struct core *c, const char *name, int on)
{
    size_t i = drain_at(c, name);
    int there = i < c->n_drains;
    char *own;

    if (on && !there) {
        if (!core_grow(c, &c->drains, &c->drains_room, c->n_drains, sizeof *c->drains)) return;
        if (!(own = core_own(c, name))) return;
        c->drains[c->n_drains++] = own;
    } else if (!on && there) {
        free(c->drains[i]);
        c->drains[i] = c->drains[--c->n_drains];
    }
    for (size_t k = 0; k < c->n_groups; k++) mark(c, c->groups[k]);
}

/* ---- hello ---- */

void group_go_on(struct core *c)
{
    core_answer(
        c, c->ev->from,
        (struct message){.kind = MSG_go_on, .go_on.term_ms = (uint64_t)c->settings.term_ms});
}

struct group *group_known(struct core *c, const struct core_event *ev)
{
    struct group *g = group_find(c, ev->group);

    if (g && g->row.known) {
        heard(c, g);
        return g;
    }
    core_answer(c, c->ev->from, (struct message){.kind = MSG_who, .who.line = "hello?"});
    return NULL;
}

static void copy_name(char to[PROTO_NAME + 1], const char *from)
{
    snprintf(to, PROTO_NAME + 1, "%s", from);
}

void group_hello(struct core *c, const struct core_event *ev)
{
    const struct msg_worker_hello *h = &ev->message->worker_hello;
    struct group *g = group_find(c, h->nonce);

    if (!hash_equal(h->nonce, ev->group)) {
        core_refuse(c, ERR_PROTOCOL, "worker_hello: the nonce is not the one of the connection");
        return;
    }
    if (!g && !(g = group_add(c, h->nonce))) return;
    heard(c, g);
    if (!g->row.known) c->known_groups++;
    c->known_ranks += h->ranks - g->row.ranks;
    g->row.known = 1;
    copy_name(g->row.name, h->name);
    copy_name(g->row.host, h->host);
    copy_name(g->row.device, h->device);
    g->row.ranks = h->ranks;
    g->row.pid = h->pid;
    mark(c, g);
    group_go_on(c);
}

/* ---- work ---- */

void group_ready(struct core *c, const struct core_event *ev)
{
    struct group *g = group_known(c, ev);
    struct core_stage *s;

    if (!g) return;
    unpark(c, g);
    g->row.base = ev->message->ready.base;
    g->row.commit = ev->message->ready.commit;
    if (g->row.lease) { /* the answer was lost: the same again, under the same epoch */
        s = stage_of(jobs_find(c, g->row.lease->job), g->row.lease->kind);
        s->deadline_ms = c->now_ms + c->settings.term_ms;
        timer_set(c, s);
        tell_stage(c, ev->from, s);
        return;
    }
    if (c->stopping) {
        core_answer(c, c->ev->from,
                    (struct message){.kind = MSG_end, .end.why = "the coordinator stops"});
        return;
    }
    g->row.parked_at = ev->from;
    g->row.parked_until_ms = c->now_ms + c->settings.poll_ms;
    park(c, g);
}

void group_assign(struct core *c)
{
    while (c->waits[FOR_WORK].first && !c->stopping && !c->broken) {
        struct core_job *j;
        struct group *g;
        enum stage_kind k = fair_choose(c, &g, &j);
        if (!k) return;
        unpark(c, g);
        stage_grant(c, j, k, g);
        if (g->row.lease) tell_stage(c, g->row.parked_at, g->row.lease);
    }
}

static void end_wait(struct core *c, struct group *g, struct message m)
{
    unpark(c, g);
    core_answer(c, g->row.parked_at, m);
}

void group_tick(struct core *c)
{
    for (int i = FOR_WORK; i <= DRAINING; i++) {
        struct group *g;
        while ((g = group_at(c, c->waits[i].first)) &&
               (c->stopping || g->row.parked_until_ms <= c->now_ms))
            end_wait(c, g,
                     c->stopping
                         ? (struct message){.kind = MSG_end, .end.why = "the coordinator stops"}
                         : (struct message){.kind = MSG_idle});
    }
    for (int n = 0; n < 4; n++) {
        struct group *g = group_at(c, c->seen_first);
        if (!g || c->now_ms - g->row.seen_ms <= FORGET_MS) break;
        if (!g->row.lease && !g->row.parked) {
            group_remove(c, g);
        } else { /* looked at again when the others have been */
            seen_out(c, g);
            seen_in(c, g);
        }
    }
}

/* ---- looking ---- */

size_t core_n_groups(const struct core *c)
{
    return (size_t)c->known_groups;
}

const struct core_group *core_each_group(const struct core *c, uint32_t *cursor)
{
    while (*cursor < c->n_groups) {
        const struct group *g = c->groups[(*cursor)++];
        if (g->row.known) return &g->row;
    }
    return NULL;
}

const struct core_stage *core_each_lease(const struct core *c, uint32_t *cursor)
{
    while (*cursor < c->n_groups) {
        const struct group *g = c->groups[(*cursor)++];
        if (g->row.lease) return g->row.lease;
    }
    return NULL;
}
