/* train.h - the training loop of methods that move a list of neurons and one token row: equation (8), masked Adam.
 *
 *     L = mean over instances |prediction - target|^2 + prior.weight * the same over class images + L_reg
 *
 * Step s has samples 0..S-1: first the instances, then as many class images. What sample j is (picture, mirror, timestep, noise)
 * depends on (seed, s, j) only. Rank r computes samples r, r + size, ...; gradients of single samples are gathered and added in
 * sample order on every rank, so all ranks take the same step and the result does not depend on their number.
 */
#ifndef METHOD_TRAIN_H
#define METHOD_TRAIN_H

#include "pipeline/method/method.h"
#include "pipeline/method/train_state.h"
#include "pipeline/tensor/cost.h"

/* Trains the neurons of m->concept and the token's row. Resumes from and saves to t->checkpoint_path. */
enum code train_run(const struct task *t, const struct masks *m, struct train_state *out, struct err *e);

/* What training takes of one rank, for plans. Of the task it reads the model (which may be a sketch), kernels, settings, memory, the
 * lineage's n, numbers and sides of pictures and the number of ranks. neurons: how many m->concept has. pace: NULL, or seconds are
 * estimated, too. */
struct train_cost {
    struct cost encode, step;          /* arena of the VAE, seconds of one picture; of the loss, seconds of one sample */
    int pictures, samples;             /* that one rank encodes; that it computes each step */
    int busy;                          /* ranks that compute any */
    size_t latents, gathering;         /* bytes of the pictures' moments; of those of the larger set while ranks exchange them */
    size_t own;                        /* bytes of the loop beside arenas and latents: lists, gradients, Adam's state */
    int recompute;                     /* what train.recompute comes to */
};
enum code train_cost(const struct task *t, size_t neurons, struct pace *pace, struct train_cost *out, struct err *e);

#endif
