/* solver: the list, timesteps against the tables of models.md 6.2 and 12.3, and steps that are known by heart: a perfect
 * prediction leads every sampler to the picture. */
#include "base/arena.h"
#include "pipeline/model/solver.h"
#include "tests/tap.h"

static const struct schedule_config sd15 = {.train_steps = 1000,
                                            .beta_start = 0.00085,
                                            .beta_end = 0.012,
                                            .scaled_linear = 1,
                                            .steps_offset = 1,
                                            .file_class = SCHEDULER_PNDM};
static struct schedule schedule;
static struct err e;

static struct solver *opened(const char *name, int steps)
{
    struct solver *s = NULL;
    is_code(solver_open(&s, solver_kind_find(name), &schedule, steps, 0, 1, &e), OK, &e,
            "%s in %d steps", name, steps);
    return s;
}

static void list(void)
{
    const char *at = SOLVER_NAMES;
    for (int i = 0; solver_kind_at(i); i++, at += *at == '|') {
        const char *name = solver_kind_at(i)->name;
        ok(strcspn(at, "|") == strlen(name) && !strncmp(at, name, strlen(name)),
           "%s stands in SOLVER_NAMES at its place", name);
        ok(solver_kind_find(name) == solver_kind_at(i), "and is found by it");
        at += strcspn(at, "|");
    }
    ok(!*at, "SOLVER_NAMES has no other");
    ok(!solver_kind_find("heun") && !solver_kind_at(-1), "an unknown name is not found");
}

static void times(const char *name, int steps, int n, const double *want)
{
    struct solver *s = opened(name, steps);
    int same = s && solver_evaluations(s) == n;
    for (int i = 0; same && i < n; i++) same = fabs(solver_time(s, i) - want[i]) < 5e-5;
    ok(same, "%s evaluates %d times in %d steps, where the tables say", name, n, steps);
    solver_close(s);
}

static void tables(void)
{
    times("ddim", 20, 20, (double[]){951, 901, 851, 801, 751, 701, 651, 601, 551, 501,
                                     451, 401, 351, 301, 251, 201, 151, 101, 51,  1});
    times("pndm", 20, 21, (double[]){951, 901, 901, 851, 801, 751, 701, 651, 601, 551, 501,
                                     451, 401, 351, 301, 251, 201, 151, 101, 51,  1});
    times("dpm++2m", 20, 20, (double[]){999, 949, 899, 849, 799, 749, 699, 649, 599, 549,
                                        500, 450, 400, 350, 300, 250, 200, 150, 100, 50});
    times("euler-a", 4, 4, (double[]){999, 666, 333, 0});
    times("euler", 20, 20,
          (double[]){999,      946.4211, 893.8421, 841.2632, 788.6842, 736.1053, 683.5263,
                     630.9474, 578.3684, 525.7895, 473.2105, 420.6316, 368.0526, 315.4737,
                     262.8947, 210.3158, 157.7368, 105.1579, 52.5789,  0});
    times("dpm++2m-karras", 20, 20, (double[]){999, 962, 921, 876, 827, 772, 710, 640, 561, 474,
                                               380, 285, 197, 123, 69,  35,  15,  6,   2,   0});
    times("ddim", 1, 1, (double[]){1});
    times("pndm", 1, 1, (double[]){1});
    times("pndm", 2, 3, (double[]){501, 1, 1});
    times("euler", 1, 1, (double[]){0});
    times("dpm++2m", 1, 1, (double[]){999});
    schedule.config.spacing = SPACING_LEADING;
    times("dpm++2m", 20, 20, (double[]){941, 894, 847, 800, 753, 706, 659, 612, 565, 518,
                                        471, 424, 377, 330, 283, 236, 189, 142, 95,  48});
    schedule.config.spacing = SPACING_TRAILING;
    times("ddim", 4, 4, (double[]){999, 749, 499, 249});
    schedule.config = sd15;
}

/* Many steps make Karras's timesteps meet; the levels still fall. */
static void karras(void)
{
    static const double want[] = {14.61464, 11.72536, 9.34020, 7.38362, 5.78941, 4.49984, 3.46475,
                                  2.64084,  1.99092,  1.48321, 1.09079, 0.79095, 0.56472, 0.39639,
                                  0.27304,  0.18417,  0.12134, 0.07786, 0.04848, 0.02917};
    struct solver *s = opened("dpm++2m-karras", 20);
    int wrong = 0, twice = 0, falls = 1;
    for (int i = 0; s && i < 20; i++) wrong += fabs((double)s->sigma[i] - want[i]) > 1.5e-5;
    is_int(wrong, 0, "Karras's levels for 20 steps are those of the table");
    ok(s && s->sigma[20] == 0, "and end at 0");
    solver_close(s);
    s = opened("dpm++2m-karras", 50);
    for (int i = 1; s && i < 50; i++) {
        twice += solver_time(s, i) == solver_time(s, i - 1);
        falls &= s->sigma[i] < s->sigma[i - 1];
    }
    ok(twice > 0 && falls, "in 50 steps %d timesteps come twice, and levels fall all the same",
       twice);
    solver_close(s);
}

