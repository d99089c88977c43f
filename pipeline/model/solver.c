/* solver.c - what all samplers share: life, timesteps, levels; and the list of them. */
#include "pipeline/model/solver.h"

#include "base/arena.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum code solver_open(struct solver **out, const struct solver_kind *kind,
                      const struct schedule *schedule, int steps, double eta, size_t n,
                      struct err *e)
{
    int T = schedule->config.train_steps;
    *out = NULL;
    if (steps < 1 || steps > T)
        return err_set(e, ERR_INPUT, "sampling in %d steps: choose 1 to %d", steps, T);
    if (eta > 0 && !kind->takes_eta)
        return err_set(e, ERR_INPUT, "eta is %g, but sampler %s has none; only ddim does", eta,
                       kind->name);
    struct solver *s = mem_alloc(1, sizeof *s);
    if (!s) return err_set(e, ERR_NOMEM, "no memory for a sampler");
    *s = (struct solver){.kind = kind,
                         .schedule = schedule,
                         .steps = steps,
                         .evaluations = solver_kind_evaluations(kind, steps),
                         .eta = eta,
                         .start = 1,
                         .n = n};
    s->time = mem_alloc((size_t)s->evaluations, sizeof *s->time);
    s->sigma = mem_alloc((size_t)s->evaluations + 1, sizeof *s->sigma);
    int is_short = !s->time || !s->sigma;
    for (int i = 0; i < kind->history; i++)
        is_short |= !(s->kept[i] = mem_alloc(n, sizeof *s->kept[i]));
    enum code rc = is_short
                       ? err_set(e, ERR_NOMEM, "no memory for %d steps of %s", steps, kind->name)
                       : kind->begin(s, e);
    if (rc) solver_close(s);
    else *out = s;
    return rc;
}

void solver_close(struct solver *s)
{
    if (!s) return;
    for (int i = 0; i < SOLVER_HISTORY; i++) free(s->kept[i]);
    free(s->time);
    free(s->sigma);
    free(s);
}

int solver_evaluations(const struct solver *s)
{
    return s->evaluations;
}

double solver_time(const struct solver *s, int i)
{
    assert(i >= 0 && i < s->evaluations);
    return s->time[i];
}

/* A step that ends without noise adds none: the reference draws it all the same and multiplies by zero. */
int solver_draws(const struct solver *s, int i)
{
    return s->eta > 0 || (s->kind->draws && s->sigma[i + 1] > 0);
}

void solver_start(const struct solver *s, const float *noise, float *x)
{
    for (size_t i = 0; i < s->n; i++) x[i] = (float)((double)noise[i] * s->start);
}

void solver_input(const struct solver *s, int i, const float *x, float *in)
{
    double sigma = s->kind->in_sigma ? (double)s->sigma[i] : 0, scale = sqrt(sigma * sigma + 1);
    for (size_t j = 0; j < s->n; j++) in[j] = (float)((double)x[j] / scale);
}

void solver_step(struct solver *s, int i, const float *prediction, const float *noise, float *x)
{
    assert(i >= 0 && i < s->evaluations && (noise || !solver_draws(s, i)));
    s->kind->step(s, i, prediction, noise, x);
}

/* ---- for those who write solvers ---- */

enum spacing solver_spacing(const struct solver *s)
{
    enum spacing said = s->schedule->config.spacing;
    return said == SPACING_UNSAID ? s->kind->spacing : said;
}

/* The pipeline writes 1 into its own scheduler's configuration. Another class takes over what the file said, so only a file
 * with steps_offset in it brings the 1 along; without, the other class begins from its default, 0. */
static int offset_of(const struct solver *s)
{
    const struct schedule_config *c = &s->schedule->config;
    return c->offset_unsaid && c->file_class != s->kind->like ? 0 : c->steps_offset;
}

enum code solver_place(struct solver *s, int points, int rounded, struct err *e)
{
    int T = s->schedule->config.train_steps;
    enum spacing how = solver_spacing(s);
    if (how == SPACING_TRAILING) points = s->steps;
    if (points > T)
        return err_set(e, ERR_INPUT, "%s has no room for %d steps: choose fewer than %d",
                       s->kind->name, s->steps, T);
    double *all = mem_alloc((size_t)points, sizeof *all);
    if (!all) return err_set(e, ERR_NOMEM, "no memory for %d timesteps", points);
    schedule_space(s->schedule, how, points, offset_of(s), all);
    for (int i = 0; i < s->steps; i++) s->time[i] = rounded ? rint(all[i]) : (double)(float)all[i];
    free(all);
    if (s->time[0] <= T - 1) return OK;
    return err_set(
        e, ERR_INPUT,
        "sampling in %d steps would begin at timestep %g, past the last one, %d; choose fewer",
        s->steps, s->time[0], T - 1);
}

enum code solver_levels(struct solver *s, struct err *e)
{
    for (int i = 0; i < s->steps; i++) s->sigma[i] = (float)schedule_sigma(s->schedule, s->time[i]);
    s->sigma[s->steps] =
        s->schedule->config.ends_at_sigma_min ? (float)schedule_sigma(s->schedule, 0) : 0.0f;
    for (int i = 0; i + 1 < s->steps; i++)
        if (!(s->sigma[i + 1] < s->sigma[i]))
            return err_set(e, ERR_INPUT,
                           "%s in %d steps would take one level of noise twice: choose fewer",
                           s->kind->name, s->steps);
    return OK;
}

void solver_parts(enum prediction kind, double a, double b, double x, double prediction, double *x0,
                  double *noise)
{
    if (kind == PREDICT_V) {
        *x0 = a * x - b * prediction;
        *noise = a * prediction + b * x;
    } else {
        *x0 = (x - b * prediction) / a;
        *noise = prediction;
    }
}

/* ---- the list ---- */

static const struct solver_kind *const kinds[] = {
    &solver_ddim, &solver_pndm, &solver_dpm, &solver_dpm_karras, &solver_euler, &solver_euler_a,
};
#define KINDS (int)(sizeof kinds / sizeof *kinds)

const struct solver_kind *solver_kind_at(int i)
{
    return i >= 0 && i < KINDS ? kinds[i] : NULL;
}

const struct solver_kind *solver_kind_find(const char *name)
{
    for (int i = 0; i < KINDS; i++)
        if (strcmp(kinds[i]->name, name) == 0) return kinds[i];
    return NULL;
}

int solver_kind_evaluations(const struct solver_kind *k, int steps)
{
    return steps + (k->repeats && steps > 1);
}
