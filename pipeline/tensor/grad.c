/* grad.c - reverse mode: appends the nodes that compute d(sum of loss) / d(wrt).
 *
 * Two passes. Forward: a tensor is `wanted` if it is in wrt or computed from one that is. Backward: the nodes from
 * the loss down, newest first; a node whose result received a gradient gives one to each wanted input. What is not
 * wanted is not computed, so below the first trained weight nothing is added, and attention_dx leaves out results.
 *
 * Order is part of the result (invariant 4): a tensor used several times adds its gradients newest use first,
 * within one node by input. Gradients are ordinary values, shared freely, since no node writes its inputs.
 *
 * Recomputation (graph_recompute): boundaries cut the forward nodes into segments, each ending with the node that makes one.
 * While the gradients of a segment are appended, `again` stands for its inner values: a copy of the node that makes one,
 * appended when first read. Values of other segments (boundaries, skips, the time embedding) are read where they are. No
 * gradient is added in another order, so the sums are the same.
 */
#include "pipeline/tensor/graph.h"
#include "pipeline/tensor/ops.h"

#include <stdlib.h>

struct backward {
    struct graph *g;
    int n;                 /* tensors when backward began; gradients themselves lie above */
    unsigned char *wanted; /* owned, n */
    struct value *grad;    /* owned, n; VALUE_NONE: none received yet */
    int32_t *segment;      /* owned, per forward node; NULL: nothing is made again */
    struct value *copy;    /* owned, n: what stands for an inner value; VALUE_NONE: not made yet */
    int32_t now; /* the segment whose gradients are being appended; -1: the last, all there */
};

static int wants(const struct backward *b, struct value x)
{
    return value_is(x) && b->wanted[x.v];
}

static void give(struct backward *b, struct value x, struct value d)
{
    if (!wants(b, x)) return;
    struct value *sum = &b->grad[x.v];
    *sum = value_is(*sum) ? op_add(b->g, *sum, d) : d;
}

/* A gradient that does not exist is asked for. */
static void refuse(struct backward *b, const struct node *n, int i, const char *why)
{
    char text[160];
    if (!wants(b, n->in[i])) return;
    graph_describe(b->g, n->in[i], text, sizeof text);
    graph_fail(b->g, ERR_INTERNAL, "no gradient of %s with respect to %s: %s", op_name(n->op), text,
               why);
}

static struct value again(struct backward *b, struct value x);

static void node_again(struct backward *b, int i)
{
    const struct node old = *graph_node(b->g, i); /* a copy: the list moves while it grows */
    struct node n = old;
    unsigned outputs = 0;
    for (int j = 0; j < NODE_INPUTS; j++) n.in[j] = again(b, old.in[j]);
    for (int j = 0; j < NODE_OUTPUTS; j++) outputs |= (unsigned)value_is(old.out[j]) << j;
    graph_add(b->g, &n, outputs);
    for (int j = 0; j < NODE_OUTPUTS; j++)
        if (value_is(old.out[j])) b->copy[old.out[j].v] = n.out[j];
}

/* What a gradient of this segment reads for x: x itself, or a copy of it. */
static struct value again(struct backward *b, struct value x)
{
    if (!b->segment || !value_is(x) || x.v >= b->n) return x;
    const struct tensor *t = graph_tensor(b->g, x);
    if (t->node < 0 || t->boundary || t->kept || b->segment[t->node] != b->now) return x;
    if (!value_is(b->copy[x.v])) node_again(b, t->node);
    return b->copy[x.v];
}

/* The one door by which gradient nodes enter. */
static void append(struct backward *b, struct node *n, unsigned outputs)
{
    for (int j = 0; j < NODE_INPUTS; j++) n->in[j] = again(b, n->in[j]);
    graph_add(b->g, n, outputs);
}

static struct value push(struct backward *b, enum op op, struct value a, struct value c,
                         struct value d, struct value e, union attr attr)
{
    struct node n = {.op = op, .in = {a, c, d, e}, .attr = attr};
    append(b, &n, 1);
    return n.out[0];
}

#define NONE VALUE_NONE
#define ATTR(...) ((union attr){__VA_ARGS__})
#define NO_ATTR ATTR(.axis = {0})

