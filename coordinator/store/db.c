/* db.c - opening the file with every setting named, and using statements without looking at a return code twenty times. */
#include "coordinator/store/db.h"
#include "coordinator/store/functions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

static const char *const texts[SQL_COUNT] = {
#define SQL(name, text) [SQL_##name] = text,
    SQL_LIST
#undef SQL
};

/* A page that the layer below did not let through. */
static enum code damaged(const struct store *s, struct err *e, const char *what)
{
    struct vfs_state v = vfs_look(s->db);

    return err_set(
        e, ERR_CORRUPT,
        "%s%s: %s: page %u is damaged, its checksum does not fit: `engram fsck` says what "
        "it holds",
        s->path, v.bad_log ? "-wal" : "", what, v.bad_page ? (unsigned)v.bad_page : 1);
}

enum code db_error(struct store *s, struct err *e, const char *what)
{
    int rc = s->db ? sqlite3_extended_errcode(s->db) : SQLITE_NOMEM;
    enum code c;

    if (rc == SQLITE_IOERR_DATA) return damaged(s, e, what);
    if (vfs_look(s->db).suspect) s->suspect = 1;

    switch (rc & 0xff) {
    case SQLITE_FULL: c = ERR_FULL; break;
    case SQLITE_NOMEM: c = ERR_NOMEM; break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: c = ERR_CORRUPT; break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: c = ERR_ENVIRONMENT; break;
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY: c = ERR_DENIED; break;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
    case SQLITE_MISMATCH:
    case SQLITE_ERROR: c = ERR_INTERNAL; break;
    default: c = ERR_IO; break;
    }
    return err_set(e, c, "%s: %s: %s", s->path, what,
                   s->db ? sqlite3_errmsg(s->db) : "out of memory");
}

/* ---- opening ---- */

struct network {
    long type;
    const char *name;
};

/* clang-format off */
static const struct network networks[] = {
    { 0x6969, "NFS" }, { 0x517b, "SMB" }, { 0xff534d42, "CIFS" }, { 0xfe534d42, "SMB2" }, { 0x5346414f, "AFS" },
    { 0x0bd00bd0, "Lustre" }, { 0x47504653, "GPFS" }, { 0x19830326, "BeeGFS" }, { 0x00c36400, "Ceph" },
    { 0x01021997, "9P" }, { 0x01161970, "GFS2" }, { 0x7461636f, "OCFS2" }, { 0x013111a8, "IBRIX" },
};
/* clang-format on */

static enum code refuse_network(const char *path, struct err *e)
{
    char *dir = strdup(path), *slash = dir ? strrchr(dir, '/') : NULL;
    struct statfs st;
    enum code rc = OK;

    if (!dir) return err_set(e, ERR_NOMEM, "out of memory");
    if (slash) *slash = '\0';
    if (statfs(slash && slash != dir ? dir : slash ? "/" : ".", &st)) rc = err_errno(e, "%s", dir);
    for (size_t i = 0; rc == OK && i < sizeof networks / sizeof *networks; i++)
        if ((long)(st.f_type & 0xffffffff) == networks[i].type)
            rc = err_set(e, ERR_ENVIRONMENT,
                         "%s lies on %s, a network file system, where the database is not safe: "
                         "choose a --home on a local disk",
                         path, networks[i].name);
    free(dir);
    return rc;
}

static int on_wal(void *self, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    ((struct store *)self)->wal_pages = pages;
    return SQLITE_OK;
}

enum code db_run(struct store *s, const char *sql, const char *what, struct err *e)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) ? db_error(s, e, what) : OK;
}

enum code db_int(struct store *s, const char *sql, int64_t *out, struct err *e)
{
    sqlite3_stmt *st = NULL;
    enum code rc = OK;

    if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) || sqlite3_step(st) != SQLITE_ROW)
        rc = db_error(s, e, sql);
    else *out = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return rc;
}

enum code db_attach(struct store *s, const char *name, struct err *e)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI;
    enum code rc = vfs_register(e);

    if (rc) return rc;
    if (sqlite3_open_v2(name, &s->db, flags, VFS_NAME)) return db_error(s, e, "open");
    sqlite3_extended_result_codes(s->db, 1);
    if ((rc = functions_add(s, e))) return rc;
    return db_run(s, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", "settings", e);
}

