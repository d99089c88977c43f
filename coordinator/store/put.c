#include "coordinator/store/put.h"
#include "coordinator/store/db.h"
#include "coordinator/store/pack.h"
#include "coordinator/store/row.h"

#include <string.h>

typedef enum code put_fn(struct store *s, const struct core_put *p, struct arena *a, struct err *e);

static enum code put_user(struct store *s, const struct core_put *p, struct arena *a, struct err *e)
{
    const struct core_user *u = p->user;
    struct query q = query_begin(s, SQL_SET_USER, "set user", e);

    (void)a;
    query_u64(&q, u->id);
    query_text(&q, u->name);
    query_u64(&q, (uint64_t)u->role);
    query_text(&q, u->group);
    query_hash(&q, u->key);
    query_i64(&q, u->revoked);
    query_u64(&q, u->weight);
    query_u64(&q, u->max_queued);
    query_u64(&q, u->max_running);
    query_u64(&q, u->max_bytes);
    query_i64(&q, u->added_ms);
    query_f64(&q, u->used_ms);
    query_u64(&q, u->bytes);
    for (int i = 0; i < 3; i++) query_u64(&q, u->ended[i]);
    return query_run(&q);
}

/* Names hold no line ends: good_name of the core. */
static char *join(const struct core_lineage *l, struct arena *a)
{
    size_t n = 1;
    char *text, *at;

    for (size_t i = 0; i < l->n_shared; i++) n += strlen(l->shared[i]) + 1;
    if (!(text = at = arena_alloc(a, n))) return NULL;
    for (size_t i = 0; i < l->n_shared; i++) {
        size_t len = strlen(l->shared[i]);
        memcpy(at, l->shared[i], len);
        at[len] = '\n';
        at += len + 1;
    }
    *at = '\0';
    return text;
}

static void sharing(struct query *q, const struct core_lineage *l, struct arena *a)
{
    char *shared = join(l, a);

    if (!shared && !q->code) q->code = err_set(q->err, ERR_NOMEM, "out of memory");
    query_u64(q, l->visibility);
    query_u64(q, l->on_failure);
    query_u64(q, l->held);
    query_text(q, shared);
}

static enum code put_lineage(struct store *s, const struct core_put *p, struct arena *a,
                             struct err *e)
{
    const struct core_lineage *l = p->lineage;
    struct query q = query_begin(s, p->fresh ? SQL_ADD_LINEAGE : SQL_SET_LINEAGE, "set lineage", e);

    query_u64(&q, l->id);
    if (p->fresh) { /* the head is zero: a commit in the same batch moves it */
        const struct msg_lineage_create *m = &p->message->lineage_create;
        query_text(&q, l->name);
        query_u64(&q, l->owner);
        query_hash(&q, l->key);
        query_hash(&q, l->digest);
        query_text(&q, m->base_path);
        query_hash(&q, m->base_hash);
        query_i64(&q, l->created_ms);
    }
    sharing(&q, l, a);
    return query_run(&q);
}

static enum code put_prior(struct store *s, const struct core_put *p, struct arena *a,
                           struct err *e)
{
    struct query q = query_begin(s, SQL_SET_PRIOR, "set class images", e);

    (void)a;
    query_u64(&q, p->prior->id);
    query_hash(&q, p->prior->key);
    query_u64(&q, p->prior->maker);
    query_i64(&q, p->prior->made);
    return query_run(&q);
}

/* ---- jobs ---- */

static uint64_t place_of(const struct core_job *j)
{
    return j->place == j->id << 20 ? 0 : j->place;
}

static enum code add_job(struct store *s, const struct core_put *p, struct arena *a, struct err *e)
{
    const struct core_job *j = p->job;
    const struct msg_learn *learn = p->message->kind == MSG_learn ? &p->message->learn : NULL;
    struct slice packed;
    struct query q;
    enum code rc = pack_request(s, p->message, a, &packed, e);

    if (rc) return rc;
    q = query_begin(s, SQL_ADD_JOB, "add job", e);
    query_u64(&q, j->id);
    query_u64(&q, j->kind);
    query_u64(&q, j->state);
    query_u64(&q, j->stages);
    query_u64(&q, j->priority);
    query_u64(&q, j->flags);
    query_u64(&q, j->lineage);
    query_u64(&q, j->owner);
    query_blob(&q, j->key, CORE_KEY);
    query_blob(&q, j->digest, CORE_DIGEST);
    query_u64(&q, place_of(j));
    query_u64(&q, j->prior);
    query_u64(&q, j->commit_number);
    query_i64(&q, j->submitted_ms);
    query_i64(&q, j->started_ms);
    query_i64(&q, j->finished_ms);
    query_text(&q, learn ? learn->token : "");
    query_text(&q, learn ? learn->class_word : "");
    query_u64(&q, learn ? learn->kind : 0);
    query_blob(&q, packed.data, packed.n);
    return query_run(&q);
}

static enum code put_job(struct store *s, const struct core_put *p, struct arena *a, struct err *e)
{
    const struct core_job *j = p->job;
    struct query q;

