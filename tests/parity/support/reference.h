/* reference.h - every operator once more, in float64 and in the plainest words: what the kernels are held to.
 *
 *     struct run64 r = {.op = OP_linear, .in = {x, w, NULL}, .in_shape = ..., .out = {y}, .out_shape = ...};
 *     reference(&r);
 *
 * Written from the formulas of ops.h, not from any kernel. reference_primal says of which forward operator a backward
 * one is the gradient, so that finite differences can hold the references to one another.
 */
#ifndef PARITY_REFERENCE_H
#define PARITY_REFERENCE_H

#include "pipeline/tensor/tensor.h"

struct run64 {
    enum op op;
    union attr attr;
    const double *in[NODE_INPUTS];       /* NULL: absent, or int32 */
    const int32_t *index[NODE_INPUTS];   /* the int32 inputs */
    struct shape in_shape[NODE_INPUTS];
    double *out[NODE_OUTPUTS];           /* NULL: not wanted */
    struct shape out_shape[NODE_OUTPUTS];
};

void reference(const struct run64 *r);

/* A backward operator's forward one. from[i]: forward input i is the backward's input from[i], or free: anything of
 * shape free[i] (the operator is linear in it, or does not see it), or absent. wrt[j]: output j of the backward is the
 * gradient to forward input wrt[j]. Returns 0 where none exists (forward operators; detach, which is not a gradient). */
enum { PRIMAL_FREE = -1, PRIMAL_ABSENT = -2 };
struct primal {
    enum op op;
    union attr attr;
    int from[NODE_INPUTS];
    struct shape free[NODE_INPUTS];
    int wrt[NODE_OUTPUTS];
};
int reference_primal(const struct run64 *back, struct primal *p);

#endif
