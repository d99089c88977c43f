/* stage.c - the `stage` message: what a group needs to do one stage, put together from the core's order and the store's rows.
 * PROTOCOL.md has the table of what goes to which stage. */
#include "coordinator/server/server.h"

static uint64_t seed_of(const struct message *request)
{
    switch (request->kind) {
    case MSG_learn: return request->learn.seed;
    case MSG_sample: return request->sample.seed;
    case MSG_evaluate: return request->evaluate.seed;
    default: return 0;
    }
}

static enum code copy_chain(const struct core_lineage *l, size_t n, struct arena *a,
                            struct hashes *out, struct err *e)
{
    *out = (struct hashes){.n = n, .v = n ? arena_alloc(a, n * sizeof *out->v) : NULL};
    if (n && !out->v) return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) out->v[i] = l->commits[i].hash;
    return OK;
}

static enum code concepts_of(struct server *s, const struct core_lineage *l, size_t n,
                             struct arena *a, struct concept_rows *out, struct err *e)
{
    enum code rc;

    *out = (struct concept_rows){.n = n, .v = n ? arena_alloc(a, n * sizeof *out->v) : NULL};
    if (n && !out->v) return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        struct concept_row *r = &out->v[i];
        struct message learn;
        if ((rc = store_request(s->store, l->commits[i].job, 0, a, &learn, NULL, e))) return rc;
        *r = (struct concept_row){.token = learn.learn.token,
                                  .class_word = learn.learn.class_word,
                                  .kind = learn.learn.kind,
                                  .commit = l->commits[i].hash,
                                  .images = learn.learn.images};
    }
    return OK;
}

static enum code inputs_of(struct server *s, const struct core_job *j, enum stage_kind kind,
                           struct arena *a, struct msg_stage *m, struct err *e)
{
    enum code rc;

    if ((kind == STAGE_SCORE || kind == STAGE_TRAIN) && core_stage_state(j, STAGE_PRIOR) &&
        (rc = store_outputs(s->store, j->id, STAGE_PRIOR, a, &m->prior, NULL, e)))
        return rc;
    if (kind == STAGE_TRAIN && core_stage_state(j, STAGE_SCORE))
        return store_outputs(s->store, j->id, STAGE_SCORE, a, &m->masks, NULL, e);
    return OK;
}

enum code stage_message(struct server *s, const struct core_tell *t, struct arena *a,
                        struct message *out, struct err *e)
{
    const struct core_job *j = core_job(s->core, t->job);
    const struct core_stage *g = j ? core_stage_of(j, t->stage) : NULL;
    const struct core_lineage *l = g ? core_lineage(s->core, j->lineage) : NULL;
    int reads = t->stage == STAGE_SAMPLE || t->stage == STAGE_EVALUATE;
    struct msg_stage *m = &out->stage;
    struct message request;
    enum code rc;

    if (!g) return err_set(e, ERR_STALE, "the stage was taken back already");
    *out = (struct message){
        .kind = MSG_stage,
        .stage = {
            .job = t->job, .stage = (uint64_t)t->stage, .epoch = t->epoch, .lineage = l->name}};
    m->term_ms = (uint64_t)(s->settings.term_ms ? s->settings.term_ms : 30000);
    if (reads) m->commit = core_job_commit(s->core, j);
    if ((rc = store_base(s->store, l->id, a, &m->base_path, &m->base_hash, e)) ||
        (rc = store_request(s->store, t->job, t->to.version, a, &request, &m->request, e)) ||
        (rc = copy_chain(l, (size_t)g->chain, a, &m->chain, e)) ||
        (rc = inputs_of(s, j, t->stage, a, m, e)))
        return rc;
    m->seed = seed_of(&request);
    return reads ? concepts_of(s, l, (size_t)g->chain, a, &m->concepts, e) : OK;
}
