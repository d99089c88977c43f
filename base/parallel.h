/* parallel.h - the one thread pool of a process.
 *
 *     parallel_start(n_threads);                         // once, in main; default: cores / ranks on this host
 *     parallel_for(n_tiles, tile_fn, &args);             // tile_fn(args, i) for i in 0..n-1, returns when all are done
 *
 * Work is cut by shape only, never by the number of threads, so results do not depend on it. Tiles are taken
 * from a shared counter. Not reentrant: a tile must not call parallel_for.
 */
#ifndef BASE_PARALLEL_H
#define BASE_PARALLEL_H

typedef void parallel_fn(void *args, long i);

void parallel_start(int n_threads);      /* 0: one per core; calling again changes the number; not from a tile */
int parallel_threads(void);
void parallel_for(long n, parallel_fn *fn, void *args);
int parallel_thread_index(void);         /* 0..threads-1 inside a tile, for per-thread scratch; 0 outside */
void parallel_stop(void);

#endif
