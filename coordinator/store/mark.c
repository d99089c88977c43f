#include "coordinator/store/mark.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

enum { SLOT = 16, SLOTS = 2 };

static enum code name_of(const char *database, char out[PATH_MAX], struct err *e)
{
    if (snprintf(out, PATH_MAX, "%s-mark", database) >= PATH_MAX)
        return err_set(e, ERR_INPUT, "the path is too long: %s", database);
    return OK;
}

enum code mark_open(struct mark *m, const char *database, struct err *e)
{
    char name[PATH_MAX];
    enum code rc = name_of(database, name, e);

    if (rc) return rc;
    m->fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return m->fd < 0 ? err_errno(e, "open %s", name) : OK;
}

void mark_close(struct mark *m)
{
    if (m->fd >= 0) close(m->fd);
    m->fd = -1;
}

static uint64_t number(const uint8_t *p)
{
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--) n = n << 8 | p[i];
    return n;
}

static uint64_t newest(int fd, int *damaged)
{
    uint8_t slots[SLOTS * SLOT] = {0};
    ssize_t n = pread(fd, slots, sizeof slots, 0);
    uint64_t best = 0;

    *damaged = n < 0;
    for (ssize_t at = 0; at + SLOT <= n; at += SLOT) {
        uint64_t batch = number(slots + at), other = number(slots + at + 8);
        if (batch == ~other) best = batch > best ? batch : best;
        else if (batch || other) *damaged = 1; /* all zeros: never written */
    }
    return best;
}

uint64_t mark_read(const struct mark *m)
{
    int damaged;
    return newest(m->fd, &damaged);
}

void mark_write(const struct mark *m, uint64_t batch)
{
    uint8_t slot[SLOT];

    for (int i = 0; i < 8; i++) {
        slot[i] = (uint8_t)(batch >> (8 * i));
        slot[8 + i] = (uint8_t)~slot[i];
    }
    if (pwrite(m->fd, slot, SLOT, (off_t)(batch % SLOTS) * SLOT) != SLOT) return;
}

uint64_t mark_look(const char *database, int *damaged)
{
    char name[PATH_MAX];
    struct mark m = {.fd = -1};
    uint64_t batch = 0;

    *damaged = 0;
    if (name_of(database, name, NULL) == OK) m.fd = open(name, O_RDONLY | O_CLOEXEC);
    if (m.fd >= 0) batch = newest(m.fd, damaged);
    mark_close(&m);
    return batch;
}

enum code mark_remove(const char *database, struct err *e)
{
    char name[PATH_MAX];
    enum code rc = name_of(database, name, e);

    if (!rc && unlink(name) && errno != ENOENT) rc = err_errno(e, "remove %s", name);
    return rc;
}
