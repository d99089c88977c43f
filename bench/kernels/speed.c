/* speed.c - how fast the CPU kernels are, next to what this machine can do in the same run.
 *
 *     make bench                      build/plain/bench/kernels/speed [threads] [rounds] [only rows with this in their name]
 *
 * Ceiling: fused multiply-adds from registers, and OpenBLAS sgemm of 1024^3. Then products as linear layers against two
 * ways of using OpenBLAS: its own threads, and one single-threaded call per tile of 64 rows on our pool (which is what
 * a promise of bytes would need). Then whole operators through graph, plan and exec. All contestants of a row run
 * interleaved; the figure is the best round, because the machine is shared. With one thread the clock is the process's
 * own CPU time, which others disturb least: compare there, and read the two-thread figures on an idle machine. GFLOP/s count a multiply-add as 2; of a
 * convolution the direct algorithm's, of attention the four products of forward (two) or backward (five, recomputation
 * not counted). Bandwidth rows count each input and output once.
 */
#include "base/arena.h"
#include "base/parallel.h"
#include "base/philox.h"
#include "pipeline/tensor/ops.h"

#include <cblas.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int threads, rounds = 7;
static const char *only = ""; /* rows whose name holds this */
static double ceiling;        /* GFLOP/s of sgemm 1024^3, set by the first table */

static double seconds(void)
{
    struct timespec t;
    clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *filled(int64_t n)
{
    float *p = mem_alloc((size_t)n + 64, sizeof *p); /* as weights are in a model */
    assert(p);
    philox_normal(philox_key(1, PHILOX_TEST), 0, 0, p, (size_t)n);
    for (int64_t i = 0; i < n; i++) p[i] *= 0.05f;
    return p;
}

/* One contestant: a function called often enough to take about 20 ms, the best of all rounds kept. */
struct contestant {
    void (*fn)(void *);
    void *args;
    long calls;
    double best;
};

static double time_calls(const struct contestant *c)
{
    double start = seconds();
    for (long i = 0; i < c->calls; i++) c->fn(c->args);
    return (seconds() - start) / (double)c->calls;
}

static void race(struct contestant *c, int n)
{
    for (int i = 0; i < n; i++) {
        c[i].calls = 1;
        time_calls(&c[i]); /* warms up */
        double once = time_calls(&c[i]);
        c[i].calls = once < 0.02 ? (long)(0.02 / once) + 1 : 1;
        c[i].best = once;
    }
    for (int r = 0; r < rounds; r++)
        for (int i = 0; i < n; i++) {
            double t = time_calls(&c[i]);
            if (t < c[i].best) c[i].best = t;
        }
}

/* ---- OpenBLAS ---- */

struct gemm {
    int m, n, k;
    const float *x, *w;
    float *y;
};

static void blas_own_threads(void *args)
{
    const struct gemm *g = args;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, g->m, g->n, g->k, 1, g->x, g->k, g->w,
                g->k, 0, g->y, g->n);
}

static void blas_tile(void *args, long t)
{
    const struct gemm *g = args;
    int first = (int)t * 64, rows = g->m - first < 64 ? g->m - first : 64;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, g->n, g->k, 1,
                g->x + (size_t)first * g->k, g->k, g->w, g->k, 0, g->y + (size_t)first * g->n,
                g->n);
}

static void blas_tiles(void *args)
{
    const struct gemm *g = args;
    parallel_for((g->m + 63) / 64, blas_tile, args);
}

/* ---- operators through the engine ---- */

struct bench {
    struct graph *g;
    struct exec *x;
    float *data[8];
    int n_data;
};

static struct value weight(struct bench *b, struct shape s)
{
    float *p = filled(shape_count(s));
    b->data[b->n_data++] = p;
    return graph_param(b->g, "w", s, p);
}

static void begin(struct bench *b)
{
    struct err e;
    memset(b, 0, sizeof *b);
    if (graph_make(&b->g, &e)) exit(1);
}

static void finish(struct bench *b, struct value out)
{
    struct err e;
    graph_keep(b->g, out);
    if (exec_open(&b->x, b->g, kernels_cpu(), &e)) {
        printf("%s\n", e.text);
        exit(1);
    }
}

static void run(void *args)
{
    struct err e;
    if (exec_run(((struct bench *)args)->x, &e)) exit(1);
}

static void end(struct bench *b)
{
    exec_close(b->x);
    for (int i = 0; i < b->n_data; i++) free(b->data[i]);
}

