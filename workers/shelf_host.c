/* shelf_host.c - one memfd per host: a table of places, then the items, one after another.
 *
 *     | nonce, used, place[0], place[1], ...   | items ...          ->  grows to MOST
 *     0                                        head_bytes (2 MiB)
 *
 * The lowest rank makes the file, the others open it through /proc/PID/fd, which the kernel grants to processes of one user. Each maps
 * the head to write, everything to read, and a third time, only while it makes an item, that item to write: a stray write
 * into finished weights is a fault, not a wrong picture.
 *
 * A place goes EMPTY -> MAKING -> READY; back to EMPTY if making failed (its room is kept for the next try), to ALONE if there was no memory. A
 * rank that dies while it makes takes the group down, as a dead rank in any collective does, so waiting needs no end of its own.
 *
 * Room is asked for with fallocate before it is touched: a write to a page that cannot be had is SIGBUS, an answer is an answer.
 */
#include "workers/shelf_host.h"
#include "base/arena.h"
#include "base/log.h"
#include "base/pulse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define MOST ((size_t)32 << 30) /* of address space; pages come with the items */
#define LARGE_PAGE ((size_t)2 << 20)
#define ALIGN 64 /* of items */
#define LOOK_NS 100000
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1; others say EINVAL, and pages stay small */
#endif

enum { NONCE = 16 };
enum state { EMPTY, MAKING, READY, ALONE };

struct place {
    _Atomic uint32_t state;
    uint64_t at, bytes; /* in the file; at 0: no room yet. Written by who is MAKING */
};

struct head {
    uint8_t nonce[NONCE];
    _Atomic uint64_t used; /* end of the last item */
    struct place place[];
};

struct host {
    int fd;
    struct head *head;
    uint64_t n;
    size_t table_bytes, head_bytes; /* the same in whole large pages */
    uint8_t *reserved;              /* address space of MOST and a large page */
    const uint8_t *all;             /* in it: the file, read-only, aligned to a large page */
    struct shelf alone;
};

static size_t up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* ---- items ---------------------------------------------------------------------------------------------------------- */

/* Room in the file, and its pages. 0: there is none. */
static int make_room(struct host *h, struct place *p, size_t bytes)
{
    if (!p->at) {
        p->at = atomic_fetch_add(&h->head->used, up(bytes, ALIGN));
        p->bytes = bytes;
    }
    if (p->bytes != bytes || p->at > MOST || MOST - p->at < bytes) return 0;
    int failed;
    do failed = fallocate(h->fd, 0, (off_t)p->at, (off_t)(bytes ? bytes : 1));
    while (failed && errno == EINTR);
    return !failed;
}

/* Kernels read weights in pieces that lie a row apart: with small pages they wait for the tables of pages (docs/speed.md). A request, not a
 * need. */
static void ask_for_large_pages(struct host *h, const struct place *p)
{
    size_t first = up(p->at, LARGE_PAGE), end = (p->at + p->bytes) / LARGE_PAGE * LARGE_PAGE;
    if (first < end) madvise((void *)(uintptr_t)(h->all + first), end - first, MADV_COLLAPSE);
}

/* The caller is the one that is MAKING. *state: what the place is afterwards. */
static enum code make_item(struct host *h, struct place *p, const struct shelf_item *item,
                           enum state *state, struct err *e)
{
    *state = ALONE;
    if (!make_room(h, p, item->bytes)) return OK;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), begin = p->at / page * page,
           bytes = up(p->at + item->bytes + 1, page) - begin;
    uint8_t *window = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd, (off_t)begin);
    if (window == MAP_FAILED) return OK;
    enum code rc = item->make(item->self, window + (p->at - begin), e);
    munmap(window, bytes);
    if (!rc) ask_for_large_pages(h, p);
    *state = rc ? EMPTY : READY;
    return rc;
}

static void wait_a_moment(void)
{
    struct timespec t = {0, LOOK_NS};
    pulse();
    nanosleep(&t, NULL);
}

static enum code host_get(struct shelf *s, const struct shelf_item *item, const void **out,
                          struct err *e)
{
    struct host *h = s->self;
    if (item->number >= h->n) return h->alone.get(&h->alone, item, out, e);
    struct place *p = &h->head->place[item->number];
    for (;;) {
        uint32_t now = EMPTY;
        enum state state;
        if (atomic_compare_exchange_strong(&p->state, &now, MAKING)) {
            enum code rc = make_item(h, p, item, &state, e);
            atomic_store(&p->state, state);
            if (rc) return rc;
            now = state;
        }
        if (now == READY && p->bytes == item->bytes) {
            *out = h->all + p->at;
            return OK;
        }
        if (now == READY || now == ALONE) return h->alone.get(&h->alone, item, out, e);
        wait_a_moment();
    }
}

