#include "coordinator/server/groups.h"

#include <stdlib.h>

enum { LOOK_MS = 500 }; /* the core is walked so often; groups come and go in seconds */

/* ---- what there is to do, and who is there ---- */

/* Stages that a group could begin now, and those that run and by whom. O(jobs). */
static void backlog(struct groups *g, const struct core *c)
{
    g->want.ready = g->want.leased = 0;
    for (uint64_t id = 1; id <= core_last_job(c); id++) {
        const struct core_job *j = core_job(c, id);
        for (int i = 0; !JOB_ENDED(j->state) && i < j->n_stages; i++) {
            const struct core_stage *s = &j->stages[i];
            g->want.ready += s->state == STAGE_READY;
            if (s->state != STAGE_LEASED) continue;
            g->want.leased++;
            for (size_t k = 0; k < g->want.n_seen; k++)
                g->seen[k].leased |= hash_equal(g->seen[k].nonce, s->group);
        }
    }
}

static void look_at_groups(struct groups *g, const struct core *c)
{
    size_t n;
    const struct core_group *known = core_groups(c, &n);

    if (n > g->seen_room) {
        struct launch_seen *grown = mem_grow(g->seen, g->seen_room, n, sizeof *grown);
        if (!grown) n = g->seen_room;
        else {
            g->seen = grown;
            g->seen_room = n;
        }
    }
    for (size_t i = 0; i < n; i++)
        g->seen[i] = (struct launch_seen){
            .name = known[i].name, .nonce = known[i].nonce, .seen_ms = known[i].seen_ms};
    g->want.seen = g->seen;
    g->want.n_seen = n;
}

void groups_turn(struct groups *g, struct server *s, int stopping)
{
    struct hash lost[LAUNCH_LOST];
    int n = 0;

    if (!g->l) return;
    g->want.n_seen = 0; /* names are borrowed from the core */
    if (s->core && s->now_ms - g->looked_ms >= LOOK_MS) {
        g->looked_ms = s->now_ms;
        look_at_groups(g, s->core);
        backlog(g, s->core);
    }
    g->want.stopping = stopping;
    g->table->poll(g->l, s->now_ms, &g->want, lost, &n);
    for (int i = 0; i < n; i++) server_group_lost(s, lost[i]);
}

/* ---- what the server asks ---- */

static const char *trouble(void *self)
{
    struct groups *g = self;
    return g->l ? g->table->trouble(g->l) : "";
}

static int knows(void *self, const char *name, struct hash nonce, int64_t now_ms)
{
    struct groups *g = self;
    return g->l ? g->table->knows(g->l, name, nonce, now_ms) : 1;
}

void groups_join(struct groups *g, struct server *s)
{
    s->launch_trouble = trouble;
    s->launch_knows = knows;
    s->launch_self = g;
}

void groups_close(struct groups *g)
{
    if (g->l) g->table->close(g->l);
    free(g->seen);
    g->l = NULL;
    g->seen = NULL;
}
