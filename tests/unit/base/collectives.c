/* One process, and agreement between several: here threads that meet in memory. */
#include "base/collectives.h"
#include "tests/tap.h"

#include <pthread.h>

enum { RANKS = 5 };

/* A table for threads: everything passes through one shared place between two barriers. */
static struct {
    pthread_barrier_t barrier;
    uint64_t words[64];
    char data[4096];
    pthread_mutex_t lock;
} meeting = {.lock = PTHREAD_MUTEX_INITIALIZER};

static enum code thread_band(struct collectives *c, uint64_t *words, size_t n, struct err *e)
{
    (void)e;
    if (c->rank == 0) memset(meeting.words, 0xff, sizeof meeting.words);
    pthread_barrier_wait(&meeting.barrier);
    pthread_mutex_lock(&meeting.lock);
    for (size_t i = 0; i < n; i++) meeting.words[i] &= words[i];
    pthread_mutex_unlock(&meeting.lock);
    pthread_barrier_wait(&meeting.barrier);
    memcpy(words, meeting.words, n * sizeof *words);
    pthread_barrier_wait(&meeting.barrier);
    return OK;
}

static enum code thread_broadcast(struct collectives *c, void *data, size_t bytes, int root,
                                  struct err *e)
{
    (void)e;
    if (c->rank == root) memcpy(meeting.data, data, bytes);
    pthread_barrier_wait(&meeting.barrier);
    memcpy(data, meeting.data, bytes);
    pthread_barrier_wait(&meeting.barrier);
    return OK;
}

struct member {
    int rank;
    enum code mine, agreed;
    struct err err;
};

static void *take_part(void *arg)
{
    struct member *m = arg;
    struct collectives c = {.name = "threads",
                            .rank = m->rank,
                            .size = RANKS,
                            .band = thread_band,
                            .broadcast = thread_broadcast};
    m->agreed = collectives_agree(&c, m->mine, m->rank == 4 && !m->mine ? NULL : &m->err);
    return NULL;
}

static void meet(struct member m[RANKS])
{
    pthread_t thread[RANKS];
    pthread_barrier_init(&meeting.barrier, NULL, RANKS);
    for (int r = 0; r < RANKS; r++) {
        m[r].rank = r;
        pthread_create(&thread[r], NULL, take_part, &m[r]);
    }
    for (int r = 0; r < RANKS; r++) pthread_join(thread[r], NULL);
    pthread_barrier_destroy(&meeting.barrier);
}

static void test_agree(void)
{
    struct member good[RANKS] = {0}, bad[RANKS] = {0}, silent[RANKS] = {0};
    meet(good);
    int all = 1;
    for (int r = 0; r < RANKS; r++) all &= good[r].agreed == OK;
    ok(all, "when nobody failed, nobody fails");
    bad[1].mine = err_set(&bad[1].err, ERR_CORRUPT, "weights differ");
    bad[3].mine = err_set(&bad[3].err, ERR_IO, "disk");
    meet(bad);
    all = 1;
    for (int r = 0; r < RANKS; r++) all &= bad[r].agreed == ERR_CORRUPT;
    ok(all, "when two failed, all return the first one's code, also without a struct err");
    is_str(bad[0].err.text, "weights differ", "a rank that worked hears its line");
    is_str(bad[3].err.text, "weights differ", "a rank that failed otherwise too");
    silent[4].mine = ERR_NOMEM;
    meet(silent);
    is_str(silent[0].err.text, "rank 4 failed (no-memory)", "a code without a line gets one");
}

static void test_single(void)
{
    struct err e;
    struct collectives c = collectives_single();
    uint64_t words[2] = {5, 9}, out[2] = {0};
    is_code(c.band(&c, words, 2, &e), OK, &e, "AND over one process");
    ok(words[0] == 5 && words[1] == 9, "changes nothing");
    is_code(c.gather(&c, words, sizeof words, out, &e), OK, &e, "gather of one");
    ok(out[0] == 5 && out[1] == 9, "copies");
    is_code(c.broadcast(&c, words, sizeof words, 0, &e), OK, &e, "broadcast of one");
    is_code(c.barrier(&c, &e), OK, &e, "barrier of one");
    is_code(collectives_agree(&c, OK, &e), OK, &e, "one agrees with itself");
    err_set(&e, ERR_IO, "why");
    is_code(collectives_agree(&c, ERR_IO, &e), ERR_IO, &e, "also in failure");
    is_str(e.text, "why", "and keeps its line");
}

int main(void)
{
    test_single();
    test_agree();
    return done_testing();
}
