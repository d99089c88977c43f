/* kernels.h - what a backend is: one table of functions, one per operator.
 *
 * To add an operator: a line in ops.def, its builder and shape rule in ops.h / shape.c, its gradient in grad.c, a kernel
 * in each backend's table, and a case in tests/parity (an operator without a case fails the suite).
 *
 * A kernel reads run->in[i], writes every byte of run->out[i], may use run->workspace, allocates nothing and keeps
 * nothing. Shapes were checked when the graph was built: kernels assert. An absent optional input or an output nobody
 * wants is a NULL pointer. An empty slot is a fact: exec_make names the op and the backend before the first run.
 * Only reshape is never called.
 */
#ifndef TENSOR_KERNELS_H
#define TENSOR_KERNELS_H

#include "pipeline/tensor/tensor.h"

struct run {
    const struct node *node;
    const void *in[NODE_INPUTS];
    struct shape in_shape[NODE_INPUTS];
    void *out[NODE_OUTPUTS];
    struct shape out_shape[NODE_OUTPUTS];
    void *workspace;                    /* 64-aligned; NULL if kernels->workspace said 0 */
    size_t workspace_bytes;
};

typedef enum code kernel_fn(const struct run *run, struct err *e);

struct kernels {
    const char *backend;                /* "cpu", "check", "cuda" */
    kernel_fn *fn[OP_COUNT];
    /* Scratch bytes for one node; NULL slot: none anywhere. May depend on parallel_threads() (scratch per thread). */
    size_t (*workspace)(const struct graph *g, const struct node *node);
    /* Memory of the kind that this backend reads and writes. NULL: plain host memory. */
    void *(*memory_alloc)(size_t bytes);
    void (*memory_free)(void *p);
    size_t red_zone;                    /* bytes the planner leaves free around every buffer, a multiple of 64;
                                         * not 0 (check only): exec.c poisons and watches the arena */
};

#endif
