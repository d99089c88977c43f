/* The layer below SQLite: a page with a flipped bit is never read, in the file or in its log; a database of before has no sums
 * and needs none; a failed sync is not forgotten. */
#include "base/file.h"
#include "coordinator/store/vfs.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <sys/stat.h>

static char path[512];
static struct err e;

static const char *place(const char *name)
{
    snprintf(path, sizeof path, "%s/%s.db", tap_folder(), name);
    return path;
}

static sqlite3 *reach(const char *vfs)
{
    sqlite3 *db = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI;

    sqlite3_open_v2(path, &db, flags, vfs);
    sqlite3_extended_result_codes(db, 1);
    return db;
}

static int run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* Everything that can be read, as one number. *rc: how that went. */
static long long read_all(sqlite3 *db, int *rc)
{
    sqlite3_stmt *st = NULL;
    long long n = 0;

    *rc = sqlite3_prepare_v2(db, "SELECT sum(id * length(text) + unicode(text)) FROM t", -1, &st,
                             NULL);
    if (!*rc && (*rc = sqlite3_step(st)) == SQLITE_ROW) n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

static void fill(sqlite3 *db, int rows)
{
    char sql[300];

    run(db, "CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT); PRAGMA user_version = 2");
    snprintf(sql, sizeof sql,
             "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO t(text) SELECT hex(i) || 'some text of row ' || i FROM n",
             rows);
    run(db, sql);
}

/* What was written, with sums or without, and in which place it lies. */
static long long make(int sums, int in_log, int rows)
{
    sqlite3 *db = reach(VFS_NAME);
    int rc;

    if (sums) vfs_begin_sums(db, &e);
    if (in_log) run(db, "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0");
    fill(db, rows);
    long long all = read_all(db, &rc);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(db);
    return all;
}

static void flip(const char *file, off_t at, int bit)
{
    unsigned char c = 0;
    int fd = open(file, O_RDWR);

    if (pread(fd, &c, 1, at) == 1) c ^= (unsigned char)(1 << bit);
    if (pwrite(fd, &c, 1, at) != 1) note("cannot flip byte %ld", (long)at);
    close(fd);
}

/* A reader finds the flip, or what it reads is right. Whether it was found. */
static int found(long long all, long *served)
{
    sqlite3 *db = reach(VFS_NAME);
    int rc;
    long long n = read_all(db, &rc);

    *served += rc == SQLITE_ROW && n != all;
    sqlite3_close(db);
    return rc != SQLITE_ROW;
}

static void every_byte(void)
{
    struct stat st;
    long n = 0, seen = 0, served = 0;

    place("bytes");
    long long all = make(1, 0, 700);
    stat(path, &st);
    for (off_t at = 0; at < st.st_size; at += at < VFS_PAGE ? 1 : 7, n++) {
        flip(path, at, (int)(at % 8));
        seen += found(all, &served);
        flip(path, at, (int)(at % 8));
    }
    is_int(served, 0, "of %ld flipped bits in %d pages none is served", n,
           (int)(st.st_size / VFS_PAGE));
    is_int(seen, n, "and every one is found by whoever reads all pages");
    long quiet = 0;
    is_int(found(all, &quiet), 0, "as it was it is read");
}

/* In a log that is open: SQLite itself would not look again. */
static void in_the_log(void)
{
    struct stat st;
    char log[600];
    long n = 0, served = 0, seen = 0;
    int rc;

    place("log");
    sqlite3 *db = reach(VFS_NAME);
    vfs_begin_sums(db, &e);
    run(db, "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = 0");
    fill(db, 700);
    long long all = read_all(db, &rc);
    snprintf(log, sizeof log, "%s-wal", path);
    stat(log, &st);
    for (off_t at = 0; at < st.st_size; at += 97, n++) {
        flip(log, at, 3);
        sqlite3_db_release_memory(db);
        long long got = read_all(db, &rc);
        served += rc == SQLITE_ROW && got != all;
        seen += rc == SQLITE_IOERR_DATA;
        flip(log, at, 3);
    }
    is_int(served, 0, "of %ld flipped bits in a log of %ld bytes none is served", n,
           (long)st.st_size);
    ok(seen > n / 4,
       "many are found while it is open (%ld; the others lie in pages that were written again)",
       seen);
    struct vfs_state v = vfs_look(db);
    ok(v.has_sums && v.bad_page && v.bad_log, "the page is named: %u, in the log",
       (unsigned)v.bad_page);
    is_int(read_all(db, &rc), all, "as it was it is read");
    sqlite3_close(db);
}

static void without_sums(void)
{
    int rc;

    place("old");
    long long all = make(0, 0, 500);
    sqlite3 *db = reach(VFS_NAME);
    ok(read_all(db, &rc) == all && !vfs_look(db).has_sums, "a database without sums is read");
    vfs_make_room(db, &e);
    char *name = vfs_name_with_sums("/tmp/a?b#c%d");
    is_str(name, "file:/tmp/a%3Fb%23c%25d?sums=1",
           "names with odd characters are written as SQLite wants them");
    free(name);
    static char made[sizeof path];
    char *as, *sql;
    snprintf(made, sizeof made, "%.400s 50%% with?sums#.db", path);
    as = vfs_name_with_sums(made);
    sql = sqlite3_mprintf("VACUUM INTO %Q", as);
    is_int(run(db, sql), SQLITE_OK, "one with sums is made of it");
    sqlite3_free(sql);
    free(as);
    sqlite3_close(db);
    memcpy(path, made, sizeof path);
    db = reach(VFS_NAME);
    ok(read_all(db, &rc) == all && vfs_look(db).has_sums, "which is read");
    sqlite3_close(db);
    db = reach(NULL);
    is_int(read_all(db, &rc), all, "also by programs without the layer");
    run(db, "UPDATE t SET text = 'by hand' WHERE id = 3");
    sqlite3_close(db);
    db = reach(VFS_NAME);
    read_all(db, &rc);
    ok(rc != SQLITE_ROW, "but what they write is not believed");
    sqlite3_close(db);
}

/* Larger than what SQLite keeps in memory, so that pages are written before the first one is. */
static void large(void)
{
    int rc;

    place("large");
    sqlite3 *db = reach(VFS_NAME);
    vfs_begin_sums(db, &e);
    run(db, "PRAGMA cache_size = 10; BEGIN");
    fill(db, 20000);
    is_int(run(db, "COMMIT"), SQLITE_OK, "a transaction larger than the cache is written");
    long long all = read_all(db, &rc);
    sqlite3_close(db);
    db = reach(VFS_NAME);
    ok(read_all(db, &rc) == all && rc == SQLITE_ROW, "and read with all sums right");
    sqlite3_close(db);
}

static void logs(void)
{
    struct stat st;
    char log[600];

    place("renew");
    is_code(vfs_renew_log(path, &e), OK, &e, "where there is no log there is nothing to renew");
    make(1, 1, 300);
    snprintf(log, sizeof log, "%s-wal", path);
    struct bytes before, after;
    file_read(log, 1 << 24, &before, &e);
    is_code(vfs_renew_log(path, &e), OK, &e, "a log is written anew");
    file_read(log, 1 << 24, &after, &e);
    ok(before.n == after.n && memcmp(before.data, after.data, after.n) == 0, "with the same bytes");
    is_code(vfs_cut_log(path, 5000, &e), OK, &e, "it can be cut");
    stat(log, &st);
    is_int(st.st_size, 5000, "to what is certain");
    is_code(vfs_cut_log(path, 9000, &e), OK, &e, "never made longer");
    stat(log, &st);
    is_int(st.st_size, 5000, "really");
    free(before.data);
    free(after.data);
}

int main(void)
{
    is_code(vfs_register(&e), OK, &e, "the layer is there");
    every_byte();
    in_the_log();
    without_sums();
    large();
    logs();
    return done_testing();
}
