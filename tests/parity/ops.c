/* ops.c - every operator of ops.def against float64, on every backend of this machine that computes on the host.
 *
 * One table of trials, one or more per operator (an operator without one fails the suite). Each trial is a node built
 * by graph_add and run through plan and exec, and is asked six questions:
 *
 *     agrees     cpu is within absolute + relative * |want| of support/reference.c
 *     checks     the check backend finds nothing and gives the same bytes
 *     threads    1, 2 and 3 threads give the same bytes
 *     levels     every instruction set that this machine has kernels for gives the same bytes
 *     samples    a batch is the bytes of its samples run alone (or, for gradients of weights, their sum in order)
 *     nan        a NaN among the inputs is not lost
 *
 * and the reference of each backward operator is itself held to finite differences of its forward one, so that kernel
 * and reference cannot be wrong together. To add an operator: its reference, its bound, its trials.
 */
#include "base/arena.h"
#include "base/parallel.h"
#include "base/philox.h"
#include "pipeline/tensor/graph.h"
#include "pipeline/tensor/kernels.h"
#include "tests/parity/support/reference.h"
#include "tests/tap.h"

#include <assert.h>

enum fill {
    ABSENT,
    NORMAL,
    SWEEP,  /* -scale..scale in equal steps */
    AROUND, /* scale + normal: a mean far from zero */
    IDS     /* int32, 0..bound-1 */
};

struct input {
    enum fill fill;
    struct shape shape;
    double scale;
    int bound;
};

enum over {
    NO_SAMPLES,
    SAMPLES, /* results have the samples, too */
    SUMMED   /* results are sums over samples, in order */
};

struct trial {
    enum op op;
    struct input in[NODE_INPUTS];
    union attr attr;
    enum over over;
    unsigned with_samples; /* bit i: dimension 0 of input i counts samples */
    unsigned outputs;      /* 0 means 1: the first */
    double slack;          /* the bound times this; 0 means 1 */
};

/* Relative to results of order one: inputs are scaled so. Sums of up to 700 products in float32, fused and in blocks,
 * stay below 2e-6; what is copied must be exact. */
struct bound {
    double absolute, relative;
};
static const struct bound bounds[OP_COUNT] = {
    [OP_linear] = {3e-6, 2e-6},
    [OP_linear_indexed] = {3e-6, 2e-6},
    [OP_conv] = {3e-6, 2e-6},
    [OP_group_norm] = {1e-6, 1e-6},
    [OP_layer_norm] = {1e-6, 1e-6},
    [OP_unary] = {2e-7, 5e-7},
    [OP_add] = {0, 6e-8},
    [OP_geglu] = {3e-7, 5e-7},
    [OP_attention] = {2e-6, 2e-6},
    [OP_mse] = {0, 1e-6},
    [OP_linear_dx] = {3e-6, 2e-6},
    [OP_linear_dw] = {3e-6, 2e-6},
    [OP_linear_indexed_dx] = {3e-6, 2e-6},
    [OP_linear_indexed_dw] = {3e-6, 2e-6},
    [OP_conv_dx] = {3e-6, 2e-6},
    [OP_group_norm_dx] = {2e-6, 1e-6},
    [OP_layer_norm_dx] = {2e-6, 1e-6},
    [OP_unary_dx] = {1e-6, 1e-6},
    [OP_reduce] = {1e-6, 1e-6},
    [OP_geglu_dx] = {1e-6, 1e-6},
    [OP_attention_dx] = {5e-6, 2e-6},
    [OP_upsample_dx] = {1e-6, 1e-6},
    [OP_embed_dextra] = {1e-6, 1e-6},
    [OP_mse_dp] = {0, 1e-6},
};

static uint64_t seed;
static struct arena arena;
static int covered[OP_COUNT];

/* ---- inputs ---- */

struct data {
    float *value[NODE_INPUTS]; /* or int32, by the trial's fill */
    double *value64[NODE_INPUTS];
    struct shape out_shape[NODE_OUTPUTS];
    double *want[NODE_OUTPUTS];
    float *got[NODE_OUTPUTS];
    unsigned outputs;
};

