/* store.c - open, apply, tidy. A batch of puts is one transaction; there is no other way to write. */
#include "coordinator/store/db.h"
#include "coordinator/store/intern.h"
#include "coordinator/store/migrate.h"
#include "coordinator/store/put.h"

#include "base/file.h"

#include <stdio.h>
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
    if (s)
        *s = (struct store){
            .path = strdup(path), .intern = intern_make(), .mark.fd = -1, .tidy_pages = TIDY_PAGES};
    if (!s || !s->path || !s->intern) {
        if (s) intern_free(s->intern);
        if (s) free(s->path);
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

/* Is all there that was ever acknowledged? */
static enum code check_mark(struct store *s, struct err *e)
{
    struct query q = query_begin(s, SQL_BATCH, "read the clock", e);
    uint64_t said;
    enum code rc;

    s->batch = query_row(&q) ? query_get_u64(&q) : 0;
    if ((rc = query_end(&q)) || (rc = mark_open(&s->mark, s->path, e))) return rc;
    said = mark_read(&s->mark);
    s->unsure = s->suspect && said < s->batch;
    if (said <= s->batch) return OK;
    /* The log stays as it is, for whoever can read more of it. */
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return err_set(e, ERR_CORRUPT,
                   "%s: %llu batches were acknowledged, and it ends with number %llu: its log is "
                   "damaged; a backup brings it back (`engram restore`), `engram fsck` says more",
                   s->path, (unsigned long long)said, (unsigned long long)s->batch);
}

/* SQLite syncs the folder of a new log, but does not look whether that went well. */
static enum code begin(struct store *s, struct err *e)
{
    enum code rc = db_prepare(s, e);

    if (!rc) rc = check_mark(s, e);
    if (rc || !(rc = file_sync_name(s->path, e)) || !db_may_pass(rc)) return rc;
    s->suspect = 1;
    vfs_distrust(s->db);
    return OK;
}

/* What is remembered of rows may have been undone. */
static void forget_read(struct store *s)
{
    intern_forget(s->intern);
    recent_forget(&s->texts);
    recent_forget(&s->bases);
}

static void end(struct store *s)
{
    db_close(s);
    mark_close(&s->mark);
    forget_read(s);
}

enum code store_open(struct store **out, const char *path, struct err *e)
{
    struct store *s;
    enum code rc = connect(&s, path, e);

    *out = NULL;
    if (rc) return rc;
    if ((rc = migrate_open(s, migrate_ladder(), e)) || (rc = begin(s, e))) {
        store_close(s);
        return rc;
    }
    *out = s;
    return OK;
}

/* A sync failed: what came after the last good one may be in memory only. It was promised to nobody and is cut off; what came
 * before is read from the file again. */
static enum code open_again(struct store *s, struct err *e)
{
    enum code rc;

    /* A disk that does not even let itself be cut off is read through what is open, which has never seen that part. */
    if (s->db && s->suspect && vfs_cut_log(s->path, vfs_look(s->db).log_good, NULL)) return OK;
    end(s);
    if ((rc = db_connect(s, e)) || (rc = begin(s, e))) end(s);
    return rc;
}

enum code store_ready(struct store *s, struct err *e)
{
    return s->db && !s->suspect && !s->alone ? OK : open_again(s, e);
}

enum code store_downgrade(const char *path, int version, struct err *e)
{
    struct store *s;
    enum code rc;

    if (!file_exists(path)) return err_set(e, ERR_NOT_FOUND, "%s is not there", path);
    if ((rc = connect(&s, path, e))) return rc;
    if (!(rc = store_may_write(s, e))) rc = migrate_down(s, migrate_ladder(), version, e);
    store_close(s);
    return rc;
}

enum code store_leap(const char *path, struct err *e)
{
    struct store *s;
    enum code rc = store_open(&s, path, e);

    if (rc) return rc;
    if (!(rc = store_may_write(s, e)))
        rc = db_run(
            s, "UPDATE clock SET epoch = epoch + 1000000, job = job + 10000, seq = seq + 1000000",
            "raise the counters", e);
    store_close(s);
    return rc;
}

void store_close(struct store *s)
{
    if (!s) return;
    end(s);
    intern_free(s->intern);
    free(s->path);
    free(s);
}

/* While a sync has failed and could not be made good nothing is promised; reading goes on. */
enum code store_may_write(const struct store *s, struct err *e)
{
    if (s->db && !s->suspect && !s->alone) return OK;
    if (s->db && !s->suspect)
        return err_set(e, ERR_FULL,
                       "%s: the disk is full: it can be read, and nothing is kept until there is "
                       "room again",
                       s->path);
    return err_set(e, ERR_IO,
                   "%s: the disk refused a sync: nothing is kept until it takes one again",
                   s->path);
}

enum code store_probe(struct store *s, struct err *e)
{
    int64_t version;
    char sql[64];
    enum code rc = store_ready(s, e);

    if (!rc) rc = store_may_write(s, e);
    if (!rc) rc = db_int(s, "PRAGMA user_version", &version, e);
    if (rc) return rc;
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d", (int)version);
    return db_run(s, sql, "probe", e);
}

void store_tidy(struct store *s)
{
    if (s->wal_pages < s->tidy_pages || store_may_write(s, NULL)) return;
    /* May fail (disk full): the log is as durable as the database, and the next time tries again. */
    sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    s->wal_pages = 0;
}

/* ---- reading in one piece ---- */

static enum code run(struct store *s, enum sql sql, struct err *e)
{
    struct query q = query_begin(s, sql, "transaction", e);
    return query_run(&q);
}

/* Without it nothing is wrong, each read takes and gives back its own locks of the file. */
void store_hold(struct store *s)
{
    if (s->db && sqlite3_get_autocommit(s->db)) run(s, SQL_HOLD, NULL);
}

void store_let_go(struct store *s)
{
    if (s->db && !sqlite3_get_autocommit(s->db)) run(s, SQL_COMMIT, NULL);
}

/* ---- one batch, one transaction ---- */

static enum code set_batch(struct store *s, uint64_t batch, struct err *e)
{
    struct query q = query_begin(s, SQL_SET_BATCH, "set the clock", e);

    query_u64(&q, batch);
    return query_run(&q);
}

enum code store_apply(struct store *s, const struct core_actions *a, struct err *e)
{
    struct arena arena = {0};
    enum code rc;

    if (a->n_puts == 0 && !(s->unsure && a->n_tells)) return OK;
    if ((rc = store_may_write(s, e)) || (rc = run(s, SQL_BEGIN, e))) return rc;
    for (size_t i = 0; i < a->n_puts && !rc; i++) rc = put_one(s, &a->puts[i], &arena, e);
    if (!rc) rc = intern_flush(s, e);
    if (!rc) rc = set_batch(s, s->batch + 1, e);
    if (!rc) rc = run(s, SQL_COMMIT, e);
    if (!rc) mark_write(&s->mark, ++s->batch);
    /* After some errors SQLite has rolled back by itself. */
    if (rc && !sqlite3_get_autocommit(s->db)) run(s, SQL_ROLLBACK, NULL);
    if (rc) forget_read(s);
    arena_fini(&arena);
    return rc;
}
