/* prior.c - class images depend on the base and the class, not on the lineage: jobs with one prior_key share them. One of the
 * jobs, the maker, runs the stage; the others wait and take its outputs. A maker that ends without having made them
 * hands over to the next that waits.
 */
#include "coordinator/core/state.h"

static struct prior *find(struct core *c, struct hash key)
{
    uint64_t at = map_get(&c->prior_keys, key);
    return at ? &c->priors[at - 1] : NULL;
}

static struct prior *find_or_add(struct core *c, struct hash key)
{
    struct prior *p = find(c, key);

    if (p) return p;
    if (!core_grow(c, &c->priors, &c->priors_room, c->n_priors, sizeof *c->priors)) return NULL;
    if (!map_set(&c->prior_keys, key, c->n_priors + 1)) {
        c->broken = 1;
        return NULL;
    }
    c->priors[c->n_priors] = (struct prior){0};
    return &c->priors[c->n_priors++];
}

static void take(struct core *c, struct core_job *j, const struct prior *p)
{
    struct core_stage *s = stage_of(j, STAGE_PRIOR);

    s->source = p->maker;
    stage_move(c, j, s, STAGE_SHARE);
    core_event_row(c, j, EVENT_STAGE, s, "prior: class images of job %llu",
                   (unsigned long long)p->maker);
    job_advance(c, j);
}

void prior_join(struct core *c, struct core_job *j)
{
    struct core_stage *s = stage_of(j, STAGE_PRIOR);
    struct prior *p = s ? find_or_add(c, j->prior_key) : NULL;

    if (!p || s->state != STAGE_WAITING) return;
    if (p->made) {
        take(c, j, p);
    } else if (!p->maker) {
        p->maker = j->id;
        stage_move(c, j, s, STAGE_GO);
    }
}

void prior_made(struct core *c, struct core_job *j)
{
    struct prior *p = find(c, j->prior_key);

    assert(p && p->maker == j->id && !p->made);
    p->made = 1;
    for (struct core_job *k = c->first_live; k; k = k->next_live)
        if (k != j && hash_equal(k->prior_key, j->prior_key)) prior_join(c, k);
}

void prior_left(struct core *c, struct core_job *j)
{
    struct prior *p = stage_of(j, STAGE_PRIOR) ? find(c, j->prior_key) : NULL;

    if (!p || p->made || p->maker != j->id) return;
    p->maker = 0;
    for (struct core_job *k = c->first_live; k && !p->maker; k = k->next_live)
        if (hash_equal(k->prior_key, j->prior_key)) prior_join(c, k);
}

/* First what was made, by anyone; then who is making what. */
void prior_rebuild(struct core *c)
{
    for (size_t i = 0; i < c->n_jobs; i++) {
        struct core_job *j = c->jobs[i];
        struct core_stage *s = stage_of(j, STAGE_PRIOR);
        struct prior *p = s ? find_or_add(c, j->prior_key) : NULL;
        if (!p) continue;
        if (s->state == STAGE_DONE && !s->source) *p = (struct prior){.maker = j->id, .made = 1};
        else if ((s->state == STAGE_READY || s->state == STAGE_LEASED) && !p->made)
            p->maker = j->id;
    }
}
