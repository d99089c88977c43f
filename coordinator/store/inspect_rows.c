/* inspect_rows.c - what cannot be read, by the names that people know. */
#include "coordinator/store/inspect.h"
#include "coordinator/store/row.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINE = 400, WHY = 160 };

static void say(inspect_said *said, void *self, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void say(inspect_said *said, void *self, const char *fmt, ...)
{
    char line[LINE];
    va_list args;

    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    said(self, line);
}

/* ---- SQLite's own checks ---- */

static enum code lines_of(struct store *s, const char *sql, const char *what, inspect_said *said,
                          void *self, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);

    while (!rc && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        say(said, self, "%s: %s", what, (const char *)sqlite3_column_text(st, 0));
        rc = SQLITE_OK;
    }
    enum code code = rc == SQLITE_DONE ? OK : db_error(s, e, what);
    sqlite3_finalize(st);
    return code;
}

enum code inspect_sound(struct store *s, inspect_said *said, void *self, struct err *e)
{
    enum code rc = lines_of(
        s, "SELECT integrity_check FROM pragma_integrity_check(20) WHERE integrity_check <> 'ok'",
        "integrity", said, self, e);

    if (rc) return rc;
    return lines_of(
        s,
        "SELECT \"table\" || ' row ' || coalesce(rowid, '?') || ' refers to a row of ' ||"
        " parent || ' that is not there' FROM pragma_foreign_key_check LIMIT 20",
        "references", said, self, e);
}

/* Short, because it stands behind what cannot be read. */
static void why_not(struct store *s, char why[WHY])
{
    struct vfs_state v = vfs_look(s->db);

    if (sqlite3_extended_errcode(s->db) != SQLITE_IOERR_DATA)
        snprintf(why, WHY, "%s", sqlite3_errmsg(s->db));
    else
        snprintf(why, WHY, "page %u of the %s is damaged", (unsigned)v.bad_page,
                 v.bad_log ? "log" : "database");
}

/* ---- runs of numbers, so that a damaged page is one line ---- */

struct runs {
    const char *what; /* "jobs", "events of jobs" */
    inspect_said *said;
    void *self;
    uint64_t first, last; /* 0: none */
    char why[WHY];
};

static void runs_end(struct runs *r)
{
    if (r->first && r->first == r->last)
        say(r->said, r->self, "%s %llu cannot be read: %s", r->what, (unsigned long long)r->first,
            r->why);
    else if (r->first)
        say(r->said, r->self, "%s %llu to %llu cannot be read: %s", r->what,
            (unsigned long long)r->first, (unsigned long long)r->last, r->why);
    r->first = 0;
}

static void runs_add(struct runs *r, uint64_t n, const char *why)
{
    if (r->first && (n != r->last + 1 || strncmp(r->why, why, WHY - 1) != 0)) runs_end(r);
    if (!r->first) {
        r->first = n;
        snprintf(r->why, WHY, "%.*s", WHY - 1, why);
    }
    r->last = n;
}

/* ---- rows by number ---- */

/* Reads every column of every row, as deep as it goes. Whether that went. */
static int read_rows(struct store *s, sqlite3_stmt *st, char why[WHY])
{
    int rc;

    while ((rc = sqlite3_step(st)) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(st); i++) sqlite3_column_blob(st, i);
    if (rc != SQLITE_DONE) why_not(s, why);
    return rc == SQLITE_DONE;
}

/* sql has one number to be bound, 1 to `last`. */
static enum code rows_by_number(struct store *s, const char *sql, uint64_t last, struct runs *r,
                                struct err *e)
{
    sqlite3_stmt *st = NULL;
    char why[WHY];

    if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL)) return db_error(s, e, sql);
    for (uint64_t n = 1; n <= last; n++) {
        sqlite3_bind_int64(st, 1, (int64_t)n);
        if (!read_rows(s, st, why)) runs_add(r, n, why);
        sqlite3_reset(st);
    }
    runs_end(r);
    sqlite3_finalize(st);
    return OK;
}

/* The highest number of a table; where even that cannot be read, what the clock says. */
static uint64_t highest(struct store *s, const char *sql)
{
    int64_t n = 0, jobs = 0;

    db_int(s, "SELECT job FROM clock", &jobs, NULL);
    if (db_int(s, sql, &n, NULL)) n = jobs;
    return (uint64_t)n;
}

