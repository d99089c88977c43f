/* The pool: every tile once, whatever the number of threads; thousands of short calls; clean ends. */
#include "base/parallel.h"
#include "tests/tap.h"

#include <stdatomic.h>

enum { TILES = 1000 };
static atomic_int times[TILES];
static atomic_int odd_index;

static void mark_tile(void *args, long i)
{
    (void)args;
    int index = parallel_thread_index();
    if (index < 0 || index >= parallel_threads()) atomic_fetch_add(&odd_index, 1);
    atomic_fetch_add(&times[i], 1);
}

static int each_once(long n)
{
    int good = 1;
    for (long i = 0; i < TILES; i++) good &= atomic_load(&times[i]) == (i < n);
    return good;
}

static void test_cover(int threads)
{
    static const long sizes[] = {0, 1, 2, 3, 7, 64, TILES};
    parallel_start(threads);
    is_int(parallel_threads(), threads, "%d threads were started", threads);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (long i = 0; i < TILES; i++) atomic_store(&times[i], 0);
        parallel_for(sizes[s], mark_tile, NULL);
        ok(each_once(sizes[s]), "%d threads do each of %ld tiles once", threads, sizes[s]);
    }
}

/* The sum is read without atomics after the call: under SAN=thread this shows a missing barrier. */
struct sums {
    long part[8];
};

static void add_tile(void *args, long i)
{
    ((struct sums *)args)->part[i] += i;
}

static void test_many(int threads)
{
    parallel_start(threads);
    struct sums s = {{0}};
    for (int round = 0; round < 5000; round++) parallel_for(8, add_tile, &s);
    long total = 0;
    for (int i = 0; i < 8; i++) total += s.part[i];
    is_int(total, 5000 * 28, "%d threads: 5000 calls in a row lose nothing", threads);
}

int main(void)
{
    static const int threads[] = {1, 2, 4, 7};
    is_int(parallel_threads(), 1, "a pool that was not started is one thread");
    parallel_for(TILES, mark_tile, NULL);
    ok(each_once(TILES), "and works");
    for (int i = 0; i < 4; i++) test_cover(threads[i]);
    for (int i = 0; i < 4; i++) test_many(threads[i]);
    ok(!odd_index, "thread indices lie in 0 .. threads - 1");
    is_int(parallel_thread_index(), 0, "and are 0 outside");
    parallel_start(0);
    ok(parallel_threads() >= 1, "0 asks for one thread per core: %d", parallel_threads());
    parallel_stop();
    parallel_stop();
    is_int(parallel_threads(), 1, "stopping twice is fine");
    return done_testing();
}
