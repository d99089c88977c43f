/* graph.c - shapes are inferred as ops.h says, and every mistake ends in one line that names it. */
#include "pipeline/tensor/graph.h"
#include "pipeline/tensor/ops.h"
#include "tests/tap.h"

static struct value x1(struct graph *g, int64_t a)
{
    return graph_input(g, "x", DTYPE_F32, SHAPE(a));
}
static struct value x2(struct graph *g, int64_t a, int64_t b)
{
    return graph_input(g, "x", DTYPE_F32, SHAPE(a, b));
}
static struct value x3(struct graph *g, int64_t a, int64_t b, int64_t c)
{
    return graph_input(g, "x", DTYPE_F32, SHAPE(a, b, c));
}
static struct value x4(struct graph *g, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return graph_input(g, "image", DTYPE_F32, SHAPE(a, b, c, d));
}
static struct value ids1(struct graph *g, int64_t a)
{
    return graph_input(g, "at", DTYPE_I32, SHAPE(a));
}

static void is_shape(struct graph *g, struct value v, struct shape wanted, const char *what)
{
    char got[80], want[80];
    struct err e = {0};
    graph_finish(g, &e);
    ok(value_is(v) && shape_equal(graph_shape(g, v), wanted), "%s gives %s", what,
       shape_text(wanted, want));
    if (!value_is(v)) printf("#   %s\n", e.text);
    else if (!shape_equal(graph_shape(g, v), wanted))
        printf("#   got %s\n", shape_text(graph_shape(g, v), got));
}

static void test_shapes(void)
{
    struct graph *g;
    graph_make(&g, NULL);
    struct conv_attr pad1 = {.stride = 2, .pad = {0, 0, 1, 1}};
    struct value image = x4(g, 2, 8, 7, 4);
    struct value kernel = graph_param(g, "k", SHAPE(3, 3, 4, 5), NULL);
    struct value ids = graph_input(g, "ids", DTYPE_I32, SHAPE(2, 6));
    is_shape(g, op_linear(g, x3(g, 2, 3, 4), x2(g, 7, 4), x1(g, 7)), SHAPE(2, 3, 7), "linear");
    is_shape(g, op_linear(g, x1(g, 4), x2(g, 7, 4), VALUE_NONE), SHAPE(7), "linear of one row");
    is_shape(g, op_linear_indexed(g, x3(g, 2, 3, 4), x3(g, 9, 7, 4), ids1(g, 2)), SHAPE(2, 3, 7),
             "linear_indexed");
    is_shape(g, op_conv(g, image, kernel, VALUE_NONE, pad1), SHAPE(2, 4, 3, 5),
             "conv, stride 2, uneven pad");
    is_shape(g, op_group_norm(g, image, x1(g, 4), x1(g, 4), 2, 1e-5f, 1), SHAPE(2, 8, 7, 4),
             "group_norm");
    is_shape(g, op_geglu(g, x3(g, 2, 3, 8)), SHAPE(2, 3, 4), "geglu");
    is_shape(g, op_attention(g, x3(g, 2, 5, 6), x3(g, 2, 7, 6), x3(g, 2, 7, 6), 3, 0, 1),
             SHAPE(2, 5, 6), "attention");
    is_shape(g, op_concat(g, image, x4(g, 2, 8, 7, 9), 3), SHAPE(2, 8, 7, 13), "concat");
    is_shape(g, op_slice(g, image, 1, 3, 5), SHAPE(2, 5, 7, 4), "slice");
    is_shape(g, op_upsample(g, image, 16, 13), SHAPE(2, 16, 13, 4), "upsample");
    is_shape(g, op_repeat(g, x2(g, 1, 3), 5), SHAPE(5, 3), "repeat");
    is_shape(g, op_reshape(g, image, SHAPE(2, 56, 4)), SHAPE(2, 56, 4), "reshape");
    is_shape(g, op_embed(g, ids, x2(g, 10, 3), VALUE_NONE), SHAPE(2, 6, 3), "embed");
    is_shape(g, op_pick(g, x3(g, 2, 6, 3), ids1(g, 2)), SHAPE(2, 3), "pick");
    is_shape(g, op_mse(g, image, image, x1(g, 2)), SHAPE(2), "mse");
    is_shape(g, op_add(g, x3(g, 2, 3, 4), x3(g, 2, 1, 4)), SHAPE(2, 3, 4), "add with broadcast");
    is_shape(g, op_add(g, x2(g, 0, 3), x2(g, 1, 3)), SHAPE(0, 3), "add of nothing");
    graph_free(g);
}

