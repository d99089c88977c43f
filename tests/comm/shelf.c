/* One memory for the ranks of a host: made once, whoever comes first; what fails fails for all who try; what has no room is each one's own. */
#include "base/arena.h"
#include "tests/comm/support/ranks.h"
#include "workers/shelf_host.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NUMBERS = 40, ITEMS = 30 };

static int made; /* by this rank */

/* Sizes from nothing to several large pages, none a multiple of the other. */
static size_t size_of(uint64_t number)
{
    return number == 7 ? (size_t)9000001 : (size_t)(number * number * 131 + number % 3);
}

static enum code fill(void *self, void *memory, struct err *e)
{
    const uint64_t *number = self;
    unsigned char *to = memory;
    (void)e;
    made++;
    for (size_t i = 0; i < size_of(*number); i++) to[i] = (unsigned char)(i * 7 + *number);
    return OK;
}

static enum code refuse(void *self, void *memory, struct err *e)
{
    (void)self;
    memset(memory, 1, 10);
    return err_set(e, ERR_CORRUPT, "a NaN");
}

static int is_right(const unsigned char *p, uint64_t number)
{
    for (size_t i = 0; i < size_of(number); i++)
        if (p[i] != (unsigned char)(i * 7 + number)) return 0;
    return 1;
}

static int sum(struct collectives *c, int mine)
{
    int all[64], total = 0;
    c->gather(c, &mine, sizeof mine, all, NULL);
    for (int r = 0; r < c->size; r++) total += all[r];
    return total;
}

static enum code get(struct shelf *s, uint64_t number, shelf_make_fn *make, const void **out,
                     struct err *e)
{
    struct shelf_item item = {
        .number = number, .bytes = size_of(number), .make = make, .self = &number};
    return s->get(s, &item, out, e);
}

/* Every rank asks in another order, at the same time. */
static void once(struct collectives *c, struct shelf *s)
{
    const void *at[ITEMS];
    struct err e = {0};
    int wrong = 0;
    made = 0;
    for (int i = 0; i < ITEMS; i++) {
        uint64_t number = (uint64_t)((i * 7 + c->rank * 11) % ITEMS);
        wrong += get(s, number, fill, &at[number], &e) != OK || !is_right(at[number], number);
    }
    is_int(wrong, 0, "%d ranks read %d items", c->size, ITEMS);
    is_int(sum(c, made), ITEMS, "each was made once");
    const void *again;
    made = 0;
    get(s, 9, fill, &again, &e);
    ok(made == 0 || c->size == 1, "and not made again");
    ok(again == at[9] || c->size == 1, "by whom it lies already");
    if (c->size == 1) s->put(s, again);
    for (int i = 0; i < ITEMS; i++) s->put(s, at[i]);
}

/* A write into what is finished ends the process that tries. */
static void guarded(struct collectives *c, struct shelf *s)
{
    const void *p = NULL;
    int status = 0;
    get(s, 12, fill, &p, NULL);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        *(volatile char *)(uintptr_t)p = 1;
        _exit(0);
    }
    waitpid(pid, &status, 0);
    ok(c->size == 1 || status, "finished items cannot be written to");
    s->put(s, p);
}

static void failures(struct collectives *c, struct shelf *s)
{
    struct err e = {0};
    const void *p = NULL;
    is_code(get(s, 31, refuse, &p, &e), ERR_CORRUPT, &e, "what cannot be made is refused");
    is_str(e.text, "a NaN", "to every rank, with its reason");
    c->barrier(c, NULL);
    is_code(get(s, 31, fill, &p, &e), OK, &e, "a second try may end well");
    ok(is_right(p, 31), "and is whole");
    s->put(s, p);
    is_code(get(s, NUMBERS + 2, fill, &p, &e), OK, &e, "a number beyond the table is made here");
    s->put(s, p);
}

/* The limit stands for a machine without memory: the file cannot grow. */
static void without_room(struct collectives *c, struct shelf *s)
{
    struct rlimit before, small = {.rlim_cur = 1 << 20};
    struct err e = {0};
    const void *p = NULL;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    c->barrier(c, NULL);
    made = 0;
    is_code(get(s, 39, fill, &p, &e), OK, &e, "where there is no room to share");
    ok(is_right(p, 39) && made == 1, "each makes its own");
    s->put(s, p);
    c->barrier(c, NULL);
    setrlimit(RLIMIT_FSIZE, &before);
}

int main(int argc, char **argv)
{
    struct collectives ranks;
    struct shelf s, other;
    struct err e = {0};
    ranks_start(&argc, &argv, &ranks);
    struct comm_mpi_here here = comm_mpi_here();
    struct shelf_host_where where = {here.ranks, here.lowest};
    is_code(shelf_host_open(&s, NUMBERS, where, &ranks, &e), OK, &e, "a shelf for a host");
    is_str(s.name, ranks.size > 1 ? "host" : "private", "which is shared where there are several");
    once(&ranks, &s);
    guarded(&ranks, &s);
    failures(&ranks, &s);
    is_code(shelf_host_open(&other, NUMBERS, where, &ranks, &e), OK, &e, "a second shelf");
    once(&ranks, &other);
    without_room(&ranks, &other);
    shelf_host_close(&other);
    shelf_host_close(&s);
    shelf_host_close(&s);
    return ranks_done(&ranks);
}
