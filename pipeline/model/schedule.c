/* schedule.c - the noise table of training, and timesteps chosen among its entries.
 *
 * The table is made with the roundings of diffusers on a CPU: torch.linspace in float32 (which counts its second half back
 * from the end), squares and 1 - beta in float32, the running product in double and each entry rounded to float. Sigmas are
 * float32 in diffusers, too, their logarithms float32, and everything interpolated between them double: which timestep a
 * Karras sigma rounds to depends on it.
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

/* numpy.linspace(0, T-1, n)[::-1][i]: products, but the end is the end. */
static double linspace_falling(int T, int n, int i)
{
    int rising = n - 1 - i;
    if (n == 1) return 0;
    return i == 0 ? T - 1 : (double)rising * ((double)(T - 1) / (double)(n - 1));
}

/* round(numpy.arange(T, 0, -T/n))[i] - 1: arange multiplies the difference of its first two values, not the step. */
static double trailing(int T, int n, int i)
{
    volatile double second = (double)T - (double)T / (double)n;
    double difference = second - (double)T;
    return rint((double)T + (double)i * difference) - 1;
}

void schedule_space(const struct schedule *s, enum spacing how, int n, int offset, double *t)
{
    int T = s->config.train_steps;
    assert(n >= 1 && n <= T && how != SPACING_UNSAID);
    for (int i = 0; i < n; i++)
        t[i] = how == SPACING_LEADING    ? (double)((n - 1 - i) * (T / n) + offset)
               : how == SPACING_LINSPACE ? linspace_falling(T, n, i)
                                         : trailing(T, n, i);
}

static float sigma_of(const struct schedule *s, int t)
{
    return sqrtf((1.0f - s->alpha_bar[t]) / s->alpha_bar[t]);
}

double schedule_sigma(const struct schedule *s, double t)
{
    int last = s->config.train_steps - 1, below = (int)floor(t);
    if (below >= last) return (double)sigma_of(s, last);
    if (t <= 0) return (double)sigma_of(s, 0);
    double low = (double)sigma_of(s, below), high = (double)sigma_of(s, below + 1);
    return (high - low) * (t - below) + low;
}

double schedule_time_of(const struct schedule *s, double sigma)
{
    int last = s->config.train_steps - 1, below = 0;
    double wanted = log(fmax(sigma, 1e-10));
    /* sigma rises with t: the last entry that does not pass the wanted one. */
    for (int high = last; below + 1 < high;) {
        int middle = below + (high - below) / 2;
        if ((double)logf(sigma_of(s, middle)) <= wanted) below = middle;
        else high = middle;
    }
    double low = (double)logf(sigma_of(s, below)), next = (double)logf(sigma_of(s, below + 1));
    double w = fmin(1, fmax(0, (low - wanted) / (low - next)));
    return (1 - w) * below + w * (below + 1);
}

void schedule_karras(const struct schedule *s, int n, double *sigma)
{
    double rho = 7, least = pow((double)sigma_of(s, 0), 1 / rho),
           most = pow((double)sigma_of(s, s->config.train_steps - 1), 1 / rho);
    for (int i = 0; i < n; i++) {
        double ramp = i == 0 ? 0 : i == n - 1 ? 1 : (double)i * (1 / (double)(n - 1));
        sigma[i] = pow(most + ramp * (least - most), rho);
    }
}
