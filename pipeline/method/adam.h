/* adam.h - Adam (Kingma and Ba, 2015) on a flat list of float32 masters, and the global gradient norm.
 *
 *     scale = adam_clip(limit, adam_norm2(g1, n1) + adam_norm2(g2, n2));      // over all trained tensors together
 *     adam_step(&a, step, scale, grad, w);                                     // step counts from 1
 *
 *     m = b1 m + (1-b1) g    v = b2 v + (1-b2) g^2    w -= lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)
 *
 * No weight decay: it would move neurons that no gradient touches. Elementwise, so order never matters. Double inside,
 * moments and weights float32.
 */
#ifndef METHOD_ADAM_H
#define METHOD_ADAM_H

#include <stddef.h>
#include <stdint.h>

struct adam {
    double lr, beta1, beta2, eps;
    size_t n;
    float *m, *v;                      /* borrowed, [n], zero before the first step */
};
double adam_norm2(const float *grad, size_t n);              /* sum of squares, in order, in double */
double adam_clip(double limit, double norm2);                /* min(1, limit / (norm + 1e-6)); 1 if limit is 0 */
void adam_step(const struct adam *a, int64_t step, double scale, const float *grad, float *w);

#endif
