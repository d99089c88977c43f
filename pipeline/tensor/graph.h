/* graph.h - the inside of a graph, for the files of this folder. Everyone else reads tensor.h.
 *
 *     struct node n = {.op = OP_add, .in = {a, b, VALUE_NONE, VALUE_NONE}};
 *     graph_add(g, &n, 1);                     // shapes checked, n.out[0] made; or the graph's error is set
 *
 * One door: every node, forward or backward, enters by graph_add, so no node exists whose shapes were not
 * checked by shape_infer. Nodes are only appended and read only what stands before them, which is why the list
 * is in topological order without ever being sorted.
 */
#ifndef TENSOR_GRAPH_H
#define TENSOR_GRAPH_H

#include "base/arena.h"
#include "pipeline/tensor/tensor.h"

struct graph {
    struct arena arena;              /* names, and the ones that seed backward */
    struct tensor *tensors;          /* owned; moves when it grows: keep values, not pointers */
    struct node *nodes;              /* owned; likewise */
    int n_tensors, room_tensors;
    int n_nodes, room_nodes;
    int recompute;                   /* graph_backward keeps boundaries only */
    struct err error;                /* the first mistake; code OK while there is none */
};

/* Appends *n and makes an output for each bit of `outputs`; the others become VALUE_NONE. Silent if the graph has
 * failed already. On failure all of n->out are VALUE_NONE. */
void graph_add(struct graph *g, struct node *n, unsigned outputs);

/* A param whose bytes are the graph's own: `value` repeated. */
struct value graph_constant(struct graph *g, const char *name, struct shape shape, float value);

/* "conv.weight" [3, 3, 16, 32], or add#7 [1, 8] for a result without a name. Returns out. */
char *graph_describe(const struct graph *g, struct value x, char *out, size_t out_bytes);

/* Arithmetic of one node, counted as graph_flops counts; 0 for those that only move bytes. */
double graph_node_flops(const struct graph *g, const struct node *n);

/* What a shape rule sees and says. */
struct shape_case {
    enum op op;
    const union attr *attr;
    struct shape in[NODE_INPUTS];                /* rank 0 where absent */
    int present[NODE_INPUTS];
    enum dtype dtype[NODE_INPUTS];
    struct shape out[NODE_OUTPUTS];              /* result */
};
/* NULL, or what is wrong, in a few words that follow the shapes in the error line. */
const char *shape_infer(struct shape_case *c);

/* NULL, or why no tensor can have this shape: rank, sign, size. */
const char *shape_mistake(struct shape s);

/* Bytes of a shape, every type being 4 wide. */
static inline size_t shape_bytes(struct shape s)
{
    return (size_t)shape_count(s) * 4;
}

#endif
