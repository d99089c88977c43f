/* ranks.h - a worker group without MPI: processes that gather through shared memory. Not for speed.
 *
 *     ranks_run(3, work, self);        // 0 if work(self, &collectives) returned 0 in each of three processes
 *
 * The engine's thread pool is one per process, so ranks are processes; call before the pool was started here.
 */
#ifndef TESTS_EVALUATE_RANKS_H
#define TESTS_EVALUATE_RANKS_H

#include "base/collectives.h"

int ranks_run(int size, int (*work)(void *self, struct collectives *c), void *self);

#endif
