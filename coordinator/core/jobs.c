/* jobs.c - the table of jobs that are kept: slots in chunks that never move, free ones chained, two maps to find them by id and
 * by request key. */
#include "coordinator/core/state.h"

#include <stdlib.h>

enum { CHUNK = 1024 };

struct core_job *job_at(const struct core *c, uint32_t slot)
{
    return slot ? &c->chunks[(slot - 1) / CHUNK][(slot - 1) % CHUNK] : NULL;
}

struct core_job *jobs_find(const struct core *c, uint64_t id)
{
    uint32_t hash = map_hash_id(c->settings.seed, id);
    size_t at;

    for (uint32_t s = map_first(&c->job_ids, hash, &at); s; s = map_next(&c->job_ids, hash, &at))
        if (job_at(c, s)->id == id) return job_at(c, s);
    return NULL;
}

struct core_job *jobs_by_key(const struct core *c, const uint8_t key[CORE_KEY])
{
    uint32_t hash = map_hash(c->settings.seed, key, CORE_KEY);
    size_t at;

    for (uint32_t s = map_first(&c->job_keys, hash, &at); s; s = map_next(&c->job_keys, hash, &at))
        if (memcmp(job_at(c, s)->key, key, CORE_KEY) == 0) return job_at(c, s);
    return NULL;
}

/* ---- slots ---- */

static uint32_t take_slot(struct core *c)
{
    uint32_t slot = c->free_job;

    if (slot) {
        c->free_job = job_at(c, slot)->next;
        return slot;
    }
    if (c->slots == c->n_chunks * CHUNK) {
        if (!core_grow(c, &c->chunks, &c->chunks_room, c->n_chunks, sizeof *c->chunks)) return 0;
        if (!(c->chunks[c->n_chunks] = mem_alloc(CHUNK, sizeof **c->chunks))) {
            c->broken = 1;
            return 0;
        }
        c->n_chunks++;
    }
    return ++c->slots;
}

/* Ids rise, so that they come in order; the few that come back later are marked and stand outside. */
static void link_owner(struct core *c, struct core_job *j)
{
    struct user *u = user_at(c, j->owner);

    j->older = u->newest;
    *(u->newest ? &job_at(c, u->newest)->newer : &u->oldest) = j->self;
    u->newest = j->self;
}

static void unlink_owner(struct core *c, struct core_job *j)
{
    struct user *u = user_at(c, j->owner);

    *(j->newer ? &job_at(c, j->newer)->older : &u->newest) = j->older;
    *(j->older ? &job_at(c, j->older)->newer : &u->oldest) = j->newer;
    j->newer = j->older = 0;
}

struct core_job *jobs_add(struct core *c, const struct core_job *row)
{
    uint32_t slot = take_slot(c);
    struct core_job *j = job_at(c, slot);

    if (!j) return NULL;
    *j = *row;
    j->self = slot;
    j->records = NULL;
    j->next = j->prev = j->later = j->earlier = j->flow = j->ticket = 0;
    j->newer = j->older = 0;
    j->list = j->touched = j->put = 0;
    if (!map_add(&c->job_ids, map_hash_id(c->settings.seed, j->id), slot) ||
        !map_add(&c->job_keys, map_hash(c->settings.seed, j->key, CORE_KEY), slot)) {
        c->broken = 1;
        return NULL;
    }
    if (j->id > c->clock.job) c->clock.job = j->id;
    jobs_count(c, j, 1);
    if (!(j->flags & JOB_MARKED)) link_owner(c, j);
    return j;
}

void jobs_remove(struct core *c, struct core_job *j)
{
    uint32_t slot = j->self;

    assert(j->list == NOWHERE && !j->later && !j->earlier);
    jobs_count(c, j, -1);
    if (!(j->flags & JOB_MARKED)) unlink_owner(c, j);
    map_remove(&c->job_ids, map_hash_id(c->settings.seed, j->id), slot);
    map_remove(&c->job_keys, map_hash(c->settings.seed, j->key, CORE_KEY), slot);
    stage_free_all(c, j);
    *j = (struct core_job){.next = c->free_job};
    c->free_job = slot;
}