static void d_linear(struct backward *b, const struct node *n, struct value dy)
{
    struct value x = n->in[0], w = n->in[1];
    if (wants(b, x)) give(b, x, push(b, OP_linear_dx, dy, w, NONE, NONE, NO_ATTR));
    if (wants(b, w)) give(b, w, push(b, OP_linear_dw, dy, x, NONE, NONE, NO_ATTR));
    refuse(b, n, 2, "biases are frozen");
}

static void d_linear_indexed(struct backward *b, const struct node *n, struct value dy)
{
    struct value x = n->in[0], w = n->in[1], idx = n->in[2];
    union attr rows = ATTR(.rows = {graph_dim(b->g, w, 0), 0});
    if (wants(b, x)) give(b, x, push(b, OP_linear_indexed_dx, dy, w, idx, NONE, NO_ATTR));
    if (wants(b, w)) give(b, w, push(b, OP_linear_indexed_dw, dy, x, idx, NONE, rows));
}

static void d_conv(struct backward *b, const struct node *n, struct value dy)
{
    struct value x = n->in[0];
    union attr attr = ATTR(.conv_dx = {n->attr.conv, graph_dim(b->g, x, 1), graph_dim(b->g, x, 2)});
    if (wants(b, x)) give(b, x, push(b, OP_conv_dx, dy, n->in[1], NONE, NONE, attr));
    refuse(b, n, 1, "kernels of convolutions are frozen");
    refuse(b, n, 2, "biases are frozen");
}

static void d_norm(struct backward *b, const struct node *n, struct value dy, enum op op)
{
    struct value x = n->in[0];
    if (wants(b, x)) give(b, x, push(b, op, dy, x, n->in[1], n->in[2], n->attr));
    refuse(b, n, 1, "norms are frozen");
    refuse(b, n, 2, "norms are frozen");
}

static void d_group_norm(struct backward *b, const struct node *n, struct value dy)
{
    d_norm(b, n, dy, OP_group_norm_dx);
}

static void d_layer_norm(struct backward *b, const struct node *n, struct value dy)
{
    d_norm(b, n, dy, OP_layer_norm_dx);
}

static void d_unary(struct backward *b, const struct node *n, struct value dy)
{
    if (n->attr.unary.kind == UNARY_SCALE)
        give(b, n->in[0], op_scale(b->g, dy, n->attr.unary.scale));
    else give(b, n->in[0], push(b, OP_unary_dx, dy, n->in[0], NONE, NONE, n->attr));
}

/* dy summed over the dimensions along which x was spread. */
static struct value reduced(struct backward *b, struct value dy, struct shape shape)
{
    if (shape_equal(graph_shape(b->g, dy), shape)) return dy;
    return push(b, OP_reduce, dy, NONE, NONE, NONE, ATTR(.reduce = {shape}));
}

static void d_add(struct backward *b, const struct node *n, struct value dy)
{
    give(b, n->in[0], dy);
    if (wants(b, n->in[1])) give(b, n->in[1], reduced(b, dy, graph_shape(b->g, n->in[1])));
}

static void d_geglu(struct backward *b, const struct node *n, struct value dy)
{
    give(b, n->in[0], push(b, OP_geglu_dx, dy, n->in[0], NONE, NONE, NO_ATTR));
}

static void d_attention(struct backward *b, const struct node *n, struct value dy)
{
    struct node d = {
        .op = OP_attention_dx, .in = {dy, n->in[0], n->in[1], n->in[2]}, .attr = n->attr};
    unsigned outputs = 0;
    for (int i = 0; i < 3; i++) outputs |= (unsigned)wants(b, n->in[i]) << i;
    append(b, &d, outputs);
    for (int i = 0; i < 3; i++) give(b, n->in[i], d.out[i]);
}

static void d_concat(struct backward *b, const struct node *n, struct value dy)
{
    int axis = n->attr.axis.axis;
    int64_t begin = 0;
    for (int i = 0; i < 2; i++) {
        int64_t size = graph_dim(b->g, n->in[i], axis);
        if (wants(b, n->in[i])) give(b, n->in[i], op_slice(b->g, dy, axis, begin, size));
        begin += size;
    }
}

