/* Adam: two steps by hand, then fifty against the same formulas in float64. */
#include "pipeline/method/adam.h"

#include "base/philox.h"
#include "tests/tap.h"

/* g = 0.5: the first step is lr towards it, whatever its size. g = -0.5: m = 0.9 * 0.05 - 0.05 = -0.005, m^ = -0.005 / 0.19,
 * v^ = 0.25, so the second is lr * 0.0263158 / 0.5 back. */
static void by_hand(void)
{
    float m = 0, v = 0, w = 1.0f, g = 0.5f;
    struct adam a = {.lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 0, .n = 1, .m = &m, .v = &v};
    adam_step(&a, 1, 1.0, &g, &w);
    near(w, 0.9, 1e-7, "the first step is the rate");
    near(m, 0.05, 1e-8, "m = (1 - beta1) g");
    near(v, 0.00025, 1e-10, "v = (1 - beta2) g^2");
    g = -0.5f;
    adam_step(&a, 2, 1.0, &g, &w);
    near(w, 0.9 + 0.1 * (0.005 / 0.19) / 0.5, 1e-7, "the second, by hand");
    m = v = 0;
    w = 1.0f;
    g = 5.0f;
    adam_step(&a, 1, 0.1, &g, &w);
    near(m, 0.05, 1e-8, "the scale of clipping enters the moments");
    m = v = 0;
    w = 0.3f;
    g = 0.0f;
    a.eps = 1e-8;
    for (int i = 1; i < 5; i++) adam_step(&a, i, 1.0, &g, &w);
    ok(w == 0.3f && m == 0 && v == 0,
       "without a gradient nothing moves, by no bit: no weight decay");
}

static void clip(void)
{
    const float g[3] = {3, 0, 4};
    near(adam_norm2(g, 3), 25, 0, "the squared norm");
    near(adam_norm2(g, 0), 0, 0, "of nothing is 0");
    near(adam_clip(1.0, 25), 1.0 / (5.0 + 1e-6), 1e-15, "norm 5 to limit 1");
    near(adam_clip(10.0, 25), 1.0, 0, "below the limit nothing is scaled");
    near(adam_clip(0.0, 25), 1.0, 0, "limit 0: none");
    near(adam_clip(1.0, 0.0), 1.0, 0, "a zero gradient stays");
}

static void against_float64(uint64_t seed)
{
    enum { N = 101, STEPS = 50 };
    float w[N], m[N] = {0}, v[N] = {0}, g[N];
    double W[N], M[N] = {0}, V[N] = {0}, most = 0;
    struct adam a = {.lr = 3e-3, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .n = N, .m = m, .v = v};
    philox_normal(philox_key(seed, PHILOX_TEST), 0, 0, w, N);
    for (int i = 0; i < N; i++) W[i] = w[i];
    for (int t = 1; t <= STEPS; t++) {
        philox_normal(philox_key(seed, PHILOX_TEST), (uint64_t)t, 0, g, N);
        adam_step(&a, t, 0.5, g, w);
        for (int i = 0; i < N; i++) {
            double x = 0.5 * g[i];
            M[i] = 0.9 * M[i] + 0.1 * x;
            V[i] = 0.99 * V[i] + 0.01 * x * x;
            W[i] -= 3e-3 * (M[i] / (1 - pow(0.9, t))) / (sqrt(V[i] / (1 - pow(0.99, t))) + 1e-8);
        }
    }
    for (int i = 0; i < N; i++) most = fmax(most, fabs(W[i] - (double)w[i]));
    near(most, 0, 5e-6, "fifty steps stay within the rounding of the weights");
}

int main(void)
{
    by_hand();
    clip();
    against_float64(tap_seed(2));
    return done_testing();
}