static void product(const char *what, int m, int k, int n)
{
    if (!strstr(what, only) && ceiling > 0) return;
    struct bench b;
    begin(&b);
    struct value x = weight(&b, SHAPE(1, m, k)), w = weight(&b, SHAPE(n, k));
    finish(&b, op_linear(b.g, x, w, VALUE_NONE));
    struct gemm g = {m, n, k, b.data[0], b.data[1], filled((int64_t)m * n)};
    struct contestant c[3] = {
        {run, &b, 0, 0}, {blas_tiles, &g, 0, 0}, {blas_own_threads, &g, 0, 0}};
    openblas_set_num_threads(1);
    race(c, 2);
    openblas_set_num_threads(threads);
    race(c + 2, 1);
    struct contestant again = c[0];
    race(&again, 1);
    if (again.best < c[0].best) c[0].best = again.best;
    openblas_set_num_threads(1);
    double flop = 2e-9 * m * n * k;
    if (ceiling == 0) ceiling = flop / c[2].best;
    printf("%-34s %5d x %5d x %5d %9.3f ms %7.1f %9.1f %9.1f\n", what, m, k, n, 1e3 * c[0].best,
           flop / c[0].best, flop / c[1].best, flop / c[2].best);
    fflush(stdout);
    free(g.y);
    end(&b);
}

static void report(const char *what, struct bench *b, struct value out, double gflop, double gbyte)
{
    finish(b, out);
    struct contestant c = {run, b, 0, 0};
    race(&c, 1);
    if (gflop > 0)
        printf("%-44s %9.3f ms %7.1f GF/s %4.0f %%\n", what, 1e3 * c.best, gflop / c.best,
               100 * gflop / c.best / ceiling);
    else printf("%-44s %9.3f ms %7.1f GB/s\n", what, 1e3 * c.best, gbyte / c.best);
    fflush(stdout);
    end(b);
}

static void conv(const char *what, int n, int h, int i, int o, int k, int stride, int back)
{
    if (!strstr(what, only)) return;
    struct bench b;
    begin(&b);
    int pad = k / 2, out = (h + 2 * pad - k) / stride + 1;
    struct value w = weight(&b, SHAPE(k, k, i, o)), x = weight(&b, SHAPE(n, h, h, i)), y, grad;
    struct conv_attr a = {stride, {pad, pad, pad, pad}};
    double gflop = 2e-9 * n * out * out * k * k * i * o;
    if (!back) {
        report(what, &b, op_conv(b.g, x, w, VALUE_NONE, a), gflop, 0);
        return;
    }
    x = graph_trained(b.g, "x", SHAPE(n, h, h, i), b.data[1]);
    y = op_conv(b.g, x, w, VALUE_NONE, a);
    graph_backward(b.g, y, &x, 1, &grad, NULL);
    report(what, &b, grad, gflop, 0);
}

static void attention(const char *what, int n, int t, int s, int heads, int d, int back)
{
    if (!strstr(what, only)) return;
    struct bench b;
    begin(&b);
    int c = heads * d;
    struct value v[3] = {weight(&b, SHAPE(n, t, c)), weight(&b, SHAPE(n, s, c)),
                         weight(&b, SHAPE(n, s, c))},
                 grad[3];
    double gflop = 4e-9 * n * heads * t * s * d;
    if (!back) {
        report(what, &b, op_attention(b.g, v[0], v[1], v[2], heads, 0, 0.2f), gflop, 0);
        return;
    }
    for (int i = 0; i < 3; i++) v[i] = graph_trained(b.g, "x", SHAPE(n, i ? s : t, c), b.data[i]);
    struct value y = op_attention(b.g, v[0], v[1], v[2], heads, 0, 0.2f);
    graph_backward(b.g, y, v, 3, grad, NULL);
    graph_keep(b.g, grad[1]);
    graph_keep(b.g, grad[2]);
    report(what, &b, grad[0], 2.5 * gflop, 0);
}

static void norm(const char *what, int n, int h, int c, int silu)
{
    if (!strstr(what, only)) return;
    struct bench b;
    begin(&b);
    struct value x = weight(&b, SHAPE(n, h, h, c)), gamma = weight(&b, SHAPE(c)),
                 beta = weight(&b, SHAPE(c));
    report(what, &b, op_group_norm(b.g, x, gamma, beta, 32, 1e-5f, silu), 0, 8e-9 * n * h * h * c);
}

static void geglu(const char *what, int n, int t, int c)
{
    if (!strstr(what, only)) return;
    struct bench b;
    begin(&b);
    report(what, &b, op_geglu(b.g, weight(&b, SHAPE(n, t, 2 * c))), 0, 12e-9 * n * t * c);
}

