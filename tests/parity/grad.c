/* grad.c - the gradients of whole small networks agree with finite differences, on the check backend.
 *
 * tests/parity/ops.c holds each kernel to float64. What can still be wrong is how grad.c joins them: a forgotten
 * summand, a broadcast not summed, a slice in the wrong place. So each network here is a piece of the real ones, and
 * for each variable the slope of the loss along random directions u is measured twice:
 *
 *     <grad, u>     and     (8 (L(x + hu) - L(x - hu)) - (L(x + 2hu) - L(x - 2hu))) / 12h
 *
 * The loss is summed over samples in double. With h = 0.02 the remainder of order h^4 and the rounding of float32 are
 * below 4e-5 of the slope's scale |grad| |u| wherever seen; the bound is 3e-4. A summand, a sign, a scale forgotten and a
 * wrong slice were each tried once and failed.
 */
#include "base/arena.h"
#include "base/philox.h"
#include "pipeline/tensor/ops.h"
#include "tests/tap.h"

#define VARIABLES 8
#define DIRECTIONS 4
#define STEP 0.02f
#define BOUND 3e-4

/* N samples, H x W pixels, C channels, T tokens. */
enum { N = 3, H = 6, W = 5, C = 8, T = 5 };

struct variable {
    const char *name;
    struct value v;
    float *data;
    int64_t n;
    int is_input;
};

struct trial {
    struct arena arena;
    struct graph *g;
    struct philox_key key;
    uint32_t fills;
    struct variable variable[VARIABLES];
    int n;
    struct value loss;
};

static float *filled(struct trial *t, int64_t n, float scale, float centre)
{
    float *data = arena_alloc(&t->arena, (size_t)n * sizeof *data);
    philox_normal(t->key, 0, t->fills++, data, (size_t)n);
    for (int64_t i = 0; i < n; i++) data[i] = centre + scale * data[i];
    return data;
}

static struct value constant(struct trial *t, struct shape s, float scale)
{
    return graph_param(t->g, "constant", s, filled(t, shape_count(s), scale, 0));
}

static struct value around_one(struct trial *t, int64_t n)
{
    return graph_param(t->g, "gamma", SHAPE(n), filled(t, n, 0.2f, 1));
}

static struct value indices(struct trial *t, struct shape s, const int32_t *values)
{
    struct variable *v = &t->variable[t->n++]; /* bound like an input, but no gradient is asked */
    *v = (struct variable){"indices", graph_input(t->g, "indices", DTYPE_I32, s), NULL, 0, 1};
    v->data = arena_copy(&t->arena, values, (size_t)shape_count(s) * sizeof *values);
    return v->v;
}

static struct value variable(struct trial *t, const char *name, struct shape s)
{
    struct variable *v = &t->variable[t->n++];
    *v = (struct variable){name, VALUE_NONE, filled(t, shape_count(s), 0.7f, 0), shape_count(s),
                           t->n % 2};
    v->v =
        v->is_input ? graph_input(t->g, name, DTYPE_F32, s) : graph_trained(t->g, name, s, v->data);
    return v->v;
}

static void loss_of(struct trial *t, struct value y)
{
    struct shape s = graph_shape(t->g, y);
    struct value target = constant(t, s, 0.5f),
                 weight =
                     graph_param(t->g, "weight", SHAPE(s.dim[0]), filled(t, s.dim[0], 0.3f, 2));
    t->loss = op_mse(t->g, y, target, weight);
}

/* Networks. */

static struct value small_conv(struct trial *t, struct value x, int64_t out, struct conv_attr a)
{
    struct value w = constant(t, SHAPE(3, 3, graph_dim(t->g, x, 3), out), 0.2f);
    return op_conv(t->g, x, w, constant(t, SHAPE(out), 0.1f), a);
}

