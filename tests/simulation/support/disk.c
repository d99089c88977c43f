/* disk.c - the durable rows as the store would hold them: a batch is there as a whole (or, with a bug planted, not). Where the world has a
 * real store, it gets the same batches and is what a new core is loaded from. */
#include "tests/simulation/support/world.h"

#include "coordinator/server/server.h"

#include <stdlib.h>
#include <string.h>

static void *grow(void *array, size_t *room, size_t n, size_t size)
{
    void *more = array;
    if (n < *room) return array;
    size_t want = *room ? 2 * *room : 16;
    more = realloc(array, want * size);
    if (!more) abort();
    memset((char *)more + *room * size, 0, (want - *room) * size);
    *room = want;
    return more;
}

static char *keep(struct disk *d, const char *s)
{
    char *copy = arena_strdup(&d->texts, s ? s : "");
    if (!copy) abort();
    return copy;
}

/* Strings are copied when they are new: most rows come again and again with the same ones. */
static void keep_again(struct disk *d, char **mine, const char *s)
{
    if (!*mine || strcmp(*mine, s ? s : "") != 0) *mine = keep(d, s);
}

/* ---- keys ---- */

static size_t key_slot(const struct disk *d, const uint8_t *key)
{
    uint64_t at;
    memcpy(&at, key, sizeof at);
    at = dice_mix(at, 1, 0) & (d->keys_room - 1);
    while (d->keys[at].job && memcmp(d->keys[at].key, key, CORE_KEY) != 0)
        at = (at + 1) & (d->keys_room - 1);
    return (size_t)at;
}

static void key_add(struct disk *d, const uint8_t *key, uint64_t job)
{
    if (2 * (d->n_keys + 1) > d->keys_room) {
        struct disk old = *d;
        d->keys_room = old.keys_room ? 2 * old.keys_room : 64;
        d->keys = calloc(d->keys_room, sizeof *d->keys);
        if (!d->keys) abort();
        for (size_t i = 0; i < old.keys_room; i++)
            if (old.keys[i].job) d->keys[key_slot(d, old.keys[i].key)] = old.keys[i];
        free(old.keys);
    }
    struct disk_key *k = &d->keys[key_slot(d, key)];
    d->n_keys += !k->job;
    memcpy(k->key, key, CORE_KEY);
    k->job = job;
}

/* ---- puts ---- */

static void put_user(struct disk *d, const struct core_user *u)
{
    d->users = grow(d->users, &d->users_room, u->id, sizeof *d->users);
    struct core_user *row = &d->users[u->id], old = *row;
    *row = *u;
    row->name = old.name;
    row->group = old.group;
    keep_again(d, &row->name, u->name);
    keep_again(d, &row->group, u->group);
    if (u->id >= d->n_users) d->n_users = u->id + 1;
}

static void put_lineage(struct disk *d, const struct core_lineage *l)
{
    d->lineages = grow(d->lineages, &d->lineages_room, l->id, sizeof *d->lineages);
    struct core_lineage *row = &d->lineages[l->id].row, old = *row;
    *row = *l;
    row->name = old.name;
    row->head = old.head;
    keep_again(d, &row->name, l->name);
    row->shared = l->n_shared ? arena_alloc(&d->texts, l->n_shared * sizeof *row->shared) : NULL;
    for (size_t i = 0; i < l->n_shared; i++) row->shared[i] = keep(d, l->shared[i]);
    row->commits = NULL;
    row->tokens = NULL;
    row->n_commits = row->commits_room = row->n_tokens = row->tokens_room = 0;
    if (l->id >= d->n_lineages) d->n_lineages = l->id + 1;
}

static void put_commit(struct disk *d, uint32_t lineage, struct core_commit c)
{
    struct disk_lineage *l = &d->lineages[lineage];
    l->commits = grow(l->commits, &l->room, l->n, sizeof *l->commits);
    l->commits[l->n++] = c;
    l->row.head = c.hash;
}

static void put_prior(struct disk *d, const struct core_prior *p)
{
    d->priors = grow(d->priors, &d->priors_room, p->id, sizeof *d->priors);
    d->priors[p->id] = *p;
    if (p->id >= d->n_priors) d->n_priors = p->id + 1;
}

static struct disk_job *job_row(struct disk *d, uint64_t id)
{
    size_t at = (size_t)id - 1;
    while (d->jobs_room <= at)
        d->jobs = grow(d->jobs, &d->jobs_room, d->jobs_room, sizeof *d->jobs);
    if (!d->jobs[at]) d->jobs[at] = calloc(1, sizeof **d->jobs);
    if (!d->jobs[at]) abort();
    if (id > d->n_jobs) d->n_jobs = (size_t)id;
    return d->jobs[at];
}

