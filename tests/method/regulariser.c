/* L_reg: gradients of all forms against finite differences, by hand on three neurons, nothing outside M_reg. */
#include "pipeline/method/regulariser.h"

#include "base/philox.h"
#include "tests/tap.h"

enum { N = 60, MATRICES = 4 };
static const char *const FORM[] = {"l2", "l2_global", "l2sq", "mse"};
static const size_t BEGIN[MATRICES + 1] = {0, 17, 17, 41, N}; /* the second matrix has no neuron */

struct data {
    float w[N], parent[N], base[N];
    uint8_t shared[N];
};

static struct regulariser make(const struct data *d, enum reg_form form)
{
    return (struct regulariser){.form = form,
                                .lambda1 = 0.7,
                                .lambda2 = 0.2,
                                .n = N,
                                .shared = d->shared,
                                .parent = d->parent,
                                .base = d->base,
                                .begin = BEGIN,
                                .n_matrices = MATRICES};
}

static struct data random_data(uint64_t seed)
{
    struct data d;
    struct philox_key k = philox_key(seed, PHILOX_TEST);
    philox_normal(k, 1, 0, d.w, N);
    philox_normal(k, 2, 0, d.parent, N);
    philox_normal(k, 3, 0, d.base, N);
    for (int i = 0; i < N; i++) d.shared[i] = i < 41 && i % 3 != 0; /* none in the last matrix */
    return d;
}

static void differences(enum reg_form form, uint64_t seed)
{
    struct data d = random_data(seed);
    struct regulariser r = make(&d, form);
    float grad[N] = {0}, aside[N];
    double most = 0;
    size_t outside = 0;
    double value = regulariser_add(&r, d.w, grad);
    ok(value > 0, "%s: is positive away from parent and base", FORM[form]);
    for (int i = 0; i < N; i++) {
        const float w = d.w[i], up = w + 0x1p-9f, down = w - 0x1p-9f;
        d.w[i] = up;
        double above = regulariser_add(&r, d.w, aside);
        d.w[i] = down;
        double below = regulariser_add(&r, d.w, aside);
        d.w[i] = w;
        most = fmax(most, fabs((above - below) / ((double)up - (double)down) - (double)grad[i]));
        outside += !d.shared[i] && grad[i] != 0.0f;
    }
    near(most, 0, 2e-6, "%s: the gradient is that of the value", FORM[form]);
    is_int(outside, 0, "%s: zero outside M_reg", FORM[form]);
    float onto[N];
    for (int i = 0; i < N; i++) onto[i] = 100.0f;
    regulariser_add(&r, d.w, onto);
    most = 0;
    for (int i = 0; i < N; i++) most = fmax(most, fabs((double)onto[i] - 100.0 - (double)grad[i]));
    near(most, 0, 1e-5, "%s: is added to the gradient that is there", FORM[form]);
}

/* Matrix 0 has neurons 0, 1 (shared) and 2 (not); matrix 1 has neuron 3 (shared).
 *     a = (3, 4 | 2)    b = (0, 5 | -1)    so |a| = 5 | 2, |b| = 5 | 1; globally |a|^2 = 29, |b|^2 = 26 */
static void by_hand(void)
{
    const float w[4] = {4, 5, 9, 3}, parent[4] = {1, 1, 0, 1}, base[4] = {4, 0, 0, 4};
    const uint8_t shared[4] = {1, 1, 0, 1};
    const size_t begin[3] = {0, 3, 4};
    struct regulariser r = {.lambda1 = 10,
                            .lambda2 = 1,
                            .n = 4,
                            .shared = shared,
                            .parent = parent,
                            .base = base,
                            .begin = begin,
                            .n_matrices = 2};
    float g[4] = {0};
    near(regulariser_add(&r, w, g), 10 * (5 + 2) + (5 + 1), 1e-12,
         "l2: one norm per matrix, summed");
    ok(fabsf(g[0] - 6) < 1e-6f && fabsf(g[1] - 9) < 1e-6f && g[2] == 0 && fabsf(g[3] - 9) < 1e-6f,
       "l2: lambda1 a/|a| + lambda2 b/|b|");
    r.form = REG_L2_GLOBAL;
    near(regulariser_add(&r, w, g), 10 * sqrt(29) + sqrt(26), 1e-12,
         "l2_global: one norm over all");
    r.form = REG_L2SQ;
    near(regulariser_add(&r, w, g), 10 * 29 + 26, 1e-12, "l2sq: squares");
    r.form = REG_MSE;
    near(regulariser_add(&r, w, g), (10 * 29 + 26) / 3.0, 1e-12, "mse: squares over |M_reg| = 3");
    const float data[4] = {30, 40, 7, 20};
    near(regulariser_balance(&r, data), 0.5 * (5 + 2), 1e-12, "balance: median of 50/10 and 20/10");
    r.lambda1 = 0;
    near(regulariser_balance(&r, data), -1, 0, "balance without lambda1: none");
}

static void nothing(enum reg_form form, uint64_t seed)
{
    struct data d = random_data(seed);
    struct regulariser r = make(&d, form);
    float g[N], before[N];
    philox_normal(philox_key(seed, PHILOX_TEST), 9, 0, g, N);
    g[0] = -0.0f;
    memcpy(before, g, sizeof g);
    memset(d.shared, 0, N);
    near(regulariser_add(&r, d.w, g), 0, 0, "%s: an empty M_reg (m = 1) has no value", FORM[form]);
    ok(!memcmp(g, before, sizeof g), "%s: and adds nothing, to the bit", FORM[form]);
    near(regulariser_balance(&r, g), -1, 0, "%s: and no balance", FORM[form]);
    d = random_data(seed);
    memcpy(d.w, d.parent, sizeof d.w);
    memcpy(d.base, d.parent, sizeof d.base);
    near(regulariser_add(&r, d.w, g), 0, 0, "%s: step 0 of a first overlap: 0/0 = 0", FORM[form]);
    size_t moved = 0;
    for (int i = 0; i < N; i++) moved += !(g[i] == before[i]);
    is_int(moved, 0, "%s: and no gradient, no NaN", FORM[form]);
}

int main(void)
{
    uint64_t seed = tap_seed(4);
    by_hand();
    for (int f = REG_L2; f <= REG_MSE; f++) differences((enum reg_form)f, seed);
    for (int f = REG_L2; f <= REG_MSE; f++) nothing((enum reg_form)f, seed);
    return done_testing();
}
