/* vfs.c - the layer of vfs.h. Two kinds of files are ours, the database and its log; all others go straight to the system.
 *
 * What both must know stands in the database's file, which lives longer than its log's. The sum is that of SQLite's log (two 32-bit
 * sums that feed each other, over words of 32 bits): one flipped bit changes a word by a power of two, its factors in the two sums are
 * neighbours of Fibonacci's row, never both even, so one of the two always differs.
 */
#include "coordinator/store/vfs.h"

#include "base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LOG_HEADER = 32,
    FRAME_HEADER = 24,
    FRAME = FRAME_HEADER + VFS_PAGE,
    AT_RESERVED = 20, /* of page 1: how many bytes each page leaves free at its end */
    AT_VERSION = 60,  /* and user_version, 4 bytes, the highest first */
    RENEW_PIECE = 1 << 20
};

struct file {
    sqlite3_file base; /* first: SQLite's view */
    sqlite3_file *real;
    struct file *db;        /* of a log: its database; of a database: itself */
    const char *name;       /* SQLite's */
    int64_t log_end;        /* of a log: behind the last byte written since the last sync */
    struct vfs_state state; /* of a database */
    int pinned;             /* of a database in the making: has sums, whatever page 1 says */
    uint8_t page[VFS_PAGE];
};

/* ---- sums ---- */

struct sum {
    uint32_t a, b;
};

static uint32_t word(const uint8_t *p, int big_endian)
{
    return big_endian ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
                      : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* n is a multiple of 8. */
static struct sum sum_add(struct sum s, const uint8_t *data, size_t n, int big_endian)
{
    for (const uint8_t *end = data + n; data < end; data += 8) {
        s.a += word(data, big_endian) + s.b;
        s.b += word(data + 4, big_endian) + s.a;
    }
    return s;
}

/* Begins with the page's number, so that a page in another's place does not fit, nor one of zeros. */
static struct sum page_sum(const uint8_t *page, uint32_t number)
{
    return sum_add((struct sum){number, ~number}, page, VFS_PAGE - VFS_SUM, 0);
}

int vfs_page_fits(const uint8_t *page, uint32_t number)
{
    struct sum s = page_sum(page, number);
    const uint8_t *at = page + VFS_PAGE - VFS_SUM;

    return word(at, 0) == s.a && word(at + 4, 0) == s.b;
}

static void put_word(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (8 * i));
}

static void sign_page(uint8_t *page, uint32_t number)
{
    struct sum s = page_sum(page, number);

    put_word(page + VFS_PAGE - VFS_SUM, s.a);
    put_word(page + VFS_PAGE - VFS_SUM + 4, s.b);
}

/* ---- the database ---- */

static struct file *ours(sqlite3_file *f)
{
    return (struct file *)f;
}

static int damaged(struct file *f, uint32_t page, int in_log)
{
    f->db->state.bad_page = page;
    f->db->state.bad_log = in_log;
    return SQLITE_IOERR_DATA;
}

/* What page 1 says about all: nothing free or room for sums, no other. What is no database SQLite says itself. */
static int learn(struct file *f, const uint8_t *first_page)
{
    int reserved = first_page[AT_RESERVED];

    if (f->pinned || memcmp(first_page, "SQLite format 3", 16) != 0) return SQLITE_OK;
    if (reserved != 0 && reserved != VFS_SUM) return damaged(f, 1, 0);
    f->state.has_sums =
        reserved == VFS_SUM && (int32_t)word(first_page + AT_VERSION, 1) >= VFS_SUMS_FROM;
    return SQLITE_OK;
}

static int read_page(struct file *f, void *to, uint32_t number)
{
    int rc = f->real->pMethods->xRead(f->real, to, VFS_PAGE, (int64_t)(number - 1) * VFS_PAGE);

    if (rc) return rc;
    if (number == 1 && (rc = learn(f, to))) return rc;
    return f->state.has_sums && !vfs_page_fits(to, number) ? damaged(f, number, 0) : SQLITE_OK;
}

static int holds_more(const char *name, off_t bytes)
{
    struct stat st;
    return name && stat(name, &st) == 0 && st.st_size > bytes;
}

/* When SQLite opens a file it reads its first bytes before it looks for what a killed process left: a log, a journal. The first page
 * may be torn then, and is read from there. */