void jobs_free_all(struct core *c)
{
    for (uint32_t s = 1; s <= c->slots; s++) stage_free_all(c, job_at(c, s));
    for (size_t i = 0; i < c->n_chunks; i++) free(c->chunks[i]);
    free(c->chunks);
    map_fini(&c->job_ids);
    map_fini(&c->job_keys);
}

/* ---- which are open ---- */

enum { PASSED_IN_A_BATCH = 64, STRAGGLE = 4096 };

void jobs_mark(struct core *c, struct core_job *j)
{
    if (!(j->flags & JOB_MARKED)) unlink_owner(c, j);
    j->flags |= JOB_MARKED;
    core_touch(c, j);
}

/* A restart reads the rows from clock.open on. One job that stays open for very long would make it read all that ended since:
 * it is marked, and found by an index. A few in each batch; a number that is too low costs time only. */
void jobs_pass(struct core *c)
{
    for (int n = 0; n < PASSED_IN_A_BATCH && c->clock.open <= c->clock.job; n++) {
        struct core_job *j = jobs_find(c, c->clock.open);
        if (j && !JOB_ENDED(j->state) && !(j->flags & JOB_MARKED)) {
            if (c->clock.job - j->id < 4 * (uint64_t)c->job_ids.n + STRAGGLE) return;
            jobs_mark(c, j);
        }
        c->clock.open++;
    }
}

void jobs_count(struct core *c, const struct core_job *j, int by)
{
    struct core_user *u = &user_at(c, j->owner)->row;
    uint64_t n = (uint64_t)(int64_t)by;

    c->n_state[j->state] += n;
    switch ((enum job_state)j->state) {
    case JOB_QUEUED: u->queued += n; break;
    case JOB_RUNNING: u->running += n; break;
    case JOB_PAUSED: u->paused += n; break;
    default: return;
    }
    if (j->kind == JOB_LEARN) lineage_of(c, j)->row.n_waiting += n;
}

/* ---- looking ---- */

const struct core_job *core_job(const struct core *c, uint64_t id)
{
    return jobs_find(c, id);
}

const struct core_job *core_each_job(const struct core *c, uint32_t *cursor)
{
    while (*cursor < c->slots) {
        const struct core_job *j = job_at(c, ++*cursor);
        if (j->id) return j;
    }
    return NULL;
}

/* The first job of the owner below an id, by the chain where the id is in it, else by going down the ids. */
static const struct core_job *page_begin(const struct core *c, uint32_t owner, uint64_t *below,
                                         size_t *budget)
{
    const struct core_job *j = *below ? jobs_find(c, *below) : NULL;

    if (!*below) return job_at(c, user_at(c, owner)->newest);
    if (j && j->owner == owner && !(j->flags & JOB_MARKED)) return job_at(c, j->older);
    if (*below > c->clock.job) *below = c->clock.job + 1;
    while (*below > c->clock.open && *budget) {
        --*budget;
        --*below;
        if ((j = jobs_find(c, *below)) && j->owner == owner && !(j->flags & JOB_MARKED)) return j;
    }
    return NULL;
}

size_t core_page(const struct core *c, uint32_t owner, uint64_t states, uint64_t *below,
                 size_t limit, size_t *budget, uint64_t *ids)
{
    const struct core_job *j = user_at(c, owner) ? page_begin(c, owner, below, budget) : NULL;
    size_t n = 0;

    for (; j && n < limit && *budget; --*budget) {
        if (!JOB_ENDED(j->state) && (!states || (states >> j->state & 1))) ids[n++] = j->id;
        *below = j->id;
        j = job_at(c, j->older);
    }
    if (!j && *budget) *below = 0;
    return n;
}

uint64_t core_last_job(const struct core *c)
{
    return c->clock.job;
}

struct hash core_job_commit(const struct core *c, const struct core_job *j)
{
    const struct core_lineage *l = &lineage_of(c, j)->row;
    struct hash none = {{0}};
    return j->commit_number ? l->commits[j->commit_number - 1].hash : none;
}

int core_job_held(const struct core *c, const struct core_job *j)
{
    return (j->flags & JOB_HELD) || lineage_of(c, j)->row.held;
}
