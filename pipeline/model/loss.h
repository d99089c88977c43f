/* loss.h - the personalization loss of one sample, with its gradients, as one graph.
 *
 *     struct loss_graph *l;
 *     loss_make(&l, m, kernels_cpu(), &(struct loss_shape){.h = 64, .w = 64, .length = 77, .n_extra = 1,
 *                                                          .detach_first = 1}, kv, extra, &e);
 *     for each sample b, in order:
 *         loss_run(l, &(struct loss_sample){.noisy = x_t, .target = eps, .t = t, .ids = ids, .weight = 1.0f / B}, &o, &e);
 *         ... add o.loss, o.d_kv[i], o.d_extra ...
 *     loss_free(l);
 *
 *     ids -> text encoder (with the added tokens' rows) -> K, V = hidden W^T (start token detached or not) -> UNet
 *     loss = weight * mean((UNet(noisy, t, K, V) - target)^2)
 *
 * Batch 1 always: the gradient of one sample is the unit that ranks share out and that is summed in sample order
 * (invariant 4). kv and extra are borrowed and read anew by every run, so the optimiser writes into them between runs.
 * Everything else is frozen; backward stops by itself below the first cross-attention and at the text encoder's input.
 */
#ifndef MODEL_LOSS_H
#define MODEL_LOSS_H

#include "pipeline/model/base_model.h"
#include "pipeline/tensor/cost.h"
#include "pipeline/tensor/tensor.h"

#include <stdint.h>

struct loss_shape {
    int h, w;                          /* of the latent */
    int length;                        /* ids per prompt */
    int n_extra;                       /* rows of `extra`; ids vocab .. vocab + n_extra - 1. 0: none */
    int detach_first;                  /* 1: no gradient through token 0 of K and V */
    int recompute;                     /* 1: forward values are made again in backward: same bytes, less memory, more time */
    int skip_kv, skip_extra;           /* 1: this gradient is not wanted (all rows frozen, say) and not computed */
};

struct loss_sample {
    const float *noisy, *target;       /* [h,w,in_channels], [h,w,out_channels]: schedule_add_noise, schedule_target */
    int t;                             /* timestep */
    const int32_t *ids;                /* [length] */
    float weight;
};

struct loss_outputs {                  /* pointers are lent until the next run */
    float loss;                        /* weight * error */
    float error;                       /* mean squared error */
    const float *const *d_kv;          /* [kv.n], each [rows, cols] as in struct kv_matrix; NULL if skip_kv */
    const float *d_extra;              /* [n_extra, D]; NULL if there is none or skip_extra */
};

struct loss_graph;
/* kv: flat K/V vector [kv.n_weights]. extra: [n_extra, D] or NULL. Plans and allocates all memory here. */
enum code loss_make(struct loss_graph **l, const struct base_model *m, const struct kernels *k,
                    const struct loss_shape *s, const float *kv, const float *extra, struct err *e);
void loss_free(struct loss_graph *l);
enum code loss_run(struct loss_graph *l, const struct loss_sample *s, struct loss_outputs *out, struct err *e);
/* What loss_make and one run would take; the model may be a sketch. Adds to *c. */
enum code loss_cost(const struct base_model *m, const struct kernels *k, const struct loss_shape *s, struct pace *pace,
                    struct cost *c, struct err *e);
size_t loss_peak(const struct loss_graph *l);              /* bytes of the arena: known before the first run */
double loss_flops(const struct loss_graph *l);             /* of one run, forward and backward */

#endif
