/* disk.c - the durable rows, as the store would hold them: a batch is applied as a whole (or, with a bug planted, not). With
 * o.database it is the real store. */
#include "tests/core/support/world.h"

/* n_puts: how many of them; fewer than all only when a torn write is played. */
int disk_apply(struct world *w, const struct core_actions *a, size_t n_puts)
{
    struct err e;

    if (w->store) {
        if (store_apply(w->store, a, &e) == OK) return 1;
        world_break(w, "store: %s", e.text);
        return 0;
    }
    shelf_keep(&w->disk, a, n_puts);
    return 1;
}

enum code disk_load(struct world *w, struct core *c, struct err *e)
{
    struct shelf *d = &w->disk;

    if (w->store) return store_load(w->store, c, w->now, e);
    if (w->o.bug == BUG_LOST_COMMIT && d->n_commits && world_chance(w, 300)) d->n_commits--;
    if (w->o.bug == BUG_EPOCH_REUSED && d->clock.epoch) {
        d->clock.epoch = 1;
        for (size_t i = 0; i < d->n_jobs; i++)
            for (int k = 0; k < d->jobs[i].n_stages; k++) d->jobs[i].stage[k].epoch = 1;
    }
    return shelf_load(d, c, w->now, e);
}

const struct core_past *disk_past(struct world *w, const struct message *m, struct arena *a)
{
    struct store_job *found;
    struct hash key;
    uint64_t job;
    struct err e;
    int there = 0;

    if (!w->store) return shelf_past(&w->disk, w->core, m);
    found = arena_alloc(a, sizeof *found);
    switch (core_wants_past(w->core, m, &key, &job)) {
    case CORE_PAST_JOB: there = store_job(w->store, job, a, found, &e) == OK; break;
    case CORE_PAST_KEY:
        if (store_job_by_key(w->store, key, a, found, &there, &e)) world_break(w, "%s", e.text);
        break;
    default: break;
    }
    return there ? &found->past : NULL;
}

const struct core_past *disk_job(struct world *w, uint64_t id, struct arena *a)
{
    struct store_job *found;

    if (!w->store) return id <= w->disk.n_jobs ? &w->disk.jobs[id - 1] : NULL;
    found = arena_alloc(a, sizeof *found);
    return store_job(w->store, id, a, found, NULL) == OK ? &found->past : NULL;
}

void disk_fini(struct world *w)
{
    shelf_fini(&w->disk);
}
