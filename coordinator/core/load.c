/* load.c - the core from its rows, after a restart. Rows were written by us in whole transactions, so whatever does not fit is
 * corruption, and is named instead of guessed around. */
#include "coordinator/core/state.h"

#include <string.h>

static enum code out_of_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "out of memory while loading the database");
}

enum code core_load_lineage(struct core *c, const struct core_lineage *row, struct err *e)
{
    struct core_lineage l = {.key = row->key, .digest = row->digest, .created_ms = row->created_ms};

    if (row->id != c->n_lineages + 1)
        return err_set(e, ERR_CORRUPT, "lineage %llu follows lineage %zu",
                       (unsigned long long)row->id, c->n_lineages);
    l.name = core_own(c, row->name);
    l.owner = core_own(c, row->owner);
    return core_add_lineage(c, &l) ? OK : out_of_memory(e);
}

enum code core_load_commit(struct core *c, uint64_t lineage, const struct core_commit *row,
                           struct err *e)
{
    struct core_lineage *l = lineage && lineage <= c->n_lineages ? c->lineages[lineage - 1] : NULL;

    if (!l || row->number != l->n_commits + 1 || !hash_equal(row->parent, l->head))
        return err_set(e, ERR_CORRUPT, "commit %llu of lineage %llu does not continue its chain",
                       (unsigned long long)row->number, (unsigned long long)lineage);
    return lineage_append(c, l, *row) ? OK : out_of_memory(e);
}

enum code core_load_job(struct core *c, const struct core_job *row, struct err *e)
{
    struct core_job j = *row, *there;

    if (row->id != c->n_jobs + 1 || !core_lineage(c, row->lineage))
        return err_set(e, ERR_CORRUPT, "job %llu follows job %zu or has no lineage",
                       (unsigned long long)row->id, c->n_jobs);
    j.n_stages = 0;
    j.live = j.dirty = j.parent_known = 0;
    j.next_live = j.prev_live = NULL;
    j.owner = core_own(c, row->owner);
    j.token = core_own(c, row->token);
    j.class_word = core_own(c, row->class_word);
    if (!(there = core_add_job(c, &j))) return out_of_memory(e);
    if (there->kind == JOB_LEARN &&
        !lineage_add_learn(c, c->lineages[there->lineage - 1], there->id))
        return out_of_memory(e);
    return OK;
}

enum code core_load_stage(struct core *c, uint64_t job, const struct core_stage *row, struct err *e)
{
    struct core_job *j = core_find_job(c, job);
    struct core_stage *s;

    if (!j || j->n_stages == CORE_STAGES || stage_of(j, row->kind))
        return err_set(e, ERR_CORRUPT, "stage %s of job %llu does not fit",
                       proto_stage_kind((uint64_t)row->kind), (unsigned long long)job);
    s = &j->stages[j->n_stages++];
    *s = *row;
    s->line = row->line && row->line[0] ? core_own(c, row->line) : NULL;
    s->text = NULL;
    s->result = NULL;
    s->dirty = 0;
    if ((s->kind == STAGE_SCORE || s->kind == STAGE_TRAIN) && s->attempts > 0) j->parent_known = 1;
    if (s->epoch > c->epoch) c->epoch = s->epoch;
    c->leased += s->state == STAGE_LEASED;
    return c->broken ? out_of_memory(e) : OK;
}

enum code core_restart(struct core *c, uint64_t last_seq, int64_t now_ms, struct err *e)
{
    c->seq = last_seq;
    c->now_ms = now_ms;
    for (size_t i = 0; i < c->n_lineages; i++) {
        struct core_lineage *l = c->lineages[i];
        while (l->turn < l->n_learns && lineage_decided(core_job(c, l->learns[l->turn]))) l->turn++;
    }
    for (struct core_job *j = c->first_live; j; j = j->next_live) {
        for (int k = 0; k < j->n_stages; k++) {
            struct core_stage *s = &j->stages[k];
            if (s->state == STAGE_LEASED) s->deadline_ms = now_ms + c->settings.term_ms;
            s->not_before_ms = 0;
        }
    }
    prior_rebuild(c);
    return c->broken ? out_of_memory(e) : core_check(c, e);
}
