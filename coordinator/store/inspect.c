/* inspect.c - opening for others, pages, batches, names of objects. */
#include "coordinator/store/inspect.h"
#include "coordinator/store/copy.h"
#include "coordinator/store/intern.h"
#include "coordinator/store/migrate.h"
#include "coordinator/store/row.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LOOKS = 5, /* at a page that does not fit: it may be half written at this moment */
    LOOK_MS = 10,
    NAMES_ROWS = 4096
};

/* ---- opening ---- */

/* Neither recovery by hand, nor a new log, nor a checkpoint at the end: all that is the coordinator's. */
static enum code open_to_look(struct store *s, struct err *e)
{
    enum code rc = vfs_register(e);

    if (rc) return rc;
    if (sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, VFS_NAME))
        return db_error(s, e, "open");
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, 5000);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return db_run(s, "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF", "settings", e);
}

static enum code check_version(struct store *s, struct err *e)
{
    int64_t version = 0;
    enum code rc = db_int(s, "PRAGMA user_version", &version, e);

    if (!rc && version != migrate_ladder()->newest)
        rc = err_set(
            e, ERR_ENVIRONMENT,
            "%s has schema version %d, this program reads %d: a coordinator of this version "
            "(`engram up`) brings it there",
            s->path, (int)version, migrate_ladder()->newest);
    if (!rc && !vfs_look(s->db).has_sums)
        rc = err_set(e, ERR_CORRUPT,
                     "%s: page 1 is damaged: it says that no page carries a checksum", s->path);
    return rc;
}

enum code store_look(struct store **out, const char *path, struct err *e)
{
    struct store *s = mem_alloc(1, sizeof *s);
    enum code rc = OK;

    *out = NULL;
    if (s) *s = (struct store){.path = strdup(path), .intern = intern_make(), .mark.fd = -1};
    if (!s || !s->path || !s->intern) rc = err_set(e, ERR_NOMEM, "out of memory");
    else if (!file_exists(path)) rc = err_set(e, ERR_NOT_FOUND, "%s is not there", path);
    if (!rc) rc = open_to_look(s, e);
    if (!rc) rc = check_version(s, e);
    if (rc) store_close(s);
    else *out = s;
    return rc;
}

enum code inspect_still(struct store *s, int on, struct err *e)
{
    int64_t n;
    recent_forget(&s->texts); /* whoever writes may have given an id to another text */
    enum code rc = db_run(s, on ? "BEGIN" : "COMMIT", "transaction", e);

    return rc || !on ? rc : db_int(s, "SELECT count(*) FROM sqlite_schema", &n, e);
}

/* ---- pages ---- */

static int is_empty(const uint8_t *page)
{
    for (int i = 0; i < VFS_PAGE; i++)
        if (page[i]) return 0;
    return 1;
}

/* A page of zeros lies between others when it was used and freed in one transaction. */
static int page_is_well(int fd, uint8_t *page, uint32_t number)
{
    struct timespec wait = {0, LOOK_MS * 1000000L};

    for (int i = 0; i < LOOKS; i++) {
        ssize_t n = pread(fd, page, VFS_PAGE, (off_t)(number - 1) * VFS_PAGE);
        if (n == 0 || (n == VFS_PAGE && (vfs_page_fits(page, number) || is_empty(page)))) return 1;
        nanosleep(&wait, NULL);
    }
    return 0;
}

static void count_damaged(struct inspect_pages *p, uint32_t number)
{
    if (p->damaged < sizeof p->first / sizeof *p->first) p->first[p->damaged] = number;
    p->damaged++;
}

enum code inspect_pages(const char *path, struct inspect_pages *out, struct err *e)
{
    uint8_t *page = mem_alloc(1, VFS_PAGE);
    int fd = page ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    enum code rc = OK;
    off_t size = 0;

    *out = (struct inspect_pages){0};
    if (!page) return err_set(e, ERR_NOMEM, "out of memory");
    if (fd < 0 || (size = lseek(fd, 0, SEEK_END)) < 0) rc = err_errno(e, "open %s", path);
    if (!rc) {
        out->pages = (uint32_t)((size + VFS_PAGE - 1) / VFS_PAGE);
        out->has_sums = pread(fd, page, VFS_PAGE, 0) == VFS_PAGE && page[20] == VFS_SUM;
        for (uint32_t n = 1; n <= out->pages && out->has_sums; n++)
            if (!page_is_well(fd, page, n)) count_damaged(out, n);
    }
    if (fd >= 0) close(fd);
    free(page);
    return rc;
}

enum code inspect_batches(struct store *s, uint64_t *acknowledged, uint64_t *there,
                          int *mark_damaged, struct err *e)
{
    int64_t batch = 0;
    enum code rc;

    *acknowledged = mark_look(s->path, mark_damaged); /* first: it rises while the database does */
    rc = db_int(s, "SELECT batch FROM clock", &batch, e);
    *there = (uint64_t)batch;
    return rc;
}

/* ---- who names what ---- */

struct images {
    inspect_names *names;
    void *self;
};

static void images_of(void *self, uint64_t job, const uint8_t *hashes, size_t n)
{
    struct images *i = self;
    i->names(i->self, job, 0, hashes, n);
}

static enum code kept_images(struct store *s, inspect_names *names, void *self, struct err *e)
{
    struct images i = {names, self};
    struct store_place at = {0};
    enum code rc = OK;

    while (!rc && !at.jobs_done) {
        size_t rows = NAMES_ROWS;
        rc = named_images(s, &at, &rows, images_of, &i, e);
    }
    return rc;
}

static enum code kept_list(struct store *s, enum sql sql, inspect_names *names, void *self,
                           struct err *e)
{
    struct query q = query_begin(s, sql, "look for objects", e);

    while (query_row(&q)) {
        uint64_t job = query_get_u64(&q), kind = query_get_u64(&q);
        struct slice hashes = query_get_blob(&q);
        names(self, job, kind, hashes.data, hashes.n / HASH_BYTES);
    }
    return query_end(&q);
}

enum code inspect_kept(struct store *s, inspect_names *names, void *self, struct err *e)
{
    enum code rc = kept_images(s, names, self, e);

    if (!rc) rc = kept_list(s, SQL_KEPT_OUTPUTS, names, self, e);
    return rc ? rc : kept_list(s, SQL_KEPT_COMMITS, names, self, e);
}

enum code inspect_ended(struct store *s, uint64_t job, int *ended, struct err *e)
{
    struct query q = query_begin(s, SQL_STATE, "read a job", e);

    query_u64(&q, job);
    *ended = query_row(&q) ? query_get_u64(&q) >= JOB_DONE : 1;
    return query_end(&q);
}

enum code store_copy(struct store *s, const char *to, struct err *e)
{
    return copy_database(s->db, to, e);
}
