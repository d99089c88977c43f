/* ops.c - the names of the operators and the functions of ops.h that add them to a graph. Every check is a rule in
 * shape.c; nothing here may refuse anything by itself. */
#include "pipeline/tensor/ops.h"

#include "pipeline/tensor/graph.h"

#include <assert.h>

static const struct {
    const char *name;
    int inputs, outputs;
} table[OP_COUNT] = {
#define OP(name, inputs, outputs, attr) [OP_##name] = {#name, inputs, outputs},
#include "pipeline/tensor/ops.def"
#undef OP
};

const char *op_name(enum op op)
{
    assert(op >= 0 && op < OP_COUNT);
    return table[op].name;
}

int op_inputs(enum op op)
{
    assert(op >= 0 && op < OP_COUNT);
    return table[op].inputs;
}

int op_outputs(enum op op)
{
    assert(op >= 0 && op < OP_COUNT);
    return table[op].outputs;
}

static struct value push(struct graph *g, enum op op, struct value a, struct value b,
                         struct value c, union attr attr)
{
    struct node n = {.op = op, .in = {a, b, c, VALUE_NONE}, .attr = attr};
    graph_add(g, &n, 1);
    return n.out[0];
}

#define NONE VALUE_NONE
#define ATTR(...) ((union attr){__VA_ARGS__})
#define NO_ATTR ATTR(.axis = {0})

struct value op_linear(struct graph *g, struct value x, struct value w, struct value bias)
{
    return push(g, OP_linear, x, w, bias, NO_ATTR);
}

struct value op_linear_indexed(struct graph *g, struct value x, struct value w, struct value idx)
{
    return push(g, OP_linear_indexed, x, w, idx, NO_ATTR);
}

struct value op_conv(struct graph *g, struct value x, struct value w, struct value bias,
                     struct conv_attr a)
{
    return push(g, OP_conv, x, w, bias, ATTR(.conv = a));
}

struct value op_group_norm(struct graph *g, struct value x, struct value gamma, struct value beta,
                           int groups, float eps, int silu)
{
    return push(g, OP_group_norm, x, gamma, beta, ATTR(.norm = {groups, eps, silu}));
}

struct value op_layer_norm(struct graph *g, struct value x, struct value gamma, struct value beta,
                           float eps)
{
    return push(g, OP_layer_norm, x, gamma, beta, ATTR(.norm = {1, eps, 0}));
}

struct value op_unary(struct graph *g, struct value x, enum unary_kind kind)
{
    return push(g, OP_unary, x, NONE, NONE, ATTR(.unary = {kind, 1.0f}));
}

struct value op_scale(struct graph *g, struct value x, float scale)
{
    return push(g, OP_unary, x, NONE, NONE, ATTR(.unary = {UNARY_SCALE, scale}));
}

struct value op_add(struct graph *g, struct value a, struct value b)
{
    return push(g, OP_add, a, b, NONE, NO_ATTR);
}

struct value op_geglu(struct graph *g, struct value x)
{
    return push(g, OP_geglu, x, NONE, NONE, NO_ATTR);
}

struct value op_attention(struct graph *g, struct value q, struct value k, struct value v,
                          int heads, int causal, float scale)
{
    return push(g, OP_attention, q, k, v, ATTR(.attention = {heads, causal, scale}));
}

struct value op_concat(struct graph *g, struct value a, struct value b, int axis)
{
    return push(g, OP_concat, a, b, NONE, ATTR(.axis = {axis}));
}

struct value op_slice(struct graph *g, struct value x, int axis, int64_t begin, int64_t size)
{
    return push(g, OP_slice, x, NONE, NONE, ATTR(.slice = {axis, begin, size}));
}

struct value op_upsample(struct graph *g, struct value x, int64_t h, int64_t w)
{
    return push(g, OP_upsample, x, NONE, NONE, ATTR(.size = {h, w}));
}

struct value op_repeat(struct graph *g, struct value x, int64_t n)
{
    return push(g, OP_repeat, x, NONE, NONE, ATTR(.repeat = {n}));
}

struct value op_reshape(struct graph *g, struct value x, struct shape shape)
{
    return push(g, OP_reshape, x, NONE, NONE, ATTR(.reduce = {shape}));
}

struct value op_embed(struct graph *g, struct value ids, struct value token_table,
                      struct value extra)
{
    return push(g, OP_embed, ids, token_table, extra, NO_ATTR);
}

struct value op_pick(struct graph *g, struct value x, struct value at)
{
    return push(g, OP_pick, x, at, NONE, NO_ATTR);
}

struct value op_detach_first(struct graph *g, struct value x)
{
    return push(g, OP_detach_first, x, NONE, NONE, NO_ATTR);
}

struct value op_mse(struct graph *g, struct value p, struct value t, struct value weight)
{
    return push(g, OP_mse, p, t, weight, NO_ATTR);
}
