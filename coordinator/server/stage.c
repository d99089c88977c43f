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

/* How many commits of its lineage a stage works on. */
static size_t chain_length(const struct core_lineage *l, const struct core_job *j,
                           enum stage_kind kind)
{
    size_t n = 0;

    if (kind == STAGE_SAMPLE || kind == STAGE_EVALUATE) return (size_t)j->commit_number;
    if (kind != STAGE_SCORE && kind != STAGE_TRAIN) return 0;
    while (n < l->n_commits &&
           !hash_equal(n ? l->commits[n - 1].hash : (struct hash){{0}}, j->parent))
        n++;
    return n;
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
        const struct core_job *j = core_job(s->core, l->commits[i].job);
        struct concept_row *r = &out->v[i];
        *r = (struct concept_row){.token = j->token,
                                  .class_word = j->class_word,
                                  .kind = (uint64_t)j->concept,
                                  .commit = l->commits[i].hash};
        if ((rc = store_images(s->store, j->id, a, &r->images, e))) return rc;
    }
    return OK;
}

static enum code inputs_of(struct server *s, const struct core_job *j, enum stage_kind kind,
                           struct arena *a, struct msg_stage *m, struct err *e)
{
    enum code rc;

    if ((kind == STAGE_SCORE || kind == STAGE_TRAIN) && core_stage_of(j, STAGE_PRIOR) &&
        (rc = store_outputs(s->store, j->id, STAGE_PRIOR, a, &m->prior, NULL, e)))
        return rc;
    if (kind == STAGE_TRAIN && core_stage_of(j, STAGE_SCORE))
        return store_outputs(s->store, j->id, STAGE_SCORE, a, &m->masks, NULL, e);
    return OK;
}

enum code stage_message(struct server *s, uint64_t job, enum stage_kind kind, uint64_t epoch,
                        struct arena *a, struct message *out, struct err *e)
{
    const struct core_job *j = core_job(s->core, job);
    const struct core_lineage *l = core_lineage(s->core, j->lineage);
    int reads = kind == STAGE_SAMPLE || kind == STAGE_EVALUATE;
    size_t n = chain_length(l, j, kind);
    struct message request;
    enum code rc;

    *out = (struct message){.kind = MSG_stage,
                            .stage = {.job = job, .stage = (uint64_t)kind, .epoch = epoch}};
    out->stage.term_ms = (uint64_t)(s->settings.term_ms ? s->settings.term_ms : 30000);
    out->stage.lineage = l->name;
    if (reads) out->stage.commit = j->commit;
    if ((rc = store_base(s->store, l->id, a, &out->stage.base_path, &out->stage.base_hash, e)) ||
        (rc = store_request(s->store, job, a, &out->stage.request, e)) ||
        (rc = proto_decode(out->stage.request.data, out->stage.request.n, a, &request, e)) ||
        (rc = copy_chain(l, n, a, &out->stage.chain, e)) ||
        (rc = inputs_of(s, j, kind, a, &out->stage, e)))
        return rc;
    out->stage.seed = seed_of(&request);
    return reads ? concepts_of(s, l, n, a, &out->stage.concepts, e) : OK;
}
