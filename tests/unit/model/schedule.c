/* schedule: the table against the figures of reference/models.md 12.3, noising, v, levels and spacings. */
#include "base/arena.h"
#include "pipeline/model/schedule.h"
#include "tests/tap.h"

static const struct schedule_config sd15 = {.train_steps = 1000,
                                            .beta_start = 0.00085,
                                            .beta_end = 0.012,
                                            .scaled_linear = 1,
                                            .steps_offset = 1};
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
    struct schedule_config linear = {.train_steps = 10, .beta_start = 0.1, .beta_end = 0.1};
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

static void levels(void)
{
    struct schedule s;
    double t[20], sigma[20];
    schedule_make(&s, &sd15, &e);
    near(schedule_sigma(&s, 999), 14.614641, 1e-5, "sigma(999)");
    near(schedule_sigma(&s, 0), 0.0291672, 1e-6, "sigma(0)");
    near(schedule_sigma(&s, 500.25),
         0.75 * schedule_sigma(&s, 500) + 0.25 * schedule_sigma(&s, 501), 1e-9,
         "between timesteps sigma is linear");
    ok(schedule_sigma(&s, 1005) == schedule_sigma(&s, 999), "and held past the end");
    for (int i = 0; i < 1000; i += 333)
        near(schedule_time_of(&s, schedule_sigma(&s, i)), i, 1e-4, "the timestep of sigma(%d)", i);
    near(schedule_time_of(&s, 100), 999, 0, "a level above the table is its last timestep");
    near(schedule_time_of(&s, 0), 0, 0, "one below its first");
    schedule_karras(&s, 1, sigma);
    near(sigma[0], 14.614641, 1e-5, "one Karras level is the largest");
    schedule_karras(&s, 20, sigma);
    near(sigma[10], 1.09079, 6e-6, "the eleventh of twenty");
    near(sigma[19], 0.0291672, 1e-6, "and the last");
    schedule_space(&s, SPACING_TRAILING, 20, 1, t);
    ok(t[0] == 999 && t[1] == 949 && t[19] == 49, "trailing: 999, 949, ..., 49");
    schedule_space(&s, SPACING_LEADING, 20, 0, t);
    ok(t[0] == 950 && t[19] == 0, "leading without offset: 950, ..., 0");
    schedule_space(&s, SPACING_LINSPACE, 20, 1, t);
    near(t[1], 946.421053, 1e-6, "linspace is not rounded");
    schedule_free(&s);
}

int main(void)
{
    table();
    noising();
    levels();
    return done_testing();
}
