/* disk.c - the durable rows, as the store would hold them: a batch is applied as a whole (or, with a bug planted, not). With
 * o.database it is the real store. */
#include "tests/core/support/world.h"

#include <stdlib.h>
#include <string.h>

static char *copy(const char *s)
{
    return strdup(s ? s : "");
}

static void put_lineage(struct disk *d, const struct core_lineage *l)
{
    d->lineages = realloc(d->lineages, (d->n_lineages + 1) * sizeof *d->lineages);
    struct core_lineage *row = &d->lineages[d->n_lineages++];
    *row = (struct core_lineage){
        .id = l->id, .key = l->key, .digest = l->digest, .created_ms = l->created_ms};
    row->name = copy(l->name);
    row->owner = copy(l->owner);
}

static void put_job(struct disk *d, const struct core_job *j)
{
    struct core_job *row = j->id <= d->n_jobs ? &d->jobs[j->id - 1] : NULL;
    char *owner, *token, *word;

    if (!row) {
        d->jobs = realloc(d->jobs, (d->n_jobs + 1) * sizeof *d->jobs);
        row = &d->jobs[d->n_jobs++];
        *row = (struct core_job){
            .owner = copy(j->owner), .token = copy(j->token), .class_word = copy(j->class_word)};
    }
    owner = row->owner;
    token = row->token;
    word = row->class_word;
    *row = *j;
    row->owner = owner;
    row->token = token;
    row->class_word = word;
}

static void put_stage(struct disk *d, uint64_t job, const struct core_stage *s)
{
    struct disk_stage *row = NULL;

    for (size_t i = d->n_stages; i > 0 && !row; i--)
        if (d->stages[i - 1].job == job && d->stages[i - 1].row.kind == s->kind)
            row = &d->stages[i - 1];
    if (!row) {
        d->stages = realloc(d->stages, (d->n_stages + 1) * sizeof *d->stages);
        row = &d->stages[d->n_stages++];
        memset(row, 0, sizeof *row);
        row->job = job;
    }
    free(row->row.line);
    row->row = *s;
    row->row.text = NULL;
    row->row.line = copy(s->line);
}

static void put_commit(struct disk *d, uint64_t lineage, struct core_commit c)
{
    d->commits = realloc(d->commits, (d->n_commits + 1) * sizeof *d->commits);
    d->commits[d->n_commits].lineage = lineage;
    d->commits[d->n_commits++].row = c;
}

/* n_puts: how many of them; fewer than all only when a torn write is played. */
int disk_apply(struct world *w, const struct core_actions *a, size_t n_puts)
{
    struct err e;

    if (w->store) {
        if (store_apply(w->store, a, &e) == OK) return 1;
        world_break(w, "store: %s", e.text);
        return 0;
    }
    for (size_t i = 0; i < n_puts; i++) {
        const struct core_put *p = &a->puts[i];
        switch (p->type) {
        case PUT_LINEAGE: put_lineage(&w->disk, p->lineage); break;
        case PUT_JOB: put_job(&w->disk, p->job); break;
        case PUT_STAGE: put_stage(&w->disk, p->job->id, p->stage); break;
        case PUT_COMMIT: put_commit(&w->disk, p->lineage->id, p->commit); break;
        case PUT_EVENT: break;
        }
    }
    return 1;
}

enum code disk_load(struct world *w, struct core *c, struct err *e)
{
    struct disk *d = &w->disk;
    enum code rc = OK;

    if (w->store) return store_load(w->store, c, w->now, e);
    if (w->o.bug == BUG_LOST_COMMIT && d->n_commits && world_chance(w, 300)) d->n_commits--;
    for (size_t i = 0; i < d->n_lineages && !rc; i++) rc = core_load_lineage(c, &d->lineages[i], e);
    for (size_t i = 0; i < d->n_commits && !rc; i++)
        rc = core_load_commit(c, d->commits[i].lineage, &d->commits[i].row, e);
    for (size_t i = 0; i < d->n_jobs && !rc; i++) rc = core_load_job(c, &d->jobs[i], e);
    for (size_t i = 0; i < d->n_stages && !rc; i++) {
        struct core_stage row = d->stages[i].row;
        if (w->o.bug == BUG_EPOCH_REUSED && row.state != STAGE_LEASED)
            row.epoch = row.epoch ? 1 : 0;
        rc = core_load_stage(c, d->stages[i].job, &row, e);
    }
    return rc ? rc : core_restart(c, 0, w->now, e);
}

void disk_fini(struct world *w)
{
    struct disk *d = &w->disk;

    for (size_t i = 0; i < d->n_lineages; i++) {
        free(d->lineages[i].name);
        free(d->lineages[i].owner);
    }
    for (size_t i = 0; i < d->n_jobs; i++) {
        free(d->jobs[i].owner);
        free(d->jobs[i].token);
        free(d->jobs[i].class_word);
    }
    for (size_t i = 0; i < d->n_stages; i++) free(d->stages[i].row.line);
    free(d->lineages);
    free(d->jobs);
    free(d->stages);
    free(d->commits);
}
