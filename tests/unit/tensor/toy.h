/* toy.h - a backend for tests of the engine itself: one kernel serves every operator. Each result element is the sum of
 * one element of every input plus the element's index, so a value depends on everything it should and on nothing else.
 */
#ifndef TESTS_TENSOR_TOY_H
#define TESTS_TENSOR_TOY_H

#include "pipeline/tensor/graph.h"
#include "pipeline/tensor/kernels.h"

/* What one element of an input counts; int32 inputs count nothing, to keep values finite. */
static inline float toy_element(const struct run *run, int input, int64_t i)
{
    int64_t n = shape_count(run->in_shape[input]);
    if (!run->in[input] || !n || (run->node->op == OP_linear_indexed && input == 2)) return 0;
    return ((const float *)run->in[input])[i % n];
}

static inline enum code toy_kernel(const struct run *run, struct err *e)
{
    (void)e;
    for (size_t i = 0; i < run->workspace_bytes; i++) ((unsigned char *)run->workspace)[i] = 1;
    for (int j = 0; j < NODE_OUTPUTS; j++) {
        float *out = run->out[j];
        int64_t n = out ? shape_count(run->out_shape[j]) : 0;
        for (int64_t i = 0; i < n; i++) {
            out[i] = (float)(i % 7) / 8;
            for (int k = 0; k < NODE_INPUTS; k++) out[i] += toy_element(run, k, i) / 4;
        }
    }
    return OK;
}

/* Some operators want scratch of an odd size, others none. */
static inline size_t toy_workspace(const struct graph *g, const struct node *n)
{
    (void)g;
    return n->op == OP_add ? 100 : n->op == OP_concat ? 1027 : 0;
}

static const struct kernels toy = {
    .backend = "toy",
#define OP(name, inputs, outputs, attr) .fn[OP_##name] = toy_kernel,
#include "pipeline/tensor/ops.def"
#undef OP
    .workspace = toy_workspace,
};

#endif
