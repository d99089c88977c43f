/* arrival.c - a file that grows at its end, and the hash of what it holds so far. */
#include "base/arrival.h"
#include "base/arena.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 256 << 10, SYNC_BYTES = 8 << 20, OLD_S = 24 * 3600 };

struct arrival {
    struct hash hash;
    int fd;
    char *path; /* owned */
    uint64_t have, hashed, synced;
    struct hash_stream *stream; /* of the first `hashed` bytes */
};

uint64_t arrival_have(const struct arrival *a)
{
    return a->have;
}

void arrival_close(struct arrival *a)
{
    if (!a) return;
    if (a->stream) hash_end(a->stream);
    if (a->fd >= 0) close(a->fd);
    free(a->path);
    free(a);
}

void arrival_drop(struct arrival *a)
{
    if (a) unlink(a->path);
    arrival_close(a);
}

/* Locked, and still the file of that name: who held it before may have made an object of it. */
static enum code open_locked(struct arrival *a, struct err *e)
{
    struct stat mine, named;
    char name[HASH_TEXT];

    hash_text(a->hash, name);
    a->fd = open(a->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (a->fd < 0) return err_errno(e, "open %s", a->path);
    if (flock(a->fd, LOCK_EX | LOCK_NB))
        return errno == EWOULDBLOCK ? err_set(e, ERR_AGAIN, "object %.12s comes elsewhere", name)
                                    : err_errno(e, "lock %s", a->path);
    if (fstat(a->fd, &mine)) return err_errno(e, "stat %s", a->path);
    if (stat(a->path, &named) || mine.st_ino != named.st_ino || mine.st_dev != named.st_dev)
        return err_set(e, ERR_AGAIN, "object %.12s has just come", name);
    a->have = a->synced = (uint64_t)mine.st_size;
    return OK;
}

enum code arrival_open(struct arrival **out, const char *folder, struct hash h, struct err *e)
{
    enum code rc = file_make_dirs(folder, e);
    char name[HASH_TEXT];
    size_t room = strlen(folder) + HASH_TEXT + 1;
    struct arrival *a = mem_alloc(1, sizeof *a);

    *out = NULL;
    if (!a) return err_set(e, ERR_NOMEM, "no memory for an object that comes");
    *a = (struct arrival){.hash = h, .fd = -1, .path = mem_alloc(room, 1), .stream = hash_begin()};
    if (!rc && (!a->path || !a->stream))
        rc = err_set(e, ERR_NOMEM, "no memory for an object that comes");
    if (!rc) {
        snprintf(a->path, room, "%s/%s", folder, hash_text(h, name));
        rc = open_locked(a, e);
    }
    if (rc) arrival_close(a);
    else *out = a;
    return rc;
}

enum code arrival_catch_up(struct arrival *a, struct err *e)
{
    uint64_t left = a->have - a->hashed;
    enum code rc = OK;
    uint8_t *piece;

    if (!left) return OK;
    if (!(piece = mem_alloc(PIECE, 1))) return err_set(e, ERR_NOMEM, "no memory to read objects");
    for (uint64_t step = left < ARRIVAL_STEP ? left : ARRIVAL_STEP; !rc && step;) {
        ssize_t n = pread(a->fd, piece, step < PIECE ? (size_t)step : PIECE, (off_t)a->hashed);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) rc = err_errno(e, "read %s", a->path);
        else if (n == 0) rc = err_set(e, ERR_IO, "%s has become shorter", a->path);
        else {
            hash_add(a->stream, piece, (size_t)n);
            a->hashed += (uint64_t)n;
            step -= (uint64_t)n;
        }
    }
    free(piece);
    if (!rc && a->hashed < a->have) rc = err_set(e, ERR_AGAIN, "what came earlier is being read");
    return rc;
}

static enum code append(struct arrival *a, const uint8_t *p, size_t bytes, struct err *e)
{
    uint64_t at = a->have;

