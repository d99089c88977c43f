/* schedule: the table against the figures of reference/models.md 12.3, noising, v, DDIM's timesteps and its last step. */
#include "base/arena.h"
#include "pipeline/model/schedule.h"
#include "tests/tap.h"

static const struct schedule_config sd15 = {1000, 0.00085, 0.012, 1, 1, 0, PREDICT_EPSILON};
static struct err e;

static void table(void)
{
    static const struct {
        int t;
        double want;
    } entries[] = {
        {0, 0.999149978},     {1, 0.998296022},     {21, 0.980380654},    {41, 0.960872650},
        {100, 0.894223154},   {250, 0.673792303},   {500, 0.276332468},   {750, 0.056169804},
        {941, 0.00911730248}, {961, 0.00728172204}, {981, 0.00577549590}, {999, 0.00466009509},
    };
    struct schedule s;
    is_code(schedule_make(&s, &sd15, &e), OK, &e, "the schedule of SD 1.5");
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        ok(s.alpha_bar[entries[i].t] == (float)entries[i].want,
           "A_%d is diffusers' float32 to the last bit: %.9g", entries[i].t,
           (double)s.alpha_bar[entries[i].t]);
    int below5 = 0, below1 = 0;
    while (s.alpha_bar[below5] / (1 - s.alpha_bar[below5]) >= 5) below5++;
    while (s.alpha_bar[below1] / (1 - s.alpha_bar[below1]) >= 1) below1++;
    is_int(below5, 147, "the signal-to-noise ratio falls below 5 at t = 147");
    is_int(below1, 354, "and below 1 at t = 354");
    schedule_free(&s);
    schedule_free(&s);
    struct schedule_config linear = {10, 0.1, 0.1, 0, 1, 1, PREDICT_EPSILON};
    is_code(schedule_make(&s, &linear, &e), OK, &e, "a linear schedule of ten steps of 0.1");
    near(s.alpha_bar[9], pow(0.9, 10), 1e-6, "ends at 0.9^10");
    schedule_free(&s);
    arena_fail_after(1);
    is_code(schedule_make(&s, &sd15, &e), ERR_NOMEM, &e, "no memory is said");
}

static void noising(void)
{
    struct schedule_config c = sd15;
    struct schedule s;
    float x0[2] = {1, -2}, noise[2] = {0.5f, 3}, x[2], target[2];
    schedule_make(&s, &c, &e);
    double a = sqrt((double)s.alpha_bar[500]), b = sqrt(1 - (double)s.alpha_bar[500]);
    schedule_add_noise(&s, 500, x0, noise, x, 2);
    near(x[0], a + b * 0.5, 1e-6, "x_t = sqrt(A) x0 + sqrt(1-A) noise");
    near(x[1], -2 * a + 3 * b, 1e-6, "for every value");
    schedule_target(&s, 500, x0, noise, target, 2);
    ok(target[0] == noise[0] && target[1] == noise[1], "an epsilon model should say the noise");
    s.config.prediction = PREDICT_V;
    schedule_target(&s, 500, x0, noise, target, 2);
    near(target[0], a * 0.5 - b, 1e-6, "a v model sqrt(A) noise - sqrt(1-A) x0");
    schedule_free(&s);
}

static void timesteps(void)
{
    struct schedule s;
    int t[1000];
    schedule_make(&s, &sd15, &e);
    is_code(schedule_timesteps(&s, 20, t, &e), OK, &e, "20 steps");
    ok(t[0] == 951 && t[1] == 901 && t[18] == 51 && t[19] == 1, "951, 901, ..., 51, 1");
    is_code(schedule_timesteps(&s, 30, t, &e), OK, &e, "30 steps");
    ok(t[0] == 958 && t[1] == 925 && t[28] == 34 && t[29] == 1, "958, 925, ..., 34, 1");
    is_code(schedule_timesteps(&s, 50, t, &e), OK, &e, "50 steps");
    ok(t[0] == 981 && t[49] == 1, "981 ... 1");
    is_code(schedule_timesteps(&s, 1, t, &e), OK, &e, "one step");
    is_int(t[0], 1, "begins and ends at 1");
    is_code(schedule_timesteps(&s, 1000, t, &e), ERR_INPUT, &e,
            "1000 steps with offset 1 would need timestep 1000");
    is_code(schedule_timesteps(&s, 0, t, &e), ERR_INPUT, &e, "0 steps are refused");
    is_code(schedule_timesteps(&s, 1001, t, &e), ERR_INPUT, &e,
            "more steps than training had are refused");
    schedule_free(&s);
}

/* With the true noise as prediction every step lands exactly on the noised x0 of the next timestep. */
static void ddim(enum prediction kind, const char *name)
{
    struct schedule_config c = sd15;
    struct schedule s;
    float x0 = 0.7f, noise = -1.3f, x, said, want, z = 2;
    c.prediction = kind;
    schedule_make(&s, &c, &e);
    schedule_add_noise(&s, 951, &x0, &noise, &x, 1);
    schedule_target(&s, 951, &x0, &noise, &said, 1);
    schedule_ddim_step(&s, 20, 951, 0, &said, NULL, &x, 1);
    schedule_add_noise(&s, 901, &x0, &noise, &want, 1);
    near(x, want, 1e-5, "%s: a perfect step from 951 lands on x_901", name);
    schedule_add_noise(&s, 1, &x0, &noise, &x, 1);
    schedule_target(&s, 1, &x0, &noise, &said, 1);
    schedule_ddim_step(&s, 20, 1, 0, &said, NULL, &x, 1);
    schedule_add_noise(&s, 0, &x0, &noise, &want, 1);
    near(x, want, 1e-6, "%s: the last step ends at A_0, not at 1", name);
    ok(fabsf(x - x0) > 0.01f, "%s: and some noise is left", name);
    s.config.set_alpha_to_one = 1;
    schedule_add_noise(&s, 1, &x0, &noise, &x, 1);
    schedule_ddim_step(&s, 20, 1, 0, &said, NULL, &x, 1);
    near(x, x0, 1e-6, "%s: set_alpha_to_one ends at x0", name);
    s.config.set_alpha_to_one = 0;
    schedule_add_noise(&s, 951, &x0, &noise, &x, 1);
    schedule_target(&s, 951, &x0, &noise, &said, 1);
    schedule_ddim_step(&s, 20, 951, 1, &said, &z, &x, 1);
    double A = (double)s.alpha_bar[951], B = (double)s.alpha_bar[901],
           v = (1 - B) / (1 - A) * (1 - A / B);
    near(x, sqrt(B) * 0.7 - sqrt(1 - B - v) * 1.3 + sqrt(v) * 2, 1e-5,
         "%s: eta 1 adds the variance of DDPM", name);
    schedule_free(&s);
}

int main(void)
{
    table();
    noising();
    timesteps();
    ddim(PREDICT_EPSILON, "epsilon");
    ddim(PREDICT_V, "v");
    return done_testing();
}
