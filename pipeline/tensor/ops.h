/* ops.h - one function per forward operator: adds a node to a graph and returns its value.
 *
 * Shapes are checked here, once; kernels only assert. A mistake (or a VALUE_NONE where a value is required) makes
 * the graph's sticky error and returns VALUE_NONE. Cost is given per output where it is not one pass over memory.
 */
#ifndef TENSOR_OPS_H
#define TENSOR_OPS_H

#include "pipeline/tensor/tensor.h"

/* y[.., o] = sum_i x[.., i] w[o, i] + bias[o]. bias may be VALUE_NONE. Backward: dx; dw only if w is trained. */
struct value op_linear(struct graph *g, struct value x, struct value w, struct value bias);

/* y[n, t, o] = sum_i x[n, t, i] w[idx[n], o, i]: the K/V projection with a per-sample weight index, so that samples of
 * different lineages share one batch. x [N,T,I], w [V,O,I], idx int32 [N] with 0 <= idx < V. */
struct value op_linear_indexed(struct graph *g, struct value x, struct value w, struct value idx);

/* Cross-correlation, x [N,H,W,I], w [kh,kw,I,O], bias [O] or VALUE_NONE; zero padding top, left, bottom, right.
 * Out H = (H + top + bottom - kh) / stride + 1, rounded down. No weight gradient exists (the base is frozen). */
struct value op_conv(struct graph *g, struct value x, struct value w, struct value bias, struct conv_attr a);

/* Group norm over space and C/groups channels, biased variance, then gamma and beta, then silu if asked. */
struct value op_group_norm(struct graph *g, struct value x, struct value gamma, struct value beta,
                           int groups, float eps, int silu);
struct value op_layer_norm(struct graph *g, struct value x, struct value gamma, struct value beta, float eps);

struct value op_unary(struct graph *g, struct value x, enum unary_kind kind);
struct value op_scale(struct graph *g, struct value x, float scale);

/* a + b; the two have equal rank, each dimension of b equals a's or is 1. */
struct value op_add(struct graph *g, struct value a, struct value b);

/* [.., 2C] -> [.., C]: first half times gelu (erf) of the second half. */
struct value op_geglu(struct graph *g, struct value x);

/* softmax(scale q k^T) v per head; head h owns channels h*C/heads ... causal: position t sees s <= t. */
struct value op_attention(struct graph *g, struct value q, struct value k, struct value v,
                          int heads, int causal, float scale);

struct value op_concat(struct graph *g, struct value a, struct value b, int axis);
struct value op_slice(struct graph *g, struct value x, int axis, int64_t begin, int64_t size);

/* Nearest: source index = floor(dst * in / out). x [N,H,W,C]. */
struct value op_upsample(struct graph *g, struct value x, int64_t h, int64_t w);

struct value op_repeat(struct graph *g, struct value x, int64_t n);        /* [1,..] -> [n,..] */
struct value op_reshape(struct graph *g, struct value x, struct shape shape);

/* Rows of table [V,D], or of extra [R,D] for ids V..V+R-1 (the added tokens; extra may be trained or VALUE_NONE).
 * ids int32 [N,T]; an id out of range is the caller's bug (asserted). -> [N,T,D] */
struct value op_embed(struct graph *g, struct value ids, struct value table, struct value extra);

struct value op_pick(struct graph *g, struct value x, struct value at);    /* x [N,T,D], at int32 [N] -> [N,D] */

/* Identity whose gradient is zero at token 0: x [N,T,C]. Custom Diffusion's detached start token. */
struct value op_detach_first(struct graph *g, struct value x);

/* weight[n] * mean over the rest of (p - t)^2 -> [N]. */
struct value op_mse(struct graph *g, struct value p, struct value t, struct value weight);

#endif