    while (bytes) {
        ssize_t n = pwrite(a->fd, p, bytes, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            enum code rc = err_errno(e, "write %s", a->path);
            if (ftruncate(a->fd, (off_t)a->have))
                return ERR_IO; /* the next open hashes what is there */
            return rc;
        }
        p += n;
        at += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return OK;
}

static void begin_anew(struct arrival *a)
{
    if (a->stream) hash_end(a->stream);
    a->stream = hash_begin();
    a->have = a->hashed = a->synced = 0;
    if (!a->stream || ftruncate(a->fd, 0)) unlink(a->path);
}

enum code arrival_add(struct arrival *a, const void *data, size_t bytes, struct err *e)
{
    enum code rc;

    if (a->hashed != a->have || !a->stream)
        return err_set(e, ERR_INTERNAL, "what came earlier was not read");
    if ((rc = append(a, data, bytes, e))) return rc;
    hash_add(a->stream, data, bytes);
    a->have += bytes;
    a->hashed = a->have;
    if (a->have - a->synced < SYNC_BYTES) return OK;
    if (fdatasync(a->fd)) {
        rc = err_errno(e, "sync %s", a->path);
        begin_anew(a); /* which bytes were lost nobody says, and not twice */
        return rc;
    }
    a->synced = a->have;
    return OK;
}

enum code arrival_end(struct arrival **held, struct objects *store, struct err *e)
{
    struct arrival *a = *held;
    char name[HASH_TEXT];
    enum code rc = a->hashed == a->have && a->stream
                       ? OK
                       : err_set(e, ERR_INTERNAL, "what came earlier was not read");

    *held = NULL;
    if (!rc) {
        struct hash h = hash_end(a->stream);
        a->stream = NULL;
        if (!hash_equal(h, a->hash)) {
            rc = err_set(e, ERR_CORRUPT, "what came as object %s has another hash",
                         hash_text(a->hash, name));
            arrival_drop(a);
            return rc;
        }
        rc = objects_take(store, a->path, a->hash, e);
    }
    arrival_close(a);
    return rc;
}

/* ---- what lies in a folder ---- */

static int is_arrival(const char *name)
{
    return strlen(name) == HASH_TEXT - 1 && strspn(name, "0123456789abcdef") == HASH_TEXT - 1;
}

/* Under its lock: who opens it now is told to come again. */
static void look_at_old(const char *path, int64_t older_s, int remove, struct arrivals *found)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0) return;
    if (!flock(fd, LOCK_EX | LOCK_NB) && !fstat(fd, &st) && S_ISREG(st.st_mode) &&
        time(NULL) - st.st_mtime > older_s && (!remove || !unlink(path))) {
        found->n++;
        found->bytes += (uint64_t)st.st_size;
    }
    close(fd);
}

enum code arrival_old(const char *folder, int64_t older_s, int remove, struct arrivals *found,
                      struct err *e)
{
    char path[PATH_MAX];
    DIR *d = opendir(folder);

    if (!d) return errno == ENOENT ? OK : err_errno(e, "open %s", folder);
    for (struct dirent *f; (f = readdir(d));)
        if (is_arrival(f->d_name) &&
            snprintf(path, sizeof path, "%s/%s", folder, f->d_name) < (int)sizeof path)
            look_at_old(path, older_s, remove, found);
    closedir(d);
    return OK;
}

enum code arrival_sweep(const char *folder, struct err *e)
{
    return arrival_old(folder, OLD_S, 1, &(struct arrivals){0}, e);
}

void arrival_count(const char *folder, size_t *n, uint64_t *bytes)
{
    struct stat st;
    DIR *d = opendir(folder);

    *n = 0;
    *bytes = 0;
    if (!d) return;
    for (struct dirent *f; (f = readdir(d));) {
        if (!is_arrival(f->d_name) || fstatat(dirfd(d), f->d_name, &st, AT_SYMLINK_NOFOLLOW))
            continue;
        *n += 1;
        *bytes += (uint64_t)st.st_size;
    }
    closedir(d);
}
