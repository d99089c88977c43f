/* parallel.c - the pool: workers that wait for a generation number to change, and a shared counter of tiles.
 *
 * One parallel_for:
 *     caller: writes the task, busy := workers, next := 0, generation += 1 (under the lock), wakes the parked
 *     all:    take tiles from next until none is left
 *     worker: busy -= 1; the one that makes it 0 wakes the caller
 *     caller: returns when busy is 0
 *
 * 1. The task is written only while busy is 0, so no worker reads it then.
 * 2. A worker reads the task only after it saw a new generation (acquire), so it sees all of it.
 * 3. What tiles wrote is seen by the caller: it reads busy == 0 (acquire) after each worker's release.
 *
 * Between two calls a worker spins for some microseconds, because a network is hundreds of short calls, and then
 * parks, because other ranks and other programs want the core. With more threads than cores it parks at once: a
 * spinning thread would keep the core from the one it waits for.
 */
#include "base/parallel.h"
#include "base/arena.h"
#include "base/pulse.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

/* About 2 ms at 140 cycles a pause. A thread that sleeps is woken by the system, which costs more than a small operator: the
 * training step of a small model took 25 ms without spinning, 12 with 1000 spins, 11 with 10000, 9.3 with 100000. */
enum { SPINS = 50000 };

/* The one mutable global of base: a process has one set of cores. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    pthread_t *workers; /* owned; n_workers of them */
    int n_workers;      /* without the caller */
    int spins;
    atomic_uint generation;
    atomic_int busy, quit, running;
    atomic_long next;
    parallel_fn *fn; /* the task */
    void *args;
    long n;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .done = PTHREAD_COND_INITIALIZER};

static _Thread_local int thread_index, inside_tile;

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void take_tiles(void)
{
    inside_tile = 1;
    for (long i; (i = atomic_fetch_add_explicit(&pool.next, 1, memory_order_relaxed)) < pool.n;) {
        pool.fn(pool.args, i);
        if (!thread_index) pulse();
    }
    inside_tile = 0;
}

static unsigned current_generation(void)
{
    return atomic_load_explicit(&pool.generation, memory_order_acquire);
}

static void wait_for_task(unsigned seen)
{
    for (int i = 0; i < pool.spins; i++) {
        if (current_generation() != seen) return;
        relax();
    }
    pthread_mutex_lock(&pool.lock);
    while (current_generation() == seen) pthread_cond_wait(&pool.wake, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
}

static void *work(void *index)
{
    thread_index = (int)(size_t)index;
    for (unsigned seen = 0;; seen++) {
        wait_for_task(seen);
        if (atomic_load(&pool.quit)) return NULL;
        take_tiles();
        if (atomic_fetch_sub_explicit(&pool.busy, 1, memory_order_acq_rel) == 1) {
            pthread_mutex_lock(&pool.lock);
            pthread_cond_signal(&pool.done);
            pthread_mutex_unlock(&pool.lock);
        }
    }
}

static void wait_for_workers(void)
{
    for (int i = 0; i < pool.spins; i++) {
        if (atomic_load_explicit(&pool.busy, memory_order_acquire) == 0) return;
        relax();
    }
    pthread_mutex_lock(&pool.lock);
    while (atomic_load_explicit(&pool.busy, memory_order_acquire))
        pthread_cond_wait(&pool.done, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
}

static void next_generation(void)
{
    pthread_mutex_lock(&pool.lock);
    atomic_fetch_add_explicit(&pool.generation, 1, memory_order_release);
    pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.lock);
}

void parallel_for(long n, parallel_fn *fn, void *args)
{
    assert(!inside_tile && "a tile must not call parallel_for");
    if (n <= 0) return;
    if (n == 1 || pool.n_workers == 0) {
        inside_tile = 1;
        for (long i = 0; i < n; i++) {
            fn(args, i);
            pulse();
        }
        inside_tile = 0;
        return;
    }
    int was_running = atomic_exchange(&pool.running, 1);
    assert(!was_running && "two threads called parallel_for at once");
    (void)was_running;
    pool.fn = fn;
    pool.args = args;
    pool.n = n;
    atomic_store_explicit(&pool.next, 0, memory_order_relaxed);
    atomic_store_explicit(&pool.busy, pool.n_workers, memory_order_relaxed);
    next_generation();
    take_tiles();
    wait_for_workers();
    atomic_store(&pool.running, 0);
    pulse(); /* the others may have taken every tile */
}

static int cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > 0 ? n : 1;
}

/* Signals belong to the thread that runs main: workers block all. Fewer threads than asked is slower, not wrong. */
void parallel_start(int n_threads)
{
    assert(!inside_tile);
    parallel_stop();
    if (n_threads <= 0) n_threads = cores();
    pool.spins = n_threads <= cores() ? SPINS : 0;
    pool.workers = mem_alloc((size_t)n_threads, sizeof *pool.workers);
    if (!pool.workers) return;
    atomic_store(&pool.generation, 0);
    atomic_store(&pool.quit, 0);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (int i = 1; i < n_threads; i++) {
        if (pthread_create(&pool.workers[pool.n_workers], NULL, work, (void *)(size_t)i)) break;
        pool.n_workers++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

int parallel_threads(void)
{
    return pool.n_workers + 1;
}

int parallel_thread_index(void)
{
    return thread_index;
}

void parallel_stop(void)
{
    assert(!inside_tile);
    atomic_store(&pool.quit, 1);
    if (pool.n_workers) next_generation();
    for (int i = 0; i < pool.n_workers; i++) pthread_join(pool.workers[i], NULL);
    free(pool.workers);
    pool.workers = NULL;
    pool.n_workers = 0;
}
