/* schedule.c - the noise table of training and the DDIM sampler.
 *
 * The table is made with the roundings of diffusers on a CPU: torch.linspace in float32 (which counts its second half back
 * from the end), squares and 1 - beta in float32, the running product in double and each entry rounded to float. The
 * coefficients of a step are taken from that float table and computed in double; samples are float.
 */
#include "pipeline/model/schedule.h"
#include "base/arena.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* Entry i of torch.linspace(begin, end, n, float32): step and products rounded to float each, no fused multiply-add. */
static float linspace(double begin, double end, int n, int i)
{
    float first = (float)begin, last = (float)end;
    float step = (last - first) / (float)(n - 1);
    volatile float forward = step * (float)i, back = step * (float)(n - 1 - i);
    return i < n / 2 ? first + forward : last - back;
}

enum code schedule_make(struct schedule *s, const struct schedule_config *c, struct err *e)
{
    double product = 1;
    int T = c->train_steps;
    *s = (struct schedule){.config = *c};
    s->alpha_bar = mem_alloc((size_t)T, sizeof *s->alpha_bar);
    if (!s->alpha_bar)
        return err_set(e, ERR_NOMEM, "no memory for a noise schedule of %d steps", T);
    for (int t = 0; t < T; t++) {
        float beta;
        if (c->scaled_linear) {
            float root = linspace(sqrt(c->beta_start), sqrt(c->beta_end), T, t);
            beta = root * root;
        } else {
            beta = linspace(c->beta_start, c->beta_end, T, t);
        }
        product *= (double)(1.0f - beta);
        s->alpha_bar[t] = (float)product;
    }
    return OK;
}

void schedule_free(struct schedule *s)
{
    free(s->alpha_bar);
    *s = (struct schedule){0};
}

/* sqrt(A_t) and sqrt(1 - A_t), rounded as torch rounds them: from the float entry, in float. */
static void levels(const struct schedule *s, int t, float *signal, float *noise)
{
    assert(t >= 0 && t < s->config.train_steps);
    *signal = sqrtf(s->alpha_bar[t]);
    *noise = sqrtf(1.0f - s->alpha_bar[t]);
}

void schedule_add_noise(const struct schedule *s, int t, const float *x0, const float *noise,
                        float *x_t, size_t n)
{
    float a, b;
    levels(s, t, &a, &b);
    for (size_t i = 0; i < n; i++) x_t[i] = a * x0[i] + b * noise[i];
}

void schedule_target(const struct schedule *s, int t, const float *x0, const float *noise,
                     float *target, size_t n)
{
    float a, b;
    levels(s, t, &a, &b);
    int is_v = s->config.prediction == PREDICT_V;
    for (size_t i = 0; i < n; i++) target[i] = is_v ? a * noise[i] - b * x0[i] : noise[i];
}

enum code schedule_timesteps(const struct schedule *s, int steps, int *t, struct err *e)
{
    int T = s->config.train_steps;
    if (steps < 1 || steps > T)
        return err_set(e, ERR_INPUT, "sampling in %d steps: choose 1 to %d", steps, T);
    int stride = T / steps;
    if ((steps - 1) * stride + s->config.steps_offset >= T)
        return err_set(
            e, ERR_INPUT,
            "sampling in %d steps would begin at timestep %d, past the last one, %d; choose fewer",
            steps, (steps - 1) * stride + s->config.steps_offset, T - 1);
    for (int i = 0; i < steps; i++) t[i] = (steps - 1 - i) * stride + s->config.steps_offset;
    return OK;
}

/* x0 = (x - sqrt(1-A) eps) / sqrt(A); x' = sqrt(A') x0 + sqrt(1 - A' - sigma^2) eps + sigma z, with
 * sigma^2 = eta^2 (1-A')/(1-A) (1 - A/A'). Below timestep 0, A' is A_0, or 1 if the file says set_alpha_to_one. */
void schedule_ddim_step(const struct schedule *s, int steps, int t, float eta,
                        const float *prediction, const float *noise, float *x, size_t n)
{
    assert(t >= 0 && t < s->config.train_steps && steps > 0 && (eta <= 0 || noise));
    int before = t - s->config.train_steps / steps;
    double A = (double)s->alpha_bar[t];
    double B = before >= 0                  ? (double)s->alpha_bar[before]
               : s->config.set_alpha_to_one ? 1
                                            : (double)s->alpha_bar[0];
    double variance = (1 - B) / (1 - A) * (1 - A / B);
    double sigma = eta > 0 && variance > 0 ? (double)eta * sqrt(variance) : 0;
    double a = sqrt(A), b = sqrt(1 - A), a_next = sqrt(B),
           b_next = sqrt(fmax(0, 1 - B - sigma * sigma));
    for (size_t i = 0; i < n; i++) {
        double p = (double)prediction[i], v = (double)x[i], x0, eps;
        if (s->config.prediction == PREDICT_V) {
            x0 = a * v - b * p;
            eps = a * p + b * v;
        } else {
            x0 = (v - b * p) / a;
            eps = p;
        }
        x[i] = (float)(a_next * x0 + b_next * eps + (sigma > 0 ? sigma * (double)noise[i] : 0));
    }
}
