/* ledger_fair.c - who is next, by the rules of docs/coordinator.md:
 *   the highest priority at which anything can begin; of its users the one who has used least.
 * What somebody has used is the time of their leases over their weight: told here from when leases began and ended, and held
 * against the core's figure whenever a user has no lease. A newcomer's figure may be raised to the least of those who are
 * present, never further; so between a newcomer and their first stage there is at most one grant to each other user (F2).
 */
#include "tests/simulation/support/world.h"

#include <math.h>

#define N(x) ((unsigned long long)(x))

enum { PATIENCE = 3 };

int ledger_may_run(const struct ledger_user *u)
{
    return !u->revoked && (!u->max_running || u->leased < u->max_running);
}

uint64_t ledger_could(const struct ledger_user *u)
{
    uint64_t n = 0;
    for (int p = 0; p < PRIORITIES; p++) n += u->listed[p];
    return ledger_may_run(u) ? n : 0;
}

/* With what runs charged ahead, by what the core says such stages take. */
static double stands_at(const struct ledger_user *u)
{
    return u->used_ms + u->ahead_ms;
}

static double used_at_first(const struct ledger *l, const struct ledger_user *u)
{
    return u->settled == l->steps ? u->settled_ms : u->used_ms;
}

/* The least that somebody beside u has used who could begin something since a step before `since`; -1: nobody could. */
static double least(const struct ledger *l, const struct ledger_user *u, uint64_t since)
{
    double ms = -1;

    for (uint32_t i = 1; i <= l->n_users; i++) {
        const struct ledger_user *o = &l->users[i];
        if (o != u && o->since < since && ledger_could(o) && (ms < 0 || o->used_ms < ms))
            ms = o->used_ms;
    }
    return ms;
}

/* The same before leases of this step ended. Who could when it began and cannot any more went before u came, or after: that makes it less,
 * and where nobody else is there it says nothing. */
static double least_at_first(const struct ledger *l, const struct ledger_user *u)
{
    double stay = -1, go = -1;

    for (uint32_t i = 1; i <= l->n_users; i++) {
        const struct ledger_user *o = &l->users[i];
        double *ms = ledger_could(o) ? &stay : &go;
        if (o == u || o->since == l->steps || (ms == &go && o->went != l->steps)) continue;
        if (*ms < 0 || used_at_first(l, o) < *ms) *ms = used_at_first(l, o);
    }
    return go >= 0 && go < stay ? go : stay;
}

/* Of those who came or went in this very step, and the last who was chosen. */
static double most_of_new(const struct ledger *l, const struct ledger_user *u)
{
    double ms = l->chosen_ms;

    for (uint32_t i = 1; i <= l->n_users; i++) {
        const struct ledger_user *o = &l->users[i];
        if (o != u && (o->since == l->steps || o->touched == l->steps) && o->used_ms > ms)
            ms = o->used_ms;
    }
    return ms;
}

static double slack(double ms)
{
    return 1e-10 * fabs(ms) + 1e-2;
}

/* Everybody has used what their leases took, unless they came when they had nothing to begin and were raised to the least of
 * others: to have been idle is no credit. When nobody was there, to that of the last who was chosen. */
static void account(struct world *w, struct ledger_user *u, double row_ms)
{
    struct ledger *l = &w->ledger;
    double others = least(l, u, l->steps), most = others >= 0 ? others : most_of_new(l, u);
    double raised = row_ms - u->used_ms, at = used_at_first(l, u);

    /* It may have been raised before a lease of this step ended, or after. */
    if (raised < -slack(u->used_ms) ||
        (raised > slack(u->used_ms) && at + raised > most + slack(most)))
        world_break(
            w, "fair",
            "user %s is charged %.3f ms, their leases took %.3f; the least of others is %.3f",
            u->name, row_ms, u->used_ms, most);
    LEDGER_SET(l, u->used_ms, row_ms);
}

/* Somebody who came with nothing running in this step, and whom nobody has a right to pass twice. */
static void note_newcomer(struct world *w, struct ledger_user *u)
{
    struct ledger *l = &w->ledger;
    double others = least(l, u, l->steps + 1), before = least_at_first(l, u);

    if (before >= 0 && u->used_ms < before - slack(before))
        world_break(
            w, "fair",
            "user %s had nothing to begin and comes with %.3f ms; the least of others is %.3f",
            u->name, u->used_ms, before);

    if (u->leased || (others >= 0 && u->used_ms > others + slack(others))) return;
    LEDGER_SET(l, u->is_new, 1);
    LEDGER_SET(l, u->passed, 0);
}