static uint64_t seed_of(const struct message *m)
{
    return m->kind == MSG_learn    ? m->learn.seed
           : m->kind == MSG_sample ? m->sample.seed
                                   : m->evaluate.seed;
}

static void put_job(struct disk *d, const struct core_put *p)
{
    struct disk_job *j = job_row(d, p->job->id);

    j->row = *p->job;
    j->row.records = NULL;
    if (!p->fresh || !p->message) return;
    key_add(d, p->job->key, p->job->id);
    j->token = keep(d, p->message->kind == MSG_learn ? p->message->learn.token : "");
    j->seed = seed_of(p->message);
}

static void put_stage(struct disk *d, const struct core_put *p)
{
    struct disk_job *j = job_row(d, p->stage->job);
    struct core_stage **at = &j->stage[p->stage->kind], *row = *at;

    if (!row) row = *at = calloc(1, sizeof *row);
    if (!row) abort();
    char *line = row->line;
    *row = *p->stage;
    row->line = line;
    if (strcmp(line ? line : "", p->stage->line ? p->stage->line : "") != 0) {
        free(line);
        row->line = strdup(p->stage->line ? p->stage->line : "");
    }
    row->text = NULL;
    row->result = NULL;
    row->next = NULL;
    if (p->stage->result && p->stage->result->result.outputs.n)
        j->output[row->kind] = p->stage->result->result.outputs.v[0];
}

static void put_drain(struct disk *d, const char *name, int on)
{
    for (size_t i = 0; i < d->n_drains; i++)
        if (strcmp(d->drains[i].name, name) == 0) {
            d->drains[i].on = on;
            return;
        }
    if (d->n_drains == 64) return;
    strcpy(d->drains[d->n_drains].name, name);
    d->drains[d->n_drains++].on = on;
}

static void put(struct disk *d, const struct core_put *p)
{
    switch (p->type) {
    case PUT_USER: put_user(d, p->user); break;
    case PUT_LINEAGE: put_lineage(d, p->lineage); break;
    case PUT_PRIOR: put_prior(d, p->prior); break;
    case PUT_JOB: put_job(d, p); break;
    case PUT_STAGE: put_stage(d, p); break;
    case PUT_COMMIT: put_commit(d, p->lineage->id, p->commit); break;
    case PUT_DRAIN: put_drain(d, p->name, p->on); break;
    case PUT_FORGET: job_row(d, p->id)->row.flags |= JOB_FORGOTTEN; break;
    case PUT_CLOCK: d->clock = *p->clock; break;
    case PUT_EVENT:
    case PUT_AUDIT: break;
    }
}

/* n_puts: how many of them; fewer than all only when a torn write is played. */
int disk_apply(struct world *w, const struct core_actions *a, size_t n_puts)
{
    struct err e;

    if (w->disk.store && store_apply(w->disk.store, a, &e)) {
        world_break(w, "store", "%s", e.text);
        return 0;
    }
    for (size_t i = 0; i < n_puts; i++) put(&w->disk, &a->puts[i]);
    return 1;
}

/* ---- loading ---- */

static enum code load_lineage(struct world *w, struct core *c, struct disk_lineage *l,
                              struct err *e)
{
    enum code rc = core_load_lineage(c, &l->row, e);

    if (w->o.bug == BUG_lost_commit && l->n && fault(w, &w->coordinator.dice, FAULT_disk_blind))
        l->n--;
    for (size_t i = 0; i < l->n && !rc; i++)
        rc = core_load_commit(c, l->row.id, &l->commits[i],
                              w->disk.jobs[l->commits[i].job - 1]->token, e);
    return rc;
}

static enum code load_job(struct core *c, const struct disk_job *j, struct err *e)
{
    enum code rc = core_load_job(c, &j->row, j->token, e);

    for (int k = 0; k < STAGE_KINDS && !rc; k++)
        if (j->stage[k]) rc = core_load_stage(c, j->stage[k], e);
    return rc;
}

/* As the store reads them: from clock.open on, and marked ones. */
static int is_open(const struct disk *d, const struct disk_job *j)
{
    if (j->row.id < d->clock.open && !(j->row.flags & (JOB_HOLDS | JOB_MARKED))) return 0;
    return !JOB_ENDED(j->row.state) || j->row.flags & JOB_HOLDS;
}

static enum code load_rows(struct world *w, struct core *c, struct err *e)
{
    struct disk *d = &w->disk;
    struct core_clock clock = d->clock;
    enum code rc = OK;

