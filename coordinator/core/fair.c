/* fair.c - which stage a free group gets.
 *
 *   1  the highest priority at which anything can begin: high, normal, low
 *   2  of its users the one who stands lowest: lease time over weight, and what running leases are thought to take by the mean
 *      of such stages. A newcomer starts with the least that somebody present has used: idleness is no credit, and nobody's
 *      backlog stands before their first stage
 *   3  of their classes
 *        URGENT   score, train, and the prior that the job whose turn it is waits for: they hold a lineage
 *        BESIDE   sample, evaluate: somebody waits for pictures, but nothing else does
 *        AHEAD    prior of jobs whose turn has not come: only when nothing else can run
 *      After PATIENCE urgent stages in a row one BESIDE goes first: a picture does not wait for a whole lineage
 *   4  of its lineages the one whose turn it is, going round; one that the group holds in memory already may go before it, but
 *      not more than PASSED times
 *   5  the job that became ready first
 *
 * And of the groups that wait the one that holds the base and the commit, else the one that waits longest. A group is asked for
 * nothing between two stages, so fairness never takes one from a lineage in the middle.
 *
 * A user beyond max_running, or revoked, is in no heap. Cost: O(log users), and two bounded looks for locality.
 */
#include "coordinator/core/state.h"

enum {
    PATIENCE = 3,
    PASSED = 3,
    FLOWS_LOOKED_AT = 8,
    GROUPS_LOOKED_AT = 64,
    FIRST_GUESS_MS = 1000
};

static const enum priority order[PRIORITIES] = {PRIORITY_HIGH, PRIORITY_NORMAL, PRIORITY_LOW};

/* ---- heaps of users ---- */

/* What leases took that have ended, and what those that run are thought to take: only the first is durable, so that a restart
 * charges nothing twice. */
static double stands_at(const struct user *u)
{
    return u->row.used_ms + u->row.ahead_ms;
}

static int before(const struct core *c, int h, uint32_t a, uint32_t b)
{
    const struct user *x = user_at(c, a), *y = user_at(c, b);
    double mine = h == BY_USED ? x->row.used_ms : stands_at(x),
           other = h == BY_USED ? y->row.used_ms : stands_at(y);
    return mine < other || (mine == other && a < b);
}

static void put(struct core *c, int h, size_t i, uint32_t u)
{
    c->heaps[h][i] = u;
    user_at(c, u)->heap[h] = i + 1;
}

static void sift(struct core *c, int h, size_t i, uint32_t u)
{
    for (; i && before(c, h, u, c->heaps[h][(i - 1) / 2]); i = (i - 1) / 2)
        put(c, h, i, c->heaps[h][(i - 1) / 2]);
    for (size_t k; (k = 2 * i + 1) < c->n_heap[h]; i = k) {
        if (k + 1 < c->n_heap[h] && before(c, h, c->heaps[h][k + 1], c->heaps[h][k])) k++;
        if (!before(c, h, c->heaps[h][k], u)) break;
        put(c, h, i, c->heaps[h][k]);
    }
    put(c, h, i, u);
}

static void heap_add(struct core *c, int p, struct user *u)
{
    if (!core_grow(c, &c->heaps[p], &c->heap_room[p], c->n_heap[p], sizeof *c->heaps[p])) return;
    sift(c, p, c->n_heap[p]++, u->row.id);
}

static void heap_remove(struct core *c, int p, struct user *u)
{
    size_t i = u->heap[p] - 1;
    uint32_t last = c->heaps[p][--c->n_heap[p]];

    u->heap[p] = 0;
    if (last != u->row.id) sift(c, p, i, last);
}

static int may_run(const struct user *u)
{
    return !u->row.revoked && (!u->row.max_running || u->row.leased < u->row.max_running);
}

static uint64_t could_run(const struct user *u)
{
    uint64_t left = u->row.max_running ? u->row.max_running - u->row.leased : UINT64_MAX;
    return !may_run(u) ? 0 : u->row.ready < left ? u->row.ready : left;
}

/* Whoever could begin nothing and can now: to have been idle, held or at one's quota is no credit. By what others used, not by
 * where they stand: a newcomer may run as much as the others do before they get more, and nobody
 * whose lease takes less than was thought falls behind them again. So everybody else begins at most one stage first. */
static void newcomer(struct core *c, struct user *u)
{
    double least = c->n_heap[BY_USED] ? user_at(c, c->heaps[BY_USED][0])->row.used_ms : c->floor_ms;

    if (c->loading || u->row.used_ms >= least) return;
    u->row.used_ms = least;
    put_user(c, u);
}

