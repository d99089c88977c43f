/* collectives.h - what the ranks of one worker group do together. The pipeline is handed this table and
 * never learns whether one process, MPI or NCCL stands behind it.
 *
 *     struct collectives c = collectives_single();
 *     c.band(&c, words, n, &e);
 *
 * All ranks call the same function with the same sizes in the same order. Calls block. Makers:
 * collectives_single (here), comm_mpi (workers/comm_mpi.h), comm_nccl (device memory, later).
 * There is deliberately no floating-point sum: sums over samples are gathered and added in sample order,
 * whoever computed them, so that results do not depend on the number of ranks (invariant 4).
 */
#ifndef BASE_COLLECTIVES_H
#define BASE_COLLECTIVES_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct collectives {
    const char *name;                 /* "single", "mpi" */
    int rank, size;
    void *self;                       /* owned by the maker */
    /* words[i] := AND over ranks. In place, exact. */
    enum code (*band)(struct collectives *c, uint64_t *words, size_t n, struct err *e);
    /* out[r*bytes ..] := in of rank r, on every rank. */
    enum code (*gather)(struct collectives *c, const void *in, size_t bytes, void *out, struct err *e);
    /* data := data of rank root. */
    enum code (*broadcast)(struct collectives *c, void *data, size_t bytes, int root, struct err *e);
    enum code (*barrier)(struct collectives *c, struct err *e);
};

struct collectives collectives_single(void);

/* Do all ranks agree that nothing failed? Every rank passes its own code and error; all return the first failing
 * rank's code and line (broadcast), or OK. Call it after work that may fail on one rank only, so that no
 * rank waits for one that gave up. */
enum code collectives_agree(struct collectives *c, enum code mine, struct err *e);

#endif