static void refusals(void)
{
    struct solver *s;
    static const char *const names[] = {"ddim", "pndm", "dpm++2m", "euler"};
    const struct solver_kind *euler = solver_kind_find("euler"), *dpm = solver_kind_find("dpm++2m");
    for (int i = 0; i < 2; i++)
        is_code(solver_open(&s, solver_kind_find(names[i]), &schedule, 1000, 0, 1, &e), ERR_INPUT,
                &e, "%s: 1000 steps with offset 1 would need timestep 1000", names[i]);
    for (int i = 0; i < 4; i++)
        is_code(solver_open(&s, solver_kind_find(names[i]), &schedule, 1001, 0, 1, &e), ERR_INPUT,
                &e, "%s: more steps than training had are refused", names[i]);
    is_code(solver_open(&s, euler, &schedule, 0, 0, 1, &e), ERR_INPUT, &e, "0 steps are refused");
    is_code(solver_open(&s, dpm, &schedule, 1000, 0, 1, &e), ERR_INPUT, &e,
            "1000 steps of DPM++ need 1001 points");
    schedule.config.spacing = SPACING_LEADING;
    is_code(solver_open(&s, dpm, &schedule, 999, 0, 1, &e), ERR_INPUT, &e,
            "999 steps of DPM++, leading, would begin at 1000");
    schedule.config = sd15;
    is_code(solver_open(&s, euler, &schedule, 20, 0.5, 1, &e), ERR_INPUT, &e, "Euler has no eta");
    ok(!s && strstr(e.text, "euler has none") != NULL, "and the line says whose it is");
    int failures = 0;
    for (long n = 1; n < 12; n++) {
        arena_fail_after(n);
        enum code rc = solver_open(&s, solver_kind_find("pndm"), &schedule, 20, 0, 4, &e);
        arena_fail_after(0);
        failures += rc == ERR_NOMEM;
        solver_close(s);
    }
    is_int(failures, 9, "each of nine allocations may fail, and it is said");
}

/* What the file says and leaves out decides; models.md 1.7. */
static void files(void)
{
    struct solver *s;
    schedule.config.offset_unsaid = 1;
    times("pndm", 4, 5, (double[]){751, 501, 501, 251, 1});
    times("ddim", 4, 4, (double[]){750, 500, 250, 0});
    schedule.config.file_class = SCHEDULER_DDIM;
    times("ddim", 4, 4, (double[]){751, 501, 251, 1});
    schedule.config = sd15;
    schedule.config.ends_at_sigma_min = 1;
    s = opened("dpm++2m", 20);
    near(s->sigma[20], 0.0291672, 1e-6, "final_sigmas_type sigma_min ends at the least level");
    solver_close(s);
    s = opened("euler-a", 20);
    ok(s->sigma[20] == 0, "but the ancestral class does not know it");
    solver_close(s);
    schedule.config = sd15;
    s = opened("euler", 20);
    near(s->start, 14.614641, 1e-5, "Euler's first noise has the first level");
    solver_close(s);
    schedule.config.spacing = SPACING_LEADING;
    s = opened("euler", 20);
    near(s->start, sqrt((double)s->sigma[0] * (double)s->sigma[0] + 1), 1e-5,
         "with leading spacing the picture counts in");
    solver_close(s);
    schedule.config = sd15;
}

/* Below 15 steps the last step of DPM++ looks at the newest picture alone, also where it does not end at 0. */
static void few_steps(void)
{
    schedule.config.ends_at_sigma_min = 1;
    for (int steps = 14; steps < 16; steps++) {
        struct solver *s = opened("dpm++2m", steps);
        float x = 1, said = 0.5f, other = -0.5f;
        for (int i = 0; i < steps - 1; i++) solver_step(s, i, &said, NULL, &x);
        double sigma = (double)s->sigma[steps - 1], next = (double)s->sigma[steps],
               a = 1 / sqrt(sigma * sigma + 1), b = 1 / sqrt(next * next + 1),
               m = ((double)x - sigma * a * -0.5) / a,
               first = next * b / (sigma * a) * (double)x + b * (1 - next / sigma) * m;
        solver_step(s, steps - 1, &other, NULL, &x);
        ok((fabs((double)x - first) < 1e-5) == (steps < 15), "in %d steps the last is of order %d",
           steps, steps < 15 ? 1 : 2);
        solver_close(s);
    }
    schedule.config = sd15;
}

