/* solver.h - samplers: rules that lead noise to a latent by a number of UNet evaluations (DDIM, PNDM, DPM-Solver++, Euler).
 *
 *     const struct solver_kind *kind = solver_kind_find("dpm++2m");          // what sample.sampler may say
 *     solver_open(&s, kind, &model->schedule, 20, 0, n, &e);
 *     solver_start(s, noise, x);
 *     for (int i = 0; i < solver_evaluations(s); i++) {
 *         solver_input(s, i, x, in);
 *         ... prediction of the UNet for `in` at timestep solver_time(s, i) ...
 *         solver_step(s, i, prediction, solver_draws(s, i) ? z : NULL, x);
 *     }
 *     solver_close(s);
 *
 * Every rule gives the numbers of diffusers 0.39 when that scheduler is made from the base model's own scheduler_config.json:
 * timestep spacing, offset and final level follow what the file says, else the class's default (docs/samplers.md). A sample is
 * a list of n floats, whatever its shape; coefficients are double, what is kept between evaluations is float.
 */
#ifndef MODEL_SOLVER_H
#define MODEL_SOLVER_H

#include "base/err.h"
#include "pipeline/model/schedule.h"

#include <stddef.h>

/* As sample.sampler names them, in the order of solver_kind_at. */
#define SOLVER_NAMES "ddim|pndm|dpm++2m|dpm++2m-karras|euler|euler-a"
#define SOLVER_HISTORY 5

struct solver;
struct solver_kind {
    const char *name, *label;          /* of the setting; of A1111 and the programs that read its pictures */
    enum scheduler like;               /* the class of diffusers that it is held against */
    enum spacing spacing;              /* that class's default */
    int takes_eta;                     /* 1: eta > 0 adds noise per step; the others refuse it */
    int draws;                         /* 1: adds noise at each step, whatever eta */
    int in_sigma;                      /* 1: x is picture + sigma noise, shrunk for the UNet; 0: as trained */
    int repeats;                       /* 1: from two steps on, one evaluation more than steps */
    int history;                       /* samples kept between evaluations, at most SOLVER_HISTORY */
    enum code (*begin)(struct solver *s, struct err *e);       /* fills times, levels and scales of s */
    void (*step)(struct solver *s, int i, const float *prediction, const float *noise, float *x);
};
const struct solver_kind *solver_kind_at(int i);               /* NULL past the last */
const struct solver_kind *solver_kind_find(const char *name);  /* NULL: unknown */
int solver_kind_evaluations(const struct solver_kind *k, int steps);        /* of the UNet, for `steps` as people count them */

/* eta: DDIM's. ERR_INPUT: steps that the schedule has no room for,
 * eta where there is none. schedule is borrowed. */
enum code solver_open(struct solver **s, const struct solver_kind *kind, const struct schedule *schedule, int steps,
                      double eta, size_t n, struct err *e);
void solver_close(struct solver *s);

int solver_evaluations(const struct solver *s);
double solver_time(const struct solver *s, int i);             /* timestep of evaluation i; may be fractional */
int solver_draws(const struct solver *s, int i);               /* 1: step i wants standard normal noise */
void solver_start(const struct solver *s, const float *noise, float *x);            /* scaled to the first level */
void solver_input(const struct solver *s, int i, const float *x, float *in);        /* what the UNet is shown for x */
/* x := the sample after evaluation i. Evaluations come in order, from 0. noise may be NULL where none is drawn. */
void solver_step(struct solver *s, int i, const float *prediction, const float *noise, float *x);

/* ---- for those who write solvers ---- */

struct solver {
    const struct solver_kind *kind;
    const struct schedule *schedule;
    int steps, evaluations;
    double eta, start;                 /* begin may set start, the scale of the first noise; before it: 1 */
    size_t n;
    double *time;                      /* owned, [evaluations] */
    float *sigma;                      /* owned, [evaluations + 1]: level of evaluation i and what it steps to; unused: 0 */
    float *kept[SOLVER_HISTORY];       /* owned, kind->history samples of n */
};
extern const struct solver_kind solver_ddim, solver_pndm, solver_dpm, solver_dpm_karras, solver_euler, solver_euler_a;

/* Timesteps of `points` points, of which the first `steps` are used, rounded if asked. ERR_INPUT if the first one passes the
 * last of training. Points beyond the count of `trailing` do not exist: it has no use for one more. */
enum code solver_place(struct solver *s, int points, int rounded, struct err *e);
/* Levels of the placed timesteps and the final one. ERR_INPUT unless they fall. */
enum code solver_levels(struct solver *s, struct err *e);
enum spacing solver_spacing(const struct solver *s);           /* the file's, or the kind's default */
/* The picture and the noise that a prediction at sqrt(A) = a, sqrt(1 - A) = b says are in x. */
void solver_parts(enum prediction kind, double a, double b, double x, double prediction, double *x0, double *noise);

#endif