static void fill_float(const struct input *in, uint32_t stream, uint64_t trial, float *to,
                       int64_t n)
{
    philox_normal(philox_key(seed, PHILOX_TEST), trial, stream, to, (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        if (in->fill == NORMAL) to[i] = (float)(in->scale * (double)to[i]);
        if (in->fill == AROUND) to[i] = (float)(in->scale + (double)to[i]);
        if (in->fill == SWEEP)
            to[i] = (float)(n > 1 ? in->scale * (2.0 * (double)i / (double)(n - 1) - 1.0) : 0.0);
    }
}

static void fill_input(const struct trial *t, int i, uint64_t number, struct data *d)
{
    const struct input *in = &t->in[i];
    int64_t n = shape_count(in->shape);
    float *value = d->value[i] = arena_alloc(&arena, (size_t)n * 4 + 4);
    if (in->fill == IDS) {
        uint32_t *bits = arena_alloc(&arena, (size_t)n * 4 + 4);
        philox_bits(philox_key(seed, PHILOX_TEST), number, (uint32_t)i, bits, (size_t)n);
        for (int64_t j = 0; j < n; j++)
            ((int32_t *)(void *)value)[j] = (int32_t)(bits[j] % (uint32_t)in->bound);
        return;
    }
    fill_float(in, (uint32_t)i, number, value, n);
    d->value64[i] = arena_alloc(&arena, (size_t)n * sizeof(double) + 8);
    for (int64_t j = 0; j < n; j++) d->value64[i][j] = (double)value[j];
}

/* ---- one node through the engine ---- */

/* Runs the trial on values (shapes as in the trial); results are copied to out[j], which are allocated if NULL. */
static enum code run_node(const struct trial *t, const struct kernels *k,
                          void *const value[NODE_INPUTS], struct shape out_shape[NODE_OUTPUTS],
                          float *out[NODE_OUTPUTS], struct err *e)
{
    struct graph *g;
    struct exec *x;
    enum code rc = graph_make(&g, e);
    if (rc) return rc;
    struct node n = {.op = t->op, .attr = t->attr};
    for (int i = 0; i < NODE_INPUTS; i++) {
        enum dtype type = t->in[i].fill == IDS ? DTYPE_I32 : DTYPE_F32;
        n.in[i] = t->in[i].fill == ABSENT ? VALUE_NONE : graph_input(g, "in", type, t->in[i].shape);
    }
    graph_add(g, &n, t->outputs ? t->outputs : 1);
    for (int j = 0; j < NODE_OUTPUTS; j++)
        if (value_is(n.out[j])) graph_keep(g, n.out[j]);
    if ((rc = exec_open(&x, g, k, e))) return rc; /* frees the graph, too */
    for (int i = 0; i < NODE_INPUTS; i++)
        if (value_is(n.in[i])) exec_bind(x, n.in[i], value[i]);
    if ((rc = exec_run(x, e))) goto close;
    for (int j = 0; j < NODE_OUTPUTS; j++) {
        if (!value_is(n.out[j])) continue;
        out_shape[j] = graph_shape(g, n.out[j]);
        size_t bytes = (size_t)shape_count(out_shape[j]) * sizeof(float);
        if (!out[j]) out[j] = arena_alloc(&arena, bytes + 4);
        if (bytes) memcpy(out[j], exec_data(x, n.out[j]), bytes);
    }
close:
    exec_close(x);
    return rc;
}

/* ---- the six questions ---- */

static const char *describe(const struct trial *t, char *out, size_t room)
{
    char text[80];
    size_t used = (size_t)snprintf(out, room, "%s", op_name(t->op));
    for (int i = 0; i < NODE_INPUTS; i++)
        if (t->in[i].fill != ABSENT && used < room)
            used +=
                (size_t)snprintf(out + used, room - used, " %s", shape_text(t->in[i].shape, text));
    return out;
}

static void agrees(const struct trial *t, const struct data *d, const char *name)
{
    struct bound b = bounds[t->op];
    if (t->slack > 0) b.absolute *= t->slack, b.relative *= t->slack;
    double worst = -1;
    int64_t at = -1;
    int output = 0;
    for (int j = 0; j < NODE_OUTPUTS; j++)
        for (int64_t i = 0; d->got[j] && i < shape_count(d->out_shape[j]); i++) {
            double apart = fabs((double)d->got[j][i] - d->want[j][i]);
            double share = apart == 0 ? 0 : apart / (b.absolute + b.relative * fabs(d->want[j][i]));
            if (share <= worst) continue; /* NaN is worse than anything */
            worst = share, at = i, output = j;
            if (share != share) j = NODE_OUTPUTS - 1, i = shape_count(d->out_shape[j]);
        }
    if (!ok(worst <= 1, "%s agrees with float64 within %g + %g |want|", name, b.absolute,
            b.relative))
        note("worst: result %d, index %lld: got %.9g, want %.9g, %.3g times the bound; seed %llu",
             output, (long long)at, (double)d->got[output][at], d->want[output][at], worst,
             (unsigned long long)seed);
    if (getenv("SHARE") && at >= 0) note("%.2f of the bound", worst);
}

static int same_bytes(const struct data *d, float *const other[NODE_OUTPUTS], int *output,
                      int64_t *at)
{
    for (int j = 0; j < NODE_OUTPUTS; j++)
        for (int64_t i = 0; d->got[j] && i < shape_count(d->out_shape[j]); i++)
            if (memcmp(&d->got[j][i], &other[j][i], 4)) {
                *output = j, *at = i;
                return 0;
            }
    return 1;
}

static void same(const struct data *d, float *const other[NODE_OUTPUTS], const char *name,
                 const char *sentence)
{
    int output = 0;
    int64_t at = 0;
    if (!ok(same_bytes(d, other, &output, &at), "%s: %s", name, sentence))
        note("result %d, index %lld: %.9g and %.9g; seed %llu", output, (long long)at,
             (double)d->got[output][at], (double)other[output][at], (unsigned long long)seed);
}

static void checks(const struct trial *t, const struct data *d, const char *name)
{
    struct err e = {0};
    struct shape shape[NODE_OUTPUTS];
    float *out[NODE_OUTPUTS] = {0};
    enum code rc = run_node(t, kernels_check(), (void *const *)d->value, shape, out, &e);
    if (is_code(rc, OK, &e, "%s: the check backend finds nothing", name) && t->op != OP_reshape)
        same(d, out, name, "the check backend gives the same bytes");
}

static void threads(const struct trial *t, const struct data *d, const char *name)
{
    for (int n = 1; n <= 3; n += 2) {
        struct err e = {0};
        struct shape shape[NODE_OUTPUTS];
        float *out[NODE_OUTPUTS] = {0};
        parallel_start(n);
        if (run_node(t, kernels_cpu(), (void *const *)d->value, shape, out, &e))
            ok(0, "%s on %d threads: %s", name, n, e.text);
        else
            same(d, out, name,
                 n == 1 ? "one thread gives the same bytes as two"
                        : "three threads give the same bytes");
    }
    parallel_start(2);
}

static void levels(const struct trial *t, const struct data *d, const char *name)
{
    const struct kernels *k;
    for (int i = 0; (k = kernels_cpu_at(i)) && k != kernels_cpu(); i++) {
        struct err e = {0};
        struct shape shape[NODE_OUTPUTS];
        float *out[NODE_OUTPUTS] = {0};
        if (run_node(t, k, (void *const *)d->value, shape, out, &e))
            ok(0, "%s on instruction set %d: %s", name, i, e.text);
        else same(d, out, name, "a plainer instruction set gives the same bytes");
    }
}

/* The trial for one sample: shapes of the inputs and what attributes know of the batch. */
static struct trial one_sample(const struct trial *t)
{
    struct trial one = *t;
    for (int i = 0; i < NODE_INPUTS; i++)
        if (t->with_samples >> i & 1) one.in[i].shape.dim[0] = 1;
    if (t->op == OP_reduce) one.attr.reduce.shape.dim[0] = 1;
    return one;
}

static void samples(const struct trial *t, const struct data *d, const char *name)
{
    if (t->over == NO_SAMPLES) return;
    int first = t->with_samples & 1 ? 0 : 1;
    int64_t N = t->in[first].shape.dim[0];
    struct trial one = one_sample(t);
    struct data batch = *d;
    for (int j = 0; j < NODE_OUTPUTS; j++)
        if (d->got[j])
            batch.got[j] = arena_alloc(&arena, (size_t)shape_count(d->out_shape[j]) * 4 + 4);
    for (int64_t n = 0; n < N; n++) {
        struct err e = {0};
        void *value[NODE_INPUTS];
        struct shape shape[NODE_OUTPUTS];
        float *out[NODE_OUTPUTS] = {0};
        for (int i = 0; i < NODE_INPUTS; i++)
            value[i] = t->with_samples >> i & 1 ? d->value[i] + n * shape_count(one.in[i].shape)
                                                : d->value[i];
        if (run_node(&one, kernels_cpu(), value, shape, out, &e)) {
            ok(0, "%s, sample %d alone: %s", name, (int)n, e.text);
            return;
        }
        for (int j = 0; j < NODE_OUTPUTS; j++)
            for (int64_t i = 0; out[j] && i < shape_count(shape[j]); i++) {
                if (t->over == SUMMED)
                    batch.got[j][i] = n ? batch.got[j][i] + out[j][i] : out[j][i];
                else batch.got[j][n * shape_count(shape[j]) + i] = out[j][i];
            }
    }
    same(&batch, (float *const *)d->got, name,
         t->over == SUMMED ? "the batch is the sum of its samples in order, byte for byte"
                           : "a batch is its samples alone, byte for byte");
}

/* These leave elements of their first input out. */
static int looks_away(enum op op)
{
    return op == OP_slice || op == OP_pick || op == OP_embed_dextra || op == OP_detach_first_dx;
}

static void nan_stays(const struct trial *t, const struct data *d, const char *name)
{
    int64_t n = shape_count(t->in[0].shape);
    if (t->in[0].fill == IDS || looks_away(t->op) || n == 0) return;
    int64_t total = 0, found = 0;
    for (int j = 0; j < NODE_OUTPUTS; j++) total += d->got[j] ? shape_count(d->out_shape[j]) : 0;
    if (total == 0 || shape_count(t->in[1].shape) == 0) return;
    float before = d->value[0][0], *out[NODE_OUTPUTS] = {0};
    struct shape shape[NODE_OUTPUTS];
    d->value[0][0] = NAN;
    enum code rc = run_node(t, kernels_cpu(), (void *const *)d->value, shape, out, NULL);
    d->value[0][0] = before;
    for (int j = 0; j < NODE_OUTPUTS; j++)
        for (int64_t i = 0; out[j] && i < shape_count(shape[j]); i++)
            found += out[j][i] != out[j][i];
    ok(rc == OK && found > 0, "%s: a NaN is not lost", name);
}

/* ---- the reference against finite differences ---- */

static double *copied(const double *from, int64_t n)
{
    double *to = arena_alloc(&arena, (size_t)n * sizeof *to + 8);
    if (n) memcpy(to, from, (size_t)n * sizeof *to);
    return to;
}

static double *random64(uint64_t number, uint32_t stream, int64_t n)
{
    float *f = arena_alloc(&arena, (size_t)n * sizeof *f + 4);
    double *to = arena_alloc(&arena, (size_t)n * sizeof *to + 8);
    philox_normal(philox_key(seed, PHILOX_TEST), number, stream, f, (size_t)n);
    for (int64_t i = 0; i < n; i++) to[i] = (double)f[i];
    return to;
}

/* sum of dy y, with x + h u in place of the input x. */
static double loss_at(struct run64 *f, const double *dy, int input, const double *x,
                      const double *u, double h)
{
    int64_t n = shape_count(f->in_shape[input]);
    double *moved = arena_alloc(&arena, (size_t)n * sizeof *moved + 8), loss = 0;
    for (int64_t i = 0; i < n; i++) moved[i] = x[i] + h * u[i];
    f->in[input] = moved;
    reference(f);
    f->in[input] = x;
    for (int64_t i = 0; i < shape_count(f->out_shape[0]); i++) loss += dy[i] * f->out[0][i];
    return loss;
}

static void reference_slopes(const struct run64 *back, uint64_t number, const char *name)
{
    struct primal p;
    struct run64 f = {0};
    if (!reference_primal(back, &p)) return;
    f.op = p.op;
    f.attr = p.attr;
    for (int i = 0; i < NODE_INPUTS; i++) {
        if (p.from[i] == PRIMAL_ABSENT) continue;
        int free = p.from[i] == PRIMAL_FREE, j = p.from[i];
        f.in_shape[i] = free ? p.free[i] : back->in_shape[j];
        if (free) f.in[i] = random64(number, 100 + (uint32_t)i, shape_count(p.free[i]));
        else if (back->index[j]) f.index[i] = back->index[j];
        else f.in[i] = copied(back->in[j], shape_count(back->in_shape[j]));
    }
    f.out_shape[0] = back->in_shape[0];
    f.out[0] = arena_alloc(&arena, (size_t)shape_count(f.out_shape[0]) * sizeof(double) + 8);
    for (int j = 0; j < NODE_OUTPUTS; j++) {
        if (!back->out[j]) continue;
        int wrt = p.wrt[j];
        int64_t n = shape_count(back->out_shape[j]);
        const double *u = random64(number, 200 + (uint32_t)j, n), *x = f.in[wrt];
        double slope = 0, scale = 0, h = 1e-4;
        for (int64_t i = 0; i < n; i++) {
            slope += back->out[j][i] * u[i];
            scale += fabs(back->out[j][i] * u[i]);
        }
        double near1 =
            loss_at(&f, back->in[0], wrt, x, u, h) - loss_at(&f, back->in[0], wrt, x, u, -h);
        double far = loss_at(&f, back->in[0], wrt, x, u, 2 * h) -
                     loss_at(&f, back->in[0], wrt, x, u, -2 * h);
        near((8 * near1 - far) / (12 * h), slope, 1e-7 * scale + 1e-9,
             "%s: the reference's gradient %d agrees with finite differences", name, j);
    }
}

/* ---- one trial ---- */

static void try(const struct trial *t, uint64_t number)
{
    char name[200];
    struct err e = {0};
    struct data d = {0};
    struct run64 r = {.op = t->op, .attr = t->attr};
    struct arena_mark mark = arena_mark(&arena);
    covered[t->op] = 1;
    describe(t, name, sizeof name);
    for (int i = 0; i < NODE_INPUTS; i++) {
        if (t->in[i].fill == ABSENT) continue;
        fill_input(t, i, number, &d);
        r.in[i] = d.value64[i];
        r.index[i] = t->in[i].fill == IDS ? (const int32_t *)(void *)d.value[i] : NULL;
        r.in_shape[i] = t->in[i].shape;
    }
    if (is_code(run_node(t, kernels_cpu(), (void *const *)d.value, d.out_shape, d.got, &e), OK, &e,
                "%s runs", name)) {
        for (int j = 0; j < NODE_OUTPUTS; j++) {
            r.out_shape[j] = d.out_shape[j];
            if (d.got[j])
                r.out[j] = d.want[j] =
                    arena_alloc(&arena, (size_t)shape_count(d.out_shape[j]) * sizeof(double) + 8);
        }
        reference(&r);
        agrees(t, &d, name);
        checks(t, &d, name);
        threads(t, &d, name);
        levels(t, &d, name);
        samples(t, &d, name);
        nan_stays(t, &d, name);
        reference_slopes(&r, number, name);
    }
    arena_reset(&arena, mark);
}

/* clang-format off */
#define X(...) {NORMAL, SHAPE(__VA_ARGS__), 1, 0}
#define W(scale, ...) {NORMAL, SHAPE(__VA_ARGS__), scale, 0}
#define SWEEP_(to, ...) {SWEEP, SHAPE(__VA_ARGS__), to, 0}
#define AROUND_(mean, ...) {AROUND, SHAPE(__VA_ARGS__), mean, 0}
#define IDS_(bound, ...) {IDS, SHAPE(__VA_ARGS__), 0, bound}
#define IN(...) .in = {__VA_ARGS__}
#define QKV(n, t, s, c) IN(X(n, t, c), X(n, s, c), X(n, s, c))
#define DY_QKV(n, t, s, c) IN(W(0.3, n, t, c), X(n, t, c), X(n, s, c), X(n, s, c))
#define ALONE .over = NO_SAMPLES
#define BATCH(inputs) .over = SAMPLES, .with_samples = inputs
#define SUM(inputs) .over = SUMMED, .with_samples = inputs

/* What evaluating at points costs (cpu/winograd.c): held to 9e-6 + 6e-6 |want|. */
#define WINOGRAD .slack = 3

#define CONV(stride, ...) .attr = {.conv = {stride, {__VA_ARGS__}}}
#define CONV_DX(h, w, stride, ...) .attr = {.conv_dx = {{stride, {__VA_ARGS__}}, h, w}}
#define NORM(groups, silu) .attr = {.norm = {groups, 1e-5f, silu}}
#define HEADS(n, causal, scale) .attr = {.attention = {n, causal, scale}}
#define UNARY(kind, scale) .attr = {.unary = {UNARY_##kind, scale}}
#define TO(...) .attr = {.reduce = {SHAPE(__VA_ARGS__)}}
#define SLICE(axis, begin, size) .attr = {.slice = {axis, begin, size}}
/* clang-format on */

static void products(void)
{
    /* clang-format off */
    const struct trial trials[] = {
        {.op = OP_linear, IN(X(1, 1), X(1, 1)), BATCH(1)},
        {.op = OP_linear, IN(X(7), X(5, 7)), ALONE},
        {.op = OP_linear, IN(X(2, 5, 7), W(0.4, 3, 7), X(3)), BATCH(1)},
        {.op = OP_linear, IN(X(4, 33), W(0.2, 17, 33), X(17)), BATCH(1)},
        {.op = OP_linear, IN(X(3, 131, 331), W(0.05, 67, 331), X(67)), BATCH(1)},
        {.op = OP_linear, IN(X(2, 5, 10, 24), W(0.2, 16, 24)), BATCH(1)},
        {.op = OP_linear, IN(X(1, 400, 700), W(0.04, 130, 700)), BATCH(1)},
        {.op = OP_linear, IN(X(0, 5, 7), X(3, 7), X(3)), BATCH(1)},
        {.op = OP_linear, IN(X(2, 5, 0), X(3, 0), X(3)), BATCH(1)},
        {.op = OP_linear, IN(X(2, 5, 4), X(0, 4)), BATCH(1)},
        {.op = OP_linear_dx, IN(X(1, 1), X(1, 1)), BATCH(1)},
        {.op = OP_linear_dx, IN(X(2, 5, 3), W(0.5, 3, 7)), BATCH(1)},
        {.op = OP_linear_dx, IN(X(3, 101, 331), W(0.05, 331, 67)), BATCH(1)},
        {.op = OP_linear_dx, IN(X(2, 0, 3), X(3, 7)), BATCH(1)},
        {.op = OP_linear_dw, IN(X(1, 1), X(1, 1)), SUM(3)},
        {.op = OP_linear_dw, IN(W(0.5, 5), X(7)), ALONE},
        {.op = OP_linear_dw, IN(W(0.3, 3, 5, 13), X(3, 5, 7)), SUM(3)},
        {.op = OP_linear_dw, IN(W(0.3, 5, 19), X(5, 33)), SUM(3)},
        {.op = OP_linear_dw, IN(W(0.04, 3, 331, 37), X(3, 331, 67)), SUM(3)},
        {.op = OP_linear_dw, IN(W(0.1, 2, 77, 130), X(2, 77, 101)), SUM(3)},
        {.op = OP_linear_dw, IN(X(0, 5, 3), X(0, 5, 7)), SUM(0)},
        {.op = OP_linear_indexed, IN(X(1, 1, 1), X(1, 1, 1), IDS_(1, 1)), BATCH(5)},
        {.op = OP_linear_indexed, IN(X(5, 7, 13), W(0.3, 3, 11, 13), IDS_(3, 5)), BATCH(5)},
        {.op = OP_linear_indexed, IN(X(3, 77, 350), W(0.05, 2, 70, 350), IDS_(2, 3)), BATCH(5)},
        {.op = OP_linear_indexed, IN(X(0, 7, 13), X(3, 11, 13), IDS_(3, 0)), BATCH(0)},
        {.op = OP_linear_indexed_dx, IN(X(5, 7, 11), W(0.3, 3, 11, 13), IDS_(3, 5)), BATCH(5)},
        {.op = OP_linear_indexed_dx, IN(X(2, 77, 330), W(0.05, 2, 330, 40), IDS_(2, 2)), BATCH(5)},
        {.op = OP_linear_indexed_dw, IN(W(0.3, 5, 7, 11), X(5, 7, 13), IDS_(3, 5)), .attr = {.rows = {4, 0}}, SUM(7)},
        {.op = OP_linear_indexed_dw, IN(W(0.05, 3, 331, 20), X(3, 331, 13), IDS_(2, 3)), .attr = {.rows = {2, 0}}, SUM(7)},
        {.op = OP_linear_indexed_dw, IN(X(0, 7, 11), X(0, 7, 13), IDS_(3, 0)), .attr = {.rows = {3, 0}}, SUM(0)},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) try(&trials[i], 1000 + i);
}

static void convolutions(void)
{
    /* clang-format off */
    const struct trial trials[] = {
        {.op = OP_conv, IN(X(1, 1, 1, 1), X(1, 1, 1, 1)), CONV(1, 0, 0, 0, 0), BATCH(1)},
        {.op = OP_conv, IN(X(2, 5, 7, 3), W(0.2, 3, 3, 3, 4), X(4)), CONV(1, 1, 1, 1, 1), BATCH(1)},
        {.op = OP_conv, IN(X(3, 16, 16, 64), W(0.04, 3, 3, 64, 65), X(65)), CONV(1, 1, 1, 1, 1), BATCH(1), WINOGRAD},
        {.op = OP_conv, IN(X(2, 9, 11, 20), W(0.07, 3, 3, 20, 37)), CONV(1, 0, 2, 1, 0), BATCH(1), WINOGRAD},
        {.op = OP_conv, IN(X(2, 33, 34, 150), W(0.03, 3, 3, 150, 100), X(100)), CONV(1, 1, 1, 1, 1), BATCH(1), WINOGRAD},
        {.op = OP_conv, IN(X(1, 66, 66, 331), W(0.02, 3, 3, 331, 16)), CONV(1, 1, 1, 1, 1), ALONE, WINOGRAD},
        {.op = OP_conv, IN(X(2, 9, 11, 5), W(0.15, 3, 3, 5, 21)), CONV(2, 0, 0, 1, 1), BATCH(1)},
        {.op = OP_conv, IN(X(2, 8, 12, 16), W(0.08, 3, 3, 16, 33), X(33)), CONV(2, 1, 1, 1, 1), BATCH(1)},
        {.op = OP_conv, IN(X(2, 7, 5, 13), W(0.3, 1, 1, 13, 17), X(17)), CONV(1, 0, 0, 0, 0), BATCH(1)},
        {.op = OP_conv, IN(X(2, 12, 8, 3), W(0.15, 4, 4, 3, 10), X(10)), CONV(4, 0, 0, 0, 0), BATCH(1)},
        {.op = OP_conv, IN(X(1, 64, 32, 3), W(0.02, 32, 32, 3, 10)), CONV(32, 0, 0, 0, 0), BATCH(1)},
        {.op = OP_conv, IN(X(3, 6, 7, 5), W(0.1, 5, 3, 5, 6)), CONV(1, 2, 0, 1, 2), BATCH(1)},
        {.op = OP_conv, IN(X(2, 7, 7, 2), W(0.3, 3, 3, 2, 3)), CONV(3, 1, 0, 0, 2), BATCH(1)},
        {.op = OP_conv, IN(X(2, 4, 5, 331), W(0.02, 3, 3, 331, 9)), CONV(1, 1, 1, 1, 1), BATCH(1)},
        {.op = OP_conv, IN(X(2, 6, 6, 130), W(0.03, 3, 3, 130, 40), X(40)), CONV(1, 1, 1, 1, 1), BATCH(1)},
        {.op = OP_conv, IN(X(1, 2, 2, 3), W(0.2, 3, 3, 3, 4)), CONV(1, 4, 4, 4, 4), BATCH(1)},
        {.op = OP_conv, IN(X(0, 5, 7, 3), X(3, 3, 3, 4), X(4)), CONV(1, 1, 1, 1, 1), BATCH(1)},
        {.op = OP_conv, IN(X(2, 5, 7, 0), X(3, 3, 0, 4), X(4)), CONV(1, 1, 1, 1, 1), BATCH(1)},
        {.op = OP_conv, IN(X(2, 5, 7, 3), X(3, 3, 3, 0)), CONV(1, 1, 1, 1, 1), BATCH(1)},
        {.op = OP_conv_dx, IN(X(1, 1, 1, 1), X(1, 1, 1, 1)), CONV_DX(1, 1, 1, 0, 0, 0, 0), BATCH(1)},
        {.op = OP_conv_dx, IN(X(2, 5, 7, 4), W(0.2, 3, 3, 3, 4)), CONV_DX(5, 7, 1, 1, 1, 1, 1), BATCH(1)},
        {.op = OP_conv_dx, IN(X(3, 16, 16, 65), W(0.04, 3, 3, 64, 65)), CONV_DX(16, 16, 1, 1, 1, 1, 1), BATCH(1), WINOGRAD},
        {.op = OP_conv_dx, IN(X(2, 8, 11, 37), W(0.06, 3, 3, 20, 37)), CONV_DX(9, 11, 1, 0, 2, 1, 0), BATCH(1), WINOGRAD},
        {.op = OP_conv_dx, IN(X(2, 33, 34, 150), W(0.03, 3, 3, 100, 150)), CONV_DX(33, 34, 1, 1, 1, 1, 1), BATCH(1), WINOGRAD},
        {.op = OP_conv_dx, IN(X(2, 4, 5, 21), W(0.1, 3, 3, 5, 21)), CONV_DX(9, 11, 2, 0, 0, 1, 1), BATCH(1)},
        {.op = OP_conv_dx, IN(X(2, 4, 6, 33), W(0.08, 3, 3, 16, 33)), CONV_DX(8, 12, 2, 1, 1, 1, 1), BATCH(1)},
        {.op = OP_conv_dx, IN(X(2, 7, 5, 17), W(0.2, 1, 1, 13, 17)), CONV_DX(7, 5, 1, 0, 0, 0, 0), BATCH(1)},
        {.op = OP_conv_dx, IN(X(2, 3, 2, 10), W(0.2, 4, 4, 3, 10)), CONV_DX(12, 8, 4, 0, 0, 0, 0), BATCH(1)},
        {.op = OP_conv_dx, IN(X(3, 5, 7, 6), W(0.1, 5, 3, 5, 6)), CONV_DX(6, 7, 1, 2, 0, 1, 2), BATCH(1)},
        {.op = OP_conv_dx, IN(X(2, 3, 3, 3), W(0.4, 2, 2, 4, 3)), CONV_DX(7, 8, 3, 1, 0, 0, 2), BATCH(1)},
        {.op = OP_conv_dx, IN(X(2, 4, 5, 331), W(0.02, 3, 3, 9, 331)), CONV_DX(4, 5, 1, 1, 1, 1, 1), BATCH(1)},
        {.op = OP_conv_dx, IN(X(0, 5, 7, 4), X(3, 3, 3, 4)), CONV_DX(5, 7, 1, 1, 1, 1, 1), BATCH(1)},
        {.op = OP_conv_dx, IN(X(2, 5, 7, 0), X(3, 3, 3, 0)), CONV_DX(5, 7, 1, 1, 1, 1, 1), BATCH(1)},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) try(&trials[i], 2000 + i);
}

static void norms(void)
{
    /* clang-format off */
    const struct trial trials[] = {
        {.op = OP_group_norm, IN(X(1, 1, 1, 1), X(1), X(1)), NORM(1, 0), BATCH(1)},
        {.op = OP_group_norm, IN(X(2, 5, 7, 12), X(12), X(12)), NORM(3, 0), BATCH(1)},
        {.op = OP_group_norm, IN(X(2, 5, 7, 12), X(12), X(12)), NORM(3, 1), BATCH(1)},
        {.op = OP_group_norm, IN(X(3, 40, 33), X(33), X(33)), NORM(11, 1), BATCH(1)},
        {.op = OP_group_norm, IN(X(3, 8), X(8), X(8)), NORM(2, 0), BATCH(1)},
        {.op = OP_group_norm, IN(AROUND_(3, 2, 40, 41, 64), X(64), X(64)), NORM(32, 1), BATCH(1)},
        {.op = OP_group_norm, IN(X(0, 5, 7, 12), X(12), X(12)), NORM(3, 1), BATCH(1)},
        {.op = OP_group_norm, IN(X(2, 0, 7, 12), X(12), X(12)), NORM(3, 1), BATCH(1)},
        {.op = OP_group_norm_dx, IN(X(1, 1, 1, 2), X(1, 1, 1, 2), X(2), X(2)), NORM(1, 0), BATCH(3)},
        {.op = OP_group_norm_dx, IN(X(2, 5, 7, 12), X(2, 5, 7, 12), X(12), X(12)), NORM(3, 0), BATCH(3)},
        {.op = OP_group_norm_dx, IN(X(2, 5, 7, 12), X(2, 5, 7, 12), X(12), X(12)), NORM(3, 1), BATCH(3)},
        {.op = OP_group_norm_dx, IN(X(3, 40, 33), X(3, 40, 33), X(33), X(33)), NORM(11, 1), BATCH(3)},
        {.op = OP_group_norm_dx, IN(X(2, 40, 41, 64), AROUND_(3, 2, 40, 41, 64), X(64), X(64)), NORM(32, 1), BATCH(3)},
        {.op = OP_group_norm_dx, IN(X(0, 5, 12), X(0, 5, 12), X(12), X(12)), NORM(3, 1), BATCH(3)},
        {.op = OP_layer_norm, IN(X(1), X(1), X(1)), NORM(1, 0), ALONE},
        {.op = OP_layer_norm, IN(X(2, 5, 7), X(7), X(7)), NORM(1, 0), BATCH(1)},
        {.op = OP_layer_norm, IN(AROUND_(3, 3, 77, 331), X(331), X(331)), NORM(1, 0), BATCH(1)},
        {.op = OP_layer_norm, IN(X(0, 5, 7), X(7), X(7)), NORM(1, 0), BATCH(1)},
        {.op = OP_layer_norm, IN(X(2, 5, 0), X(0), X(0)), NORM(1, 0), BATCH(1)},
        {.op = OP_layer_norm_dx, IN(X(1, 2), X(1, 2), X(2), X(2)), NORM(1, 0), BATCH(3)},
        {.op = OP_layer_norm_dx, IN(X(2, 5, 7), X(2, 5, 7), X(7), X(7)), NORM(1, 0), BATCH(3)},
        {.op = OP_layer_norm_dx, IN(X(3, 77, 331), AROUND_(3, 3, 77, 331), X(331), X(331)), NORM(1, 0), BATCH(3)},
        {.op = OP_layer_norm_dx, IN(X(2, 0, 7), X(2, 0, 7), X(7), X(7)), NORM(1, 0), BATCH(3)},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) try(&trials[i], 3000 + i);
}

static void attentions(void)
{
    /* clang-format off */
    const struct trial trials[] = {
        {.op = OP_attention, QKV(1, 1, 1, 1), HEADS(1, 0, 1), BATCH(7)},
        {.op = OP_attention, QKV(2, 5, 7, 12), HEADS(3, 0, 0.5f), BATCH(7)},
        {.op = OP_attention, QKV(2, 77, 77, 64), HEADS(4, 1, 0.25f), BATCH(7)},
        {.op = OP_attention, QKV(2, 800, 30, 32), HEADS(4, 0, 0.35f), BATCH(7)}, /* tasks of many strips */
        {.op = OP_attention, QKV(2, 211, 307, 40), HEADS(2, 0, 0.22f), BATCH(7)},
        {.op = OP_attention, QKV(1, 600, 600, 16), HEADS(1, 1, 0.25f), BATCH(7)},
        {.op = OP_attention, QKV(2, 64, 16, 80), HEADS(2, 0, 0.16f), BATCH(7)},
        {.op = OP_attention, QKV(2, 9, 520, 40), HEADS(1, 0, 5.0f), BATCH(7), .slack = 20}, /* scores to 100 */
        {.op = OP_attention, QKV(2, 9, 5, 8), HEADS(2, 0, -0.7f), BATCH(7)},
        {.op = OP_attention, QKV(2, 0, 5, 8), HEADS(2, 0, 1), BATCH(7)},
        {.op = OP_attention, QKV(0, 3, 5, 8), HEADS(2, 0, 1), BATCH(7)},
        {.op = OP_attention_dx, DY_QKV(1, 1, 1, 1), HEADS(1, 0, 1), BATCH(15), .outputs = 7},
        {.op = OP_attention_dx, DY_QKV(2, 5, 7, 12), HEADS(3, 0, 0.5f), BATCH(15), .outputs = 7},
        {.op = OP_attention_dx, DY_QKV(2, 5, 7, 12), HEADS(3, 0, 0.5f), BATCH(15), .outputs = 1},
        {.op = OP_attention_dx, DY_QKV(2, 5, 7, 12), HEADS(3, 0, 0.5f), BATCH(15), .outputs = 2},
        {.op = OP_attention_dx, DY_QKV(2, 5, 7, 12), HEADS(3, 0, 0.5f), BATCH(15), .outputs = 4},
        {.op = OP_attention_dx, DY_QKV(2, 77, 77, 64), HEADS(4, 1, 0.25f), BATCH(15), .outputs = 7},
        {.op = OP_attention_dx, DY_QKV(2, 211, 307, 40), HEADS(2, 0, 0.22f), BATCH(15), .outputs = 7},
        {.op = OP_attention_dx, DY_QKV(2, 64, 16, 80), HEADS(2, 0, 0.16f), BATCH(15), .outputs = 6},
        {.op = OP_attention_dx, DY_QKV(2, 9, 520, 40), HEADS(1, 0, 0.5f), BATCH(15), .outputs = 7},
        {.op = OP_attention_dx, DY_QKV(2, 0, 5, 8), HEADS(2, 0, 1), BATCH(15), .outputs = 7},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) try(&trials[i], 4000 + i);
}

static void pointwise(void)
{
    /* clang-format off */
    const struct trial trials[] = {
        {.op = OP_unary, IN(X(1)), UNARY(SILU, 1), ALONE},
        {.op = OP_unary, IN(X(3, 5, 7)), UNARY(SILU, 1), BATCH(1)},
        {.op = OP_unary, IN(X(3, 37)), UNARY(SCALE, -0.3f), BATCH(1)},
        {.op = OP_unary, IN(SWEEP_(105, 40009)), UNARY(SILU, 1), ALONE},
        {.op = OP_unary, IN(SWEEP_(105, 40009)), UNARY(GELU, 1), ALONE},
        {.op = OP_unary, IN(SWEEP_(6, 40009)), UNARY(GELU, 1), ALONE},
        {.op = OP_unary, IN(SWEEP_(105, 40009)), UNARY(QUICK_GELU, 1), ALONE},
        {.op = OP_unary, IN(X(0, 5)), UNARY(GELU, 1), BATCH(1)},
        {.op = OP_unary_dx, IN(X(1), X(1)), UNARY(SILU, 1), ALONE},
        {.op = OP_unary_dx, IN(X(3, 5, 7), X(3, 5, 7)), UNARY(SILU, 1), BATCH(3)},
        {.op = OP_unary_dx, IN(X(3, 37), X(3, 37)), UNARY(SCALE, -0.3f), BATCH(3)},
        {.op = OP_unary_dx, IN(X(20011), SWEEP_(105, 20011)), UNARY(SILU, 1), ALONE},
        {.op = OP_unary_dx, IN(X(20011), SWEEP_(20, 20011)), UNARY(GELU, 1), ALONE},
        {.op = OP_unary_dx, IN(X(20011), SWEEP_(60, 20011)), UNARY(QUICK_GELU, 1), ALONE},
        {.op = OP_unary_dx, IN(X(0, 5), X(0, 5)), UNARY(GELU, 1), BATCH(3)},
        {.op = OP_add, IN(X(1), X(1)), ALONE},
        {.op = OP_add, IN(X(3, 5, 7), X(3, 5, 7)), BATCH(3)},
        {.op = OP_add, IN(X(2, 100, 101), X(2, 100, 101)), BATCH(3)},
        {.op = OP_add, IN(X(3, 5, 7), X(1, 5, 7)), BATCH(1)},
        {.op = OP_add, IN(X(3, 4, 5, 7), X(1, 1, 1, 7)), BATCH(1)},
        {.op = OP_add, IN(X(3, 4, 5, 7), X(3, 1, 1, 7)), BATCH(3)},
        {.op = OP_add, IN(X(3, 4, 5, 7), X(3, 4, 1, 1)), BATCH(3)},
        {.op = OP_add, IN(X(3, 4, 5, 7), X(1, 4, 1, 7)), BATCH(1)},
        {.op = OP_add, IN(X(13, 7), X(13, 1)), BATCH(3)},
        {.op = OP_add, IN(X(3, 0, 7), X(3, 1, 7)), BATCH(3)},
        {.op = OP_geglu, IN(X(1, 2)), BATCH(1)},
        {.op = OP_geglu, IN(X(3, 5, 26)), BATCH(1)},
        {.op = OP_geglu, IN(X(2, 100, 202)), BATCH(1)},
        {.op = OP_geglu, IN(X(2, 5, 0)), BATCH(1)},
        {.op = OP_geglu_dx, IN(X(1, 1), X(1, 2)), BATCH(3)},
        {.op = OP_geglu_dx, IN(X(3, 5, 13), X(3, 5, 26)), BATCH(3)},
        {.op = OP_geglu_dx, IN(X(2, 100, 101), X(2, 100, 202)), BATCH(3)},
        {.op = OP_geglu_dx, IN(X(0, 5, 3), X(0, 5, 6)), BATCH(3)},
        {.op = OP_mse, IN(X(1, 1), X(1, 1), X(1)), BATCH(7)},
        {.op = OP_mse, IN(X(3, 5, 7, 4), X(3, 5, 7, 4), X(3)), BATCH(7)},
        {.op = OP_mse, IN(X(5), X(5), X(5)), BATCH(7)},
        {.op = OP_mse, IN(X(2, 64, 63, 4), X(2, 64, 63, 4), X(2)), BATCH(7)},
        {.op = OP_mse, IN(X(0, 5), X(0, 5), X(0)), BATCH(7)},
        {.op = OP_mse_dp, IN(X(1), X(1, 1), X(1, 1), X(1)), BATCH(15)},
        {.op = OP_mse_dp, IN(X(3), X(3, 5, 7, 4), X(3, 5, 7, 4), X(3)), BATCH(15)},
        {.op = OP_mse_dp, IN(X(0), X(0, 5), X(0, 5), X(0)), BATCH(15)},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) try(&trials[i], 5000 + i);
}

static void moves(void)
{
    /* clang-format off */
    const struct trial trials[] = {
        {.op = OP_concat, IN(X(1), X(1)), .attr = {.axis = {0}}, ALONE},
        {.op = OP_concat, IN(X(2, 3, 5, 7), X(2, 3, 5, 4)), .attr = {.axis = {3}}, BATCH(3)},
        {.op = OP_concat, IN(X(2, 3, 5), X(2, 4, 5)), .attr = {.axis = {1}}, BATCH(3)},
        {.op = OP_concat, IN(X(2, 3), X(5, 3)), .attr = {.axis = {0}}, ALONE},
        {.op = OP_concat, IN(X(2, 3, 0), X(2, 3, 5)), .attr = {.axis = {2}}, BATCH(3)},
        {.op = OP_concat, IN(X(2, 130, 130), X(2, 130, 64)), .attr = {.axis = {2}}, BATCH(3)},
        {.op = OP_slice, IN(X(1)), SLICE(0, 0, 1), ALONE},
        {.op = OP_slice, IN(X(2, 3, 5, 7)), SLICE(3, 2, 4), BATCH(1)},
        {.op = OP_slice, IN(X(2, 7, 5)), SLICE(1, 1, 3), BATCH(1)},
        {.op = OP_slice, IN(X(7, 5)), SLICE(0, 3, 4), ALONE},
        {.op = OP_slice, IN(X(2, 7, 5)), SLICE(1, 7, 0), BATCH(1)},
        {.op = OP_place, IN(X(1)), SLICE(0, 0, 1), ALONE},
        {.op = OP_place, IN(X(2, 3, 5, 4)), SLICE(3, 2, 7), BATCH(1)},
        {.op = OP_place, IN(X(2, 3, 5)), SLICE(1, 1, 7), BATCH(1)},
        {.op = OP_place, IN(X(4, 5)), SLICE(0, 3, 7), ALONE},
        {.op = OP_place, IN(X(2, 0, 5)), SLICE(1, 3, 4), BATCH(1)},
        {.op = OP_upsample, IN(X(1, 1, 1, 1)), .attr = {.size = {1, 1}}, BATCH(1)},
        {.op = OP_upsample, IN(X(2, 3, 5, 7)), .attr = {.size = {6, 10}}, BATCH(1)},
        {.op = OP_upsample, IN(X(2, 3, 5, 17)), .attr = {.size = {7, 9}}, BATCH(1)},
        {.op = OP_upsample, IN(X(2, 7, 5, 3)), .attr = {.size = {4, 5}}, BATCH(1)},
        {.op = OP_upsample, IN(X(0, 3, 5, 7)), .attr = {.size = {6, 10}}, BATCH(1)},
        {.op = OP_upsample_dx, IN(X(1, 1, 1, 1)), .attr = {.size = {1, 1}}, BATCH(1)},
        {.op = OP_upsample_dx, IN(X(2, 6, 10, 7)), .attr = {.size = {3, 5}}, BATCH(1)},
        {.op = OP_upsample_dx, IN(X(2, 7, 9, 17)), .attr = {.size = {3, 5}}, BATCH(1)},
        {.op = OP_upsample_dx, IN(X(2, 4, 5, 3)), .attr = {.size = {7, 5}}, BATCH(1)},
        {.op = OP_upsample_dx, IN(X(2, 6, 10, 0)), .attr = {.size = {3, 5}}, BATCH(1)},
        {.op = OP_repeat, IN(X(1, 5, 7)), .attr = {.repeat = {3}}, ALONE},
        {.op = OP_repeat, IN(X(1, 5, 7)), .attr = {.repeat = {0}}, ALONE},
        {.op = OP_repeat, IN(X(1)), .attr = {.repeat = {17}}, ALONE},
        {.op = OP_reshape, IN(X(2, 6, 5)), TO(2, 2, 3, 5), ALONE},
        {.op = OP_reshape, IN(X(2, 0, 5)), TO(0), ALONE},
        {.op = OP_reduce, IN(X(1)), TO(1), ALONE},
        {.op = OP_reduce, IN(W(0.3, 3, 5, 7)), TO(3, 1, 7), BATCH(1)},
        {.op = OP_reduce, IN(W(0.2, 3, 8, 9, 70)), TO(3, 1, 1, 70), BATCH(1)},
        {.op = OP_reduce, IN(W(0.1, 3, 8, 9, 70)), TO(1, 1, 1, 70), SUM(1)},
        {.op = OP_reduce, IN(W(0.5, 3, 5, 7)), TO(1, 5, 7), SUM(1)},
        {.op = OP_reduce, IN(W(0.3, 3, 5, 17)), TO(3, 5, 1), BATCH(1)},
        {.op = OP_reduce, IN(W(0.3, 3, 4, 5, 6)), TO(1, 4, 1, 1), SUM(1)},
        {.op = OP_reduce, IN(W(0.3, 13, 1)), TO(1, 1), SUM(1)},
        {.op = OP_reduce, IN(X(0, 5)), TO(1, 5), ALONE},
        {.op = OP_reduce, IN(X(3, 0, 5)), TO(3, 1, 5), BATCH(1)},
        {.op = OP_embed, IN(IDS_(1, 1, 1), X(1, 1)), BATCH(1)},
        {.op = OP_embed, IN(IDS_(11, 3, 7), X(11, 13)), BATCH(1)},
        {.op = OP_embed, IN(IDS_(14, 3, 7), X(11, 13), X(3, 13)), BATCH(1)},
        {.op = OP_embed, IN(IDS_(14, 0, 7), X(11, 13), X(3, 13)), BATCH(1)},
        {.op = OP_embed_dextra, IN(X(1, 1, 1), IDS_(1, 1, 1)), .attr = {.rows = {1, 0}}, SUM(3)},
        {.op = OP_embed_dextra, IN(X(3, 7, 13), IDS_(14, 3, 7)), .attr = {.rows = {3, 11}}, SUM(3)},
        {.op = OP_embed_dextra, IN(X(3, 31, 131), IDS_(3, 3, 31)), .attr = {.rows = {2, 1}}, SUM(3)},
        {.op = OP_embed_dextra, IN(X(0, 7, 13), IDS_(14, 0, 7)), .attr = {.rows = {3, 11}}, SUM(0)},
        {.op = OP_pick, IN(X(1, 1, 1), IDS_(1, 1)), BATCH(3)},
        {.op = OP_pick, IN(X(3, 7, 13), IDS_(7, 3)), BATCH(3)},
        {.op = OP_pick, IN(X(0, 7, 13), IDS_(7, 0)), BATCH(3)},
        {.op = OP_pick_dx, IN(X(1, 1), IDS_(1, 1)), .attr = {.size = {1, 0}}, BATCH(3)},
        {.op = OP_pick_dx, IN(X(3, 13), IDS_(7, 3)), .attr = {.size = {7, 0}}, BATCH(3)},
        {.op = OP_pick_dx, IN(X(3, 301), IDS_(77, 3)), .attr = {.size = {77, 0}}, BATCH(3)},
        {.op = OP_pick_dx, IN(X(0, 13), IDS_(7, 0)), .attr = {.size = {7, 0}}, BATCH(3)},
        {.op = OP_detach_first, IN(X(1, 1, 1)), BATCH(1)},
        {.op = OP_detach_first, IN(X(3, 77, 131)), BATCH(1)},
        {.op = OP_detach_first_dx, IN(X(1, 1, 1)), BATCH(1)},
        {.op = OP_detach_first_dx, IN(X(3, 77, 131)), BATCH(1)},
        {.op = OP_detach_first_dx, IN(X(2, 0, 5)), BATCH(1)},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) try(&trials[i], 6000 + i);
}

int main(void)
{
    seed = tap_seed(20261123);
    parallel_start(2);
    if (kernels_cpu_at(0) == kernels_cpu())
        skip("this machine has kernels for one only", "instruction sets give the same bytes");
    products();
    convolutions();
    norms();
    attentions();
    pointwise();
    moves();
    for (int op = 0; op < OP_COUNT; op++) {
        ok(covered[op], "%s has a trial", op_name((enum op)op));
        ok(kernels_cpu()->fn[op] != NULL, "the cpu table has %s", op_name((enum op)op));
    }
    parallel_stop();
    arena_fini(&arena);
    return done_testing();
}
