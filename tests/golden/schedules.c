/* schedules.c - timesteps, levels and first scale of every sampler, spacing and some numbers of steps, held against diffusers'
 * schedulers made from SD 1.5's file. Timesteps must be equal. Levels may differ by 1e-6 of themselves: PyTorch's table of
 * alphas and its square root have another last bit on every width of vector unit. */
#include "pipeline/model/safetensors.h"
#include "pipeline/model/solver.h"
#include "tests/tap.h"

static struct err e;

static enum spacing spacing_of(const char *name)
{
    return !strcmp(name, "leading")    ? SPACING_LEADING
           : !strcmp(name, "linspace") ? SPACING_LINSPACE
           : !strcmp(name, "trailing") ? SPACING_TRAILING
                                       : SPACING_UNSAID;
}

static int agrees(const struct stored *want, double got, int64_t i, double tolerance)
{
    double w = (double)((const float *)want->data)[i];
    if (fabs(w - got) <= tolerance * w) return 1;
    printf("# %s: number %d is %.9g, wanted %.9g\n", want->name, (int)i, got, w);
    return 0;
}

/* How many of the numbers of one stored list are wrong. */
static int wrong_numbers(const struct solver *s, const char *what, const struct stored *want)
{
    int wrong = 0, is_time = !strcmp(what, "timesteps"), is_sigma = !strcmp(what, "sigmas");
    int64_t n = stored_count(want), expected = is_time    ? solver_evaluations(s)
                                               : is_sigma ? solver_evaluations(s) + 1
                                                          : 1;
    if (n != expected) return 1;
    for (int64_t i = 0; i < n; i++) {
        double got = is_time ? solver_time(s, (int)i) : is_sigma ? (double)s->sigma[i] : s->start;
        wrong += !agrees(want, got, i, is_time ? 0 : 1e-6);
    }
    return wrong;
}

int main(void)
{
    struct schedule_config sd15 = {.train_steps = 1000,
                                   .beta_start = 0.00085,
                                   .beta_end = 0.012,
                                   .scaled_linear = 1,
                                   .steps_offset = 1,
                                   .file_class = SCHEDULER_PNDM};
    struct schedule schedule;
    struct safetensors *file;
    int wrong = 0, refused = 0;
    size_t lists = 0;
    if (!is_code(safetensors_open(&file, "tests/golden/schedules.safetensors", &e), OK, &e,
                 "opens") ||
        !is_code(schedule_make(&schedule, &sd15, &e), OK, &e, "a schedule"))
        return done_testing();
    for (size_t i = 0; i < safetensors_count(file); i++) {
        const struct stored *want = safetensors_at(file, i);
        char name[20], spacing[20], what[20];
        int steps;
        struct solver *s;
        if (sscanf(want->name, "%19s %19s %d %19s", name, spacing, &steps, what) != 4) continue;
        schedule.config.spacing = spacing_of(spacing);
        enum code rc = solver_open(&s, solver_kind_find(name), &schedule, steps, 0, 1, &e);
        refused += rc != OK;
        if (rc) printf("# %s: %s\n", want->name, e.text);
        if (rc) continue;
        wrong += wrong_numbers(s, what, want);
        lists++;
        solver_close(s);
    }
    is_int(refused, 0, "no number of steps is refused");
    is_int((long)lists, (long)safetensors_count(file), "every list was looked at");
    is_int(wrong, 0, "every timestep, level and scale is diffusers'");
    safetensors_close(file);
    schedule_free(&schedule);
    return done_testing();
}
