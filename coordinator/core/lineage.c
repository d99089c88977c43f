/* lineage.c - order. A lineage's learn jobs are decided one after the other, as they were submitted: a job is decided when it has
 * committed or has ended without. The undecided ones are chained; the first has the turn, only it may score and train.
 * A job that failed is skipped, or, where the lineage says so (FAILURE_WAIT), keeps its place until somebody retries or
 * cancels it (JOB_HOLDS). One that is retried after its turn has passed goes to the end.
 */
#include "coordinator/core/state.h"

#include <stdlib.h>

/* ---- the table ---- */

struct lineage *lineage_at(const struct core *c, uint32_t id)
{
    return id && id <= c->n_lineages ? c->lineages[id - 1] : NULL;
}

struct lineage *lineage_of(const struct core *c, const struct core_job *j)
{
    return c->lineages[j->lineage - 1];
}

static uint32_t name_hash(const struct core *c, const char *name)
{
    return map_hash(c->settings.seed, name, strlen(name));
}

struct lineage *lineage_named(const struct core *c, const char *name)
{
    uint32_t hash = name_hash(c, name);
    size_t at;

    for (uint32_t i = map_first(&c->lineage_names, hash, &at); i;
         i = map_next(&c->lineage_names, hash, &at))
        if (strcmp(lineage_at(c, i)->row.name, name) == 0) return lineage_at(c, i);
    return NULL;
}

static void drop_shared(struct lineage *l)
{
    for (size_t i = 0; i < l->row.n_shared; i++) free(l->row.shared[i]);
    free(l->row.shared);
    l->row.shared = NULL;
    l->row.n_shared = 0;
}

int lineage_share(struct core *c, struct lineage *l, const char *const *names, size_t n)
{
    drop_shared(l);
    if (n == 0) return 1;
    if (!(l->row.shared = mem_alloc(n, sizeof *l->row.shared))) {
        c->broken = 1;
        return 0;
    }
    for (size_t i = 0; i < n; i++) l->row.shared[l->row.n_shared++] = core_own(c, names[i]);
    return !c->broken;
}

void lineage_free(struct lineage *l)
{
    if (!l) return;
    drop_shared(l);
    free(l->row.name);
    free(l->row.commits);
    free(l->row.tokens);
    free(l);
}

struct lineage *lineage_add(struct core *c, const struct core_lineage *row)
{
    struct lineage *l = mem_alloc(1, sizeof *l);

    if (!l || !core_grow(c, &c->lineages, &c->lineages_room, c->n_lineages, sizeof *c->lineages)) {
        lineage_free(l);
        c->broken = 1;
        return NULL;
    }
    l->row = (struct core_lineage){.id = (uint32_t)c->n_lineages + 1,
                                   .owner = row->owner,
                                   .key = row->key,
                                   .digest = row->digest,
                                   .base_hash = row->base_hash,
                                   .created_ms = row->created_ms,
                                   .visibility = row->visibility,
                                   .on_failure = row->on_failure,
                                   .held = row->held};
    l->row.name = core_own(c, row->name);
    lineage_share(c, l, (const char *const *)row->shared, row->n_shared);
    c->lineages[c->n_lineages++] = l;
    if (c->broken || !map_add(&c->lineage_names, name_hash(c, row->name), l->row.id) ||
        !map_add(&c->lineage_keys, map_hash(c->settings.seed, row->key.v, HASH_BYTES), l->row.id)) {
        c->broken = 1;
        return NULL;
    }
    return l;
}

/* ---- turns ---- */

int lineage_decided(const struct core_job *j)
{
    return j->commit_number > 0 || (JOB_ENDED(j->state) && !(j->flags & JOB_HOLDS));
}

int lineage_is_turn(const struct core *c, const struct core_job *j)
{
    return j->kind == JOB_LEARN && lineage_of(c, j)->row.first == j->self;
}

void lineage_enter(struct core *c, struct lineage *l, struct core_job *j)
{
    j->earlier = l->row.last;
    j->later = 0;
    *(l->row.last ? &job_at(c, l->row.last)->later : &l->row.first) = j->self;
    l->row.last = j->self;
    l->row.n_undecided++;
}

