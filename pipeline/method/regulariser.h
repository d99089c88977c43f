/* regulariser.h - L_reg, equation (7): neurons shared with earlier concepts are pulled towards their values.
 *
 *     a = (W - W_{m-1}) o M_reg      b = (W - W_0) o M_reg
 *     l2         lambda1 ||a|| + lambda2 ||b||        one norm per matrix, summed; gradient lambda1 a/||a|| + ..., 0/0 = 0
 *     l2_global  the same with one norm over all matrices
 *     l2sq       lambda1 ||a||^2 + lambda2 ||b||^2    gradient 2 lambda1 a + 2 lambda2 b
 *     mse        l2sq / |M_reg|
 *
 * Works on the compact list of a concept's neurons, not on whole matrices. Outside M_reg it adds exactly nothing.
 */
#ifndef METHOD_REGULARISER_H
#define METHOD_REGULARISER_H

#include <stddef.h>
#include <stdint.h>

enum reg_form { REG_L2, REG_L2_GLOBAL, REG_L2SQ, REG_MSE };       /* order of settings.def */

struct regulariser {
    enum reg_form form;
    double lambda1, lambda2;
    size_t n;                          /* neurons in the list */
    const uint8_t *shared;             /* [n] 1: in M_reg */
    const float *parent, *base;        /* [n] values in W_{m-1} and W_0 */
    const size_t *begin;               /* [n_matrices + 1] where each matrix begins in the list */
    int n_matrices;
};

/* Adds the gradient at w to grad and returns the value. Double inside, fixed order. O(n). */
double regulariser_add(const struct regulariser *r, const float *w, float *grad);

/* The probe of strength: median over matrices of ||g o M_reg|| / lambda1 for the gradient g of the data alone. Around 1 the
 * pull and the data balance. Matrices without shared neurons do not count; -1 if none has any or lambda1 is 0. */
double regulariser_balance(const struct regulariser *r, const float *grad);

#endif