static void d_slice(struct backward *b, const struct node *n, struct value dy)
{
    struct slice_attr a = n->attr.slice;
    a.size = graph_dim(b->g, n->in[0], a.axis);
    give(b, n->in[0], push(b, OP_place, dy, NONE, NONE, NONE, ATTR(.slice = a)));
}

static void d_upsample(struct backward *b, const struct node *n, struct value dy)
{
    struct value x = n->in[0];
    union attr attr = ATTR(.size = {graph_dim(b->g, x, 1), graph_dim(b->g, x, 2)});
    give(b, x, push(b, OP_upsample_dx, dy, NONE, NONE, NONE, attr));
}

static void d_repeat(struct backward *b, const struct node *n, struct value dy)
{
    give(b, n->in[0], reduced(b, dy, graph_shape(b->g, n->in[0])));
}

static void d_reshape(struct backward *b, const struct node *n, struct value dy)
{
    give(b, n->in[0], op_reshape(b->g, dy, graph_shape(b->g, n->in[0])));
}

static void d_embed(struct backward *b, const struct node *n, struct value dy)
{
    struct value extra = n->in[2];
    refuse(b, n, 1, "the token table is frozen; train the extra rows");
    if (!wants(b, extra)) return;
    union attr rows = ATTR(.rows = {graph_dim(b->g, extra, 0), graph_dim(b->g, n->in[1], 0)});
    give(b, extra, push(b, OP_embed_dextra, dy, n->in[0], NONE, NONE, rows));
}

static void d_pick(struct backward *b, const struct node *n, struct value dy)
{
    union attr attr = ATTR(.size = {graph_dim(b->g, n->in[0], 1), 0});
    give(b, n->in[0], push(b, OP_pick_dx, dy, n->in[1], NONE, NONE, attr));
}

static void d_detach_first(struct backward *b, const struct node *n, struct value dy)
{
    give(b, n->in[0], push(b, OP_detach_first_dx, dy, NONE, NONE, NONE, NO_ATTR));
}

/* The loss is even in p - t, so the gradient of t is that of p with the other sign. */
static void d_mse(struct backward *b, const struct node *n, struct value dy)
{
    struct value dp = push(b, OP_mse_dp, dy, n->in[0], n->in[1], n->in[2], NO_ATTR);
    give(b, n->in[0], dp);
    if (wants(b, n->in[1])) give(b, n->in[1], op_scale(b->g, dp, -1.0f));
    refuse(b, n, 2, "weights of a loss are data");
}

/* An empty slot: no second derivatives. */
static void (*const gradient[OP_COUNT])(struct backward *b, const struct node *n,
                                        struct value dy) = {
    [OP_linear] = d_linear,
    [OP_linear_indexed] = d_linear_indexed,
    [OP_conv] = d_conv,
    [OP_group_norm] = d_group_norm,
    [OP_layer_norm] = d_layer_norm,
    [OP_unary] = d_unary,
    [OP_add] = d_add,
    [OP_geglu] = d_geglu,
    [OP_attention] = d_attention,
    [OP_concat] = d_concat,
    [OP_slice] = d_slice,
    [OP_upsample] = d_upsample,
    [OP_repeat] = d_repeat,
    [OP_reshape] = d_reshape,
    [OP_embed] = d_embed,
    [OP_pick] = d_pick,
    [OP_detach_first] = d_detach_first,
    [OP_mse] = d_mse,
};

static void want(struct backward *b, struct value x)
{
    char text[160];
    const struct tensor *t = value_is(x) ? graph_tensor(b->g, x) : NULL;
    if (!t) {
        graph_fail(b->g, ERR_INTERNAL, "graph_backward: a value to differentiate by is missing");
        return;
    }
    graph_describe(b->g, x, text, sizeof text);
    if (t->dtype != DTYPE_F32)
        graph_fail(b->g, ERR_INTERNAL, "no gradient of %s: it is int32", text);
    else if (t->kind == TENSOR_PARAM && !t->trained)
        graph_fail(b->g, ERR_INTERNAL,
                   "no gradient of %s: it is frozen; make it with graph_trained", text);
    b->wanted[x.v] = 1;
}

