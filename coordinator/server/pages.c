/* pages.c - the question `queue`: pages of jobs, newest first. One owner's jobs by state are found by an index, at once. Any other
 * page looks at rows one after the other, a few thousand in each turn: nobody waits for somebody who looks through
 * a million jobs. The total is what the core and the users' rows count; where nobody counts (one lineage) it is what the
 * page has, and one more when more may follow. */
#include "coordinator/server/server.h"

#include <stdlib.h>
#include <string.h>

/* Looking at a row takes a sixteenth of what answering with it takes: a full page is all of a turn. */
enum { PAGE_BYTES = 3 << 20, ROWS_A_TURN = 4000, ANSWERED = 16, ASKERS = 256 };

/* A page on its way. */
struct page {
    struct page *next;
    struct asked q; /* its strings are copied here */
    char lineage[PROTO_NAME + 1], owner[PROTO_NAME + 1];
    uint32_t lineage_id, owner_id; /* 0: all */
    uint64_t states;
    size_t limit, n;
    uint64_t below;   /* as asked */
    uint64_t next_id; /* go on below; 0: no more */
    uint64_t ids[];   /* [limit] */
};

struct pages {
    struct page *first, **last; /* owned */
    size_t n;
};

struct pages *pages_make(void)
{
    struct pages *p = mem_alloc(1, sizeof *p);
    if (p) p->last = &p->first;
    return p;
}

void pages_free(struct pages *p)
{
    for (struct page *g = p ? p->first : NULL, *next; g; g = next) {
        next = g->next;
        free(g);
    }
    free(p);
}

int pages_wait(const struct pages *p)
{
    return p->first != NULL;
}

/* ---- what is wanted ---- */

static enum code name_owner(struct server *s, struct page *g, struct err *e)
{
    const struct core_user *who = server_user(s, &g->q), *u;

    if (strcmp(g->owner, "*") == 0) return OK;
    if (!g->owner[0]) {
        g->owner_id = who ? who->id : UINT32_MAX; /* never heard of: has no jobs */
        return OK;
    }
    u = core_user_named(s->core, g->owner);
    if (!u || !core_sees(s->core, who, g->q.role, u->id))
        return err_set(e, ERR_DENIED, "the jobs of %s are not yours to see", g->owner);
    g->owner_id = u->id;
    return OK;
}

static enum code name_lineage(struct server *s, struct page *g, struct err *e)
{
    const struct core_lineage *l;

    if (!g->lineage[0]) return OK;
    l = core_lineage_named(s->core, g->lineage);
    if (!l || !core_may_read(s->core, server_user(s, &g->q), g->q.role, l))
        return answer_no_lineage(s, g->lineage, e);
    g->lineage_id = l->id;
    return OK;
}

static int wants(struct server *s, const struct page *g, uint32_t owner, uint64_t state,
                 uint32_t lineage)
{
    if (g->states && !(g->states >> state & 1)) return 0;
    if (g->lineage_id && lineage != g->lineage_id) return 0;
    if (g->owner_id) return owner == g->owner_id;
    return core_sees(s->core, server_user(s, &g->q), g->q.role, owner);
}

struct looker {
    struct server *s;
    const struct page *g;
};

static int wants_row(void *self, uint32_t owner, uint64_t state, uint32_t lineage)
{
    const struct looker *l = self;
    return wants(l->s, l->g, owner, state, lineage);
}

/* ---- totals ---- */

static uint64_t total_of_user(const struct core_user *u, uint64_t states)
{
    const uint64_t n[] = {
        [JOB_QUEUED] = u->queued, [JOB_RUNNING] = u->running, [JOB_PAUSED] = u->paused,
        [JOB_DONE] = u->ended[0], [JOB_FAILED] = u->ended[1], [JOB_CANCELLED] = u->ended[2]};
    uint64_t total = 0;

    for (int k = JOB_QUEUED; k <= JOB_CANCELLED; k++)
        if (!states || (states >> k & 1)) total += n[k];
    return total;
}

