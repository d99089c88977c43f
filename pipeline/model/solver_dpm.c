/* solver_dpm.c - DPM-Solver++ of second order, multistep, midpoint (Lu et al. 2022, algorithm 2), and the same on Karras's
 * levels.
 *
 * For a level sigma: alpha = 1/sqrt(sigma^2 + 1), s = sigma alpha, lambda = ln(alpha / s) = -ln sigma. m is the picture that a
 * prediction implies; h = lambda' - lambda, so exp(-h) = sigma'/sigma, also where sigma' is 0 and h infinite.
 *
 *     first     x' = (s'/s) x - alpha' (exp(-h) - 1) m
 *     second    ... - alpha' (exp(-h) - 1)/2 D,    D = (m - m_before) h / h_before
 *
 * The first step is of first order, and the last if it ends at no noise (then x' = m) or if there are fewer than 15 steps. */
#include "pipeline/model/solver.h"

#include <math.h>

enum { FEW_STEPS = 15 };

static enum code begin(struct solver *s, struct err *e)
{
    enum code rc = solver_place(s, s->steps + 1, 1, e);
    return rc ? rc : solver_levels(s, e);
}

/* Levels come first; timesteps are the nearest whole ones, and the same one may come twice. */
static enum code begin_karras(struct solver *s, struct err *e)
{
    (void)e;
    schedule_karras(s->schedule, s->steps, s->time);
    for (int i = 0; i < s->steps; i++) {
        s->sigma[i] = (float)s->time[i];
        s->time[i] = rint(schedule_time_of(s->schedule, s->time[i]));
    }
    s->sigma[s->steps] =
        s->schedule->config.ends_at_sigma_min ? (float)schedule_sigma(s->schedule, 0) : 0.0f;
    return OK;
}

static int is_first_order(const struct solver *s, int i)
{
    int is_last = i == s->steps - 1;
    return i == 0 || (is_last && (!(s->sigma[i + 1] > 0) || s->steps < FEW_STEPS));
}

static double alpha_of(double sigma)
{
    return 1 / sqrt(sigma * sigma + 1);
}

static void step(struct solver *s, int i, const float *prediction, const float *noise, float *x)
{
    double sigma = (double)s->sigma[i], next = (double)s->sigma[i + 1], alpha = alpha_of(sigma),
           level = sigma * alpha, of_x = next * alpha_of(next) / level,
           of_m = alpha_of(next) * (1 - next / sigma), of_change = 0;
    float *before = s->kept[0];
    (void)noise;
    if (!is_first_order(s, i))
        of_change = of_m / 2 * log(sigma / next) / log((double)s->sigma[i - 1] / sigma);
    for (size_t j = 0; j < s->n; j++) {
        double m, eps, change = 0;
        solver_parts(s->schedule->config.prediction, alpha, level, (double)x[j],
                     (double)prediction[j], &m, &eps);
        if (i > 0) change = of_change * (m - (double)before[j]);
        x[j] = (float)(of_x * (double)x[j] + of_m * m + change);
        before[j] = (float)m;
    }
}

const struct solver_kind solver_dpm = {
    .name = "dpm++2m",
    .label = "DPM++ 2M",
    .like = SCHEDULER_DPM,
    .spacing = SPACING_LINSPACE,
    .history = 1,
    .begin = begin,
    .step = step,
};
const struct solver_kind solver_dpm_karras = {
    .name = "dpm++2m-karras",
    .label = "DPM++ 2M Karras",
    .like = SCHEDULER_DPM,
    .spacing = SPACING_LINSPACE,
    .history = 1,
    .begin = begin_karras,
    .step = step,
};
