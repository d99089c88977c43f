/* schedule.h - noise levels of DDPM training and the timesteps and coefficients of DDIM sampling.
 *
 * beta_t = (sqrt(b0) + t/(T-1) (sqrt(b1) - sqrt(b0)))^2 (scaled_linear), A_t = prod (1 - beta_s), s <= t.
 * Computed as diffusers does: betas in float32, the product in double, rounded to float per entry.
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

/* DDIM: "leading" spacing, t_i = (steps-1-i) * (T / steps) + offset. ERR_INPUT unless 1 <= steps and t_0 < T. */
enum code schedule_timesteps(const struct schedule *s, int steps, int *t, struct err *e);
/* One DDIM step from timestep t with `steps` in all: x := next x; eta 0 needs no noise (may be NULL). In place. */
void schedule_ddim_step(const struct schedule *s, int steps, int t, float eta, const float *prediction,
                        const float *noise, float *x, size_t n);

#endif
