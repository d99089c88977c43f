#include "coordinator/server/groups.h"

#include <stdlib.h>

enum { LOOK_MS = 500 }; /* the groups are walked so often; they come and go in seconds */

/* ---- what there is to do, and who is there ---- */

static void backlog(struct groups *g, const struct core *c)
{
    struct core_backlog now;

    core_backlog(c, &now);
    g->want.ready = (size_t)now.ready;
    g->want.leased = (size_t)now.leased;
}

static void look_at_groups(struct groups *g, const struct core *c)
{
    size_t n = core_n_groups(c);
    const struct core_group *known;
    uint32_t at = 0;

    if (n > g->seen_room) {
        struct launch_seen *grown = mem_grow(g->seen, g->seen_room, n, sizeof *grown);
        if (!grown) n = g->seen_room;
        else {
            g->seen = grown;
            g->seen_room = n;
        }
    }
    g->want.n_seen = 0;
    while (g->want.n_seen < n && (known = core_each_group(c, &at)))
        g->seen[g->want.n_seen++] = (struct launch_seen){.name = known->name,
                                                         .nonce = known->nonce,
                                                         .seen_ms = known->seen_ms,
                                                         .leased = known->lease != NULL};
    g->want.seen = g->seen;
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
