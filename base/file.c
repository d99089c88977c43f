/* file.c - durable writes, bounded reads, maps.
 *
 * The order that makes a write survive: all bytes to a temporary file in the same folder, fsync of the file, rename,
 * fsync of the folder. Without the first fsync a crash may leave the new name on no bytes; without the second the
 * rename itself may be forgotten after we said it was done.
 */
#include "base/file.h"
#include "base/arena.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { READ_PIECE = 64 << 10, SWEEP_AGE_S = 24 * 3600 };

static const char mark[] = ".tmp-";

/* ---- reading ---- */

static enum code too_large(const char *path, size_t limit, struct err *e)
{
    return err_set(e, ERR_INPUT, "%s is larger than the %zu bytes that are read here", path, limit);
}

/* Reads to the end, not to the size that stat told: the file may be a pipe, or grow. */
static enum code read_all(int fd, const char *path, size_t limit, size_t expected, struct bytes *b,
                          struct err *e)
{
    size_t room = expected + 1;
    while (room) {
        uint8_t *more = mem_grow(b->data, b->n, room + 1, 1);
        if (!more) return err_set(e, ERR_NOMEM, "no memory to read %s", path);
        b->data = more;
        while (b->n < room) {
            ssize_t n = read(fd, b->data + b->n, room - b->n);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return err_errno(e, "read %s", path);
            if (n == 0) {
                b->data[b->n] = 0;
                return OK;
            }
            b->n += (size_t)n;
            if (b->n > limit) return too_large(path, limit, e);
        }
        room = room < SIZE_MAX / 4 ? 2 * room + READ_PIECE : 0;
    }
    return too_large(path, limit, e);
}

enum code file_read(const char *path, size_t limit, struct bytes *out, struct err *e)
{
    struct stat st;
    struct bytes b = {0};
    enum code rc;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_errno(e, "open %s", path);
    if (fstat(fd, &st)) {
        rc = err_errno(e, "stat %s", path);
        goto close_file;
    }
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > limit) {
        rc = err_set(e, ERR_INPUT, "%s has %lld bytes; at most %zu are read here", path,
                     (long long)st.st_size, limit);
        goto close_file;
    }
    rc = read_all(fd, path, limit, S_ISREG(st.st_mode) ? (size_t)st.st_size : 0, &b, e);
    if (!rc) {
        *out = b;
        b.data = NULL; /* handed over */
    }
close_file:
    free(b.data);
    close(fd);
    return rc;
}

int file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

enum code file_map_open(struct file_map *m, const char *path, struct err *e)
{
    static const uint8_t nothing[1];
    struct stat st;
    enum code rc = OK;
    void *p = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_errno(e, "open %s", path);
    if (fstat(fd, &st)) {
        rc = err_errno(e, "stat %s", path);
    } else if (!S_ISREG(st.st_mode)) {
        rc = err_set(e, ERR_INPUT, "%s is not a regular file", path);
    } else if (st.st_size == 0) { /* mmap refuses to map nothing */
        *m = (struct file_map){nothing, 0};
    } else if ((p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0)) == MAP_FAILED) {
        rc = err_errno(e, "map %s", path);
    } else {
        *m = (struct file_map){p, (size_t)st.st_size};
    }
    close(fd);
    return rc;
}

void file_map_release(const struct file_map *m, const uint8_t *at, size_t n)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)at;
    uintptr_t first = (begin + page - 1) / page * page, end = (begin + n) / page * page;
    if (!m->n || at < m->data || n > m->n - (size_t)(at - m->data)) return;
    if (end > first) madvise((void *)first, end - first, MADV_DONTNEED);
}

void file_map_close(struct file_map *m)
{
    if (m->n) munmap((void *)(uintptr_t)m->data, m->n);
    *m = (struct file_map){0};
}

/* ---- writing ---- */

static uint32_t host_id(void)
{
    char name[256] = "";
    uint32_t h = 2166136261u; /* FNV-1a */
    gethostname(name, sizeof name - 1);
    for (const char *c = name; *c; c++) h = (h ^ (uint8_t)*c) * 16777619u;
    return h;
}

static char *temporary_name(const char *near)
{
    static atomic_uint counter;
    size_t room = strlen(near) + 64;
    char *name = mem_alloc(room, 1);
    if (name)
        snprintf(name, room, "%s%s%08x-%ld-%u", near, mark, (unsigned)host_id(), (long)getpid(),
                 atomic_fetch_add(&counter, 1));
    return name;
}

static enum code begin(struct file_new *f, const char *near, mode_t mode, struct err *e)
{
    *f = (struct file_new){.fd = -1, .temporary = temporary_name(near)};
    if (!f->temporary) return err_set(e, ERR_NOMEM, "no memory to write %s", near);
    /* A name that exists is the leftover of a dead process with our number. */
    f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (f->fd >= 0) return OK;
    enum code rc = err_errno(e, "create %s", f->temporary);
    free(f->temporary);
    *f = (struct file_new){0};
    return rc;
}

enum code file_begin(struct file_new *f, const char *near, struct err *e)
{
    return begin(f, near, 0666, e);
}

enum code file_add(struct file_new *f, const void *data, size_t bytes, struct err *e)
{
    const uint8_t *p = data;
    while (bytes) {
        ssize_t n = write(f->fd, p, bytes < SSIZE_MAX ? bytes : SSIZE_MAX);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(e, "write %s", f->temporary);
        p += n;
        bytes -= (size_t)n;
    }
    return OK;
}