enum code db_check(struct store *s, struct err *e)
{
    sqlite3_stmt *st = NULL;
    const char *said = NULL;
    enum code rc = OK;

    if (sqlite3_prepare_v2(s->db, "PRAGMA integrity_check(1)", -1, &st, NULL) ||
        sqlite3_step(st) != SQLITE_ROW)
        rc = db_error(s, e, "check");
    else if (strcmp(said = (const char *)sqlite3_column_text(st, 0), "ok") != 0)
        rc = err_set(e, ERR_CORRUPT, "%s: %s", s->path, said);
    sqlite3_finalize(st);
    return rc;
}

int db_may_pass(enum code c)
{
    return c == ERR_IO || c == ERR_FULL;
}

/* What a process that was killed left in the log may be in memory only: it is written anew before anything is built on it. While
 * that fails it is good enough to be read. */
static enum code renew(struct store *s, struct err *e)
{
    enum code rc = vfs_renew_log(s->path, e);

    s->suspect = db_may_pass(rc);
    return s->suspect ? OK : rc;
}

static enum code open_file(struct store *s, struct err *e)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI;

    if (sqlite3_open_v2(s->path, &s->db, flags, VFS_NAME)) return db_error(s, e, "open");
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, 5000);
    if (s->suspect) vfs_distrust(s->db);
    return OK;
}

/* Is there room for the file through which SQLite shares its index of the log? */
static int has_no_room(struct store *s)
{
    int rc = sqlite3_exec(s->db, "PRAGMA schema_version", NULL, NULL, NULL);
    return rc == SQLITE_IOERR_SHMSIZE || rc == SQLITE_IOERR_SHMOPEN || rc == SQLITE_FULL;
}

/* On a full disk the index is made in our own memory. */
static enum code open_alone(struct store *s, struct err *e)
{
    enum code rc;

    sqlite3_close(s->db);
    s->db = NULL;
    s->alone = 1;
    if ((rc = open_file(s, e))) return rc;
    vfs_distrust(s->db);
    return db_run(s, "PRAGMA locking_mode = EXCLUSIVE", "settings", e);
}

enum code db_connect(struct store *s, struct err *e)
{
    enum code rc;

    s->alone = 0;
    if ((rc = refuse_network(s->path, e)) || (rc = vfs_register(e)) || (rc = renew(s, e)) ||
        (rc = open_file(s, e)))
        return rc;
    if (has_no_room(s) && (rc = open_alone(s, e))) return rc;
    if ((rc = functions_add(s, e))) return rc;
    return db_run(s,
                  "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                  " PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON",
                  "settings", e);
}

/* The log is chosen here and not in db_connect: a database that turns out to be another's is not changed. */
enum code db_prepare(struct store *s, struct err *e)
{
    enum code rc = db_run(s,
                          "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;"
                          " PRAGMA cache_size = -32768",
                          "settings", e);

    if (rc) return rc;
    sqlite3_wal_hook(s->db, on_wal, s);
    for (int i = 0; i < SQL_COUNT; i++)
        if (sqlite3_prepare_v3(s->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statement[i],
                               NULL))
            return db_error(s, e, texts[i]);
    return OK;
}

void db_close(struct store *s)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        sqlite3_finalize(s->statement[i]);
        s->statement[i] = NULL;
    }
    if (s->db && (s->suspect || s->alone))
        sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(s->db);
    s->db = NULL;
}

/* ---- one statement ---- */

struct query query_begin(struct store *s, enum sql sql, const char *what, struct err *e)
{
    struct query q = {.store = s, .err = e, .what = what};

    if (!s->db) q.code = err_set(e, ERR_IO, "%s: %s: it is not open", s->path, what);
    /* Most are prepared already; a rung may ask for one before. */
    else if (!s->statement[sql] &&
             sqlite3_prepare_v3(s->db, texts[sql], -1, SQLITE_PREPARE_PERSISTENT,
                                &s->statement[sql], NULL))
        q.code = db_error(s, e, what);
    q.statement = s->statement[sql];
    return q;
}

static void bound(struct query *q, int failed)
{
    if (failed && !q->code) q->code = db_error(q->store, q->err, q->what);
}

