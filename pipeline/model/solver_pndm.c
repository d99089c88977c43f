/* solver_pndm.c - PNDM without its Runge-Kutta start (PLMS; Liu et al. 2022, eq. 9 and 12): what Stable Diffusion 1.5 ships
 * with. The noise of a step is extrapolated from up to four predictions:
 *
 *     evaluation 0 at t0     e0                                  t0 -> t1, x before it is remembered
 *     evaluation 1 at t1     (e1 + e0) / 2                       the remembered x again, t0 -> t1; e1 is forgotten
 *     evaluation 2 at t1     (3 e2 - e0) / 2                     t1 -> t2
 *     evaluation 3           (23 e3 - 16 e2 + 5 e0) / 12
 *     evaluation 4 and on    (55 e4 - 59 e3 + 37 e2 - 9 e0) / 24
 *
 * A v prediction is combined as it is and turned into noise after. Files that ask for the Runge-Kutta start (skip_prk_steps
 * false) get this all the same: nobody uses the other with Stable Diffusion. */
#include "pipeline/model/solver.h"

#include <math.h>
#include <string.h>

enum { REMEMBERED = 4 }; /* kept[0..3]: predictions, newest first; kept[4]: x before evaluation 0 */

/* The reference takes the stride of its steps from their number, not from their places. */
static int stride(const struct solver *s)
{
    return s->schedule->config.train_steps / s->steps;
}

static enum code begin(struct solver *s, struct err *e)
{
    enum code rc = solver_place(s, s->steps, 1, e);
    if (rc || s->steps == 1) return rc;
    for (int i = s->steps; i > 1; i--) s->time[i] = s->time[i - 1];
    if (s->time[1] + stride(s) < s->schedule->config.train_steps) return OK;
    return err_set(e, ERR_INPUT, "%s in %d steps would begin past the last timestep; choose fewer",
                   s->kind->name, s->steps);
}

static void keep(struct solver *s, const float *prediction)
{
    float *oldest = s->kept[3];
    for (int k = 3; k > 0; k--) s->kept[k] = s->kept[k - 1];
    s->kept[0] = oldest;
    memcpy(oldest, prediction, s->n * sizeof *oldest);
}

/* What the `held` newest predictions foretell for value j. */
static double foretell(const struct solver *s, int held, size_t j)
{
    double e[4] = {0};
    for (int k = 0; k < held; k++) e[k] = (double)s->kept[k][j];
    if (held == 1) return e[0];
    if (held == 2) return (3 * e[0] - e[1]) / 2;
    if (held == 3) return (23 * e[0] - 16 * e[1] + 5 * e[2]) / 12;
    return (55 * e[0] - 59 * e[1] + 37 * e[2] - 9 * e[3]) / 24;
}

/* Below timestep 0 this class ends at A_0 unless the file says otherwise; DDIM's default is the opposite. */
static double alpha_at(const struct schedule *c, int t)
{
    int is_one = c->config.set_alpha_to_one && !c->config.alpha_unsaid;
    if (t >= 0) return (double)c->alpha_bar[t];
    return is_one ? 1 : (double)c->alpha_bar[0];
}

static void step(struct solver *s, int i, const float *prediction, const float *noise, float *x)
{
    const struct schedule *c = s->schedule;
    int is_second = i == 1,
        held = i == 0  ? 1
               : i < 5 ? i
                       : 4,
        t = (int)s->time[i] + (is_second ? stride(s) : 0);
    double A = alpha_at(c, t), B = alpha_at(c, t - stride(s)), a = sqrt(A), b = sqrt(1 - A);
    double of_x = sqrt(B / A), of_noise = (B - A) / (A * sqrt(1 - B) + sqrt(A * (1 - A) * B));
    (void)noise;
    if (i == 0) memcpy(s->kept[REMEMBERED], x, s->n * sizeof *x);
    if (!is_second) keep(s, prediction);
    for (size_t j = 0; j < s->n; j++) {
        double said = is_second ? ((double)prediction[j] + (double)s->kept[0][j]) / 2
                                : foretell(s, held, j),
               from = (double)(is_second ? s->kept[REMEMBERED][j] : x[j]), x0, eps;
        solver_parts(c->config.prediction, a, b, from, said, &x0, &eps);
        x[j] = (float)(of_x * from - of_noise * eps);
    }
}

const struct solver_kind solver_pndm = {
    .name = "pndm",
    .label = "PLMS",
    .like = SCHEDULER_PNDM,
    .spacing = SPACING_LEADING,
    .repeats = 1,
    .history = 5,
    .begin = begin,
    .step = step,
};
