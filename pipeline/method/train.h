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

/* Trains the neurons of m->concept and the token's row. Resumes from and saves to t->checkpoint_path. */
enum code train_run(const struct task *t, const struct masks *m, struct train_state *out, struct err *e);

#endif
