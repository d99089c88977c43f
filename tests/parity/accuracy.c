/* accuracy.c - how many units in the last place exp and erf cost, on every instruction set of this machine.
 *
 * tests/parity/ops.c holds operators to bounds that sums need. What simd.h computes element by element is better than that,
 * and here it has to be, far into the tails, where an absolute bound sees nothing.
 */
#include "pipeline/tensor/kernels.h"
#include "pipeline/tensor/ops.h"
#include "tests/tap.h"

enum { N = 200000 };

static double ulp_of(double want)
{
    int exponent;
    frexp(want, &exponent);
    return ldexp(1.0, (exponent > -125 ? exponent : -125) - 24);
}

static double phi(double x)
{
    return 0.5 * erfc(-x / sqrt(2.0));
}
static double silu(double x)
{
    return x / (1.0 + exp(-x));
}
static double gelu(double x)
{
    return x * phi(x);
}
static double quick_gelu(double x)
{
    return x / (1.0 + exp(-1.702 * x));
}

/* y = kernel(x) for all x. */
static void run(const struct kernels *k, struct graph *g, struct value in, struct value out,
                const float *x, float *y)
{
    struct exec *exec;
    struct err e;
    graph_keep(g, out);
    if (exec_open(&exec, g, k, &e)) exit(99);
    exec_bind(exec, in, x);
    if (exec_run(exec, &e)) exit(99);
    memcpy(y, exec_data(exec, out), N * sizeof *y);
    exec_close(exec);
}

static struct graph *graph_new(void)
{
    struct graph *g;
    struct err e;
    if (graph_make(&g, &e)) exit(99);
    return g;
}

static void sweep(float *x, double from, double to)
{
    for (int i = 0; i < N; i++) x[i] = (float)(from + (to - from) * (double)i / (N - 1));
}

struct curve {
    const char *name;
    enum unary_kind kind;
    double (*want)(double);
    double from, to, ulps;
};

static void follows(int level, const struct curve *c, float *x, float *y)
{
    struct graph *g = graph_new();
    struct value in = graph_input(g, "x", DTYPE_F32, SHAPE(N));
    double worst = 0;
    int at = 0;
    sweep(x, c->from, c->to);
    run(kernels_cpu_at(level), g, in, op_unary(g, in, c->kind), x, y);
    for (int i = 0; i < N; i++) {
        double want = c->want((double)x[i]), off = fabs((double)y[i] - want) / ulp_of(want);
        if (off > worst) worst = off, at = i;
    }
    if (!ok(worst <= c->ulps, "level %d: %s on %g .. %g is within %g ulp", level, c->name, c->from,
            c->to, c->ulps))
        note("%.2f ulp at %.9g", worst, (double)x[at]);
}

/* Two keys, of which the second scores 0 and the first x < 0: its weight is e^x / (1 + e^x), and an error of half a unit in
 * the score is |x| / 2 of them in the weight. */
static void softmax(int level, float *x, float *y)
{
    static const float key[] = {1, 0}, value[] = {1, 0};
    struct graph *g = graph_new();
    struct value q = graph_input(g, "q", DTYPE_F32, SHAPE(1, N, 1)),
                 k = graph_param(g, "k", SHAPE(1, 2, 1), key),
                 v = graph_param(g, "v", SHAPE(1, 2, 1), value);
    double worst = 0;
    int at = 0;
    sweep(x, -80, 0);
    run(kernels_cpu_at(level), g, q, op_attention(g, q, k, v, 1, 0, 1.0f), x, y);
    for (int i = 0; i < N; i++) {
        double e = exp((double)x[i]), want = e / (1.0 + e);
        double off = fabs((double)y[i] - want) / ulp_of(want) / (4.0 - 2.0 * (double)x[i]);
        if (off > worst) worst = off, at = i;
    }
    if (!ok(worst <= 1.0, "level %d: a weight of softmax is within 4 + 2 |score| ulp", level))
        note("%.2f times that at %.9g", worst, (double)x[at]);
}

int main(void)
{
    static const struct curve CURVE[] = {
        {"silu", UNARY_SILU, silu, -80, 80, 5},
        {"quick_gelu", UNARY_QUICK_GELU, quick_gelu, -1, 60, 5},
        {"gelu", UNARY_GELU, gelu, -1, 60, 5},
        {"gelu", UNARY_GELU, gelu, -12, -1, 12},
    };
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    for (int level = 0; kernels_cpu_at(level); level++) {
        for (size_t i = 0; i < sizeof CURVE / sizeof CURVE[0]; i++) follows(level, &CURVE[i], x, y);
        softmax(level, x, y);
    }
    free(x);
    free(y);
    return done_testing();
}
