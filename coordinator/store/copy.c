/* copy.c - SQLite's online backup into a temporary file, which is checked and then gets its name. */
#include "coordinator/store/copy.h"
#include "coordinator/store/db.h"

#include "base/file.h"

#include <string.h>

/* All pages in one step: a step is one read transaction, so writers are not waited for and cannot make it begin anew. */
static enum code copy_pages(sqlite3 *from, struct store *to, struct err *e)
{
    sqlite3_backup *b = sqlite3_backup_init(to->db, "main", from, "main");

    if (!b) return db_error(to, e, "copy");
    sqlite3_backup_step(b, -1);
    return sqlite3_backup_finish(b) ? db_error(to, e, "copy") : OK;
}

static enum code check(struct store *to, struct err *e)
{
    sqlite3_stmt *st = NULL;
    const char *said = NULL;
    enum code rc = OK;

    if (sqlite3_prepare_v2(to->db, "PRAGMA integrity_check(1)", -1, &st, NULL) ||
        sqlite3_step(st) != SQLITE_ROW)
        rc = db_error(to, e, "check");
    else if (strcmp(said = (const char *)sqlite3_column_text(st, 0), "ok") != 0)
        rc = err_set(e, ERR_CORRUPT, "%s: %s", to->path, said);
    sqlite3_finalize(st);
    return rc;
}

/* The copied header says WAL; a copy is one file. */
static enum code fill(sqlite3 *from, struct store *to, struct err *e)
{
    enum code rc;

    if (sqlite3_open_v2(to->path, &to->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL))
        return db_error(to, e, "open");
    sqlite3_extended_result_codes(to->db, 1);
    if ((rc = copy_pages(from, to, e)) ||
        (rc = db_run(to, "PRAGMA journal_mode = DELETE", "settings", e)))
        return rc;
    return check(to, e);
}

enum code copy_database(sqlite3 *from, const char *to, struct err *e)
{
    struct file_new f;
    struct store copy = {0};
    enum code rc = file_begin(&f, to, e);

    if (rc) return rc;
    copy.path = f.temporary; /* lent */
    rc = fill(from, &copy, e);
    sqlite3_close(copy.db);
    if (!rc) rc = file_commit(&f, to, e);
    file_abandon(&f);
    return rc;
}
