#include "coordinator/server/home.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum code home_path(const struct home *h, const char *rest, char *out, unsigned long bytes,
                    struct err *e)
{
    int n = snprintf(out, bytes, "%s/%s", h->path, rest);
    if (n < 0 || (unsigned long)n >= bytes)
        return err_set(e, ERR_USAGE, "home %s: the path is too long", h->path);
    return OK;
}

/* Absolute and without links, so that it means the same to workers started elsewhere. */
static enum code resolve(struct home *h, const char *path, struct err *e)
{
    char full[PATH_MAX];
    enum code rc;

    if ((rc = file_make_dirs(path, e))) return rc;
    if (!realpath(path, full)) return err_errno(e, "home %s", path);
    if (strlen(full) >= sizeof h->path - 64)
        return err_set(e, ERR_USAGE, "home %s: the path is too long", path);
    memcpy(h->path, full, strlen(full) + 1);
    return OK;
}

static enum code make_folders(const struct home *h, struct err *e)
{
    static const char *const folders[] = {"objects", "checkpoints", "run", "log"};
    char path[PATH_MAX];
    enum code rc;

    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if ((rc = home_path(h, folders[i], path, sizeof path, e)) || (rc = file_make_dirs(path, e)))
            return rc;
    return OK;
}

static enum code lock(struct home *h, struct err *e)
{
    char path[PATH_MAX], text[32] = "";
    struct bytes b;
    enum code rc;

    if ((rc = home_path(h, "run/coordinator.lock", path, sizeof path, e))) return rc;
    h->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (h->lock < 0) return err_errno(e, "%s", path);
    if (flock(h->lock, LOCK_EX | LOCK_NB) == 0) return OK;
    if (errno != EWOULDBLOCK) return err_errno(e, "%s", path);
    home_path(h, "run/coordinator.pid", path, sizeof path, NULL);
    if (file_read(path, sizeof text - 1, &b, NULL) == OK) {
        memcpy(text, b.data, b.n);
        text[strcspn(text, "\n")] = '\0';
        free(b.data);
    }
    return err_set(e, ERR_EXISTS, "a coordinator serves %s already%s%s: `engram down` stops it",
                   h->path, text[0] ? ", pid " : "", text);
}

enum code home_open(struct home *h, const char *path, struct err *e)
{
    enum code rc;

    *h = (struct home){.lock = -1};
    if ((rc = resolve(h, path, e)) || (rc = make_folders(h, e))) return rc;
    if ((rc = lock(h, e)) && h->lock >= 0) {
        close(h->lock);
        h->lock = -1;
    }
    return rc;
}

enum code home_write_pid(const struct home *h, struct err *e)
{
    char path[PATH_MAX], text[32];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    enum code rc = home_path(h, "run/coordinator.pid", path, sizeof path, e);

    if (rc || !(rc = file_write(path, text, (size_t)n, e))) return rc;
    unlink(path); /* of one that was killed */
    return rc;
}

void home_close(struct home *h)
{
    char path[PATH_MAX];

    if (h->lock < 0) return;
    if (home_path(h, "run/coordinator.pid", path, sizeof path, NULL) == OK) unlink(path);
    close(h->lock);
    h->lock = -1;
}