static int is_mended(const struct file *f)
{
    return holds_more(sqlite3_filename_wal(f->name), LOG_HEADER) ||
           holds_more(sqlite3_filename_journal(f->name), 0);
}

/* Whole pages, or a part of the first one, which is read whole all the same. */
static int db_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
    struct file *f = ours(file);
    int rc;

    if (n == VFS_PAGE && at % VFS_PAGE == 0) return read_page(f, to, (uint32_t)(at / VFS_PAGE) + 1);
    if (at + n > VFS_PAGE) return f->real->pMethods->xRead(f->real, to, n, at);
    rc = read_page(f, f->page, 1);
    if (rc == SQLITE_IOERR_SHORT_READ || (rc == SQLITE_IOERR_DATA && is_mended(f)))
        return f->real->pMethods->xRead(f->real, to, n, at);
    if (!rc) memcpy(to, f->page + at, (size_t)n);
    return rc;
}

static int db_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at)
{
    struct file *f = ours(file);
    uint32_t number = (uint32_t)(at / VFS_PAGE) + 1;
    int rc;

    if (f->state.suspect) return SQLITE_IOERR_WRITE;
    if (n != VFS_PAGE || at % VFS_PAGE) return f->real->pMethods->xWrite(f->real, from, n, at);
    if (number == 1 && (rc = learn(f, from))) return rc;
    if (!f->state.has_sums) return f->real->pMethods->xWrite(f->real, from, n, at);
    memcpy(f->page, from, VFS_PAGE);
    sign_page(f->page, number);
    return f->real->pMethods->xWrite(f->real, f->page, n, at);
}

/* ---- the log ---- */

static int read_at(struct file *f, uint8_t *to, int n, int64_t at)
{
    return f->real->pMethods->xRead(f->real, to, n, at);
}

/* A page of the log fits when its frame is of this log (the salts) and continues the sum of the frame before. */
static int frame_fits(struct file *f, const uint8_t *page, int64_t frame, uint32_t *number)
{
    uint8_t header[LOG_HEADER], own[FRAME_HEADER], before[8];
    int64_t at = LOG_HEADER + frame * FRAME;
    int rc = read_at(f, header, LOG_HEADER, 0);

    *number = 0;
    if (!rc) rc = read_at(f, own, FRAME_HEADER, at);
    if (!rc && frame) rc = read_at(f, before, 8, at - FRAME + 16);
    if (rc) return 0;
    if (!frame) memcpy(before, header + 24, 8);
    *number = word(own, 1);
    if (memcmp(own + 8, header + 16, 8) != 0) return 0;
    struct sum s = {word(before, 1), word(before + 4, 1)};
    int big_endian = header[3] & 1;
    s = sum_add(s, own, 8, big_endian);
    s = sum_add(s, page, VFS_PAGE, big_endian);
    return word(own + 16, 1) == s.a && word(own + 20, 1) == s.b;
}

/* SQLite reads single pages, which are compared here, and whole frames when it opens the log, which it compares itself. */
static int log_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
    struct file *f = ours(file);
    int rc = f->real->pMethods->xRead(f->real, to, n, at);
    uint32_t number;

    if (rc || n != VFS_PAGE || (at - LOG_HEADER - FRAME_HEADER) % FRAME) return rc;
    if (frame_fits(f, to, (at - LOG_HEADER) / FRAME, &number)) return SQLITE_OK;
    return damaged(f, number, 1);
}

static int log_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at)
{
    struct file *f = ours(file);
    struct vfs_state *s = &f->db->state;

    if (s->suspect) return SQLITE_IOERR_WRITE;
    if (at < s->log_good) s->log_good = at;
    if (at + n > f->log_end) f->log_end = at + n;
    return f->real->pMethods->xWrite(f->real, from, n, at);
}

/* ---- both ---- */

static int on_sync(sqlite3_file *file, int flags)
{
    struct file *f = ours(file);
    struct vfs_state *s = &f->db->state;

    if (s->suspect) return SQLITE_IOERR_FSYNC;
    int rc = f->real->pMethods->xSync(f->real, flags);
    if (rc) s->suspect = 1;
    else if (f != f->db && f->log_end > s->log_good) s->log_good = f->log_end;
    f->log_end = 0;
    return rc;
}

static int on_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct file *f = ours(file);
    struct vfs_state *s = &f->db->state;

    if (s->suspect) return SQLITE_IOERR_TRUNCATE;
    if (f != f->db && size < s->log_good) s->log_good = size;
    return f->real->pMethods->xTruncate(f->real, size);
}

