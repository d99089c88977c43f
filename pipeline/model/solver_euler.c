/* solver_euler.c - Euler's method on the noise level sigma, plain and ancestral (Karras et al. 2022; k-diffusion).
 *
 * x = picture + sigma noise; d = (x - x0) / sigma is the direction.
 *
 *     plain         x' = x + d (sigma' - sigma)
 *     ancestral     up^2 = sigma'^2 (sigma^2 - sigma'^2) / sigma^2, down = sigma'^2 / sigma
 *                   x' = x + d (down - sigma) + up z
 *
 * Timesteps are fractional where the spacing is linspace; the UNet is told them as they are. */
#include "pipeline/model/solver.h"

#include <math.h>

/* The first noise is as large as the first level, as if there were no picture; with leading spacing the class counts the
 * picture in. */
static void scale_start(struct solver *s)
{
    float first = s->sigma[0];
    s->start =
        solver_spacing(s) == SPACING_LEADING ? (double)sqrtf(first * first + 1.0f) : (double)first;
}

static enum code begin(struct solver *s, struct err *e)
{
    enum code rc = solver_place(s, s->steps, 0, e);
    if (!rc) rc = solver_levels(s, e);
    if (!rc) scale_start(s);
    return rc;
}

/* The ancestral class has no final_sigmas_type: it always ends at 0. */
static enum code begin_ancestral(struct solver *s, struct err *e)
{
    enum code rc = begin(s, e);
    if (!rc) s->sigma[s->steps] = 0;
    return rc;
}

static void walk(struct solver *s, double sigma, double to, double up, const float *prediction,
                 const float *noise, float *x)
{
    double root = sqrt(sigma * sigma + 1);
    int is_v = s->schedule->config.prediction == PREDICT_V;
    for (size_t j = 0; j < s->n; j++) {
        double from = (double)x[j], said = (double)prediction[j],
               x0 = from / (root * root) - sigma / root * said,
               direction = is_v ? (from - x0) / sigma : said;
        x[j] = (float)(from + direction * (to - sigma) + (up > 0 ? up * (double)noise[j] : 0));
    }
}

static void step(struct solver *s, int i, const float *prediction, const float *noise, float *x)
{
    walk(s, (double)s->sigma[i], (double)s->sigma[i + 1], 0, prediction, noise, x);
}

static void step_ancestral(struct solver *s, int i, const float *prediction, const float *noise,
                           float *x)
{
    double sigma = (double)s->sigma[i], next = (double)s->sigma[i + 1],
           up = next * sqrt(sigma * sigma - next * next) / sigma, down = next * next / sigma;
    walk(s, sigma, down, up, prediction, noise, x);
}

const struct solver_kind solver_euler = {
    .name = "euler",
    .label = "Euler",
    .like = SCHEDULER_EULER,
    .spacing = SPACING_LINSPACE,
    .in_sigma = 1,
    .begin = begin,
    .step = step,
};
const struct solver_kind solver_euler_a = {
    .name = "euler-a",
    .label = "Euler a",
    .like = SCHEDULER_EULER_A,
    .spacing = SPACING_LINSPACE,
    .draws = 1,
    .in_sigma = 1,
    .begin = begin_ancestral,
    .step = step_ancestral,
};
