/* cache.c - who uses the cache is a locked file, when an object was used its time of modification.
 *
 * A hold is a file in use/ that its process keeps locked; its time is the hold's beginning. All times are the file system's (UTIME_NOW), so
 * that they compare. Marking wanted objects and removing old ones exclude each other by `lock`: either the remover sees the mark, or the
 * holder sees that the object is gone and fetches it.
 */
#include "base/cache.h"
#include "base/arena.h"
#include "base/arrival.h"

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

struct cache {
    struct objects *objects; /* owned */
    uint64_t most_bytes;
    int hold; /* fd of the locked file in use/; -1: none */
    char dir[PATH_MAX / 2], incoming[PATH_MAX], held[PATH_MAX];
};

struct kept {
    struct timespec used;
    uint64_t bytes;
    struct hash hash;
};

struct kepts {
    struct kept *v; /* owned */
    size_t n, room;
    uint64_t bytes;
};

/* ---- life ---- */

enum code cache_open(struct cache **out, const char *dir, uint64_t most_bytes, struct err *e)
{
    char path[PATH_MAX];
    struct cache *c = mem_alloc(1, sizeof *c);
    enum code rc = OK;

    *out = NULL;
    if (!c) return err_set(e, ERR_NOMEM, "no memory for the cache %s", dir);
    c->hold = -1;
    c->most_bytes = most_bytes;
    if (snprintf(c->dir, sizeof c->dir, "%s", dir) >= (int)sizeof c->dir - 100)
        rc = err_set(e, ERR_INPUT, "the path of the cache is too long: %s", dir);
    snprintf(c->incoming, sizeof c->incoming, "%s/incoming", c->dir);
    snprintf(path, sizeof path, "%s/use", c->dir);
    if (!rc) rc = file_make_dirs(path, e);
    if (!rc) rc = file_make_dirs(c->incoming, e);
    snprintf(path, sizeof path, "%s/objects", c->dir);
    if (!rc) rc = objects_open(&c->objects, path, e);
    if (rc) {
        cache_close(c);
        return rc;
    }
    arrival_sweep(c->incoming, NULL);
    objects_sweep(c->objects, NULL);
    *out = c;
    return OK;
}

static void let_go(struct cache *c)
{
    if (c->hold < 0) return;
    unlink(c->held);
    close(c->hold);
    c->hold = -1;
}

void cache_close(struct cache *c)
{
    if (!c) return;
    let_go(c);
    objects_close(c->objects);
    free(c);
}

struct objects *cache_objects(struct cache *c)
{
    return c->objects;
}

const char *cache_incoming(const struct cache *c)
{
    return c->incoming;
}

/* The lock that marking and removing take; -1 with e. Closing it lets go. */
static int lock(const struct cache *c, int how, struct err *e)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/lock", c->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);

    while (fd >= 0 && flock(fd, how))
        if (errno != EINTR) {
            err_errno(e, "lock %s", path);
            close(fd);
            return -1;
        }
    if (fd < 0) err_errno(e, "open %s", path);
    return fd;
}

/* ---- removing ---- */

