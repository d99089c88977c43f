/* prior.c - class images depend on the base and the class, not on the lineage: jobs with one prior_key share them. One of the
 * jobs, the maker, runs the stage; the others wait and take its outputs.
 *
 * Two chains wait: those whose turn it is, and the rest. While nobody has begun to make the images, one whose turn it is
 * becomes the maker before one whose turn has not come or that is held, so nothing that runs ahead, and nobody who
 * paused a job, stands in the way of a lineage. A maker that ends without having made them hands over. When they are made,
 * those that wait take them a few in each step: a million may wait for one class.
 */
#include "coordinator/core/state.h"

enum { SHARED_IN_A_STEP = 64 };

/* ---- the table ---- */

struct prior *prior_at(const struct core *c, uint32_t id)
{
    return id && id <= c->n_priors ? c->priors[id - 1] : NULL;
}

struct prior *prior_add(struct core *c, const struct core_prior *row)
{
    struct prior *p = mem_alloc(1, sizeof *p);

    if (p && core_grow(c, &c->priors, &c->priors_room, c->n_priors, sizeof *c->priors)) {
        p->row = *row;
        p->row.id = (uint32_t)c->n_priors + 1;
        c->priors[c->n_priors++] = p;
        if (map_add(&c->prior_keys, map_hash(c->settings.seed, row->key.v, HASH_BYTES), p->row.id))
            return p;
    }
    c->broken = 1;
    return NULL;
}

struct prior *prior_for(struct core *c, struct hash key)
{
    uint32_t hash = map_hash(c->settings.seed, key.v, HASH_BYTES);
    struct core_prior row = {.key = key};
    struct prior *p;
    size_t at;

    for (uint32_t i = map_first(&c->prior_keys, hash, &at); i;
         i = map_next(&c->prior_keys, hash, &at))
        if (hash_equal(prior_at(c, i)->row.key, key)) return prior_at(c, i);
    if ((p = prior_add(c, &row))) put_prior(c, p);
    return p;
}

const struct core_prior *core_prior(const struct core *c, uint32_t id)
{
    const struct prior *p = prior_at(c, id);
    return p ? &p->row : NULL;
}

/* ---- waiting ---- */

static int urgent(const struct core *c, const struct core_job *j)
{
    return lineage_is_turn(c, j) && !core_job_held(c, j);
}

void prior_wait(struct core *c, struct prior *p, struct core_job *j)
{
    int k = urgent(c, j);

    assert(j->list == NOWHERE);
    j->list = k ? WAITS_TURN : WAITS_REST;
    j->prev = p->last[k];
    j->next = 0;
    *(p->last[k] ? &job_at(c, p->last[k])->next : &p->first[k]) = j->self;
    p->last[k] = j->self;
}

void prior_unwait(struct core *c, struct core_job *j)
{
    struct prior *p = prior_at(c, j->prior);
    int k = j->list == WAITS_TURN;

    *(j->prev ? &job_at(c, j->prev)->next : &p->first[k]) = j->next;
    *(j->next ? &job_at(c, j->next)->prev : &p->last[k]) = j->prev;
    j->next = j->prev = 0;
    j->list = NOWHERE;
}

static int waits(const struct core_job *j)
{
    return j->list == WAITS_TURN || j->list == WAITS_REST;
}

/* ---- who makes them ---- */

static void make(struct core *c, struct prior *p, struct core_job *j)
{
    if (waits(j)) prior_unwait(c, j);
    p->row.maker = j->id;
    put_prior(c, p);
    stage_move(c, j, STAGE_PRIOR, STAGE_GO);
    fair_list(c, j, 0);
    job_refresh(c, j); /* it may have been stopped by the environment before it yielded */
}

static void yield(struct core *c, struct prior *p, struct core_job *m)
{
    stage_take(c, m, STAGE_PRIOR);
    stage_move(c, m, STAGE_PRIOR, STAGE_YIELD);
    p->row.maker = 0;
    fair_unlist(c, m);
    prior_wait(c, p, m);
    job_refresh(c, m);
}

static void choose_maker(struct core *c, struct prior *p)
{
    struct core_job *m = p->row.maker ? jobs_find(c, p->row.maker) : NULL;
    struct core_job *first = job_at(c, p->first[1] ? p->first[1] : m ? 0 : p->first[0]);

    if (p->row.made || !first) return;
    if (m && (stage_state(m, STAGE_PRIOR) == STAGE_LEASED || urgent(c, m))) return;
    if (m) yield(c, p, m);
    make(c, p, first);
}

void prior_queue_made(struct core *c, struct prior *p)
{
    if (p->queued || (!p->first[0] && !p->first[1])) return;
    p->queued = 1;
    p->next_made = 0;
    *(c->made_last ? &prior_at(c, c->made_last)->next_made : &c->made_first) = p->row.id;
    c->made_last = p->row.id;
}

static void take(struct core *c, struct core_job *j, const struct prior *p)
{
    if (waits(j)) prior_unwait(c, j);
    stage_move(c, j, STAGE_PRIOR, STAGE_SHARE);
    core_event_row(c, j, EVENT_STAGE, NULL, "prior: class images of job %llu",
                   (unsigned long long)p->row.maker);
    job_advance(c, j);
}

void prior_join(struct core *c, struct core_job *j)
{
    struct prior *p = prior_at(c, j->prior);

    if (!p || stage_state(j, STAGE_PRIOR) != STAGE_WAITING) return;
    if (p->row.made) {
        take(c, j, p);
        return;
    }
    prior_wait(c, p, j);
    choose_maker(c, p);
}

void prior_settle(struct core *c, struct core_job *j)
{
    struct prior *p = prior_at(c, j->prior);

    if (!p || JOB_ENDED(j->state)) return;
    if (waits(j)) {
        prior_unwait(c, j);
        prior_wait(c, p, j);
    }
    if (!p->row.made) choose_maker(c, p);
}

void prior_made(struct core *c, struct core_job *j)
{
    struct prior *p = prior_at(c, j->prior);

    assert(p && p->row.maker == j->id && !p->row.made);
    p->row.made = 1;
    put_prior(c, p);
    prior_queue_made(c, p);
}

void prior_leave(struct core *c, struct core_job *j)
{
    struct prior *p = prior_at(c, j->prior);

    if (waits(j)) prior_unwait(c, j);
    if (!p || p->row.made || p->row.maker != j->id) return;
    p->row.maker = 0;
    put_prior(c, p);
    choose_maker(c, p);
}

/* Those whose turn it is first. */
void prior_share(struct core *c)
{
    for (int n = 0; n < SHARED_IN_A_STEP && c->made_first; n++) {
        struct prior *p = prior_at(c, c->made_first);
        struct core_job *j = job_at(c, p->first[1] ? p->first[1] : p->first[0]);
        if (j) take(c, j, p);
        if (p->first[0] || p->first[1]) continue;
        c->made_first = p->next_made;
        if (!c->made_first) c->made_last = 0;
        p->queued = 0;
    }
}
