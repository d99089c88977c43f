/* schedule.h - noise levels of DDPM training, and how samplers choose timesteps among them (solver.h has the samplers).
 *
 * beta_t = (sqrt(b0) + t/(T-1) (sqrt(b1) - sqrt(b0)))^2 (scaled_linear), A_t = prod (1 - beta_s), s <= t.
 * Computed as diffusers does: betas in float32, the product in double, rounded to float per entry. The same level is spoken
 * of as sigma_t = sqrt((1 - A_t) / A_t), the noise's size when the picture's is 1.
 */
#ifndef MODEL_SCHEDULE_H
#define MODEL_SCHEDULE_H

#include "base/err.h"
#include "pipeline/model/config.h"

#include <stddef.h>

struct schedule {
    struct schedule_config config;
    float *alpha_bar;                  /* owned, [train_steps] */
};
enum code schedule_make(struct schedule *s, const struct schedule_config *c, struct err *e);
void schedule_free(struct schedule *s);

/* x_t = sqrt(A_t) x0 + sqrt(1 - A_t) noise; n values. */
void schedule_add_noise(const struct schedule *s, int t, const float *x0, const float *noise, float *x_t, size_t n);
/* What the network should have said: the noise, or v = sqrt(A_t) noise - sqrt(1 - A_t) x0. */
void schedule_target(const struct schedule *s, int t, const float *x0, const float *noise, float *target, size_t n);

/* n timesteps, falling, as numpy lays them in diffusers 0.39:
 *   leading    i * (T div n) + offset            the first may pass T-1: the caller looks
 *   linspace   n points from 0 to T-1, both ends; not rounded
 *   trailing   round(T - i T/n) - 1, halves to even
 * how is not SPACING_UNSAID, 1 <= n <= T. */
void schedule_space(const struct schedule *s, enum spacing how, int n, int offset, double *t);

/* sigma at a whole or fractional timestep: linear between entries, held at the ends. */
double schedule_sigma(const struct schedule *s, double t);
/* The timestep of a sigma, fractional: linear in log sigma. Not the exact inverse of schedule_sigma, as in diffusers. */
double schedule_time_of(const struct schedule *s, double sigma);
/* n sigmas from the largest to the smallest of the table, evenly in sigma^(1/7) (Karras et al. 2022, eq. 5). n >= 1. */
void schedule_karras(const struct schedule *s, int n, double *sigma);

#endif