static void host_put(struct shelf *s, const void *data)
{
    struct host *h = s->self;
    uintptr_t at = (uintptr_t)data, begin = (uintptr_t)h->all;
    if (at < begin || at - begin >= MOST) h->alone.put(&h->alone, data);
}

/* ---- the file ------------------------------------------------------------------------------------------------------- */

/* What the lowest rank of a host tells the others. */
struct offer {
    int64_t pid, fd; /* fd -1: nothing */
    uint8_t nonce[NONCE];
};

static void host_free(struct host *h)
{
    if (!h) return;
    if (h->head) munmap(h->head, h->head_bytes);
    if (h->reserved) munmap(h->reserved, MOST + LARGE_PAGE);
    if (h->fd >= 0) close(h->fd);
    free(h);
}

static struct host *host_new(uint64_t n)
{
    struct host *h = mem_alloc(1, sizeof *h);
    if (!h) return NULL;
    h->fd = -1;
    h->n = n;
    h->table_bytes = sizeof *h->head + n * sizeof h->head->place[0];
    h->head_bytes = up(h->table_bytes, LARGE_PAGE);
    h->alone = shelf_private();
    return h;
}

static int map(struct host *h)
{
    void *head = mmap(NULL, h->head_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd, 0);
    if (head == MAP_FAILED) return 0;
    h->head = head;
    void *room = mmap(NULL, MOST + LARGE_PAGE, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) return 0;
    h->reserved = room;
    uint8_t *all = (uint8_t *)room + (up((uintptr_t)room, LARGE_PAGE) - (uintptr_t)room);
    h->all = all;
    return mmap(all, MOST, PROT_READ, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, h->fd, 0) == all;
}

static int create(struct host *h, struct offer *o)
{
    h->fd = memfd_create("engram-weights", MFD_CLOEXEC);
    if (h->fd < 0 || ftruncate(h->fd, (off_t)h->head_bytes) ||
        fallocate(h->fd, 0, 0, (off_t)h->table_bytes) || !map(h) ||
        getrandom(o->nonce, NONCE, 0) != NONCE)
        return 0;
    memcpy(h->head->nonce, o->nonce, NONCE);
    atomic_store(&h->head->used, h->head_bytes);
    o->pid = getpid();
    o->fd = h->fd;
    return 1;
}

/* A process of that number in another container is another process: the nonce tells. */
static int attach(struct host *h, const struct offer *o)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)o->pid, (long long)o->fd);
    h->fd = open(path, O_RDWR | O_CLOEXEC);
    if (h->fd < 0 || lseek(h->fd, 0, SEEK_END) < (off_t)h->head_bytes || !map(h)) return 0;
    if (!memcmp(h->head->nonce, o->nonce, NONCE)) return 1;
    errno = ESRCH;
    return 0;
}

/* ---- open and close ------------------------------------------------------------------------------------------------- */

/* Every rank's offer to every rank, into one block. */
static enum code tell(struct collectives *ranks, const struct offer *mine, struct offer **all,
                      struct err *e)
{
    *all = mem_alloc((size_t)ranks->size, sizeof **all);
    enum code rc = collectives_agree(
        ranks, *all ? OK : err_set(e, ERR_NOMEM, "out of memory for a list of ranks"), e);
    return rc ? rc : ranks->gather(ranks, mine, sizeof *mine, *all, e);
}

enum code shelf_host_open(struct shelf *s, uint64_t n, struct shelf_host_where where,
                          struct collectives *ranks, struct err *e)
{
    struct offer mine = {.fd = -1}, *all = NULL;
    struct host *h = where.ranks_here > 1 ? host_new(n) : NULL;
    int is_lowest = ranks->rank == where.lowest;
    *s = shelf_private();
    int good = h && (!is_lowest || create(h, &mine));
    enum code rc = tell(ranks, &mine, &all, e);
    if (!rc && good && !is_lowest)
        good = all[where.lowest].fd >= 0 && attach(h, &all[where.lowest]);
    int why = errno;
    if (!rc) rc = ranks->barrier(ranks, e); /* the lowest's descriptor stays until all have come */
    if (!rc && good) {
        *s = (struct shelf){.name = "host", .self = h, .get = host_get, .put = host_put};
        h = NULL;
    } else if (!rc && where.ranks_here > 1) {
        log_line(LOG_WARN,
                 "rank %d shares no weights with its host (%s): it takes memory of its own",
                 ranks->rank, strerror(why));
    }
    host_free(h);
    free(all);
    return rc;
}

void shelf_host_close(struct shelf *s)
{
    host_free(s->self);
    *s = (struct shelf){0};
}