enum code file_mend(struct file_new *f, size_t at, const void *data, size_t bytes, struct err *e)
{
    const uint8_t *p = data;
    while (bytes) {
        ssize_t n = pwrite(f->fd, p, bytes, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(e, "write %s", f->temporary);
        p += n;
        at += (size_t)n;
        bytes -= (size_t)n;
    }
    return OK;
}

/* The folder that holds path, into out of at least strlen(path) + 2 bytes. */
static void parent_of(const char *path, char *out)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (!slash) {
        strcpy(out, ".");
        return;
    }
    memcpy(out, path, n ? n : 1);
    out[n ? n : 1] = 0;
}

enum code file_sync_name(const char *path, struct err *e)
{
    enum code rc = OK;
    char *dir = mem_alloc(strlen(path) + 2, 1);
    if (!dir) return err_set(e, ERR_NOMEM, "no memory to write %s", path);
    parent_of(path, dir);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Some network file systems cannot sync a folder and say EINVAL: they are durable at rename, or never. */
    if (fd < 0 || (fsync(fd) && errno != EINVAL)) rc = err_errno(e, "sync folder %s", dir);
    if (fd >= 0) close(fd);
    free(dir);
    return rc;
}

enum code file_commit(struct file_new *f, const char *path, struct err *e)
{
    enum code rc = OK;
    assert(f->temporary);
    if (fsync(f->fd)) rc = err_errno(e, "sync %s", f->temporary);
    if (close(f->fd) && !rc)
        rc = err_errno(e, "close %s", f->temporary); /* NFS tells a full disk here */
    f->fd = -1;
    if (!rc && rename(f->temporary, path)) rc = err_errno(e, "rename %s to %s", f->temporary, path);
    if (rc) {
        file_abandon(f);
        return rc;
    }
    free(f->temporary);
    *f = (struct file_new){0};
    return file_sync_name(path, e);
}

void file_abandon(struct file_new *f)
{
    if (!f->temporary) return;
    if (f->fd >= 0) close(f->fd);
    unlink(f->temporary);
    free(f->temporary);
    *f = (struct file_new){0};
}

static enum code write_whole(const char *path, const void *data, size_t bytes, mode_t mode,
                             struct err *e)
{
    struct file_new f;
    enum code rc = begin(&f, path, mode, e);
    if (rc) return rc;
    rc = file_add(&f, data, bytes, e);
    if (!rc) rc = file_commit(&f, path, e);
    file_abandon(&f);
    return rc;
}

enum code file_write(const char *path, const void *data, size_t bytes, struct err *e)
{
    return write_whole(path, data, bytes, 0666, e);
}

enum code file_write_private(const char *path, const void *data, size_t bytes, struct err *e)
{
    return write_whole(path, data, bytes, 0600, e);
}

/* ---- folders ---- */

/* A folder whose name cannot be made durable is no folder: the next one who asks must not find it and trust it. */
static enum code make_dir(const char *path, struct err *e)
{
    struct stat st;
    if (mkdir(path, 0700) == 0) {
        enum code rc = file_sync_name(path, e);
        if (rc) rmdir(path);
        return rc;
    }
    int why = errno; /* on a read-only file system mkdir fails even where the folder stands */
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode)) return OK;
        why = ENOTDIR;
    }
    errno = why;
    return err_errno(e, "make folder %s", path);
}

enum code file_make_dirs(const char *path, struct err *e)
{
    struct stat st;
    enum code rc = OK;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        /* Its maker may have been killed before the sync. A parent that we may not read is not of our making. */
        rc = file_sync_name(path, e);
        return rc == ERR_DENIED ? OK : rc;
    }
    size_t n = strlen(path) + 1;
    char *part = mem_alloc(n, 1);
    if (!part) return err_set(e, ERR_NOMEM, "no memory to make folder %s", path);
    memcpy(part, path, n);
    for (char *c = part + 1; !rc && n > 1 && *c; c++) {
        if (*c != '/') continue;
        *c = 0;
        rc = make_dir(part, e);
        *c = '/';
    }
    if (!rc) rc = make_dir(path, e);
    free(part);
    return rc;
}

/* No such process, or one that has ended and waits for a parent that takes its time. */
static int is_dead(pid_t pid)
{
    char path[64], text[512];
    if (kill(pid, 0) != 0 && errno == ESRCH) return 1;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *name_end = strrchr(text, ')');
    return name_end && !strncmp(name_end, ") Z", 3);
}

static int is_abandoned(int dir, const char *name)
{
    const char *found = NULL;
    for (const char *at = name; (at = strstr(at, mark)); at++) found = at;
    unsigned host, count;
    long pid;
    int end = 0;
    if (!found || sscanf(found + sizeof mark - 1, "%8x-%ld-%u%n", &host, &pid, &count, &end) != 3)
        return 0;
    if (found[sizeof mark - 1 + (size_t)end] || pid <= 0) return 0;
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode)) return 0;
    if (st.st_mtime < time(NULL) - SWEEP_AGE_S) return 1;
    return host == host_id() && is_dead((pid_t)pid);
}

enum code file_sweep(const char *dir, struct err *e)
{
    DIR *d = opendir(dir);
    if (!d) return err_errno(e, "open folder %s", dir);
    for (struct dirent *entry; (entry = readdir(d));)
        if (is_abandoned(dirfd(d), entry->d_name)) unlinkat(dirfd(d), entry->d_name, 0);
    closedir(d);
    return OK;
}
