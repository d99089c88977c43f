#include "coordinator/store/row.h"

void row_job(struct query *q, struct core_job *j, struct job_words *w)
{
    *j = (struct core_job){.id = query_get_u64(q)};
    j->kind = (uint8_t)query_get_u64(q);
    j->state = (uint8_t)query_get_u64(q);
    j->stages = (uint32_t)query_get_u64(q);
    j->priority = (uint8_t)query_get_u64(q);
    j->flags = (uint8_t)query_get_u64(q);
    j->lineage = (uint32_t)query_get_u64(q);
    j->owner = (uint32_t)query_get_u64(q);
    query_get_bytes(q, j->key, CORE_KEY);
    query_get_bytes(q, j->digest, CORE_DIGEST);
    j->place = query_get_u64(q);
    if (!j->place) j->place = j->id << 20;
    j->prior = (uint32_t)query_get_u64(q);
    j->commit_number = (uint32_t)query_get_u64(q);
    j->submitted_ms = query_get_i64(q);
    j->started_ms = query_get_i64(q);
    j->finished_ms = query_get_i64(q);
    w->token = query_get_text(q);
    w->class_word = query_get_text(q);
    w->concept = query_get_u64(q);
}

void row_stage(struct query *q, struct core_stage *g)
{
    struct slice group;

    *g = (struct core_stage){.job = query_get_u64(q)};
    g->kind = (enum stage_kind)query_get_u64(q);
    g->epoch = query_get_u64(q);
    g->attempts = query_get_u64(q);
    g->losses = query_get_u64(q);
    g->pauses = query_get_u64(q);
    g->best_step = query_get_u64(q);
    g->chain = query_get_u64(q);
    g->granted_ms = query_get_i64(q);
    group = query_get_blob(q);
    for (size_t i = 0; i < group.n && i < HASH_BYTES; i++) g->group.v[i] = group.data[i];
    g->seconds = query_get_f64(q);
    g->line = (char *)(uintptr_t)query_get_text(q);
}

enum code row_packed(struct store *s, uint64_t job, struct arena *a, struct packed_row *row,
                     struct err *e)
{
    struct query q = query_begin(s, SQL_REQUEST, "read request", e);
    struct slice prior;
    enum code rc;

    query_u64(&q, job);
    if (!query_row(&q)) {
        rc = query_end(&q);
        return rc ? rc
                  : err_set(e, ERR_NOT_FOUND, "job %llu is not in the database",
                            (unsigned long long)job);
    }
    *row = (struct packed_row){.kind = query_get_u64(&q)};
    query_copy_blob(&q, a, &row->key);
    row->lineage = query_copy_text(&q, a);
    row->token = query_copy_text(&q, a);
    row->class_word = query_copy_text(&q, a);
    row->concept = query_get_u64(&q);
    row->priority = query_get_u64(&q);
    prior = query_get_blob(&q);
    for (size_t i = 0; i < prior.n && i < HASH_BYTES; i++) row->prior_key.v[i] = prior.data[i];
    query_copy_blob(&q, a, &row->request);
    return query_end(&q);
}