static int on_close(sqlite3_file *file)
{
    struct file *f = ours(file);
    return f->real->pMethods->xClose(f->real);
}

static int on_size(sqlite3_file *file, sqlite3_int64 *size)
{
    struct file *f = ours(file);
    return f->real->pMethods->xFileSize(f->real, size);
}

static int on_lock(sqlite3_file *file, int level)
{
    struct file *f = ours(file);
    return f->real->pMethods->xLock(f->real, level);
}

static int on_unlock(sqlite3_file *file, int level)
{
    struct file *f = ours(file);
    return f->real->pMethods->xUnlock(f->real, level);
}

static int on_reserved(sqlite3_file *file, int *out)
{
    struct file *f = ours(file);
    return f->real->pMethods->xCheckReservedLock(f->real, out);
}

static int on_control(sqlite3_file *file, int op, void *arg)
{
    struct file *f = ours(file);
    return f->real->pMethods->xFileControl(f->real, op, arg);
}

static int on_sector(sqlite3_file *file)
{
    struct file *f = ours(file);
    return f->real->pMethods->xSectorSize(f->real);
}

static int on_character(sqlite3_file *file)
{
    struct file *f = ours(file);
    return f->real->pMethods->xDeviceCharacteristics(f->real);
}

static int on_shm_map(sqlite3_file *file, int page, int n, int extend, void volatile **out)
{
    struct file *f = ours(file);
    return f->real->pMethods->xShmMap(f->real, page, n, extend, out);
}

static int on_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    struct file *f = ours(file);
    return f->real->pMethods->xShmLock(f->real, offset, n, flags);
}

static void on_shm_barrier(sqlite3_file *file)
{
    struct file *f = ours(file);
    f->real->pMethods->xShmBarrier(f->real);
}

static int on_shm_unmap(sqlite3_file *file, int remove)
{
    struct file *f = ours(file);
    return f->real->pMethods->xShmUnmap(f->real, remove);
}

/* Version 2: without maps of the file, which would go past the sums. */
#define METHODS(read, write)                                                                     \
    {                                                                                            \
        .iVersion = 2, .xClose = on_close, .xRead = read, .xWrite = write,                       \
        .xTruncate = on_truncate, .xSync = on_sync, .xFileSize = on_size, .xLock = on_lock,      \
        .xUnlock = on_unlock, .xCheckReservedLock = on_reserved, .xFileControl = on_control,     \
        .xSectorSize = on_sector, .xDeviceCharacteristics = on_character, .xShmMap = on_shm_map, \
        .xShmLock = on_shm_lock, .xShmBarrier = on_shm_barrier, .xShmUnmap = on_shm_unmap        \
    }
static const sqlite3_io_methods db_methods = METHODS(db_read, db_write);
static const sqlite3_io_methods log_methods = METHODS(log_read, log_write);

/* ---- opening ---- */

static sqlite3_vfs *below(sqlite3_vfs *v)
{
    return v->pAppData;
}

static int on_open(sqlite3_vfs *v, sqlite3_filename name, sqlite3_file *file, int flags, int *out)
{
    struct file *f = ours(file);
    int is_log = flags & SQLITE_OPEN_WAL, rc;
    sqlite3_int64 size = 0;

    if (!name || !(flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)))
        return below(v)->xOpen(below(v), name, file, flags, out);
    memset(f, 0, sizeof *f);
    f->real = (sqlite3_file *)(f + 1);
    f->name = name;
    f->db = is_log ? ours(sqlite3_database_file_object(name)) : f;
    f->state.log_good = INT64_MAX;
    f->pinned = f->state.has_sums = !is_log && sqlite3_uri_boolean(name, "sums", 0);
    if ((rc = below(v)->xOpen(below(v), name, f->real, flags, out))) return rc;
    if (is_log && f->real->pMethods->xFileSize(f->real, &size) == SQLITE_OK)
        f->db->state.log_good = size;
    f->base.pMethods = is_log ? &log_methods : &db_methods;
    return SQLITE_OK;
}

enum code vfs_register(struct err *e)
{
    static sqlite3_vfs ours_vfs;
    sqlite3_vfs *system = sqlite3_vfs_find(NULL);

