/* cost.h - what running a graph would take: memory to the byte from its plan, time from the pace of this machine.
 *
 *     struct pace pace = {0};
 *     struct cost c = {0};
 *     cost_take(&c, g, kernels_cpu(), &pace, &e);             // c.arena, c.seconds; g is freed
 *
 * Nothing of the graph runs, and its params need no bytes (model/weights.h, sketches). The pace is learned from a few nodes
 * of it, one per operator, each run alone on random bytes, and counts what this process computes, whatever else the machine does. So
 * the time is an estimate for a machine that does nothing else; docs/plan.md says how far off it was.
 */
#ifndef TENSOR_COST_H
#define TENSOR_COST_H

#include "pipeline/tensor/tensor.h"

struct pace {
    double seconds[OP_COUNT];          /* per unit of work: a multiply-add's half, or a byte where there are none; 0: not known */
    double spent;                      /* seconds that learning it took */
};
struct cost {
    size_t arena;                      /* bytes, as plan_peak */
    double seconds;                    /* of one run with the threads of now; 0 where no pace was asked for */
};

/* Takes g whatever happens, and adds its arena and the seconds of one run to *c. pace: NULL, or what was learned so far; operators
 * that are new to it are measured here (some 20 ms each, large ones up to 200, with the threads of now). */
enum code cost_take(struct cost *c, struct graph *g, const struct kernels *k, struct pace *pace, struct err *e);

#endif