static struct value group_norm(struct trial *t, struct value x, int silu)
{
    int64_t c = graph_dim(t->g, x, 3);
    return op_group_norm(t->g, x, around_one(t, c), constant(t, SHAPE(c), 0.1f), 4, 1e-5f, silu);
}

/* Residual block, then down with the VAE's uneven padding, up again, and a skip connection. */
static void resnet(struct trial *t)
{
    const struct conv_attr same = {.stride = 1, .pad = {1, 1, 1, 1}},
                           down = {.stride = 2, .pad = {0, 0, 1, 1}};
    struct graph *g = t->g;
    struct value x = variable(t, "image", SHAPE(N, H, W, C)),
                 time = variable(t, "time", SHAPE(N, 6));
    struct value w = variable(t, "time weight", SHAPE(C, 6));
    struct value h = small_conv(t, group_norm(t, x, 1), C, same);
    struct value shift =
        op_linear(g, op_unary(g, time, UNARY_SILU), w, constant(t, SHAPE(C), 0.1f));
    h = op_add(g, h, op_reshape(g, shift, SHAPE(N, 1, 1, C)));
    h = op_add(g, x, small_conv(t, group_norm(t, h, 1), C, same));
    struct value low = small_conv(t, h, C, down);
    struct value high = op_upsample(g, group_norm(t, low, 0), H, W);
    loss_of(t, small_conv(t, op_concat(g, high, h, 3), 4, same));
}

static struct value layer_norm(struct trial *t, struct value x)
{
    return op_layer_norm(t->g, x, around_one(t, C), constant(t, SHAPE(C), 0.1f), 1e-5f);
}

static struct value dense(struct trial *t, struct value x, int64_t out)
{
    int64_t in = graph_dim(t->g, x, graph_shape(t->g, x).rank - 1);
    return op_linear(t->g, x, constant(t, SHAPE(out, in), 0.4f), constant(t, SHAPE(out), 0.1f));
}

/* Self-attention, cross-attention with trained K and V of two lineages in one batch, GEGLU. */
static void transformer(struct trial *t)
{
    struct graph *g = t->g;
    struct value x = variable(t, "tokens", SHAPE(N, 7, C)),
                 text = variable(t, "text", SHAPE(N, T, 6));
    struct value wk = variable(t, "K", SHAPE(2, C, 6)), wv = variable(t, "V", SHAPE(2, C, 6));
    struct value idx = indices(t, SHAPE(N), (int32_t[]){1, 0, 1});
    struct value h = layer_norm(t, x);
    struct value self = op_attention(g, dense(t, h, C), dense(t, h, C), h, 2, 0, 0.5f);
    x = op_add(g, x, dense(t, self, C));
    struct value k = op_linear_indexed(g, text, wk, idx), v = op_linear_indexed(g, text, wv, idx);
    struct value cross = op_attention(g, dense(t, layer_norm(t, x), C), k, v, 4, 0, 0.7f);
    x = op_add(g, x, dense(t, cross, C));
    loss_of(t, op_add(g, x, dense(t, op_geglu(g, dense(t, layer_norm(t, x), 4 * C)), C)));
}

/* A text encoder whose added tokens are trained, one of them used twice. */
static void text_encoder(struct trial *t)
{
    struct graph *g = t->g;
    struct value extra = variable(t, "added tokens", SHAPE(2, C)),
                 place = variable(t, "positions", SHAPE(1, T, C));
    struct value ids =
        indices(t, SHAPE(N, T), (int32_t[]){0, 1, 9, 3, 4, 0, 10, 2, 10, 4, 0, 1, 2, 3, 4});
    struct value end = indices(t, SHAPE(N), (int32_t[]){4, 2, 3});
    struct value x = op_add(g, op_embed(g, ids, constant(t, SHAPE(9, C), 0.5f), extra), place);
    struct value h = layer_norm(t, x);
    h = op_attention(g, dense(t, h, C), dense(t, h, C), dense(t, h, C), 2, 1, 0.5f);
    x = op_add(g, x, h);
    x = op_add(g, x, dense(t, op_unary(g, dense(t, layer_norm(t, x), 2 * C), UNARY_QUICK_GELU), C));
    loss_of(t, dense(t, op_unary(g, op_pick(g, layer_norm(t, x), end), UNARY_GELU), 6));
}

