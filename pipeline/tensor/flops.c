/* flops.c - how much arithmetic a graph is: products, convolutions and attention; the rest is memory traffic.
 * Causal attention counts whole, as our kernels may compute it. */
#include "pipeline/tensor/graph.h"

static double count(const struct graph *g, struct value x)
{
    return (double)shape_count(graph_shape(g, x));
}

/* One T x S x C product over the batch, for attention. */
static double attention_product(const struct graph *g, struct value q, struct value k)
{
    return 2.0 * count(g, q) * (double)graph_dim(g, k, 1);
}

double graph_node_flops(const struct graph *g, const struct node *n)
{
    struct value a = n->in[0], b = n->in[1], y = n->out[0];
    double d_scores = value_is(n->out[0]) || value_is(n->out[1]);
    switch (n->op) {
    case OP_linear: return 2 * count(g, y) * (double)graph_dim(g, a, graph_shape(g, a).rank - 1);
    case OP_linear_indexed: return 2 * count(g, y) * (double)graph_dim(g, a, 2);
    case OP_linear_dx:
    case OP_linear_indexed_dx:
        return 2 * count(g, y) * (double)graph_dim(g, a, graph_shape(g, a).rank - 1);
    case OP_linear_dw:
    case OP_linear_indexed_dw:
        return 2 * count(g, a) * (double)graph_dim(g, b, graph_shape(g, b).rank - 1);
    case OP_conv: /* each output sums kh kw I products; conv_dx does the same ones, transposed */
        return 2 * count(g, y) *
               (double)(graph_dim(g, b, 0) * graph_dim(g, b, 1) * graph_dim(g, b, 2));
    case OP_conv_dx:
        return 2 * count(g, a) *
               (double)(graph_dim(g, b, 0) * graph_dim(g, b, 1) * graph_dim(g, b, 2));
    case OP_attention: /* scores, then their product with v */
        return 2 * attention_product(g, a, b);
    case OP_attention_dx: /* scores again; d_scores if dq or dk; one product for each result */
        return (1 + d_scores + value_is(n->out[0]) + value_is(n->out[1]) + value_is(n->out[2])) *
               attention_product(g, b, n->in[2]);
    default: return 0;
    }
}

double graph_flops(const struct graph *g)
{
    double sum = 0;
    for (int i = 0; i < graph_nodes(g); i++) sum += graph_node_flops(g, graph_node(g, i));
    return sum;
}