int main(int argc, char **argv)
{
    parallel_start(argc > 1 ? atoi(argv[1]) : 0);
    if (argc > 2) rounds = atoi(argv[2]);
    if (argc > 3) only = argv[3];
    threads = parallel_threads();
    printf("%d threads, best of %d rounds; products: rows x k x columns, GFLOP/s\n", threads,
           rounds);
    printf("%-56s %12s %7s %9s %9s\n", "", "ours", "ours", "OB tiles", "OB own");
    product("square", 1024, 1024, 1024);
    product("storybook qkv, 8x8", 64, 128, 128);
    product("storybook ff in, 8x8", 64, 128, 1024);
    product("storybook ff out, 8x8", 64, 512, 128);
    product("storybook qkv, 16x16 x 4", 1024, 128, 128);
    product("storybook ff in, 16x16 x 4", 1024, 128, 1024);
    product("storybook K/V, 16 tokens", 16, 256, 128);
    product("time embedding, 4 samples", 4, 512, 512);
    product("SD q, 64x64", 4096, 320, 320);
    product("SD ff in, 64x64", 4096, 320, 2560);
    product("SD ff in, 16x16", 256, 1280, 10240);
    product("SD deep, 8x8", 64, 1280, 1280);
    product("SD cross K/V, 77 tokens", 77, 768, 320);
    printf("\noperators; share of the OpenBLAS sgemm ceiling, %.1f GFLOP/s\n", ceiling);
    conv("conv 3x3   4x16x16 64->64", 4, 16, 64, 64, 3, 1, 0);
    conv("conv 3x3   4x8x8 128->128", 4, 8, 128, 128, 3, 1, 0);
    conv("conv 3x3   1x8x8 128->128", 1, 8, 128, 128, 3, 1, 0);
    conv("conv 3x3   4x4x4 192->192", 4, 4, 192, 192, 3, 1, 0);
    conv("conv 3x3   4x16x16 4->64", 4, 16, 4, 64, 3, 1, 0);
    conv("conv 3x3   4x16x16 64->4", 4, 16, 64, 4, 3, 1, 0);
    conv("conv 3x3/2 4x16x16 64->64", 4, 16, 64, 64, 3, 2, 0);
    conv("conv 1x1   4x16x16 192->64", 4, 16, 192, 64, 1, 1, 0);
    conv("conv 3x3   1x64x64 320->320", 1, 64, 320, 320, 3, 1, 0);
    conv("conv 3x3   1x32x32 640->640", 1, 32, 640, 640, 3, 1, 0);
    conv("conv 3x3   1x16x16 1280->1280", 1, 16, 1280, 1280, 3, 1, 0);
    conv("conv 3x3   1x8x8 1280->1280", 1, 8, 1280, 1280, 3, 1, 0);
    conv("conv 3x3   1x64x64 320->4", 1, 64, 320, 4, 3, 1, 0);
    conv("conv 3x3   1x128x128 128->128 (VAE)", 1, 128, 128, 128, 3, 1, 0);
    conv("conv_dx 3x3   4x16x16 64->64", 4, 16, 64, 64, 3, 1, 1);
    conv("conv_dx 3x3/2 4x16x16 64->64", 4, 16, 64, 64, 3, 2, 1);
    conv("conv_dx 3x3   1x32x32 640->640", 1, 32, 640, 640, 3, 1, 1);
    attention("attention    4 x 4 heads 256x256 d16", 4, 256, 256, 4, 16, 0);
    attention("attention    4 x 4 heads 64x64 d32", 4, 64, 64, 4, 32, 0);
    attention("attention    4 x 4 heads 64x16 d32", 4, 64, 16, 4, 32, 0);
    attention("attention_dx 4 x 4 heads 256x256 d16", 4, 256, 256, 4, 16, 1);
    attention("attention_dx 4 x 4 heads 64x64 d32", 4, 64, 64, 4, 32, 1);
    attention("attention    1 x 8 heads 4096x4096 d40", 1, 4096, 4096, 8, 40, 0);
    attention("attention    1 x 8 heads 1024x1024 d80", 1, 1024, 1024, 8, 80, 0);
    attention("attention    1 x 8 heads 4096x77 d40", 1, 4096, 77, 8, 40, 0);
    attention("attention_dx 1 x 8 heads 1024x1024 d80", 1, 1024, 1024, 8, 80, 1);
    attention("attention_dx 1 x 8 heads 4096x77 d40", 1, 4096, 77, 8, 40, 1);
    norm("group_norm + silu 4x16x16x64", 4, 16, 64, 1);
    norm("group_norm + silu 1x64x64x320", 1, 64, 320, 1);
    norm("group_norm        1x64x64x320", 1, 64, 320, 0);
    geglu("geglu 4x256x256", 4, 256, 256);
    geglu("geglu 1x4096x1280", 1, 4096, 1280);
    parallel_stop();
    return 0;
}