/* One value used in many ways, most of them only moving bytes. */
static void moves(struct trial *t)
{
    struct graph *g = t->g;
    struct value x = variable(t, "x", SHAPE(1, T, C)), row = variable(t, "row", SHAPE(1, 1, C));
    struct value many = op_repeat(g, x, N);
    struct value left = op_slice(g, many, 2, 0, 3), right = op_slice(g, many, 2, 3, 5);
    struct value turned = op_concat(g, right, op_unary(g, left, UNARY_SILU), 2);
    struct value y = op_add(g, op_add(g, turned, row), op_scale(g, op_add(g, many, many), 0.3f));
    y = op_concat(g, op_slice(g, y, 1, 2, 2), op_unary(g, y, UNARY_GELU), 1);
    loss_of(t, op_reshape(g, y, SHAPE(N, (T + 2) * C)));
}

/* The target of a loss is a variable, too, and one that both sides share. */
static void both_sides(struct trial *t)
{
    struct value p = variable(t, "p", SHAPE(N, C)), q = variable(t, "q", SHAPE(N, C));
    struct value a = op_unary(t->g, op_add(t->g, p, q), UNARY_SILU);
    t->loss = op_mse(t->g, a, op_unary(t->g, q, UNARY_GELU),
                     graph_param(t->g, "weight", SHAPE(N), filled(t, N, 0.3f, 1)));
}

/* LoRA, as a rival learns it: two trained factors of one product. */
static void lora(struct trial *t)
{
    struct graph *g = t->g;
    struct value x = constant(t, SHAPE(N, T, C), 1), a = variable(t, "down", SHAPE(2, C));
    struct value b = variable(t, "up", SHAPE(C, 2));
    struct value low = op_linear(g, op_linear(g, x, a, VALUE_NONE), b, VALUE_NONE);
    loss_of(t, op_add(g, dense(t, x, C), op_scale(g, low, 0.5f)));
}

/* Measurement. */

static double total_loss(const struct trial *t, struct exec *x, struct err *e)
{
    double sum = 0;
    if (exec_run(x, e)) return NAN;
    const float *loss = exec_data(x, t->loss);
    for (int64_t i = 0; i < graph_dim(t->g, t->loss, 0); i++) sum += (double)loss[i];
    return sum;
}

static double loss_along(struct trial *t, struct exec *x, struct variable *v, const float *u,
                         float step)
{
    struct arena_mark mark = arena_mark(&t->arena);
    float *saved = arena_copy(&t->arena, v->data, (size_t)v->n * sizeof *saved);
    for (int64_t i = 0; i < v->n; i++) v->data[i] += step * u[i];
    double loss = total_loss(t, x, NULL);
    memcpy(v->data, saved, (size_t)v->n * sizeof *saved);
    arena_reset(&t->arena, mark);
    return loss;
}

static double slope(struct trial *t, struct exec *x, struct variable *v, const float *u)
{
    double one = loss_along(t, x, v, u, STEP) - loss_along(t, x, v, u, -STEP);
    double two = loss_along(t, x, v, u, 2 * STEP) - loss_along(t, x, v, u, -2 * STEP);
    return (8 * one - two) / (12 * (double)STEP);
}