/* Each builds one mistake. */
static void bad_linear(struct graph *g)
{
    op_linear(g, x2(g, 2, 3), x2(g, 5, 4), VALUE_NONE);
}
static void bad_missing(struct graph *g)
{
    op_linear(g, x2(g, 2, 3), VALUE_NONE, VALUE_NONE);
}
static void bad_dtype(struct graph *g)
{
    op_add(g, ids1(g, 2), ids1(g, 2));
}
static void bad_ids(struct graph *g)
{
    op_pick(g, x3(g, 2, 3, 4), x1(g, 2));
}
static void bad_stride(struct graph *g)
{
    op_conv(g, x4(g, 1, 4, 4, 1), x4(g, 3, 3, 1, 1), VALUE_NONE, (struct conv_attr){0});
}
static void bad_kernel(struct graph *g)
{
    op_conv(g, x4(g, 1, 2, 2, 1), x4(g, 3, 3, 1, 1), VALUE_NONE, (struct conv_attr){.stride = 1});
}
static void bad_groups(struct graph *g)
{
    op_group_norm(g, x2(g, 1, 6), x1(g, 6), x1(g, 6), 4, 1, 0);
}
static void bad_heads(struct graph *g)
{
    op_attention(g, x3(g, 1, 2, 6), x3(g, 1, 2, 6), x3(g, 1, 2, 6), 4, 0, 1);
}
static void bad_slice(struct graph *g)
{
    op_slice(g, x1(g, 5), 0, 3, 3);
}
static void bad_slice_wrap(struct graph *g)
{
    op_slice(g, x1(g, 5), 0, 3, INT64_MAX);
}
static void bad_axis(struct graph *g)
{
    op_concat(g, x1(g, 5), x1(g, 5), 1);
}
static void bad_reshape(struct graph *g)
{
    op_reshape(g, x1(g, 6), SHAPE(2, 2));
}
static void bad_negative(struct graph *g)
{
    x2(g, 2, -1);
}
static void bad_huge(struct graph *g)
{
    x3(g, 1 << 30, 1 << 30, 1 << 30);
}
static void bad_huge_zero(struct graph *g)
{
    x3(g, 0, (int64_t)1 << 30, (int64_t)1 << 30);
}
static void bad_repeat(struct graph *g)
{
    op_repeat(g, x1(g, 1), -3);
}
static void bad_name(struct graph *g)
{
    struct value a = op_geglu(g, x2(g, 2, 4));
    op_linear(g, a, graph_param(g, "proj.weight", SHAPE(5, 7), NULL), VALUE_NONE);
}
static void bad_keep(struct graph *g)
{
    graph_keep(g, VALUE_NONE);
}

static const struct {
    void (*build)(struct graph *g);
    const char *line;
} mistakes[] = {
    {bad_linear, "linear(\"x\" [2, 3], \"x\" [5, 4], none): the last dimension of x is not w's I"},
    {bad_missing, "linear(\"x\" [2, 3], none, none): the second input is missing"},
    {bad_dtype, "add(\"at\" [2], \"at\" [2]): values must be float32"},
    {bad_ids, "pick(\"x\" [2, 3, 4], \"x\" [2]): ids and indices must be int32"},
    {bad_stride,
     "conv(\"image\" [1, 4, 4, 1], \"image\" [3, 3, 1, 1], none): stride must be 1 or more"},
    {bad_kernel,
     "conv(\"image\" [1, 2, 2, 1], \"image\" [3, 3, 1, 1], none): the kernel is larger than the "
     "padded image"},
    {bad_groups,
     "group_norm(\"x\" [1, 6], \"x\" [6], \"x\" [6]): the number of groups does not divide C"},
    {bad_heads,
     "attention(\"x\" [1, 2, 6], \"x\" [1, 2, 6], \"x\" [1, 2, 6]): the number of heads does not "
     "divide C"},
    {bad_slice, "slice(\"x\" [5]): the slice leaves the tensor"},
    {bad_slice_wrap, "slice(\"x\" [5]): the slice leaves the tensor"},
    {bad_axis, "concat(\"x\" [5], \"x\" [5]): no such axis"},
    {bad_reshape, "reshape(\"x\" [6]): the new shape has another count"},
    {bad_negative, "\"x\": bad shape: negative dimension"},
    {bad_huge, "\"x\": bad shape: too large"},
    {bad_huge_zero, "\"x\": bad shape: too large"},
    {bad_repeat, "repeat(\"x\" [1]): negative dimension"},
    {bad_name,
     "linear(geglu#0 [2, 2], \"proj.weight\" [5, 7], none): the last dimension of x is not w's I"},
    {bad_keep, "graph_keep: there is no such value"},
};