void lineage_leave(struct core *c, struct lineage *l, struct core_job *j)
{
    if (l->row.first != j->self && !j->earlier) return;
    *(j->earlier ? &job_at(c, j->earlier)->later : &l->row.first) = j->later;
    *(j->later ? &job_at(c, j->later)->earlier : &l->row.last) = j->earlier;
    j->later = j->earlier = 0;
    l->row.n_undecided--;
}

/* Decisions can come in any order: a waiting job may be cancelled. Each leaves when it is made, the next one begins. */
void lineage_advance(struct core *c, struct lineage *l)
{
    struct core_job *j = job_at(c, l->row.first);

    if (!j || JOB_ENDED(j->state)) return; /* nobody, or one that failed and holds the lineage */
    job_advance(c, j);
}

/* ---- commits ---- */

int lineage_append(struct core *c, struct lineage *l, struct hash commit, uint64_t job)
{
    struct core_lineage *r = &l->row;

    if (!core_grow(c, &r->commits, &r->commits_room, r->n_commits, sizeof *r->commits)) return 0;
    r->commits[r->n_commits++] = (struct core_link){commit, job};
    r->head = commit;
    return 1;
}

uint64_t lineage_find(const struct lineage *l, struct hash commit)
{
    for (size_t i = l->row.n_commits; i > 0; i--)
        if (hash_equal(l->row.commits[i - 1].hash, commit)) return i;
    return 0;
}

void lineage_commit(struct core *c, struct core_job *j, struct hash commit, double seconds)
{
    struct lineage *l = lineage_of(c, j);
    const struct core_stage *score = stage_of(j, STAGE_SCORE), *train = stage_of(j, STAGE_TRAIN);
    struct core_commit row = {.hash = commit,
                              .parent = l->row.head,
                              .number = l->row.n_commits + 1,
                              .job = j->id,
                              .committed_ms = c->now_ms,
                              .seconds = seconds + (score ? score->seconds : 0)};

    assert(lineage_is_turn(c, j) && j->commit_number == 0); /* invariant 2 */
    assert(train->chain == l->row.n_commits && (!score || score->chain == train->chain)); /* 1 */
    if (!lineage_append(c, l, commit, j->id)) return;
    j->commit_number = (uint32_t)row.number;
    core_touch(c, j);
    put_commit(c, l, row);
    lineage_leave(c, l, j);
}

/* ---- tokens: few in a lineage, so they are looked through ---- */

static uint64_t token_hash(const struct core *c, const char *token)
{
    return map_hash64(c->settings.seed, token, strlen(token));
}

uint64_t lineage_token(const struct core *c, const struct lineage *l, const char *token)
{
    uint64_t hash = token_hash(c, token);

    for (size_t i = 0; i < l->row.n_tokens; i++)
        if (l->row.tokens[i].hash == hash) return l->row.tokens[i].job;
    return 0;
}

int lineage_take_token(struct core *c, struct lineage *l, const char *token, uint64_t job)
{
    struct core_lineage *r = &l->row;

    if (!core_grow(c, &r->tokens, &r->tokens_room, r->n_tokens, sizeof *r->tokens)) return 0;
    r->tokens[r->n_tokens++] = (struct core_token){token_hash(c, token), job};
    return 1;
}

void lineage_drop_token(struct lineage *l, uint64_t job)
{
    for (size_t i = 0; i < l->row.n_tokens; i++) {
        if (l->row.tokens[i].job != job) continue;
        l->row.tokens[i] = l->row.tokens[--l->row.n_tokens];
        return;
    }
}

/* ---- looking ---- */

const struct core_lineage *core_lineage(const struct core *c, uint32_t id)
{
    const struct lineage *l = lineage_at(c, id);
    return l ? &l->row : NULL;
}

const struct core_lineage *core_lineage_named(const struct core *c, const char *name)
{
    const struct lineage *l = lineage_named(c, name);
    return l ? &l->row : NULL;
}

uint32_t core_last_lineage(const struct core *c)
{
    return (uint32_t)c->n_lineages;
}

const struct core_job *core_turn(const struct core *c, const struct core_lineage *l)
{
    return job_at(c, l->first);
}

/* Those before it, or all that are undecided when it has no place among them. */
uint64_t core_before(const struct core *c, const struct core_job *j)
{
    uint64_t n = 0;

    if (j->kind != JOB_LEARN || lineage_decided(j)) return 0;
    for (const struct core_job *k = job_at(c, j->earlier); k; k = job_at(c, k->earlier)) n++;
    return n;
}