void ledger_fair_before(struct world *w)
{
    struct ledger *l = &w->ledger;
    const struct core_actions *a = &w->coordinator.actions;

    for (size_t i = 0; i < a->n_puts && !w->broken[0]; i++)
        if (a->puts[i].type == PUT_USER) {
            const struct core_user *row = a->puts[i].user;
            struct ledger_user *u = &l->users[row->id];
            if (row->used_ms != u->used_ms) account(w, u, row->used_ms);
        }
    for (size_t i = 0; i < l->n_changed; i++) {
        struct ledger_user *u = &l->users[ledger_job(l, l->changed[i])->owner];
        if (u->since == l->steps && !u->is_new && ledger_could(u)) note_newcomer(w, u);
    }
}

static const int rank[PRIORITIES] = {
    [PRIORITY_HIGH] = 2, [PRIORITY_NORMAL] = 1, [PRIORITY_LOW] = 0};

static void pass(struct world *w, struct ledger_user *u)
{
    struct ledger *l = &w->ledger;

    LEDGER_SET(l, u->passed, u->passed + 1);
    if (u->passed > l->n_users)
        world_break(w, "wait",
                    "user %s came with nothing running and waits while %llu stages of others begin",
                    u->name, N(u->passed));
}

static void compare_shares(struct world *w, uint64_t id, const struct ledger_job *j,
                           const struct ledger_user *me, struct ledger_user *u)
{
    for (int p = 0; p < PRIORITIES; p++)
        if (u->listed[p] && rank[p] > rank[j->priority])
            world_break(w, "fair", "job %llu begins and user %s has one of higher priority", N(id),
                        u->name);
    if (u == me || !u->listed[j->priority]) return;
    if (stands_at(u) < stands_at(me) - slack(stands_at(me)))
        world_break(w, "fair",
                    "job %llu of %s, who used %.3f ms, begins before one of %s, who used %.3f",
                    N(id), me->name, stands_at(me), u->name, stands_at(u));
    if (u->is_new) pass(w, u);
}

/* What holds a lineage goes first, but not more than three times in a row before what somebody looks at; what runs ahead goes last. */
static void keep_patience(struct world *w, uint64_t id, const struct ledger_job *j,
                          struct ledger_user *me, enum stage_kind k)
{
    struct ledger *l = &w->ledger;
    uint64_t waiting = me->beside[j->priority];

    if (k == STAGE_SAMPLE || k == STAGE_EVALUATE || !waiting) {
        if (me->urgent_in_a_row) LEDGER_SET(l, me->urgent_in_a_row, 0);
        return;
    }
    LEDGER_SET(l, me->urgent_in_a_row, me->urgent_in_a_row + 1);
    if (k == STAGE_PRIOR && l->lineages[j->lineage].first != id)
        world_break(w, "patience",
                    "prior of job %llu runs ahead while %llu samples and evaluations of %s wait",
                    N(id), N(waiting), me->name);
    if (me->urgent_in_a_row > PATIENCE)
        world_break(w, "patience",
                    "%llu stages of %s began in a row while %llu samples and evaluations waited",
                    N(me->urgent_in_a_row), me->name, N(waiting));
}

void ledger_fair_grant(struct world *w, uint64_t id, const struct ledger_job *j,
                       const struct core_stage *s)
{
    struct ledger *l = &w->ledger;
    struct ledger_user *me = &l->users[j->owner];

    for (uint32_t i = 1; i <= l->n_users; i++)
        if (ledger_could(&l->users[i])) compare_shares(w, id, j, me, &l->users[i]);
    keep_patience(w, id, j, me, s->kind);
    if (w->o.tell)
        world_tell(w, "job %llu of %s begins; they used %.0f ms and stand at %.0f", N(id), me->name,
                   me->used_ms, stands_at(me));
    if (me->is_new) LEDGER_SET(l, me->is_new, 0);
    LEDGER_SET(l, l->chosen_ms, me->used_ms);
    LEDGER_SET(l, me->ahead_ms, me->ahead_ms + s->charged_ms);
}

void ledger_fair_settle(struct world *w, uint32_t user, double took_ms, double charged_ms)
{
    struct ledger *l = &w->ledger;
    struct ledger_user *u = &l->users[user];

    if (u->settled != l->steps) {
        u->settled = l->steps;
        u->settled_ms = u->used_ms;
    }
    /* Whatever else happens in a step, it begins with the leases that ran out: under the weight of before. */
    LEDGER_SET(l, u->used_ms,
               u->used_ms +
                   took_ms / (double)(u->reweighed == l->steps ? u->old_weight : u->weight));
    LEDGER_SET(l, u->ahead_ms, u->leased ? u->ahead_ms - charged_ms : 0);
    if (!ledger_may_run(u) || u->leased + 1 == u->max_running) LEDGER_SET(l, u->since, l->steps);
}