    if (w->o.bug == BUG_epoch_reused) clock.epoch = 0;
    core_load_clock(c, clock);
    for (size_t i = 1; i < d->n_users && !rc; i++)
        if (d->users[i].id) rc = core_load_user(c, &d->users[i], e);
    for (size_t i = 0; i < d->n_drains && !rc; i++)
        if (d->drains[i].on) rc = core_load_drain(c, d->drains[i].name, e);
    for (size_t i = 1; i < d->n_lineages && !rc; i++)
        if (d->lineages[i].row.id) rc = load_lineage(w, c, &d->lineages[i], e);
    for (size_t i = 1; i < d->n_priors && !rc; i++)
        if (d->priors[i].id) rc = core_load_prior(c, &d->priors[i], e);
    for (size_t i = 0; i < d->n_jobs && !rc; i++)
        if (d->jobs[i] && is_open(d, d->jobs[i])) rc = load_job(c, d->jobs[i], e);
    return rc;
}

enum code disk_load(struct world *w, struct core *c, struct err *e)
{
    enum code rc;

    if (w->disk.store) return store_load(w->disk.store, c, w->coordinator.now_ms, e);
    rc = load_rows(w, c, e);
    return rc ? rc : core_restart(c, w->coordinator.now_ms, e);
}

enum code disk_reopen(struct world *w, struct err *e)
{
    if (!w->disk.path[0]) return OK;
    store_close(w->disk.store);
    w->disk.store = NULL;
    return store_open(&w->disk.store, w->disk.path, e);
}

/* ---- reading ---- */

const struct core_past *disk_past(struct world *w, struct core_past *room, uint64_t job,
                                  const struct hash *key)
{
    struct disk *d = &w->disk;

    if (key) job = d->keys_room ? d->keys[key_slot(d, key->v)].job : 0;
    const struct disk_job *j = job && job <= d->n_jobs ? d->jobs[job - 1] : NULL;
    if (!j) return NULL;
    *room = (struct core_past){.job = j->row, .token = j->token};
    for (int k = 0; k < STAGE_KINDS; k++)
        if (j->stage[k]) room->stage[room->n_stages++] = *j->stage[k];
    return room;
}

/* As the process makes it, from the real store. */
static void real_stage_message(struct world *w, const struct core_tell *t, struct message *m)
{
    struct server s = {.core = w->coordinator.core, .store = w->disk.store};
    struct err e;

    if (stage_message(&s, t, &w->coordinator.arena, m, &e))
        world_break(w, "store", "stage %s of job %llu: %s", proto_stage_kind((uint64_t)t->stage),
                    (unsigned long long)t->job, e.text);
    m->version = t->to.version;
}

void disk_stage_message(struct world *w, const struct core_tell *t, struct message *m,
                        struct hash room[2])
{
    if (w->disk.store) {
        real_stage_message(w, t, m);
        return;
    }
    struct disk_job *j = w->disk.jobs[t->job - 1];
    struct disk_lineage *l = &w->disk.lineages[j->row.lineage];
    const struct core_stage *s = j->stage[t->stage];
    size_t n = s ? (size_t)s->chain : 0;

    *m = (struct message){.kind = MSG_stage,
                          .id = t->to.id,
                          .version = t->to.version,
                          .stage = {.job = t->job,
                                    .stage = (uint64_t)t->stage,
                                    .epoch = t->epoch,
                                    .term_ms = 30000,
                                    .seed = j->seed,
                                    .lineage = l->row.name,
                                    .base_path = "/base"}};
    if (n > l->n)
        world_break(w, "parent", "job %llu works on %zu commits, the lineage has %zu",
                    (unsigned long long)t->job, n, l->n);
    else if (n && t->stage != STAGE_PRIOR) {
        room[0] = l->commits[n - 1].hash;
        m->stage.chain = (struct hashes){1, room};
    }
}

void disk_fini(struct world *w)
{
    struct disk *d = &w->disk;

    for (size_t i = 0; i < d->n_jobs; i++) {
        for (int k = 0; d->jobs[i] && k < STAGE_KINDS; k++) {
            if (d->jobs[i]->stage[k]) free(d->jobs[i]->stage[k]->line);
            free(d->jobs[i]->stage[k]);
        }
        free(d->jobs[i]);
    }
    for (size_t i = 0; i < d->n_lineages; i++) free(d->lineages[i].commits);
    free(d->users);
    free(d->lineages);
    free(d->priors);
    free(d->jobs);
    free(d->keys);
    arena_fini(&d->texts);
    store_close(d->store);
}