void fair_user(struct core *c, struct user *u)
{
    if (u->row.ready > 0 && may_run(u) && !u->heap[BY_USED]) newcomer(c, u);
    for (int h = 0; h < HEAPS; h++) {
        int wanted = (h == BY_USED ? u->row.ready : u->ready[h]) > 0 && may_run(u);
        if (wanted && !u->heap[h]) heap_add(c, h, u);
        else if (!wanted && u->heap[h]) heap_remove(c, h, u);
        else if (u->heap[h]) sift(c, h, u->heap[h] - 1, u->row.id);
    }
    c->ready -= u->counted;
    u->counted = could_run(u);
    c->ready += u->counted;
}

/* ---- locality ---- */

static struct hash works_on(const struct core *c, const struct core_job *j, enum stage_kind k)
{
    return k == STAGE_SAMPLE || k == STAGE_EVALUATE ? core_job_commit(c, j)
                                                    : lineage_of(c, j)->row.head;
}

/* 0: the group holds nothing of use; 1: the base; 2: and the commit. */
static int fits(const struct core *c, const struct group *g, const struct core_job *j)
{
    enum stage_kind k = fair_ready_stage(j);

    if (!hash_equal(g->row.base, lineage_of(c, j)->row.base_hash)) return 0;
    return k == STAGE_PRIOR || hash_equal(g->row.commit, works_on(c, j, k)) ? 2 : 1;
}

static uint32_t choose_flow(struct core *c, uint32_t ring, const struct group *g)
{
    struct flow *head = flow_at(c, ring);
    uint32_t best = ring, at = ring;
    int most = -1;

    if (head->passed >= PASSED) return ring;
    for (int i = 0; i < FLOWS_LOOKED_AT && (i == 0 || at != ring) && most < 2; i++) {
        int f = fits(c, g, job_at(c, flow_at(c, at)->first));
        if (f > most) {
            most = f;
            best = at;
        }
        at = flow_at(c, at)->next;
    }
    head->passed += best != ring;
    return best;
}

static struct group *choose_group(struct core *c, const struct core_job *j)
{
    uint32_t at = c->waits[1].first;
    struct group *best = NULL;
    int most = -1;

    for (int i = 0; i < GROUPS_LOOKED_AT && at && most < 2; i++) {
        struct group *g = c->groups[at - 1];
        int f = fits(c, g, j);
        if (f > most) {
            most = f;
            best = g;
        }
        at = g->next;
    }
    return best;
}

/* ---- the choice ---- */

static struct user *choose_user(struct core *c, enum priority *p)
{
    for (int i = 0; i < PRIORITIES; i++) {
        *p = order[i];
        if (c->n_heap[*p]) return user_at(c, c->heaps[*p][0]);
    }
    return NULL;
}

static enum class choose_class(const struct user *u, enum priority p) {
    const uint32_t *ring = u->ring[p];
    if (ring[URGENT] && !(ring[BESIDE] && u->urgent_in_a_row >= PATIENCE)) return URGENT;
    return ring[BESIDE] ? BESIDE : AHEAD;
}

enum stage_kind fair_choose(struct core *c, struct group **g, struct core_job **job)
{
    enum priority p;
    struct user *u = choose_user(c, &p);
    enum class k;
    uint32_t at;

    if (!u) return (enum stage_kind)0;
    k = choose_class(u, p);
    at = choose_flow(c, u->ring[p][k], c->groups[c->waits[1].first - 1]);
    *job = job_at(c, flow_at(c, at)->first);
    *g = choose_group(c, *job);
    u->urgent_in_a_row = k == URGENT ? u->urgent_in_a_row + 1 : 0;
    flow_turned(c, at);
    c->floor_ms = u->row.used_ms;
    return fair_ready_stage(*job);
}

/* ---- time ---- */

/* Ahead: by how long such stages took so far. */
void fair_resume(struct core *c, struct core_job *j, struct core_stage *s)
{
    struct user *u = user_at(c, j->owner);
    double ms = c->mean_ms[s->kind] > 0 ? c->mean_ms[s->kind] : FIRST_GUESS_MS;

    s->charged_ms = ms / (double)u->row.weight;
    u->row.ahead_ms += s->charged_ms;
    u->row.leased++;
}

void fair_charge(struct core *c, struct core_job *j, struct core_stage *s)
{
    fair_resume(c, j, s);
    fair_user(c, user_at(c, j->owner));
}

/* The 1 ms is what a stage costs that takes no time at all, also where a restart found the clock set back. */
void fair_settle(struct core *c, struct core_job *j, struct core_stage *s, int good)
{
    struct user *u = user_at(c, j->owner);
    int64_t ms = c->now_ms - s->granted_ms;
    double took = ms > 0 ? (double)ms + 1 : 1, *mean = &c->mean_ms[s->kind];

    u->row.leased--;
    u->row.used_ms += took / (double)u->row.weight;
    u->row.ahead_ms = u->row.leased ? u->row.ahead_ms - s->charged_ms : 0;
    s->charged_ms = 0;
    put_user(c, u);
    fair_user(c, u);
    if (good) *mean = *mean > 0 ? *mean + (took - *mean) / 8 : took;
}