    if (ours_vfs.zName) return OK;
    if (!system) return err_set(e, ERR_INTERNAL, "SQLite has no files");
    ours_vfs = *system;
    ours_vfs.szOsFile += (int)sizeof(struct file);
    ours_vfs.pNext = NULL;
    ours_vfs.pAppData = system;
    ours_vfs.xOpen = on_open;
    ours_vfs.zName = VFS_NAME;
    if (sqlite3_vfs_register(&ours_vfs, 0)) return err_set(e, ERR_NOMEM, "out of memory");
    return OK;
}

static struct file *main_file(sqlite3 *db)
{
    sqlite3_file *f = NULL;

    if (db) sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &f);
    return f && f->pMethods == &db_methods ? ours(f) : NULL;
}

enum code vfs_make_room(sqlite3 *db, struct err *e)
{
    int bytes = VFS_SUM;

    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &bytes))
        return err_set(e, ERR_INTERNAL, "no room for checksums in the pages");
    return OK;
}

/* Pinned, because pages may be written before the first one, which says that there are sums. */
enum code vfs_begin_sums(sqlite3 *db, struct err *e)
{
    struct file *f = main_file(db);

    if (!f) return err_set(e, ERR_INTERNAL, "a database without a layer of ours has no checksums");
    f->pinned = f->state.has_sums = 1;
    return vfs_make_room(db, e);
}

char *vfs_name_with_sums(const char *path)
{
    static const char begin[] = "file:", end[] = "?sums=1";
    size_t room = 3 * strlen(path) + sizeof begin + sizeof end;
    char *out = mem_alloc(room, 1), *to = out;

    if (!out) return NULL;
    to += sprintf(to, "%s", begin);
    for (const char *c = path; *c; c++)
        to += sprintf(to, strchr("%?#", *c) ? "%%%02X" : "%c", (unsigned char)*c);
    sprintf(to, "%s", end);
    return out;
}

struct vfs_state vfs_look(sqlite3 *db)
{
    struct file *f = main_file(db);
    return f ? f->state : (struct vfs_state){0};
}

void vfs_distrust(sqlite3 *db)
{
    struct file *f = main_file(db);
    if (f) f->state.suspect = 1;
}

/* ---- the log of a database that nobody has open ---- */

static int open_log(const char *path, int flags, char **name, struct err *e, enum code *rc)
{
    size_t room = strlen(path) + 8;
    int fd = -1;

    *rc = OK;
    *name = mem_alloc(room, 1);
    if (!*name) {
        *rc = err_set(e, ERR_NOMEM, "out of memory");
        return -1;
    }
    snprintf(*name, room, "%s-wal", path);
    if ((fd = open(*name, flags | O_CLOEXEC)) < 0 && errno != ENOENT)
        *rc = err_errno(e, "open %s", *name);
    return fd;
}

/* Each piece is written where it was read. */
static enum code rewrite(int fd, const char *name, uint8_t *piece, struct err *e)
{
    for (int64_t at = 0;;) {
        ssize_t n = pread(fd, piece, RENEW_PIECE, at), did = 0;
        if (n < 0) return err_errno(e, "read %s", name);
        if (n == 0) return OK;
        for (ssize_t now; did < n; did += now)
            if ((now = pwrite(fd, piece + did, (size_t)(n - did), at + did)) < 0)
                return err_errno(e, "write %s", name);
        at += n;
    }
}

enum code vfs_renew_log(const char *path, struct err *e)
{
    char *name;
    enum code rc;
    int fd = open_log(path, O_RDWR, &name, e, &rc);
    uint8_t *piece = fd < 0 ? NULL : mem_alloc(RENEW_PIECE, 1);

    if (fd >= 0) {
        rc = piece ? rewrite(fd, name, piece, e) : err_set(e, ERR_NOMEM, "out of memory");
        if (!rc && fsync(fd)) rc = err_errno(e, "sync %s", name);
        close(fd);
    }
    free(piece);
    free(name);
    return rc;
}

enum code vfs_cut_log(const char *path, int64_t bytes, struct err *e)
{
    struct stat st;
    char *name;
    enum code rc;
    int fd = open_log(path, O_RDWR, &name, e, &rc);

    if (fd >= 0) {
        if (fstat(fd, &st) || (st.st_size > bytes && ftruncate(fd, bytes)))
            rc = err_errno(e, "cut %s", name);
        close(fd);
    }
    free(name);
    return rc;
}