static void test_mistakes(void)
{
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        struct graph *g;
        struct err e = {0};
        graph_make(&g, NULL);
        mistakes[i].build(g);
        struct value after = op_add(g, x1(g, 2), x1(g, 3)); /* a second mistake changes nothing */
        enum code rc = graph_finish(g, &e);
        if (!rc || rc != e.code || value_is(after)) ok(0, "building is sticky");
        is_str(e.text, mistakes[i].line, "says: %s", mistakes[i].line);
        graph_free(g);
    }
}

static void test_sticky(void)
{
    struct graph *g;
    struct err e = {0};
    graph_make(&g, NULL);
    struct value grad, x = x1(g, 3);
    graph_fail(g, ERR_CORRUPT, "unet.weights: %s is missing", "conv_in.weight");
    int before = graph_tensors(g);
    struct value y = op_add(g, x, x);
    ok(!value_is(y) && graph_dim(g, y, 3) == 0 && graph_shape(g, y).rank == 0,
       "after a mistake ops give none");
    ok(graph_tensors(g) == before, "and the graph does not grow");
    ok(graph_backward(g, y, &x, 1, &grad, &e) == ERR_CORRUPT && !value_is(grad),
       "backward reports it");
    ok(graph_finish(g, &e) == ERR_CORRUPT &&
           !strcmp(e.text, "unet.weights: conv_in.weight is missing"),
       "a caller's own mistake keeps its code and line");
    graph_free(g);
    graph_free(NULL);
}

/* The gradient that was asked for, the code and the line. */
static void refuses(struct graph *g, struct value loss, struct value wrt, const char *line)
{
    struct err e = {0};
    struct value grad;
    graph_backward(g, loss, &wrt, 1, &grad, &e);
    if (value_is(grad)) ok(0, "no gradient without an answer");
    is_str(e.text, line, "refuses: %s", line);
    g->error = (struct err){0};
}

static void test_no_gradient(void)
{
    struct graph *g;
    graph_make(&g, NULL);
    struct value x = x4(g, 1, 4, 4, 2), c = graph_trained(g, "gamma", SHAPE(2), NULL);
    struct value w = graph_trained(g, "conv.weight", SHAPE(1, 1, 2, 2), NULL);
    struct value frozen = graph_param(g, "frozen", SHAPE(2, 2), NULL), ids = ids1(g, 1);
    struct value conv = op_conv(g, x, w, c, (struct conv_attr){.stride = 1});
    struct value norm = op_group_norm(g, x, c, c, 1, 1e-5f, 0), grad;
    struct value rows = x3(g, 1, 4, 2);
    struct value pick = op_pick(g, rows, ids), line = op_linear(g, pick, frozen, c);
    refuses(g, conv, w,
            "no gradient of conv with respect to \"conv.weight\" [1, 1, 2, 2]: kernels of "
            "convolutions are frozen");
    refuses(g, conv, c, "no gradient of conv with respect to \"gamma\" [2]: biases are frozen");
    refuses(g, norm, c,
            "no gradient of group_norm with respect to \"gamma\" [2]: norms are frozen");
    refuses(g, line, c, "no gradient of linear with respect to \"gamma\" [2]: biases are frozen");
    refuses(g, line, frozen,
            "no gradient of \"frozen\" [2, 2]: it is frozen; make it with graph_trained");
    refuses(g, pick, ids, "no gradient of \"at\" [1]: it is int32");
    refuses(g, pick, VALUE_NONE, "graph_backward: a value to differentiate by is missing");
    refuses(g, VALUE_NONE, x, "graph_backward: there is no loss");
    ok(!graph_backward(g, pick, &x, 1, &grad, NULL) && !value_is(grad),
       "no gradient where nothing depends");
    ok(!graph_backward(g, pick, &rows, 1, &grad, NULL) && value_is(grad),
       "but one where something does");
    struct value silu = op_unary(g, rows, UNARY_SILU);
    graph_backward(g, silu, &rows, 1, &grad, NULL);
    refuses(g, grad, rows, "no gradient of unary_dx: it is itself part of one");
    graph_free(g);
}

