/* ledger_ask.c - what a server asks of a core to answer people: why a job does not run, whose jobs are open, who may read and add. Asked
 * of some now and then, and held against the ledger. */
#include "tests/simulation/support/world.h"

#include <string.h>

#define N(x) ((unsigned long long)(x))

enum { JOBS = 24, PAIRS = 8, PAGE = 5 };

static uint64_t roll(struct world *w, uint64_t n)
{
    return dice_roll(&w->asks, n);
}

/* ---- why ---- */

static const struct ledger_job *first_of(struct ledger *l, const struct ledger_job *j)
{
    uint64_t first = l->lineages[j->lineage].first;
    return first ? ledger_job(l, first) : NULL;
}

/* Is the reason true, by the ledger? */
static int is_so(struct world *w, uint64_t id, const struct ledger_job *j,
                 const struct core_why *why)
{
    struct ledger *l = &w->ledger;
    const struct ledger_job *first = first_of(l, j);
    const struct ledger_user *u = &l->users[j->owner];
    int waits = j->state != JOB_RUNNING, held = j->flags & JOB_HELD || l->lineages[j->lineage].held;

    if (waits && held && why->reason != WHY_HELD) return 0;
    switch (why->reason) {
    case WHY_NOT: return !waits;
    case WHY_HELD: return held;
    case WHY_TURN:
        return waits && first && l->lineages[j->lineage].first != id &&
               why->job == l->lineages[j->lineage].first;
    case WHY_FAILED: return waits && first && first->flags & JOB_HOLDS && JOB_ENDED(first->state);
    case WHY_PRIOR: return waits && stage_digit(j->stages, STAGE_PRIOR) == STAGE_WAITING;
    case WHY_BACK_OFF: return waits && j->not_before_ms[why->stage] == why->at_ms;
    case WHY_REVOKED: return waits && u->revoked;
    case WHY_QUOTA: return waits && !ledger_may_run(u);
    case WHY_STOPPING: return waits && core_stopping(w->coordinator.core);
    case WHY_NO_GROUP: return waits && core_n_groups(w->coordinator.core) == 0;
    case WHY_DRAINING: return waits && l->draining > 0;
    case WHY_SHARE: return waits && stage_digit(j->stages, (int)why->stage) == STAGE_READY;
    }
    return 0;
}

static void ask_why(struct world *w, uint64_t id)
{
    const struct ledger_job *j = ledger_job(&w->ledger, id);
    const struct core_job *row = core_job(w->coordinator.core, id);
    struct core_why why;

    if (JOB_ENDED(j->state) || !row) return;
    core_why(w->coordinator.core, row, &why);
    if (!is_so(w, id, j, &why) || why.starts_in_ms < -1)
        world_break(w, "reason",
                    "job %llu, %s, %o, waits for reason %d, stage %s, job %llu, in %lld ms, which "
                    "is not so",
                    N(id), proto_job_state(j->state), j->stages, why.reason,
                    proto_stage_kind(why.stage), N(why.job), (long long)why.starts_in_ms);
}

/* ---- pages ---- */

/* The newest open job of a user below an id, by the ledger; 0: none. Marked ones are read from the store. */
static uint64_t newest_below(struct ledger *l, uint32_t user, uint64_t below)
{
    while (--below) {
        const struct ledger_job *j = ledger_job(l, below);
        if (j->owner == user && !JOB_ENDED(j->state) && !(j->flags & JOB_MARKED)) return below;
    }
    return 0;
}

static void ask_page(struct world *w, uint32_t user)
{
    struct ledger *l = &w->ledger;
    uint64_t ids[PAGE], below = 0, want = l->n_jobs + 1;
    size_t n, budget = 1000000;

    do {
        n = core_page(w->coordinator.core, user, 0, &below, PAGE, &budget, ids);
        for (size_t i = 0; i < n; i++) {
            want = newest_below(l, user, want);
            if (ids[i] != want) {
                world_break(w, "page", "the queue of %s shows job %llu where job %llu is due",
                            l->users[user].name, N(ids[i]), N(want));
                return;
            }
        }
    } while (below && budget);
    if (newest_below(l, user, want))
        world_break(w, "page", "the queue of %s ends too early, after job %llu",
                    l->users[user].name, N(want));
}

/* ---- rights ---- */

static void ask_rights(struct world *w, uint32_t user, uint32_t lineage)
{
    struct ledger *l = &w->ledger;
    const struct ledger_user *u = &l->users[user];
    const struct core_user *row = core_user(w->coordinator.core, user);
    const struct core_lineage *p = core_lineage(w->coordinator.core, lineage);
    int add = ledger_may_add(l, user, u->role == ROLE_ADMIN, lineage) && !u->revoked;
    int read = (add || l->lineages[lineage].visibility == VISIBLE_PUBLIC) && !u->revoked;
    int sees = !u->revoked &&
               (u->role == ROLE_ADMIN || l->lineages[lineage].owner == user ||
                (u->team[0] && strcmp(u->team, l->users[l->lineages[lineage].owner].team) == 0));

    if (!core_may_add(w->coordinator.core, row, ROLE_USER, p) != !add && !u->revoked)
        world_break(w, "denied", "may %s add to %s?", u->name, l->lineages[lineage].name);
    if (!core_may_read(w->coordinator.core, row, ROLE_USER, p) != !read && !u->revoked)
        world_break(w, "denied", "may %s read %s?", u->name, l->lineages[lineage].name);
    if (!core_sees(w->coordinator.core, row, ROLE_USER, l->lineages[lineage].owner) != !sees)
        world_break(w, "denied", "does %s see the jobs of %s?", u->name,
                    l->users[l->lineages[lineage].owner].name);
}

void ledger_ask(struct world *w)
{
    struct ledger *l = &w->ledger;

    for (int i = 0; i < JOBS && l->n_jobs; i++)
        ask_why(w, l->n_jobs - roll(w, l->n_jobs < 200 ? l->n_jobs : 200));
    if (l->n_users && l->n_jobs < 4000) ask_page(w, 1 + (uint32_t)roll(w, l->n_users));
    for (int i = 0; i < PAIRS && l->n_users && l->n_lineages; i++)
        ask_rights(w, 1 + (uint32_t)roll(w, l->n_users), 1 + (uint32_t)roll(w, l->n_lineages));
}
