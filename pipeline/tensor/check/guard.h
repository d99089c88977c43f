/* guard.h - watches the arena of an exec whose backend wants red zones (the check table).
 *
 * Every byte of the arena that no live buffer owns holds POISON, a NaN with a mark in it. So a kernel that writes
 * outside its buffers breaks the poison and is named; one that reads what it does not own, or leaves a result
 * unwritten, spreads the marked NaN into its result (x86 and ARM keep a NaN's mark through arithmetic) and is named
 * by the check table (check/kernels.c).
 */
#ifndef TENSOR_GUARD_H
#define TENSOR_GUARD_H

#include "pipeline/tensor/kernels.h"

#define CHECK_RED_ZONE 64          /* a multiple of PLAN_ALIGN; one vector store past the end lands in it */

struct plan;

/* Before a run: poison everywhere. */
void guard_begin(const struct plan *p, uint8_t *arena);
/* After a node: red zones of all live buffers intact, or ERR_INTERNAL naming the node; then the dead are poisoned. */
enum code guard_node(const struct plan *p, const struct graph *g, uint8_t *arena, int node, struct err *e);
/* After a run: all but the kept results is still poison. */
enum code guard_end(const struct plan *p, const uint8_t *arena, struct err *e);

/* Calls one kernel of any backend in host memory and looks at what it did to its inputs and results. */
enum code check_call(kernel_fn *fn, const struct run *run, struct err *e);

void poison_fill(void *data, size_t bytes);                      /* data is 4-aligned */
int poison_intact(const void *data, size_t bytes);
int64_t poison_find(const float *data, int64_t n);               /* the first marked NaN, or -1 */

#endif
