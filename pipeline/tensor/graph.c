/* graph.c - the list of nodes and tensors, its leaves, and its sticky error. */
#include "pipeline/tensor/graph.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum code graph_make(struct graph **g, struct err *e)
{
    *g = mem_alloc(1, sizeof **g);
    if (!*g) return err_set(e, ERR_NOMEM, "no memory for a graph");
    return OK;
}

void graph_free(struct graph *g)
{
    if (!g) return;
    free(g->nodes);
    free(g->tensors);
    arena_fini(&g->arena);
    free(g);
}

struct value graph_fail(struct graph *g, enum code code, const char *fmt, ...)
{
    if (g->error.code) return VALUE_NONE; /* the first mistake is the one to mend */
    char line[sizeof g->error.text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    err_set(&g->error, code, "%s", line);
    return VALUE_NONE;
}

enum code graph_finish(struct graph *g, struct err *e)
{
    if (g->error.code) return err_set(e, g->error.code, "%s", g->error.text);
    return OK;
}

/* Makes room for one more of something; the array may move. */
static void *grown(struct graph *g, void *array, int n, int *room, size_t size)
{
    if (n < *room) return array;
    int more = *room ? *room * 2 : 64;
    void *bigger = mem_grow(array, (size_t)*room, (size_t)more, size);
    if (!bigger) {
        graph_fail(g, ERR_NOMEM, "no memory for a graph of %d nodes", g->n_nodes);
        return array;
    }
    *room = more;
    return bigger;
}

static struct value tensor_add(struct graph *g, struct tensor t)
{
    if (g->error.code) return VALUE_NONE;
    g->tensors = grown(g, g->tensors, g->n_tensors, &g->room_tensors, sizeof *g->tensors);
    if (g->error.code) return VALUE_NONE;
    if (t.root < 0) t.root = g->n_tensors;
    g->tensors[g->n_tensors] = t;
    return (struct value){g->n_tensors++};
}

static struct value leaf_add(struct graph *g, const char *name, struct tensor t)
{
    if (g->error.code) return VALUE_NONE;
    const char *mistake = shape_mistake(t.shape);
    if (mistake) return graph_fail(g, ERR_INPUT, "\"%s\": bad shape: %s", name, mistake);
    t.name = arena_strdup(&g->arena, name);
    if (!t.name) return graph_fail(g, ERR_NOMEM, "no memory for the name of a tensor");
    for (int i = t.shape.rank; i < SHAPE_RANK; i++) t.shape.dim[i] = 0;
    t.node = -1;
    t.root = -1;
    return tensor_add(g, t);
}

struct value graph_input(struct graph *g, const char *name, enum dtype dtype, struct shape shape)
{
    return leaf_add(g, name, (struct tensor){.kind = TENSOR_INPUT, .dtype = dtype, .shape = shape});
}

struct value graph_param(struct graph *g, const char *name, struct shape shape, const float *data)
{
    return leaf_add(g, name, (struct tensor){.kind = TENSOR_PARAM, .shape = shape, .data = data});
}

struct value graph_trained(struct graph *g, const char *name, struct shape shape, const float *data)
{
    return leaf_add(
        g, name, (struct tensor){.kind = TENSOR_PARAM, .shape = shape, .data = data, .trained = 1});
}

struct value graph_constant(struct graph *g, const char *name, struct shape shape, float value)
{
    if (g->error.code) return VALUE_NONE;
    int64_t n = shape_count(shape);
    float *data = arena_alloc(&g->arena, (size_t)n * sizeof *data);
    if (!data) return graph_fail(g, ERR_NOMEM, "no memory for \"%s\"", name);
    for (int64_t i = 0; i < n; i++) data[i] = value;
    return graph_param(g, name, shape, data);
}

char *graph_describe(const struct graph *g, struct value x, char *out, size_t out_bytes)
{
    char shape[80];
    if (!value_is(x)) {
        snprintf(out, out_bytes, "none");
        return out;
    }
    const struct tensor *t = graph_tensor(g, x);
    shape_text(t->shape, shape);
    if (t->name[0]) snprintf(out, out_bytes, "\"%.60s\" %s", t->name, shape);
    else snprintf(out, out_bytes, "%s#%d %s", op_name(g->nodes[t->node].op), t->node, shape);
    return out;
}

/* One line: op(inputs with names and shapes): what is wrong. */
static void node_refuse(struct graph *g, const struct node *n, enum code code, const char *reason)
{
    char list[400] = "", one[160];
    size_t used = 0;
    for (int i = 0; i < op_inputs(n->op); i++) {
        graph_describe(g, n->in[i], one, sizeof one);
        int wrote = snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", one);
        if (wrote < 0 || (size_t)wrote >= sizeof list - used) break;
        used += (size_t)wrote;
    }
    graph_fail(g, code, "%s(%s): %s", op_name(n->op), list, reason);
}

static enum code node_shapes(struct graph *g, const struct node *n, struct shape_case *c)
{
    *c = (struct shape_case){.op = n->op, .attr = &n->attr};
    for (int i = 0; i < NODE_INPUTS; i++) {
        assert(n->in[i].v < g->n_tensors); /* a value of another graph */
        c->present[i] = value_is(n->in[i]);
        if (!c->present[i]) continue;
        c->in[i] = g->tensors[n->in[i].v].shape;
        c->dtype[i] = g->tensors[n->in[i].v].dtype;
    }
    const char *reason = shape_infer(c);
    for (int i = 0; !reason && i < op_outputs(n->op); i++) reason = shape_mistake(c->out[i]);
    if (reason) node_refuse(g, n, ERR_INPUT, reason);
    return g->error.code;
}

void graph_add(struct graph *g, struct node *n, unsigned outputs)
{
    struct shape_case c;
    for (int i = 0; i < NODE_OUTPUTS; i++) n->out[i] = VALUE_NONE;
    if (g->error.code || node_shapes(g, n, &c)) return;
    g->nodes = grown(g, g->nodes, g->n_nodes, &g->room_nodes, sizeof *g->nodes);
    for (int i = 0; i < op_outputs(n->op); i++) {
        if (!(outputs >> i & 1)) continue;
        int root = n->op == OP_reshape ? g->tensors[n->in[0].v].root : -1;
        n->out[i] = tensor_add(g, (struct tensor){.name = "",
                                                  .kind = TENSOR_TEMP,
                                                  .shape = c.out[i],
                                                  .node = g->n_nodes,
                                                  .root = root});
    }
    if (g->error.code) {
        for (int i = 0; i < NODE_OUTPUTS; i++) n->out[i] = VALUE_NONE;
        return;
    }
    g->nodes[g->n_nodes++] = *n;
}

void graph_keep(struct graph *g, struct value x)
{
    if (g->error.code) return;
    if (!value_is(x)) graph_fail(g, ERR_INTERNAL, "graph_keep: there is no such value");
    else g->tensors[x.v].kept = 1;
}

struct value graph_boundary(struct graph *g, struct value x)
{
    if (!g->error.code && value_is(x)) g->tensors[x.v].boundary = 1;
    return x;
}

void graph_recompute(struct graph *g)
{
    g->recompute = 1;
}

int graph_nodes(const struct graph *g)
{
    return g->n_nodes;
}
int graph_tensors(const struct graph *g)
{
    return g->n_tensors;
}

const struct node *graph_node(const struct graph *g, int i)
{
    assert(i >= 0 && i < g->n_nodes);
    return &g->nodes[i];
}

const struct tensor *graph_tensor(const struct graph *g, struct value x)
{
    assert(value_is(x) && x.v < g->n_tensors);
    return &g->tensors[x.v];
}

struct shape graph_shape(const struct graph *g, struct value x)
{
    if (!value_is(x)) return (struct shape){0};
    return graph_tensor(g, x)->shape;
}

int64_t graph_dim(const struct graph *g, struct value x, int axis)
{
    if (!value_is(x)) return 0; /* models compute with sizes after a mistake, too */
    struct shape s = graph_tensor(g, x)->shape;
    assert(axis >= 0 && axis < s.rank);
    return s.dim[axis];
}
