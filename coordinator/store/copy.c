/* copy.c - SQLite's online backup into a temporary file, which is checked and then gets its name. */
#include "coordinator/store/copy.h"
#include "coordinator/store/db.h"

#include "base/file.h"

/* All pages in one step: a step is one read transaction, so writers are not waited for and cannot make it begin anew. */
static enum code copy_pages(sqlite3 *from, struct store *to, struct err *e)
{
    sqlite3_backup *b = sqlite3_backup_init(to->db, "main", from, "main");

    if (!b) return db_error(to, e, "copy");
    sqlite3_backup_step(b, -1);
    return sqlite3_backup_finish(b) ? db_error(to, e, "copy") : OK;
}

static enum code fill(sqlite3 *from, struct store *to, struct err *e)
{
    enum code rc;

    if ((rc = db_attach(to, to->path, e)) || (rc = copy_pages(from, to, e))) return rc;
    /* The copied header says WAL; a copy is one file. */
    if ((rc = db_run(to, "PRAGMA journal_mode = DELETE", "settings", e))) return rc;
    return db_check(to, e);
}

enum code copy_database(sqlite3 *from, const char *to, struct err *e)
{
    struct file_new f;
    struct store copy = {0};
    enum code rc = file_begin(&f, to, e);

    if (rc) return rc;
    copy.path = f.temporary; /* lent */
    rc = fill(from, &copy, e);
    db_close(&copy);
    if (!rc) rc = file_commit(&f, to, e);
    file_abandon(&f);
    return rc;
}
