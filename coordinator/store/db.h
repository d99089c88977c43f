/* db.h - SQLite for the files of store/: one connection, its statements, binding and reading in order. */
#ifndef COORDINATOR_STORE_DB_H
#define COORDINATOR_STORE_DB_H

#include "base/arena.h"
#include "base/err.h"
#include "coordinator/store/mark.h"
#include "coordinator/store/recent.h"
#include "coordinator/store/sql.h"
#include "coordinator/store/store.h"
#include "coordinator/store/vfs.h"

#include <sqlite3.h>

enum sql {
#define SQL(name, text) SQL_##name,
    SQL_LIST
#undef SQL
    SQL_COUNT
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *statement[SQL_COUNT];
    char *path;                       /* owned, for errors */
    struct intern *intern;            /* owned */
    struct recent texts, bases;       /* owned; by id of texts and lineages */
    struct mark mark;                 /* owned */
    uint64_t batch;                   /* the newest that is durable */
    int wal_pages, tidy_pages;        /* in the log; when store_tidy moves them */
    int suspect;                      /* a sync failed: nothing is promised until the log was written anew (vfs.h) */
    int unsure;                       /* and it may hold a batch that was never acknowledged: that is not promised either */
    int alone;                        /* no room for the memory that is shared with others: for reading, and nobody else may */
};

/* The one translator of SQLite's errors. Returns the code; never OK. Notes when the store has become suspect. */
enum code db_error(struct store *s, struct err *e, const char *what);

/* Opens and sets the pragmas; then, when the schema is right (migrate.h), prepares. On error the caller closes. db_close
 * leaves the log as it is when the store is suspect; it may be opened again. OK, and suspect or alone: the disk refuses syncs, or is
 * full; it can be read, not written. */
enum code db_connect(struct store *s, struct err *e);
/* Did a disk say no that may say yes later? Then what is there can still be read. */
int db_may_pass(enum code c);
enum code db_prepare(struct store *s, struct err *e);
void db_close(struct store *s);

/* For a file in the making, which is thrown away when anything fails: no journal, no syncs. name: of s->path, as SQLite wants it. */
enum code db_attach(struct store *s, const char *name, struct err *e);
/* ERR_CORRUPT: the first thing that does not fit. Reads all pages. */
enum code db_check(struct store *s, struct err *e);

/* SQL that is no statement of sql.h: any number of them without a result; the integer of one. */
enum code db_run(struct store *s, const char *sql, const char *what, struct err *e);
enum code db_int(struct store *s, const char *sql, int64_t *out, struct err *e);

/* Opens a store again that is suspect, alone or could not be opened. OK, and still so: it can be read, not written. */
enum code store_ready(struct store *s, struct err *e);
/* OK: it can be written, as far as is known. */
enum code store_may_write(const struct store *s, struct err *e);

/* One use of a statement: bind in order, then run or read rows, then end. Sticky. */
struct query {
    struct store *store;
    sqlite3_stmt *statement;
    int bound, column;
    enum code code;
    struct err *err;
    const char *what;
};
struct query query_begin(struct store *s, enum sql sql, const char *what, struct err *e);
void query_u64(struct query *q, uint64_t v);
void query_i64(struct query *q, int64_t v);
void query_f64(struct query *q, double v);
void query_text(struct query *q, const char *s);         /* NULL: "" */
void query_blob(struct query *q, const void *data, size_t n);
void query_hash(struct query *q, struct hash h);

int query_row(struct query *q);                          /* 1: a row is there; columns are read in order */
uint64_t query_get_u64(struct query *q);
int64_t query_get_i64(struct query *q);
double query_get_f64(struct query *q);
const char *query_get_text(struct query *q);             /* until the next row */
struct slice query_get_blob(struct query *q);            /* until the next row */
struct hash query_get_hash(struct query *q);
void query_get_bytes(struct query *q, void *out, size_t n);     /* a blob of exactly n bytes */
const char *query_copy_text(struct query *q, struct arena *a);  /* never NULL */
void query_copy_blob(struct query *q, struct arena *a, struct slice *out);
void query_copy_hashes(struct query *q, struct arena *a, struct hashes *out);

enum code query_end(struct query *q);                    /* resets the statement; the sticky code */
enum code query_run(struct query *q);                    /* one step without rows, then end */

#endif
