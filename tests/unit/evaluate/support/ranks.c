/* ranks.c - fork, one shared page for a barrier, and a board on which each rank writes its part of a gather. */
#include "tests/unit/evaluate/support/ranks.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOARD (4u << 20)
enum { RANKS_MOST = 8, WORDS_MOST = 64 };

struct board {
    pthread_barrier_t barrier;
    unsigned char data[BOARD];
};

static enum code meet(struct collectives *c, struct err *e)
{
    (void)e;
    pthread_barrier_wait(&((struct board *)c->self)->barrier);
    return OK;
}

static enum code gather(struct collectives *c, const void *in, size_t bytes, void *out,
                        struct err *e)
{
    struct board *b = c->self;
    size_t all = bytes * (size_t)c->size;
    if (all > BOARD)
        return err_set(e, ERR_INTERNAL, "gather of %zu bytes: the board of this test is too small",
                       all);
    memcpy(b->data + bytes * (size_t)c->rank, in, bytes);
    meet(c, e);
    memcpy(out, b->data, all);
    return meet(c, e);
}

static enum code broadcast(struct collectives *c, void *data, size_t bytes, int root, struct err *e)
{
    struct board *b = c->self;
    if (bytes > BOARD) return err_set(e, ERR_INTERNAL, "broadcast of %zu bytes", bytes);
    if (c->rank == root) memcpy(b->data, data, bytes);
    meet(c, e);
    memcpy(data, b->data, bytes);
    return meet(c, e);
}

static enum code band(struct collectives *c, uint64_t *words, size_t n, struct err *e)
{
    uint64_t all[RANKS_MOST * WORDS_MOST] = {0};
    if (n > WORDS_MOST || c->size > RANKS_MOST)
        return err_set(e, ERR_INTERNAL, "and of %zu words", n);
    enum code rc = gather(c, words, n * sizeof *words, all, e);
    for (size_t i = 0; !rc && i < n * (size_t)c->size; i++) words[i % n] &= all[i];
    return rc;
}

int ranks_run(int size, int (*work)(void *self, struct collectives *c), void *self)
{
    struct board *b =
        mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_barrierattr_t shared;
    int failed = 0;
    if (b == MAP_FAILED) return 1;
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&b->barrier, &shared, (unsigned)size);
    for (int rank = 0; rank < size; rank++) {
        if (fork()) continue;
        struct collectives c = {"forked", rank, size, b, band, gather, broadcast, meet};
        _exit(work(self, &c));
    }
    for (int rank = 0; rank < size; rank++) {
        int status = 1;
        wait(&status);
        failed |= status != 0;
    }
    munmap(b, sizeof *b);
    return failed;
}