struct table {
    const char *what, *highest, *sql;
};

static enum code all_rows(struct store *s, inspect_said *said, void *self, struct err *e)
{
    static const struct table tables[] = {
        {"user", "SELECT max(id) FROM users", "SELECT * FROM users WHERE id = ?"},
        {"lineage", "SELECT max(id) FROM lineages", "SELECT * FROM lineages WHERE id = ?"},
        {"commits of lineage", "SELECT max(id) FROM lineages",
         "SELECT * FROM commits WHERE lineage = ?"},
        {"class images", "SELECT max(id) FROM priors", "SELECT * FROM priors WHERE id = ?"},
        {"text", "SELECT max(id) FROM texts", "SELECT * FROM texts WHERE id = ?"},
        {"job", "SELECT max(id) FROM jobs", "SELECT * FROM jobs WHERE id = ?"},
        {"stages of job", "SELECT max(id) FROM jobs", "SELECT * FROM stages WHERE job = ?"},
        {"events of job", "SELECT max(id) FROM jobs", "SELECT * FROM events WHERE job = ?"},
    };
    enum code rc = OK;

    for (size_t i = 0; i < sizeof tables / sizeof *tables && !rc; i++) {
        struct runs r = {.what = tables[i].what, .said = said, .self = self};
        rc = rows_by_number(s, tables[i].sql, highest(s, tables[i].highest), &r, e);
    }
    return rc;
}

/* Small ones, and those without a number: as a whole. Indexes hold nothing that their tables do not. */
static void whole(struct store *s, const char *sql, const char *what, inspect_said *said,
                  void *self)
{
    sqlite3_stmt *st = NULL;
    char why[WHY];

    if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL)) why_not(s, why);
    else if (read_rows(s, st, why)) what = NULL;
    if (what) say(said, self, "%s cannot be read: %s", what, why);
    sqlite3_finalize(st);
}

static enum code indexes(struct store *s, inspect_said *said, void *self, struct err *e)
{
    sqlite3_stmt *st = NULL;
    char sql[300], what[200];
    int rc = sqlite3_prepare_v2(s->db,
                                "SELECT name, tbl_name FROM sqlite_schema WHERE type = 'index'"
                                " AND name NOT LIKE 'sqlite_autoindex_%'",
                                -1, &st, NULL);

    while (!rc && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(st, 0);
        snprintf(sql, sizeof sql, "SELECT count(*) FROM \"%s\" INDEXED BY \"%s\"",
                 (const char *)sqlite3_column_text(st, 1), name);
        snprintf(what, sizeof what, "index %s (nothing is lost with it)", name);
        whole(s, sql, what, said, self);
        rc = SQLITE_OK;
    }
    enum code code = rc == SQLITE_DONE ? OK : db_error(s, e, "read the schema");
    sqlite3_finalize(st);
    return code;
}

/* ---- requests ---- */

static enum code requests(struct store *s, inspect_said *said, void *self, struct err *e)
{
    struct runs r = {.what = "the request of job", .said = said, .self = self};
    uint64_t last = highest(s, "SELECT max(id) FROM jobs");
    struct arena a = {0};
    struct arena_mark mark = arena_mark(&a);
    struct err why;

    (void)e;
    for (uint64_t n = 1; n <= last; n++) {
        enum code rc = store_request(s, n, 0, &a, NULL, &(struct slice){0}, &why);
        if (rc && rc != ERR_NOT_FOUND) runs_add(&r, n, why.text);
        arena_reset(&a, mark);
    }
    runs_end(&r);
    arena_fini(&a);
    return OK;
}

enum code inspect_rows(struct store *s, inspect_said *said, void *self, struct err *e)
{
    enum code rc = all_rows(s, said, self, e);

    whole(s, "SELECT * FROM clock", "the clock", said, self);
    whole(s, "SELECT * FROM drains", "the list of drained groups", said, self);
    whole(s, "SELECT * FROM audit", "the audit", said, self);
    if (!rc) rc = indexes(s, said, self, e);
    return rc ? rc : requests(s, said, self, e);
}
