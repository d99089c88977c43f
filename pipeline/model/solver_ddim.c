/* solver_ddim.c - DDIM (Song et al. 2021, eq. 12), with and without noise.
 *
 *     x' = sqrt(A') x0 + sqrt(1 - A' - s^2) e + s z,      s^2 = eta^2 (1 - A')/(1 - A) (1 - A/A')
 *
 * A' is the level one stride of T div steps below, wherever the next timestep lies. Below timestep 0 it is A_0, or 1 if the
 * file says set_alpha_to_one or nothing. */
#include "pipeline/model/solver.h"

#include <math.h>

static enum code begin(struct solver *s, struct err *e)
{
    return solver_place(s, s->steps, 1, e);
}

static double alpha_at(const struct schedule *c, int t)
{
    if (t >= 0) return (double)c->alpha_bar[t];
    return c->config.set_alpha_to_one ? 1 : (double)c->alpha_bar[0];
}

static void step(struct solver *s, int i, const float *prediction, const float *noise, float *x)
{
    const struct schedule *c = s->schedule;
    int t = (int)s->time[i];
    double A = alpha_at(c, t), B = alpha_at(c, t - c->config.train_steps / s->steps);
    double variance = (1 - B) / (1 - A) * (1 - A / B);
    double sigma = s->eta > 0 && variance > 0 ? s->eta * sqrt(variance) : 0;
    double a = sqrt(A), b = sqrt(1 - A), a_next = sqrt(B),
           b_next = sqrt(fmax(0, 1 - B - sigma * sigma));
    for (size_t j = 0; j < s->n; j++) {
        double x0, eps;
        solver_parts(c->config.prediction, a, b, (double)x[j], (double)prediction[j], &x0, &eps);
        x[j] = (float)(a_next * x0 + b_next * eps + (sigma > 0 ? sigma * (double)noise[j] : 0));
    }
}

const struct solver_kind solver_ddim = {
    .name = "ddim",
    .label = "DDIM",
    .like = SCHEDULER_DDIM,
    .spacing = SPACING_LEADING,
    .takes_eta = 1,
    .begin = begin,
    .step = step,
};