void query_i64(struct query *q, int64_t v)
{
    bound(q, sqlite3_bind_int64(q->statement, ++q->bound, v));
}

void query_u64(struct query *q, uint64_t v)
{
    query_i64(q, (int64_t)v);
}

void query_f64(struct query *q, double v)
{
    bound(q, sqlite3_bind_double(q->statement, ++q->bound, v));
}

/* Bound by pointer: what is bound outlives the statement's use, and the next use binds again. */
void query_text(struct query *q, const char *s)
{
    bound(q, sqlite3_bind_text(q->statement, ++q->bound, s ? s : "", -1, SQLITE_STATIC));
}

void query_blob(struct query *q, const void *data, size_t n)
{
    bound(q, n ? sqlite3_bind_blob64(q->statement, ++q->bound, data, n, SQLITE_STATIC)
               : sqlite3_bind_zeroblob(q->statement, ++q->bound, 0));
}

/* By value: h is gone when this returns. */
void query_hash(struct query *q, struct hash h)
{
    bound(q, sqlite3_bind_blob(q->statement, ++q->bound, h.v, HASH_BYTES, SQLITE_TRANSIENT));
}

int query_row(struct query *q)
{
    int rc = q->code ? SQLITE_DONE : sqlite3_step(q->statement);

    q->column = 0;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) q->code = db_error(q->store, q->err, q->what);
    return rc == SQLITE_ROW;
}

int64_t query_get_i64(struct query *q)
{
    return sqlite3_column_int64(q->statement, q->column++);
}

uint64_t query_get_u64(struct query *q)
{
    return (uint64_t)query_get_i64(q);
}

double query_get_f64(struct query *q)
{
    return sqlite3_column_double(q->statement, q->column++);
}

const char *query_get_text(struct query *q)
{
    const unsigned char *s = sqlite3_column_text(q->statement, q->column++);
    return s ? (const char *)s : "";
}

struct slice query_get_blob(struct query *q)
{
    const void *data = sqlite3_column_blob(q->statement, q->column);
    int n = sqlite3_column_bytes(q->statement, q->column++);
    return (struct slice){data, data ? (size_t)n : 0};
}

struct hash query_get_hash(struct query *q)
{
    struct slice s = query_get_blob(q);
    struct hash h = {{0}};

    if (s.n != HASH_BYTES && !q->code)
        q->code = err_set(q->err, ERR_CORRUPT, "%s: %s: a hash of %zu bytes", q->store->path,
                          q->what, s.n);
    if (s.n == HASH_BYTES) memcpy(h.v, s.data, HASH_BYTES);
    return h;
}

void query_get_bytes(struct query *q, void *out, size_t n)
{
    struct slice s = query_get_blob(q);

    memset(out, 0, n);
    if (s.n == n) memcpy(out, s.data, n);
    else if (!q->code)
        q->code = err_set(q->err, ERR_CORRUPT, "%s: %s: %zu bytes where %zu belong", q->store->path,
                          q->what, s.n, n);
}

static void no_memory(struct query *q)
{
    if (!q->code) q->code = err_set(q->err, ERR_NOMEM, "out of memory");
}

const char *query_copy_text(struct query *q, struct arena *a)
{
    const char *s = arena_strdup(a, query_get_text(q));
    if (!s) no_memory(q);
    return s ? s : "";
}

void query_copy_blob(struct query *q, struct arena *a, struct slice *out)
{
    struct slice s = query_get_blob(q);

    *out = (struct slice){s.n ? arena_copy(a, s.data, s.n) : NULL, s.n};
    if (s.n && !out->data) no_memory(q);
}

void query_copy_hashes(struct query *q, struct arena *a, struct hashes *out)
{
    struct slice s = query_get_blob(q);

    *out = (struct hashes){.n = s.n / HASH_BYTES};
    if (s.n == 0) return;
    out->v = arena_copy(a, s.data, s.n);
    if (!out->v) no_memory(q);
}

enum code query_end(struct query *q)
{
    if (q->statement) sqlite3_clear_bindings(q->statement);
    sqlite3_reset(q->statement);
    return q->code;
}

enum code query_run(struct query *q)
{
    query_row(q);
    return query_end(q);
}
