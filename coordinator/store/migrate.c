/* migrate.c - making a database, climbing to the newest version, going down again. */
#include "coordinator/store/migrate.h"
#include "coordinator/store/copy.h"
#include "coordinator/store/intern.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { APPLICATION_ID = 0x456e6772 }; /* "Engr" */

#define EMBEDDED(name)                                                                         \
    extern const char name##_start[] __asm__("_binary_coordinator_store_" #name "_sql_start"); \
    extern const char name##_end[] __asm__("_binary_coordinator_store_" #name "_sql_end")
#define TEXT(name)               \
    {                            \
        name##_start, name##_end \
    }
/* A rung's texts, and its place in the ladder: RUNG_FILES(2); ... RUNG(2), */
#define RUNG_FILES(v)          \
    EMBEDDED(rung_##v##_up);   \
    EMBEDDED(rung_##v##_down); \
    EMBEDDED(rung_##v##_uses)
#define RUNG(v)                                                                                 \
    {                                                                                           \
        .up = TEXT(rung_##v##_up), .down = TEXT(rung_##v##_down), .uses = TEXT(rung_##v##_uses) \
    }

RUNG_FILES(2);
EMBEDDED(schema);

const struct ladder *migrate_ladder(void)
{
    static const struct rung rungs[] = {RUNG(2)};
    static const struct ladder known = {
        .oldest = 1, .newest = 2, .schema = TEXT(schema), .rungs = rungs};
    return &known;
}

/* ---- pieces ---- */

static enum code run_embedded(struct store *s, struct sql_text text, const char *what,
                              struct err *e)
{
    size_t n = (size_t)((uintptr_t)text.end - (uintptr_t)text.start);
    char *sql = mem_alloc(n + 1, 1);
    enum code rc;

    if (!sql) return err_set(e, ERR_NOMEM, "out of memory");
    memcpy(sql, text.start, n);
    rc = db_run(s, sql, what, e);
    free(sql);
    return rc;
}

/* The first column of the first row into out, "" where there is none; how many rows there are into *rows. */
static enum code first_text(struct store *s, struct sql_text text, char *out, size_t bytes,
                            int *rows, struct err *e)
{
    size_t n = (size_t)((uintptr_t)text.end - (uintptr_t)text.start);
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, text.start, (int)n, &st, NULL);

    *out = '\0';
    *rows = 0;
    while (!rc && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        const unsigned char *value = sqlite3_column_text(st, 0);
        if (++*rows == 1) snprintf(out, bytes, "%s", value ? (const char *)value : "");
        rc = SQLITE_OK;
    }
    enum code code = rc == SQLITE_DONE ? OK : db_error(s, e, "read");
    sqlite3_finalize(st);
    return code;
}

static struct sql_text text_of(const char *s)
{
    return (struct sql_text){s, s + strlen(s)};
}

/* Sets the version and writes down which program did it. Belongs into the transaction that changed the schema. */
static enum code set_version(struct store *s, int version, struct err *e)
{
    char sql[512];

    snprintf(sql, sizeof sql,
             "CREATE TABLE IF NOT EXISTS versions (version INTEGER NOT NULL, program TEXT NOT NULL,"
             " at_ms INTEGER NOT NULL) STRICT;"
             "INSERT INTO versions VALUES (%d, 'engram " ENGRAM_VERSION "', unixepoch() * 1000);"
             "PRAGMA user_version = %d; PRAGMA application_id = %d",
             version, version, APPLICATION_ID);
    return db_run(s, sql, "set the schema version", e);
}

/* Commits when all went well, and takes everything back when not. */
static enum code end_transaction(struct store *s, enum code rc, const char *what, struct err *e)
{
    if (!rc) rc = db_run(s, "COMMIT", what, e);
    if (rc && !sqlite3_get_autocommit(s->db)) db_run(s, "ROLLBACK", what, NULL);
    return rc;
}

static enum code make_newest(struct store *s, const struct ladder *l, struct err *e)
{
    enum code rc = l->newest >= VFS_SUMS_FROM ? vfs_begin_sums(s->db, e) : OK;
    int damaged;

    if (mark_look(s->path, &damaged))
        return err_set(
            e, ERR_CORRUPT,
            "%s is empty, but %s-mark says that it was not: a backup brings it back (`engram "
            "restore`); to begin anew remove the mark",
            s->path, s->path);
    if (rc || (rc = db_run(s, "BEGIN EXCLUSIVE", "make the schema", e))) return rc;
    rc = run_embedded(s, l->schema, "make the schema", e);
    if (!rc) rc = set_version(s, l->newest, e);
    return end_transaction(s, rc, "make the schema", e);
}

/* ---- rungs, in a file beside the database ---- */

static enum code take_rung(struct store *s, struct sql_text sql, int to, struct err *e)
{
    char what[64];
    enum code rc;

    snprintf(what, sizeof what, "change the schema to version %d", to);
    if ((rc = db_run(s, "BEGIN EXCLUSIVE", what, e))) return rc;
    rc = run_embedded(s, sql, what, e);
    if (!rc) rc = set_version(s, to, e);
    return end_transaction(s, rc, what, e);
}

static enum code refuse_used(struct store *s, const struct rung *r, int version, struct err *e)
{
    char used[256];
    int rows;
    enum code rc = first_text(s, r->uses, used, sizeof used, &rows, e);

    if (rc || rows == 0) return rc;
    return err_set(e, ERR_INPUT, "schema version %d does not know this: %s%s", version - 1, used,
                   rows > 1 ? ", and more" : "");
}

static enum code take_rungs(struct store *s, const struct ladder *l, int from, int to,
                            struct err *e)
{
    enum code rc = OK;

    for (int v = from + 1; v <= to && !rc; v++)
        rc = take_rung(s, l->rungs[v - l->oldest - 1].up, v, e);
    for (int v = from; v > to && !rc; v--) {
        const struct rung *r = &l->rungs[v - l->oldest - 1];
        if (!(rc = refuse_used(s, r, v, e))) rc = take_rung(s, r->down, v - 1, e);
    }
    return rc;
}

static enum code check_keys(struct store *s, struct err *e)
{
    char table[128];
    int rows;
    enum code rc =
        first_text(s, text_of("PRAGMA foreign_key_check"), table, sizeof table, &rows, e);

    if (!rc && rows)
        rc = err_set(e, ERR_CORRUPT, "%d rows of %s and others refer to rows that are not there",
                     rows, table);
    return rc;
}

/* The contents of the old file into the new one, which is empty. `name` is that of the new one with sums. */
static enum code copy_contents(struct store *s, const char *name, struct err *e)
{
    char *sql = sqlite3_mprintf("VACUUM INTO %Q", name);
    enum code rc = sql ? vfs_make_room(s->db, e) : err_set(e, ERR_NOMEM, "out of memory");

    if (!rc) rc = db_run(s, sql, "copy before the schema changes", e);
    sqlite3_free(sql);
    return rc;
}

static enum code fill(struct store *s, struct store *new, const struct ladder *l, int from, int to,
                      struct err *e)
{
    char *name = vfs_name_with_sums(new->path);
    enum code rc = name ? copy_contents(s, name, e) : err_set(e, ERR_NOMEM, "out of memory");

    if (!rc) rc = db_attach(new, to >= VFS_SUMS_FROM ? name : new->path, e);
    if (!rc) rc = take_rungs(new, l, from, to, e);
    if (!rc) rc = check_keys(new, e);
    if (!rc) rc = db_check(new, e);
    free(name);
    return rc;
}

/* The old file gets a second name, which stays. */
static enum code keep_old(struct store *s, int version, struct err *e)
{
    size_t room = strlen(s->path) + 32;
    char *to = mem_alloc(room, 1);
    enum code rc = OK;

    if (!to) return err_set(e, ERR_NOMEM, "out of memory");
    snprintf(to, room, "%s.version-%d", s->path, version);
    unlink(to);
    /* Some file systems know no second names. */
    if (link(s->path, to) && (rc = copy_database(s->db, to, e)))
        err_context(e, "copy before the schema changes");
    free(to);
    return rc;
}

/* The log goes: what it holds must not be taken for the new file's. */
static enum code leave_log(struct store *s, struct err *e)
{
    char mode[16];
    int rows;
    enum code rc =
        first_text(s, text_of("PRAGMA journal_mode = DELETE"), mode, sizeof mode, &rows, e);

    if (!rc && strcmp(mode, "delete") != 0)
        rc = err_set(e, ERR_ENVIRONMENT, "%s is in use by another program", s->path);
    return rc;
}

static enum code rebuild(struct store *s, const struct ladder *l, int from, int to, struct err *e)
{
    struct store new = {.intern = s->intern}; /* lent, and forgets on the way */
    struct file_new f;
    enum code rc = leave_log(s, e);

    if (rc || (rc = file_begin(&f, s->path, e))) return rc;
    new.path = f.temporary; /* lent */
    if ((rc = fill(s, &new, l, from, to, e)) && e && strncmp(e->text, s->path, strlen(s->path)))
        err_context(e, "%s", s->path);
    db_close(&new);
    intern_forget(s->intern);
    if (!rc && !(rc = mark_remove(s->path, e)) && !(rc = keep_old(s, from, e))) {
        db_close(s);
        rc = file_commit(&f, s->path, e);
    }
    file_abandon(&f);
    return rc || s->db ? rc : db_connect(s, e);
}

/* ---- opening ---- */

static enum code refuse_newer(struct store *s, const struct ladder *l, int version, struct err *e)
{
    char program[80] = "";
    int rows;

    first_text(s, text_of("SELECT program FROM versions ORDER BY rowid DESC LIMIT 1"), program,
               sizeof program, &rows, NULL);
    return err_set(e, ERR_ENVIRONMENT,
                   "%s has schema version %d, written by %s; this is engram %s, which knows "
                   "versions %d to %d: use that program, or go back with its `engram-care "
                   "downgrade %d`",
                   s->path, version, program[0] ? program : "a newer engram", ENGRAM_VERSION,
                   l->oldest, l->newest, l->newest);
}

/* *version is 0 for a file without tables. */
static enum code read_version(struct store *s, int *version, struct err *e)
{
    int64_t number = 0, app = 0, tables = 0;
    enum code rc;

    if ((rc = db_int(s, "PRAGMA user_version", &number, e)) ||
        (rc = db_int(s, "PRAGMA application_id", &app, e)) ||
        (rc = db_int(s, "SELECT count(*) FROM sqlite_schema", &tables, e)))
        return rc;
    *version = (int)number;
    if (number == 0 && tables == 0) return OK;
    if (app != APPLICATION_ID || number < 1)
        return err_set(e, ERR_CORRUPT, "%s is a database, but not Engram's", s->path);
    return OK;
}

enum code migrate_open(struct store *s, const struct ladder *l, struct err *e)
{
    int version;
    enum code rc = read_version(s, &version, e);

    if (rc) return rc;
    if (version < l->newest && (rc = store_may_write(s, e))) return rc;
    if (version == 0) return make_newest(s, l, e);
    if (version > l->newest) return refuse_newer(s, l, version, e);
    if (version < l->oldest)
        return err_set(e, ERR_ENVIRONMENT,
                       "%s has schema version %d; this program knows %d and newer", s->path,
                       version, l->oldest);
    if (version < l->newest) return rebuild(s, l, version, l->newest, e);
    if (version >= VFS_SUMS_FROM && !vfs_look(s->db).has_sums)
        return err_set(e, ERR_CORRUPT,
                       "%s is damaged: its first page says that the pages carry no checksums: "
                       "`engram fsck` says more",
                       s->path);
    return OK;
}

/* ---- going down ---- */

enum code migrate_down(struct store *s, const struct ladder *l, int version, struct err *e)
{
    int now;
    enum code rc = read_version(s, &now, e);

    if (rc) return rc;
    if (now > l->newest) return refuse_newer(s, l, now, e);
    if (version < l->oldest || version >= now)
        return err_set(e, ERR_USAGE, "%s has schema version %d: it can go down to %d, not to %d",
                       s->path, now, l->oldest, version);
    return rebuild(s, l, now, version, e);
}
