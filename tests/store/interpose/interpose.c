/* interpose.c - the library of interpose.h, for LD_PRELOAD. Of one thread at a time. */
#include "tests/store/interpose/interpose.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FDS = 1024, NOTHING = 0, FILE_FD, FOLDER_FD, ACK_FD };
enum what { NEVER, BEFORE, AFTER, TORN, SHORT, EIO_, ENOSPC_, DROP };

static struct {
    char under[PATH_MAX], acks[PATH_MAX], gate[PATH_MAX];
    size_t n_under;
    long point, at, n; /* calls so far; the one to break, how many */
    enum what what;
    char only[32];
    int trace;
    uint32_t handles;
    struct {
        int kind;
        uint32_t handle;
        char path[256]; /* of a folder */
    } fd[FDS];
} in = {.trace = -1};

/* ---- the real calls ---- */

#define REAL(name, type, ...)                 \
    static type (*real_##name)(__VA_ARGS__);  \
    static void find_##name(void)             \
    {                                         \
        void *at = dlsym(RTLD_NEXT, #name);   \
        memcpy(&real_##name, &at, sizeof at); \
    }
REAL(open, int, const char *, int, ...)
REAL(openat, int, int, const char *, int, ...)
REAL(close, int, int)
REAL(write, ssize_t, int, const void *, size_t)
REAL(pwrite, ssize_t, int, const void *, size_t, off_t)
REAL(ftruncate, int, int, off_t)
REAL(fsync, int, int)
REAL(fdatasync, int, int)
REAL(syncfs, int, int)
REAL(rename, int, const char *, const char *)
REAL(unlink, int, const char *)
REAL(unlinkat, int, int, const char *, int)
REAL(mkdir, int, const char *, mode_t)
REAL(rmdir, int, const char *)
REAL(link, int, const char *, const char *)

static void read_word(void)
{
    static const char *const words[] = {"",      "before", "after",  "torn",
                                        "short", "eio",    "enospc", "drop"};
    const char *word = getenv("INTERPOSE_DO");

    for (size_t i = 0; word && i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i]) == 0) in.what = (enum what)i;
}

static void copy_env(char *out, size_t bytes, const char *name)
{
    const char *s = getenv(name);
    snprintf(out, bytes, "%s", s ? s : "");
}

__attribute__((constructor)) static void begin(void)
{
    const char *trace = getenv("INTERPOSE_TRACE"), *at = getenv("INTERPOSE_POINT"),
               *n = getenv("INTERPOSE_FOR");

    find_open(), find_openat(), find_close(), find_write(), find_pwrite(), find_ftruncate();
    find_fsync(), find_fdatasync(), find_syncfs(), find_rename(), find_unlink(), find_unlinkat(),
        find_mkdir();
    find_rmdir(), find_link();
    copy_env(in.under, sizeof in.under, "INTERPOSE_UNDER");
    copy_env(in.acks, sizeof in.acks, "INTERPOSE_ACKS");
    copy_env(in.only, sizeof in.only, "INTERPOSE_ONLY");
    copy_env(in.gate, sizeof in.gate, "INTERPOSE_WHILE");
    in.n_under = strlen(in.under);
    in.at = at ? atol(at) : 0;
    in.n = n ? atol(n) : 1;
    read_word();
    if (trace) in.trace = real_open(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* ---- points ---- */

static int is_under(const char *path)
{
    return in.n_under && strncmp(path, in.under, in.n_under) == 0 &&
           (path[in.n_under] == '/' || !path[in.n_under]);
}

static void trace(struct trace_record r, const void *payload)
{
    if (in.trace < 0) return;
    if (real_write(in.trace, &r, sizeof r) != sizeof r ||
        (r.bytes && real_write(in.trace, payload, r.bytes) != (ssize_t)r.bytes))
        _exit(97);
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* A call of this kind is about to be made: what is to be done to it? Counts it. Killed here when it is `before`. */
static enum what next(enum trace_kind kind)
{
    long here = ++in.point;
    int hits = in.at && here >= in.at && here < in.at + (in.what >= EIO_ ? in.n : 1);

    if (!hits || in.what == NEVER) return NEVER;
    if (in.gate[0] && access(in.gate, F_OK)) return NEVER;
    if (in.what >= EIO_ && in.only[0] && !strchr(in.only, TRACE_LETTERS[kind])) return NEVER;
    if (in.what == BEFORE) die();
    return in.what;
}

static int broken(enum what w)
{
    if (w < EIO_) return 0;
    errno = w == ENOSPC_ ? ENOSPC : EIO;
    return 1;
}

/* The call was made, or failed by our hand: writes it down, and dies when it is `after`. */
static void told(enum what w, struct trace_record r, const void *payload)
{
    int saved = errno;

    r.point = (uint32_t)in.point;
    trace(r, payload);
    if (w == AFTER || w == TORN || w == DROP) die();
    errno = saved;
}

/* A call on one or two paths. */
static int on_names(enum trace_kind kind, const char *a, const char *b,
                    int (*call)(const char *, const char *))
{
    char both[2 * PATH_MAX];
    enum what w = next(kind);
    size_t n = strlen(a) + 1, m = b ? strlen(b) + 1 : 0;
    int rc = broken(w) ? -1 : call(a, b);

    memcpy(both, a, n);
    if (b) memcpy(both + n, b, m);
    told(w, (struct trace_record){.kind = kind, .failed = rc != 0, .bytes = n + m}, both);
    return rc;
}

/* ---- files ---- */

static int tracked(int fd, int kind)
{
    return fd >= 0 && fd < FDS && in.fd[fd].kind == kind;
}

static void opened(int fd, const char *path, int created, int emptied)
{
    if (fd < 0 || fd >= FDS) return;
    in.fd[fd].kind = in.acks[0] && strcmp(path, in.acks) == 0 ? ACK_FD : NOTHING;
    if (in.fd[fd].kind || !is_under(path)) return;
    struct stat st;
    int folder = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
    in.fd[fd].kind = folder ? FOLDER_FD : FILE_FD;
    in.fd[fd].handle = ++in.handles;
    snprintf(in.fd[fd].path, sizeof in.fd[fd].path, "%s", path);
    if (!folder)
        trace((struct trace_record){.kind = TRACE_OPEN,
                                    .handle = in.handles,
                                    .point = created || emptied ? (uint32_t)in.point : 0,
                                    .offset = created   ? 1
                                              : emptied ? 2
                                                        : 0,
                                    .bytes = strlen(path) + 1},
              path);
}

static int open_it(const char *path, int flags, mode_t mode)
{
    struct stat st;
    int there = stat(path, &st) == 0, created = !there && (flags & O_CREAT);
    int emptied = there && (flags & O_TRUNC) && st.st_size > 0;
    enum what w = is_under(path) && (created || emptied) ? next(TRACE_OPEN) : NEVER;
    int fd = broken(w) ? -1 : real_open(path, flags, mode);

    opened(fd, path, created, emptied);
    if (w == AFTER || w == TORN) die();
    return fd;
}

int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    return open_it(path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));

int openat(int dir, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (path[0] == '/') return open_it(path, flags, mode);
    return real_openat(dir, path, flags, mode);
}

int close(int fd)
{
    if (fd >= 0 && fd < FDS) in.fd[fd].kind = NOTHING;
    return real_close(fd);
}

static ssize_t write_at(int fd, const void *data, size_t n, off_t at, int moves)
{
    enum what w = next(TRACE_WRITE);
    size_t part = (w == TORN || w == SHORT) && n > 1 ? n / 2 : n;
    ssize_t did = broken(w) ? -1
                  : moves   ? real_write(fd, data, part)
                            : real_pwrite(fd, data, part, at);

    told(w,
         (struct trace_record){.kind = TRACE_WRITE,
                               .handle = in.fd[fd].handle,
                               .failed = did < 0,
                               .offset = (uint64_t)at,
                               .bytes = did < 0 ? 0 : (uint64_t)did},
         data);
    return did;
}

ssize_t write(int fd, const void *data, size_t n)
{
    struct stat st;

    if (!real_write) find_write(); /* a library that writes before our constructor */
    if (tracked(fd, ACK_FD)) trace((struct trace_record){.kind = TRACE_ACK, .bytes = n}, data);
    if (!tracked(fd, FILE_FD)) return real_write(fd, data, n);
    int flags = fcntl(fd, F_GETFL);
    off_t at = (flags & O_APPEND) && fstat(fd, &st) == 0 ? st.st_size : lseek(fd, 0, SEEK_CUR);
    return write_at(fd, data, n, at, 1);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
    return tracked(fd, FILE_FD) ? write_at(fd, data, n, at, 0) : real_pwrite(fd, data, n, at);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off_t at) __attribute__((alias("pwrite")));

int ftruncate(int fd, off_t size)
{
    if (!tracked(fd, FILE_FD)) return real_ftruncate(fd, size);
    enum what w = next(TRACE_TRUNCATE);
    int rc = broken(w) ? -1 : real_ftruncate(fd, size);
    told(w,
         (struct trace_record){.kind = TRACE_TRUNCATE,
                               .handle = in.fd[fd].handle,
                               .failed = rc != 0,
                               .offset = (uint64_t)size},
         NULL);
    return rc;
}

int ftruncate64(int fd, off_t size) __attribute__((alias("ftruncate")));

static int sync_it(int fd, int (*call)(int))
{
    int folder = tracked(fd, FOLDER_FD);

    if (!folder && !tracked(fd, FILE_FD)) return call(fd);
    enum trace_kind kind = folder ? TRACE_SYNC_FOLDER : TRACE_SYNC;
    enum what w = next(kind);
    int rc = broken(w) ? -1 : call(fd);
    told(w,
         (struct trace_record){.kind = kind,
                               .handle = in.fd[fd].handle,
                               .failed = rc != 0,
                               .bytes = folder ? strlen(in.fd[fd].path) + 1 : 0},
         in.fd[fd].path);
    return rc;
}

int fsync(int fd)
{
    return sync_it(fd, real_fsync);
}

int fdatasync(int fd)
{
    return sync_it(fd, real_fdatasync);
}

int syncfs(int fd)
{
    if (!tracked(fd, FOLDER_FD) && !tracked(fd, FILE_FD)) return real_syncfs(fd);
    enum what w = next(TRACE_SYNC_ALL);
    int rc = broken(w) ? -1 : real_syncfs(fd);
    told(w, (struct trace_record){.kind = TRACE_SYNC_ALL, .failed = rc != 0}, NULL);
    return rc;
}

/* ---- names ---- */

static int call_rename(const char *a, const char *b)
{
    return real_rename(a, b);
}

static int call_link(const char *a, const char *b)
{
    return real_link(a, b);
}

static int call_unlink(const char *a, const char *b)
{
    (void)b;
    return real_unlink(a);
}

static int call_rmdir(const char *a, const char *b)
{
    (void)b;
    return real_rmdir(a);
}

static mode_t mkdir_mode;

static int call_mkdir(const char *a, const char *b)
{
    (void)b;
    return real_mkdir(a, mkdir_mode);
}

int rename(const char *from, const char *to)
{
    return is_under(to) ? on_names(TRACE_RENAME, from, to, call_rename) : real_rename(from, to);
}

int link(const char *from, const char *to)
{
    return is_under(to) ? on_names(TRACE_LINK, from, to, call_link) : real_link(from, to);
}

/* What is not there is asked for often (journals) and changes nothing. */
static int is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

int unlink(const char *path)
{
    return is_under(path) && is_there(path) ? on_names(TRACE_UNLINK, path, NULL, call_unlink)
                                            : real_unlink(path);
}

int unlinkat(int dir, const char *path, int flags)
{
    char folder[PATH_MAX], link[64], full[2 * PATH_MAX];
    ssize_t n = 0;

    snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    if (path[0] != '/' && (n = readlink(link, folder, sizeof folder - 1)) > 0) {
        folder[n] = '\0';
        snprintf(full, sizeof full, "%s/%s", folder, path);
        if (is_under(full)) return flags & AT_REMOVEDIR ? rmdir(full) : unlink(full);
    }
    return real_unlinkat(dir, path, flags);
}

int mkdir(const char *path, mode_t mode)
{
    mkdir_mode = mode;
    return is_under(path) && !is_there(path) ? on_names(TRACE_MKDIR, path, NULL, call_mkdir)
                                             : real_mkdir(path, mode);
}

int rmdir(const char *path)
{
    return is_under(path) && is_there(path) ? on_names(TRACE_RMDIR, path, NULL, call_rmdir)
                                            : real_rmdir(path);
}
