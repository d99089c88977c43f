/* store.c - open, apply, tidy. A batch of puts is one transaction; there is no other way to write. */
#include "coordinator/store/db.h"
#include "coordinator/store/migrate.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

enum {
    TIDY_PAGES = 1000
}; /* 4 MB of write-ahead log; a checkpoint of that takes some tens of ms */

/* A connection without statements. */
static enum code connect(struct store **out, const char *path, struct err *e)
{
    struct store *s = mem_alloc(1, sizeof *s);
    enum code rc;

    *out = NULL;
    if (s) s->path = strdup(path);
    if (!s || !s->path) {
        free(s);
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    if ((rc = db_connect(s, e))) {
        store_close(s);
        return rc;
    }
    *out = s;
    return OK;
}

enum code store_open(struct store **out, const char *path, struct err *e)
{
    struct store *s;
    enum code rc = connect(&s, path, e);

    *out = NULL;
    if (rc) return rc;
    if ((rc = migrate_open(s, migrate_ladder(), e)) || (rc = db_prepare(s, e))) {
        store_close(s);
        return rc;
    }
    *out = s;
    return OK;
}

enum code store_downgrade(const char *path, int version, struct err *e)
{
    struct store *s;
    enum code rc;

    if (!file_exists(path)) return err_set(e, ERR_NOT_FOUND, "%s is not there", path);
    if ((rc = connect(&s, path, e))) return rc;
    rc = migrate_down(s, migrate_ladder(), version, e);
    store_close(s);
    return rc;
}

void store_close(struct store *s)
{
    if (!s) return;
    for (int i = 0; i < SQL_COUNT; i++) sqlite3_finalize(s->statement[i]);
    sqlite3_close(s->db);
    free(s->path);
    free(s);
}

void store_tidy(struct store *s)
{
    if (s->wal_pages < TIDY_PAGES) return;
    /* May fail (disk full): the log is as durable as the database, and the next time tries again. */
    sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    s->wal_pages = 0;
}

/* ---- puts ---- */

static enum code put_lineage(struct store *s, const struct core_put *p, struct err *e)
{
    const struct core_lineage *l = p->lineage;
    const struct msg_lineage_create *m = &p->message->lineage_create;
    struct query q = query_begin(s, SQL_ADD_LINEAGE, "add lineage", e);
    struct hash none = {{0}};

    query_u64(&q, l->id);
    query_text(&q, l->name);
    query_text(&q, l->owner);
    query_hash(&q, l->key);
    query_hash(&q, l->digest);
    query_text(&q, m->base_path);
    query_hash(&q, m->base_hash);
    query_hash(&q, none); /* a commit in the same batch moves it */
    query_i64(&q, l->created_ms);
    return query_run(&q);
}

static enum code add_job(struct store *s, const struct core_put *p, struct err *e)
{
    const struct core_job *j = p->job;
    struct query q = query_begin(s, SQL_ADD_JOB, "add job", e);
    struct hashes images = {0};

    if (p->message->kind == MSG_learn) images = p->message->learn.images;
    query_u64(&q, j->id);
    query_u64(&q, (uint64_t)j->kind);
    query_u64(&q, (uint64_t)j->state);
    query_u64(&q, j->lineage);
    query_text(&q, j->owner);
    query_hash(&q, j->key);
    query_hash(&q, j->digest);
    query_text(&q, j->token);
    query_text(&q, j->class_word);
    query_u64(&q, (uint64_t)j->concept);
    query_hash(&q, j->prior_key);
    query_blob(&q, images.v, images.n * HASH_BYTES);
    query_hash(&q, j->parent);
    query_hash(&q, j->commit);
    query_u64(&q, j->commit_number);
    query_i64(&q, j->submitted_ms);
    query_i64(&q, j->started_ms);
    query_i64(&q, j->finished_ms);
    query_blob(&q, p->request.data, p->request.n);
    return query_run(&q);
}

static enum code set_job(struct store *s, const struct core_put *p, struct err *e)
{
    const struct core_job *j = p->job;
    struct query q = query_begin(s, SQL_SET_JOB, "set job", e);

    query_u64(&q, j->id);
    query_u64(&q, (uint64_t)j->state);
    query_hash(&q, j->parent);
    query_hash(&q, j->commit);
    query_u64(&q, j->commit_number);
    query_i64(&q, j->started_ms);
    query_i64(&q, j->finished_ms);
    return query_run(&q);
}

static enum code put_job(struct store *s, const struct core_put *p, struct err *e)
{
    return p->fresh ? add_job(s, p, e) : set_job(s, p, e);
}

static enum code put_stage(struct store *s, const struct core_put *p, struct err *e)
{
    const struct core_stage *g = p->stage;
    struct query q = query_begin(s, SQL_SET_STAGE, "set stage", e);
    enum code rc;

    query_u64(&q, p->job->id);
    query_u64(&q, (uint64_t)g->kind);
    query_u64(&q, (uint64_t)g->state);
    query_u64(&q, g->epoch);
    query_u64(&q, g->attempts);
    query_u64(&q, g->losses);
    query_u64(&q, g->pauses);
    query_u64(&q, g->best_step);
    query_u64(&q, g->source);
    query_i64(&q, g->not_before_ms);
    query_i64(&q, g->deadline_ms);
    query_hash(&q, g->group);
    query_f64(&q, g->seconds);
    query_text(&q, g->line);
    if ((rc = query_run(&q)) || !p->message) return rc;
    q = query_begin(s, SQL_SET_RESULT, "set result", e);
    query_u64(&q, p->job->id);
    query_u64(&q, (uint64_t)g->kind);
    query_blob(&q, p->message->result.outputs.v, p->message->result.outputs.n * HASH_BYTES);
    query_text(&q, p->message->result.report);
    return query_run(&q);
}

static enum code put_commit(struct store *s, const struct core_put *p, struct err *e)
{
    const struct core_commit *k = &p->commit;
    struct query q = query_begin(s, SQL_ADD_COMMIT, "add commit", e);
    enum code rc;

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

static enum code put_event(struct store *s, const struct core_put *p, struct err *e)
{
    struct query q = query_begin(s, SQL_ADD_EVENT, "add event", e);

    query_u64(&q, p->job->id);
    query_u64(&q, p->event.seq);
    query_u64(&q, p->event.type);
    query_u64(&q, p->event.stage);
    query_u64(&q, p->event.step);
    query_u64(&q, p->event.of);
    query_i64(&q, p->event.at_ms);
    query_text(&q, p->event.text);
    return query_run(&q);
}

typedef enum code put_fn(struct store *s, const struct core_put *p, struct err *e);

static put_fn *const put_fns[] = {
    [PUT_LINEAGE] = put_lineage, [PUT_JOB] = put_job,     [PUT_STAGE] = put_stage,
    [PUT_COMMIT] = put_commit,   [PUT_EVENT] = put_event,
};

static enum code run(struct store *s, enum sql sql, struct err *e)
{
    struct query q = query_begin(s, sql, "transaction", e);
    return query_run(&q);
}

enum code store_apply(struct store *s, const struct core_actions *a, struct err *e)
{
    enum code rc;

    if (a->n_puts == 0) return OK;
    if ((rc = run(s, SQL_BEGIN, e))) return rc;
    for (size_t i = 0; i < a->n_puts && !rc; i++) rc = put_fns[a->puts[i].type](s, &a->puts[i], e);
    if (!rc) rc = run(s, SQL_COMMIT, e);
    /* After some errors SQLite has rolled back by itself. */
    if (rc && !sqlite3_get_autocommit(s->db)) run(s, SQL_ROLLBACK, NULL);
    return rc;
}