static uint64_t total(struct server *s, const struct page *g)
{
    const struct core_user *who = server_user(s, &g->q), *u;
    uint64_t sum = 0;

    if (g->lineage_id) return g->n + (g->next_id != 0);
    for (uint32_t id = 1; id <= core_last_user(s->core); id++) {
        u = core_user(s->core, id);
        if (g->owner_id ? id == g->owner_id : core_sees(s->core, who, g->q.role, id))
            sum += total_of_user(u, g->states);
    }
    return sum;
}

/* ---- the answer ---- */

static enum code make_answer(struct server *s, const struct page *g, struct arena *a,
                             struct message *m, struct err *e)
{
    struct job_rows *rows = &m->jobs.rows;
    size_t bytes = 0;
    enum code rc;

    *m = (struct message){.kind = MSG_jobs, .jobs.total = total(s, g)};
    rows->v = arena_alloc(a, (g->n + 1) * sizeof *rows->v);
    if (!rows->v) return err_set(e, ERR_NOMEM, "out of memory");
    for (; rows->n < g->n && bytes < PAGE_BYTES; rows->n++) {
        if ((rc = jobs_row(s, g->ids[rows->n], a, &rows->v[rows->n], e))) return rc;
        bytes += 1500 + rows->v[rows->n].results.n * HASH_BYTES;
    }
    if (g->lineage_id && rows->n < g->n) m->jobs.total = g->n + 1;
    return OK;
}

static void answer(struct server *s, const struct page *g, enum code rc, struct err *e)
{
    struct arena a = {0};
    struct message m;

    if (!rc) rc = make_answer(s, g, &a, &m, e);
    if (rc) server_refuse(s, &g->q.from, e);
    else server_answer(s, &g->q.from, &m);
    arena_fini(&a);
}

enum code pages_ask(struct server *s, const struct asked *q, struct err *e)
{
    const struct msg_queue *ask = &q->m.queue;
    size_t limit = ask->limit ? (size_t)ask->limit : PROTO_ROWS;
    struct page *g;
    enum code rc;

    if (s->pages->n >= ASKERS)
        return err_set(e, ERR_AGAIN, "too many look through the queue: ask again");
    if (!(g = mem_alloc(1, sizeof *g + limit * sizeof *g->ids)))
        return err_set(e, ERR_NOMEM, "out of memory");
    g->q = *q;
    memset(&g->q.m, 0, sizeof g->q.m); /* its strings end with the batch */
    g->states = ask->states;
    g->limit = limit;
    g->below = g->next_id = ask->below;
    strcpy(g->lineage, ask->lineage); /* both are within PROTO_NAME: decoded */
    strcpy(g->owner, ask->owner);
    if ((rc = name_owner(s, g, e)) || (rc = name_lineage(s, g, e))) {
        free(g);
        return rc;
    }
    *s->pages->last = g;
    s->pages->last = &g->next;
    s->pages->n++;
    return OK;
}

/* An owner's open jobs are in the core, the others are found by an index. */
static enum code go_on_owner(struct server *s, struct page *g, size_t *budget, int *done,
                             struct err *e)
{
    g->n += core_page(s->core, g->owner_id, g->states, &g->next_id, g->limit - g->n, budget,
                      g->ids + g->n);
    *done = g->n == g->limit || !g->next_id;
    return *done
               ? store_page(s->store, g->owner_id, g->states, g->below, g->limit, g->ids, &g->n, e)
               : OK;
}

static enum code go_on(struct server *s, struct page *g, size_t *budget, int *done, struct err *e)
{
    struct looker l = {s, g};
    enum code rc;

    if (g->owner_id && !g->lineage_id) return go_on_owner(s, g, budget, done, e);
    rc = store_walk(s->store, g->next_id, wants_row, &l, g->limit, budget, g->ids, &g->n,
                    &g->next_id, e);
    *done = g->n == g->limit || !g->next_id;
    return rc;
}

void pages_turn(struct server *s)
{
    size_t budget = ROWS_A_TURN;

    while (s->pages->first && budget) {
        struct page *g = s->pages->first;
        struct err e;
        int done;
        enum code rc = go_on(s, g, &budget, &done, &e);
        if (!rc && !done) break; /* in the next turn */
        answer(s, g, rc, &e);
        budget -= budget < ANSWERED * g->n ? budget : ANSWERED * g->n;
        if (!(s->pages->first = g->next)) s->pages->last = &s->pages->first;
        s->pages->n--;
        free(g);
    }
}
