/* plan.h - the inside of a plan, for exec.c and the check backend. Everyone else reads tensor.h.
 *
 *            offset                                    buffer_end
 *     | red zone | bytes of the tensor | to 64 | red zone |      red zones: check backend only
 *
 * A buffer is live from the node `first` that makes it to the node `last` that reads it last, both inclusive:
 * no two buffers that are live at one node overlap, so a node never writes what it reads.
 */
#ifndef TENSOR_PLAN_H
#define TENSOR_PLAN_H

#include "base/arena.h"
#include "pipeline/tensor/kernels.h"
#include "pipeline/tensor/tensor.h"

#define PLAN_ALIGN 64

struct buffer {
    size_t offset, bytes;
    int first, last;           /* nodes; last = plan->n_nodes for kept results */
    int32_t tensor;            /* root tensor, or -1: workspace of the node `first` */
};

struct plan {
    struct arena arena;
    const struct kernels *kernels;
    int n_nodes, n_tensors;    /* of the graph when it was planned */
    unsigned char *runs;       /* per node: somebody keeps what it leads to, and it is not a reshape */
    int n_buffers;
    struct buffer *buffers;    /* in order of first */
    int32_t *of_tensor;        /* per tensor: its root's buffer, or -1 */
    int32_t *of_node;          /* per node: its workspace's buffer, or -1 */
    size_t peak;
};

static inline size_t plan_round(size_t bytes)
{
    return (bytes + PLAN_ALIGN - 1) / PLAN_ALIGN * PLAN_ALIGN;
}

static inline size_t buffer_end(const struct plan *p, const struct buffer *b)
{
    return b->offset + plan_round(b->bytes) + p->kernels->red_zone;
}

size_t plan_workspace(const struct kernels *k, const struct graph *g, int node);

#endif