static void spread_wants(struct backward *b, int n_nodes)
{
    for (int i = 0; i < n_nodes; i++) {
        const struct node *n = graph_node(b->g, i);
        int any = 0;
        for (int j = 0; j < NODE_INPUTS; j++) any |= wants(b, n->in[j]);
        for (int j = 0; any && j < NODE_OUTPUTS; j++)
            if (value_is(n->out[j])) b->wanted[n->out[j].v] = 1;
    }
}

static void node_backward(struct backward *b, int i)
{
    struct node n = *graph_node(b->g, i); /* a copy: the list moves while it grows */
    for (int j = 0; j < NODE_OUTPUTS; j++) {
        if (!wants(b, n.out[j]) || !value_is(b->grad[n.out[j].v])) continue;
        int passes = 0; /* wanted for itself only: nothing below */
        for (int k = 0; k < NODE_INPUTS; k++) passes |= wants(b, n.in[k]);
        if (!passes) continue;
        if (gradient[n.op]) gradient[n.op](b, &n, b->grad[n.out[j].v]);
        else
            graph_fail(b->g, ERR_INTERNAL, "no gradient of %s: it is itself part of one",
                       op_name(n.op));
    }
}

static void run_backward(struct backward *b, struct value loss, const struct value *wrt, int n,
                         struct value *grads)
{
    int n_nodes = b->g->n_nodes;
    for (int i = 0; i < n; i++) want(b, wrt[i]);
    if (b->g->error.code) return;
    spread_wants(b, n_nodes);
    if (wants(b, loss))
        b->grad[loss.v] = graph_constant(b->g, "ones", graph_shape(b->g, loss), 1.0f);
    for (int i = n_nodes - 1; i >= 0 && !b->g->error.code; i--) {
        if (b->segment) b->now = b->segment[i] == b->segment[n_nodes - 1] ? -1 : b->segment[i];
        node_backward(b, i);
    }
    for (int i = 0; i < n && !b->g->error.code; i++) {
        grads[i] = b->grad[wrt[i].v];
        if (value_is(grads[i])) graph_keep(b->g, grads[i]);
    }
}

static int makes_boundary(const struct graph *g, const struct node *n)
{
    for (int j = 0; j < NODE_OUTPUTS; j++)
        if (value_is(n->out[j]) && graph_tensor(g, n->out[j])->boundary) return 1;
    return 0;
}

static enum code cut_segments(struct backward *b)
{
    int n_nodes = b->g->n_nodes;
    b->segment = mem_alloc((size_t)n_nodes + 1, sizeof *b->segment);
    b->copy = mem_alloc((size_t)b->n, sizeof *b->copy);
    if (!b->segment || !b->copy) return ERR_NOMEM;
    int32_t at = 0;
    for (int i = 0; i < n_nodes; i++) {
        b->segment[i] = at;
        at += makes_boundary(b->g, graph_node(b->g, i));
    }
    for (int i = 0; i < b->n; i++) b->copy[i] = VALUE_NONE;
    return OK;
}

enum code graph_backward(struct graph *g, struct value loss, const struct value *wrt, int n,
                         struct value *grads, struct err *e)
{
    for (int i = 0; i < n; i++) grads[i] = VALUE_NONE;
    if (!g->error.code && !value_is(loss))
        graph_fail(g, ERR_INTERNAL, "graph_backward: there is no loss");
    if (g->error.code) return graph_finish(g, e);
    struct backward b = {.g = g, .n = g->n_tensors};
    b.wanted = mem_alloc((size_t)b.n, sizeof *b.wanted);
    b.grad = mem_alloc((size_t)b.n, sizeof *b.grad);
    if (b.wanted && b.grad && (!g->recompute || !cut_segments(&b))) {
        for (int i = 0; i < b.n; i++) b.grad[i] = VALUE_NONE;
        run_backward(&b, loss, wrt, n, grads);
    } else {
        graph_fail(g, ERR_NOMEM, "no memory for the gradients of %d tensors", b.n);
    }
    free(b.wanted);
    free(b.grad);
    free(b.segment);
    free(b.copy);
    return graph_finish(g, e);
}
