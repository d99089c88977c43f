/* adam.c - Adam on a flat list. */
#include "pipeline/method/adam.h"

#include <math.h>

double adam_norm2(const float *grad, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += (double)grad[i] * grad[i];
    return sum;
}

double adam_clip(double limit, double norm2)
{
    double scale = limit / (sqrt(norm2) + 1e-6);
    return limit > 0.0 && scale < 1.0 ? scale : 1.0;
}

void adam_step(const struct adam *a, int64_t step, double scale, const float *grad, float *w)
{
    double c1 = 1.0 - pow(a->beta1, (double)step), c2 = 1.0 - pow(a->beta2, (double)step);
    for (size_t i = 0; i < a->n; i++) {
        double g = scale * grad[i];
        double m = a->beta1 * a->m[i] + (1.0 - a->beta1) * g;
        double v = a->beta2 * a->v[i] + (1.0 - a->beta2) * g * g;
        a->m[i] = (float)m;
        a->v[i] = (float)v;
        w[i] = (float)(w[i] - a->lr * (m / c1) / (sqrt(v / c2) + a->eps));
    }
}