/* A chain below the trained weight, the weight, a chain above: backward must not enter the lower one. */
static void test_stops_below(void)
{
    struct graph *g;
    graph_make(&g, NULL);
    struct value x = x2(g, 3, 4);
    for (int i = 0; i < 10; i++) x = op_unary(g, x, UNARY_SILU);
    struct value w = graph_trained(g, "w", SHAPE(4, 4), NULL), y = op_linear(g, x, w, VALUE_NONE),
                 grad;
    for (int i = 0; i < 3; i++) y = op_unary(g, y, UNARY_SILU);
    int before = graph_nodes(g);
    graph_backward(g, y, &w, 1, &grad, NULL);
    ok(graph_nodes(g) - before == 4, "backward adds three nodes above the weight and one for it");
    ok(graph_node(g, graph_nodes(g) - 1)->op == OP_linear_dw, "and stops there");
    ok(graph_tensor(g, grad)->kept && shape_equal(graph_shape(g, grad), SHAPE(4, 4)),
       "its gradient is kept");
    graph_free(g);
}

static void test_attention_outputs(void)
{
    struct graph *g;
    graph_make(&g, NULL);
    struct value q = x3(g, 2, 3, 4), k = x3(g, 2, 5, 4), v = x3(g, 2, 5, 4), grad;
    struct value y = op_attention(g, q, k, v, 2, 0, 1);
    double forward = graph_flops(g);
    graph_backward(g, y, &v, 1, &grad, NULL);
    const struct node *d = graph_node(g, graph_nodes(g) - 1);
    ok(!value_is(d->out[0]) && !value_is(d->out[1]) && value_is(d->out[2]),
       "attention_dx makes what is wanted");
    ok(forward == 2 * 2.0 * 2 * 3 * 5 * 4, "attention counts two products");
    ok(graph_flops(g) == 2 * forward, "and dv the scores and one product");
    graph_free(g);
}

static void test_flops(void)
{
    struct graph *g;
    graph_make(&g, NULL);
    struct value x = x2(g, 3, 4), w = graph_trained(g, "w", SHAPE(5, 4), NULL), grads[2];
    struct value y = op_linear(g, x, w, VALUE_NONE);
    ok(graph_flops(g) == 2.0 * 3 * 4 * 5, "linear counts 2 N I O");
    graph_backward(g, y, (struct value[]){x, w}, 2, grads, NULL);
    ok(graph_flops(g) == 6.0 * 3 * 4 * 5, "its gradients count twice as much again");
    graph_free(g);
    graph_make(&g, NULL);
    struct value image = x4(g, 2, 8, 8, 3);
    y = op_conv(g, image, x4(g, 3, 3, 3, 6), VALUE_NONE,
                (struct conv_attr){.stride = 2, .pad = {1, 1, 1, 1}});
    ok(graph_flops(g) == 2.0 * 2 * 4 * 4 * 6 * 27, "conv counts 2 N H W O kh kw I");
    graph_backward(g, y, &image, 1, grads, NULL);
    ok(graph_flops(g) == 4.0 * 2 * 4 * 4 * 6 * 27, "conv_dx as much");
    graph_free(g);
}

int main(void)
{
    test_shapes();
    test_mistakes();
    test_sticky();
    test_no_gradient();
    test_stops_below();
    test_attention_outputs();
    test_flops();
    return done_testing();
}
