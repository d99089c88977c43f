/* folder.c - whole folders, durable or not there. */
#include "coordinator/care/care.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 1 << 20 };

static const char mark[] = ".tmp-care-";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)where;
    return type == FTW_DP ? rmdir(path) : unlink(path);
}

static void remove_all(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

enum code folder_remove(const char *path, struct err *e)
{
    return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) ? err_errno(e, "remove %s", path) : OK;
}

/* Splits "/a/b/name" into "/a/b" and "name". */
static void split(const char *path, char folder[4096], const char **name)
{
    const char *slash = strrchr(path, '/');

    *name = slash ? slash + 1 : path;
    snprintf(folder, 4096, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    if (!folder[0]) strcpy(folder, "/");
}

/* Of processes of this host that are gone. */
static void sweep(const char *path)
{
    char folder[4096], full[8300];
    const char *name;
    struct dirent *entry;

    split(path, folder, &name);
    DIR *d = opendir(folder);
    while (d && (entry = readdir(d))) {
        size_t n = strlen(name);
        if (strncmp(entry->d_name, name, n) != 0 ||
            strncmp(entry->d_name + n, mark, sizeof mark - 1) != 0)
            continue;
        pid_t pid = (pid_t)atol(entry->d_name + n + sizeof mark - 1);
        if (pid <= 0 || kill(pid, 0) == 0 || errno != ESRCH) continue;
        snprintf(full, sizeof full, "%s/%s", folder, entry->d_name);
        remove_all(full);
    }
    if (d) closedir(d);
}

static int is_empty(const char *path)
{
    struct dirent *entry;
    DIR *d = opendir(path);
    int n = 0;

    while (d && (entry = readdir(d)))
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (d) closedir(d);
    return d && n == 0;
}

enum code folder_begin(struct folder *f, const char *path, struct err *e)
{
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/') n--;
    if (n + 40 > sizeof f->path) return err_set(e, ERR_USAGE, "the path is too long: %s", path);
    snprintf(f->path, sizeof f->path, "%.*s", (int)n, path);
    if (file_exists(f->path) && !is_empty(f->path))
        return err_set(e, ERR_EXISTS, "%s is there and not empty: choose a new name", f->path);
    sweep(f->path);
    snprintf(f->temporary, sizeof f->temporary, "%.4000s%s%ld", f->path, mark, (long)getpid());
    remove_all(f->temporary);
    return mkdir(f->temporary, 0700) ? err_errno(e, "make folder %s", f->temporary) : OK;
}

/* One sync of everything instead of two for each file. */
enum code folder_keep(struct folder *f, struct err *e)
{
    int fd = open(f->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum code rc = OK;

    if (fd < 0 || syncfs(fd)) rc = err_errno(e, "sync %s", f->temporary);
    if (fd >= 0) close(fd);
    if (!rc && rename(f->temporary, f->path))
        rc = err_errno(e, "rename %s to %s", f->temporary, f->path);
    if (rc) return rc;
    f->temporary[0] = '\0';
    return file_sync_name(f->path, e);
}

void folder_drop(struct folder *f)
{
    if (f->temporary[0]) remove_all(f->temporary);
    f->temporary[0] = '\0';
}

static enum code copy_bytes(int in, int out, const char *from, const char *to, struct err *e)
{
    char *piece = malloc(PIECE);
    enum code rc = piece ? OK : err_set(e, ERR_NOMEM, "out of memory");

    while (!rc) {
        ssize_t n = read(in, piece, PIECE), did = 0, now;
        if (n < 0) rc = err_errno(e, "read %s", from);
        if (n <= 0) break;
        for (; !rc && did < n; did += now)
            if ((now = write(out, piece + did, (size_t)(n - did))) < 0)
                rc = err_errno(e, "write %s", to);
    }
    free(piece);
    return rc;
}

enum code folder_take(const char *from, const char *to, int as_link, struct err *e)
{
    struct stat st;
    enum code rc;

    if (as_link && link(from, to) == 0) return OK;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0) return err_errno(e, "open %s", from);
    mode_t mode = fstat(in, &st) ? 0600 : st.st_mode & 0777;
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    rc = out < 0 ? err_errno(e, "create %s", to) : copy_bytes(in, out, from, to, e);
    if (out >= 0 && close(out) && !rc) rc = err_errno(e, "close %s", to);
    close(in);
    return rc;
}

enum code folder_take_into(const char *from, const char *to, int as_link, struct err *e)
{
    char folder[4096];
    const char *name;

    split(to, folder, &name);
    if (mkdir(folder, 0700) && errno != EEXIST) return err_errno(e, "make folder %s", folder);
    return folder_take(from, to, as_link, e);
}