/* What a network that knows the picture would say of x at evaluation i. */
static float perfect(const struct solver *s, int i, float x, float picture)
{
    double sigma = schedule_sigma(&schedule, solver_time(s, i)), A = 1 / (sigma * sigma + 1);
    if (s->sigma[0] > 0) { /* the level itself, where timesteps are rounded */
        sigma = (double)s->sigma[i];
        A = 1 / (sigma * sigma + 1);
    }
    double scale = s->kind->in_sigma ? 1 / sqrt(sigma * sigma + 1) : 1,
           noise = ((double)x * scale - sqrt(A) * (double)picture) / sqrt(1 - A);
    return (float)(schedule.config.prediction == PREDICT_V
                       ? sqrt(A) * noise - sqrt(1 - A) * (double)picture
                       : noise);
}

/* Whatever was drawn, the end is the picture; DDIM and PNDM stop at A_0, where some noise is left. */
static void arrives(const char *name, enum prediction kind, int steps)
{
    struct solver *s = opened(name, steps);
    float picture = 0.7f, noise = -1.3f, z = 0.4f, x;
    schedule.config.prediction = kind;
    solver_start(s, &noise, &x);
    for (int i = 0; i < solver_evaluations(s); i++) {
        float said = perfect(s, i, x, picture);
        solver_step(s, i, &said, solver_draws(s, i) ? &z : NULL, &x);
    }
    int to_the_end = s->sigma[0] > 0;
    near(x, to_the_end ? 0.7 : 0.7 * sqrt((double)schedule.alpha_bar[0]), to_the_end ? 1e-5 : 0.06,
         "%s, %s: a perfect network leads to the picture in %d steps", name,
         kind == PREDICT_V ? "v" : "epsilon", steps);
    schedule.config.prediction = PREDICT_EPSILON;
    solver_close(s);
}

/* With the true noise as prediction every step of DDIM lands exactly on the noised picture of the next timestep. */
static void ddim(enum prediction kind, const char *name)
{
    float x0 = 0.7f, noise = -1.3f, x, said, want, z = 2;
    struct solver *s = opened("ddim", 20), *eta;
    schedule.config.prediction = kind;
    schedule_add_noise(&schedule, 951, &x0, &noise, &x, 1);
    schedule_target(&schedule, 951, &x0, &noise, &said, 1);
    solver_step(s, 0, &said, NULL, &x);
    schedule_add_noise(&schedule, 901, &x0, &noise, &want, 1);
    near(x, want, 1e-5, "%s: a perfect step from 951 lands on x_901", name);
    schedule_add_noise(&schedule, 1, &x0, &noise, &x, 1);
    schedule_target(&schedule, 1, &x0, &noise, &said, 1);
    solver_step(s, 19, &said, NULL, &x);
    schedule_add_noise(&schedule, 0, &x0, &noise, &want, 1);
    near(x, want, 1e-6, "%s: the last step ends at A_0, not at 1", name);
    ok(fabsf(x - x0) > 0.01f, "%s: and some noise is left", name);
    schedule.config.set_alpha_to_one = 1;
    schedule_add_noise(&schedule, 1, &x0, &noise, &x, 1);
    solver_step(s, 19, &said, NULL, &x);
    near(x, x0, 1e-6, "%s: set_alpha_to_one ends at x0", name);
    schedule.config.set_alpha_to_one = 0;
    solver_close(s);

    is_code(solver_open(&eta, solver_kind_find("ddim"), &schedule, 20, 1, 1, &e), OK, &e, "eta 1");
    schedule_add_noise(&schedule, 951, &x0, &noise, &x, 1);
    schedule_target(&schedule, 951, &x0, &noise, &said, 1);
    ok(solver_draws(eta, 0), "eta wants noise");
    solver_step(eta, 0, &said, &z, &x);
    double A = (double)schedule.alpha_bar[951], B = (double)schedule.alpha_bar[901],
           v = (1 - B) / (1 - A) * (1 - A / B);
    near(x, sqrt(B) * 0.7 - sqrt(1 - B - v) * 1.3 + sqrt(v) * 2, 1e-5,
         "%s: eta 1 adds the variance of DDPM", name);
    solver_close(eta);
    schedule.config.prediction = PREDICT_EPSILON;
}

int main(void)
{
    is_code(schedule_make(&schedule, &sd15, &e), OK, &e, "the schedule of SD 1.5");
    list();
    tables();
    karras();
    refusals();
    files();
    few_steps();
    for (int i = 0; solver_kind_at(i); i++)
        for (int steps = 1; steps < 25; steps += 6) {
            if (steps == 1 && solver_kind_at(i)->spacing == SPACING_LEADING) continue; /* from 1 */
            arrives(solver_kind_at(i)->name, PREDICT_EPSILON, steps);
            arrives(solver_kind_at(i)->name, PREDICT_V, steps);
        }
    ddim(PREDICT_EPSILON, "epsilon");
    ddim(PREDICT_V, "v");
    schedule_free(&schedule);
    return done_testing();
}
