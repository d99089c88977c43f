/* fair.c - which ready stage a free group gets. Classes first:
 *
 *   URGENT   score, train, and the prior that the job whose turn it is waits for: they hold a lineage
 *   BESIDE   sample, evaluate: somebody waits for pictures, but nothing else does
 *   AHEAD    prior of jobs whose turn has not come: only when nothing else can run
 *
 * inside a class the user that was served longest ago, of its lineages the one served longest ago, then the oldest job.
 * So a user with a thousand jobs does not stand before another's first. After PATIENCE urgent stages in a row one
 * BESIDE goes first: somebody who asks for a picture does not wait for a whole lineage to be learned.
 */
#include "coordinator/core/state.h"

enum { PATIENCE = 3 };
enum class { URGENT, BESIDE, AHEAD, CLASSES };

struct choice {
    struct core_job *job;
    struct core_stage *stage;
    uint64_t user, lineage;
};

static enum class class_of(const struct core *c, const struct core_job *j,
                           const struct core_stage *s) {
    if (s->kind == STAGE_SAMPLE || s->kind == STAGE_EVALUATE) return BESIDE;
    if (s->kind != STAGE_PRIOR || lineage_is_turn(c, j)) return URGENT;
    /* Another job whose turn it is may wait for these same class images. */
    for (const struct core_job *k = c->first_live; k;
         k = k->next_live) if (k != j && hash_equal(k->prior_key, j->prior_key) &&
                               k->kind == JOB_LEARN && lineage_is_turn(c, k)) return URGENT;
    return AHEAD;
}

/* Jobs come by rising id, so the first of equals stays. */
static void consider(const struct core *c, struct choice *best, struct core_job *j,
                     struct core_stage *s)
{
    const struct core_lineage *l = core_lineage(c, j->lineage);
    struct choice mine = {j, s, c->users[l->user].served, l->served};

    if (!best->job || mine.user < best->user ||
        (mine.user == best->user && mine.lineage < best->lineage))
        *best = mine;
}

struct core_stage *fair_choose(struct core *c, struct core_job **job)
{
    struct choice best[CLASSES] = {{0}};
    enum class k;

    for (struct core_job *j = c->first_live; j; j = j->next_live) {
        for (int i = 0; i < j->n_stages; i++) {
            struct core_stage *s = &j->stages[i];
            if (s->state == STAGE_READY && s->not_before_ms <= c->now_ms)
                consider(c, &best[class_of(c, j, s)], j, s);
        }
    }
    k = best[URGENT].job ? URGENT : best[BESIDE].job ? BESIDE : AHEAD;
    if (k == URGENT && best[BESIDE].job && c->urgent_in_a_row >= PATIENCE) k = BESIDE;
    *job = best[k].job;
    return best[k].stage;
}

/* Call before the stage is granted: its class depends on the state. */
void fair_granted(struct core *c, const struct core_job *j, const struct core_stage *s)
{
    struct core_lineage *l = c->lineages[j->lineage - 1];

    c->urgent_in_a_row = class_of(c, j, s) == URGENT ? c->urgent_in_a_row + 1 : 0;
    c->users[l->user].served = l->served = ++c->served;
}

/* A newcomer stands where those stand who were served last: its idle past is no credit. */
void fair_init(struct core *c, struct core_lineage *l)
{
    l->user = core_user(c, l->owner);
}