static int is_before(struct timespec a, struct timespec b)
{
    return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

/* When the longest of all holds began; a hold whose process is dead is taken away. */
static struct timespec oldest_hold(const struct cache *c)
{
    struct timespec oldest = {.tv_sec = LONG_MAX};
    char path[PATH_MAX];
    struct stat st;
    snprintf(path, sizeof path, "%s/use", c->dir);
    DIR *d = opendir(path);

    for (struct dirent *f; d && (f = readdir(d));) {
        if (f->d_name[0] == '.') continue;
        int fd = openat(dirfd(d), f->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0) continue;
        int is_mine = c->hold >= 0 && !strcmp(f->d_name, strrchr(c->held, '/') + 1);
        if (!is_mine && !flock(fd, LOCK_EX | LOCK_NB)) unlinkat(dirfd(d), f->d_name, 0);
        else if (!fstat(fd, &st) && is_before(st.st_mtim, oldest)) oldest = st.st_mtim;
        close(fd);
    }
    if (d) closedir(d);
    return oldest;
}

static int add(struct kepts *k, const struct stat *st, const char *text)
{
    struct hash h;

    if (!S_ISREG(st->st_mode) || hash_parse(text, &h, NULL)) return 1;
    if (k->n == k->room) {
        size_t room = k->room ? 2 * k->room : 256;
        struct kept *v = mem_grow(k->v, k->room, room, sizeof *v);
        if (!v) return 0;
        k->v = v;
        k->room = room;
    }
    k->v[k->n++] = (struct kept){st->st_mtim, (uint64_t)st->st_size, h};
    k->bytes += (uint64_t)st->st_size;
    return 1;
}

static int list(const struct cache *c, struct kepts *k)
{
    char path[PATH_MAX], text[NAME_MAX + 4];
    struct stat st;
    int whole = 1;

    for (unsigned i = 0; i < 256 && whole; i++) {
        snprintf(path, sizeof path, "%s/objects/%02x", c->dir, i);
        DIR *d = opendir(path);
        for (struct dirent *f; d && whole && (f = readdir(d));) {
            snprintf(text, sizeof text, "%02x%s", i, f->d_name);
            if (!fstatat(dirfd(d), f->d_name, &st, AT_SYMLINK_NOFOLLOW)) whole = add(k, &st, text);
        }
        if (d) closedir(d);
    }
    return whole;
}

static int by_use(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;
    return is_before(x->used, y->used) ? -1 : is_before(y->used, x->used);
}

static enum code trim(struct cache *c, struct err *e)
{
    struct kepts k = {0};
    char path[PATH_MAX];
    int fd = lock(c, LOCK_EX, e);

    if (fd < 0) return e ? e->code : ERR_IO;
    struct timespec oldest = oldest_hold(c);
    if (list(c, &k) && k.bytes > c->most_bytes) {
        qsort(k.v, k.n, sizeof *k.v, by_use);
        for (size_t i = 0; i < k.n && k.bytes > c->most_bytes && is_before(k.v[i].used, oldest);
             i++) {
            objects_path(c->objects, k.v[i].hash, path, sizeof path);
            if (!unlink(path)) k.bytes -= k.v[i].bytes;
        }
    }
    free(k.v);
    close(fd);
    return OK;
}

void cache_count(struct cache *c, size_t *n, uint64_t *bytes)
{
    struct kepts k = {0};

    list(c, &k);
    *n = k.n;
    *bytes = k.bytes;
    free(k.v);
}

/* ---- holding ---- */

static enum code touch(struct cache *c, struct hash h, struct err *e)
{
    char path[PATH_MAX];
    objects_path(c->objects, h, path, sizeof path);
    if (!utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW) || errno == ENOENT) return OK;
    return err_errno(e, "mark %s as used", path);
}

enum code cache_use(struct cache *c, struct hash h, struct err *e)
{
    int fd = lock(c, LOCK_SH, e);

    if (fd < 0) return e ? e->code : ERR_IO;
    enum code rc = touch(c, h, e);
    close(fd);
    return rc;
}

/* A name of its own for this process's hold: hosts may share the folder. */
static enum code open_hold(struct cache *c, struct err *e)
{
    char host[65] = "";

    if (c->hold >= 0) return futimens(c->hold, NULL) ? err_errno(e, "mark %s", c->held) : OK;
    gethostname(host, sizeof host - 1);
    for (char *p = host; *p; p++)
        if (*p == '/' || *p == '.') *p = '-';
    snprintf(c->held, sizeof c->held, "%s/use/%s-%ld-%p", c->dir, host, (long)getpid(), (void *)c);
    c->hold = open(c->held, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (c->hold < 0) return err_errno(e, "create %s", c->held);
    if (!flock(c->hold, LOCK_EX | LOCK_NB) && !futimens(c->hold, NULL)) return OK;
    enum code rc = err_errno(e, "lock %s", c->held);
    let_go(c);
    return rc;
}

enum code cache_hold(struct cache *c, const struct hash *wanted, size_t n, struct err *e)
{
    int fd = lock(c, LOCK_SH, e); /* so that no remover meets the file before it is locked */

    if (fd < 0) return e ? e->code : ERR_IO;
    enum code rc = open_hold(c, e);
    for (size_t i = 0; !rc && i < n; i++) rc = touch(c, wanted[i], e);
    close(fd);
    return rc ? rc : trim(c, e);
}

enum code cache_release(struct cache *c, struct err *e)
{
    let_go(c);
    return trim(c, e);
}