    if (p->fresh) return add_job(s, p, a, e);
    q = query_begin(s, SQL_SET_JOB, "set job", e);
    query_u64(&q, j->id);
    query_u64(&q, j->state);
    query_u64(&q, j->stages);
    query_u64(&q, j->flags);
    query_u64(&q, place_of(j));
    query_u64(&q, j->commit_number);
    query_i64(&q, j->started_ms);
    query_i64(&q, j->finished_ms);
    return query_run(&q);
}

static enum code put_stage(struct store *s, const struct core_put *p, struct arena *a,
                           struct err *e)
{
    const struct core_stage *g = p->stage;
    const struct msg_result *r = g->result ? &g->result->result : NULL;
    struct query q = query_begin(s, r ? SQL_END_STAGE : SQL_SET_STAGE, "set stage", e);

    (void)a;
    query_u64(&q, g->job);
    query_u64(&q, (uint64_t)g->kind);
    query_u64(&q, g->epoch);
    query_u64(&q, g->attempts);
    query_u64(&q, g->losses);
    query_u64(&q, g->pauses);
    query_u64(&q, g->best_step);
    query_u64(&q, g->chain);
    query_i64(&q, g->granted_ms);
    query_blob(&q, g->group.v, hash_is_zero(g->group) ? 0 : HASH_BYTES);
    query_f64(&q, g->seconds);
    query_text(&q, g->line);
    if (r) {
        query_blob(&q, r->outputs.v, r->outputs.n * HASH_BYTES);
        query_text(&q, r->report);
    }
    return query_run(&q);
}

static enum code put_commit(struct store *s, const struct core_put *p, struct arena *a,
                            struct err *e)
{
    const struct core_commit *k = &p->commit;
    struct query q = query_begin(s, SQL_ADD_COMMIT, "add commit", e);
    enum code rc;

    (void)a;
    query_u64(&q, p->lineage->id);
    query_u64(&q, k->number);
    query_hash(&q, k->hash);
    query_hash(&q, k->parent);
    query_u64(&q, k->job);
    query_i64(&q, k->committed_ms);
    query_f64(&q, k->seconds);
    if ((rc = query_run(&q))) return rc;
    q = query_begin(s, SQL_SET_HEAD, "move head", e);
    query_u64(&q, p->lineage->id);
    query_hash(&q, k->hash);
    return query_run(&q);
}

/* ---- the rest ---- */

static enum code put_event(struct store *s, const struct core_put *p, struct arena *a,
                           struct err *e)
{
    struct query q = query_begin(s, SQL_ADD_EVENT, "add event", e);

    (void)a;
    query_u64(&q, p->id);
    query_u64(&q, p->event.seq);
    query_u64(&q, p->event.type);
    query_u64(&q, p->event.stage);
    query_u64(&q, p->event.step);
    query_u64(&q, p->event.of);
    query_i64(&q, p->event.at_ms);
    query_text(&q, p->event.text);
    return query_run(&q);
}

static enum code put_audit(struct store *s, const struct core_put *p, struct arena *a,
                           struct err *e)
{
    struct query q = query_begin(s, SQL_ADD_AUDIT, "add to the audit", e);

    (void)a;
    query_u64(&q, p->audit.seq);
    query_i64(&q, p->audit.at_ms);
    query_text(&q, p->audit.user);
    query_text(&q, p->audit.what);
    return query_run(&q);
}

static enum code put_drain(struct store *s, const struct core_put *p, struct arena *a,
                           struct err *e)
{
    struct query q = query_begin(s, p->on ? SQL_ADD_DRAIN : SQL_DROP_DRAIN, "drain", e);

    (void)a;
    query_text(&q, p->name);
    return query_run(&q);
}

static enum code put_forget(struct store *s, const struct core_put *p, struct arena *a,
                            struct err *e)
{
    struct packed_row row;
    struct slice packed;
    struct query q;
    enum code rc;

    if ((rc = row_packed(s, p->id, a, &row, e)) || (rc = pack_forgotten(s, &row, a, &packed, e)))
        return rc;
    q = query_begin(s, SQL_SET_REQUEST, "forget", e);
    query_u64(&q, p->id);
    query_blob(&q, packed.data, packed.n);
    return query_run(&q);
}

static enum code put_clock(struct store *s, const struct core_put *p, struct arena *a,
                           struct err *e)
{
    struct query q = query_begin(s, SQL_SET_CLOCK, "set the clock", e);

    (void)a;
    query_u64(&q, p->clock->job);
    query_u64(&q, p->clock->epoch);
    query_u64(&q, p->clock->seq);
    query_u64(&q, p->clock->open);
    return query_run(&q);
}

static put_fn *const put_fns[] = {
    [PUT_USER] = put_user,     [PUT_LINEAGE] = put_lineage, [PUT_PRIOR] = put_prior,
    [PUT_JOB] = put_job,       [PUT_STAGE] = put_stage,     [PUT_COMMIT] = put_commit,
    [PUT_EVENT] = put_event,   [PUT_AUDIT] = put_audit,     [PUT_DRAIN] = put_drain,
    [PUT_FORGET] = put_forget, [PUT_CLOCK] = put_clock,
};

enum code put_one(struct store *s, const struct core_put *p, struct arena *a, struct err *e)
{
    struct arena_mark mark = arena_mark(a);
    enum code rc = put_fns[p->type](s, p, a, e);

    arena_reset(a, mark);
    return rc;
}