static void check_variable(struct trial *t, struct exec *x, struct variable *v, struct value grad,
                           const char *what)
{
    double worst = 0;
    struct err e = {0};
    if (!value_is(grad) || isnan(total_loss(t, x, &e))) {
        ok(0, "%s: gradient of %s: %s", what, v->name, value_is(grad) ? e.text : "none");
        return;
    }
    float *g = arena_copy(&t->arena, exec_data(x, grad), (size_t)v->n * sizeof *g);
    for (int d = 0; d < DIRECTIONS; d++) {
        float *u = filled(t, v->n, 1, 0);
        double length = 0, want = 0, size = 0;
        for (int64_t i = 0; i < v->n; i++) length += (double)u[i] * (double)u[i];
        for (int64_t i = 0; i < v->n; i++) u[i] = (float)((double)u[i] / sqrt(length));
        for (int64_t i = 0; i < v->n; i++)
            want += (double)g[i] * (double)u[i], size += (double)g[i] * (double)g[i];
        double off = fabs(slope(t, x, v, u) - want) / sqrt(size);
        if (!(off <= worst)) worst = off; /* NaN is worst of all */
    }
    near(worst, 0, BOUND, "%s: gradient of %s", what, v->name);
}

static void check(const char *what, void (*build)(struct trial *t), uint64_t seed)
{
    struct trial t = {.key = philox_key(seed, PHILOX_TEST)};
    struct value wrt[VARIABLES], grad[VARIABLES];
    struct exec *x = NULL;
    struct err e = {0};
    int n = 0;
    graph_make(&t.g, &e);
    build(&t);
    graph_keep(t.g, t.loss);
    for (int i = 0; i < t.n; i++)
        if (t.variable[i].n) wrt[n++] = t.variable[i].v;
    enum code rc = graph_backward(t.g, t.loss, wrt, n, grad, &e);
    if (!rc) rc = exec_open(&x, t.g, kernels_check(), &e);
    is_code(rc, OK, &e, "%s: builds", what);
    for (int i = 0; x && i < t.n; i++)
        if (t.variable[i].is_input) exec_bind(x, t.variable[i].v, t.variable[i].data);
    for (int i = 0, k = 0; x && i < t.n; i++)
        if (t.variable[i].n) check_variable(&t, x, &t.variable[i], grad[k++], what);
    if (x) exec_close(x);
    else graph_free(t.g);
    arena_fini(&t.arena);
}

/* Detached on purpose: finite differences would not agree at token 0, so say what is wanted. */
static void check_detached(void)
{
    static float x[2 * 3 * 2], ones[2] = {1, 1}, zeros[2 * 3 * 2];
    struct graph *g;
    struct exec *run;
    struct err e = {0};
    struct value grad;
    for (int i = 0; i < 12; i++) x[i] = (float)(i + 1);
    graph_make(&g, &e);
    struct value in = graph_input(g, "x", DTYPE_F32, SHAPE(2, 3, 2));
    struct value loss =
        op_mse(g, op_detach_first(g, in), graph_param(g, "t", SHAPE(2, 3, 2), zeros),
               graph_param(g, "w", SHAPE(2), ones));
    graph_backward(g, loss, &in, 1, &grad, &e);
    if (!is_code(exec_open(&run, g, kernels_check(), &e), OK, &e, "detached start token: builds"))
        return;
    exec_bind(run, in, x);
    is_code(exec_run(run, &e), OK, &e, "and runs");
    const float *d = exec_data(run, grad);
    int wrong = 0;
    for (int i = 0; i < 12; i++) { /* mean over 6 of x^2: 2 x / 6, and 0 at token 0 */
        float want = i % 6 < 2 ? 0 : 2 * x[i] / 6;
        wrong += !(fabsf(d[i] - want) < 1e-5f);
    }
    is_int(wrong, 0, "its gradient is zero at token 0 and whole elsewhere");
    exec_close(run);
}

int main(void)
{
    uint64_t seed = tap_seed(7);
    check("resnet", resnet, seed);
    check("transformer", transformer, seed);
    check("text encoder", text_encoder, seed);
    check("moves", moves, seed);
    check("both sides of a loss", both_sides, seed);
    check("lora", lora, seed);
    check_detached();
    return done_testing();
}
