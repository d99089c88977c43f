/* exec.c - one arena, one walk over the nodes.
 *
 * exec_run allocates nothing and copies nothing: it looks pointers up, calls kernels, and under the check backend
 * lets the guard (check/guard.h) look at the arena after each node.
 *
 * A param's bytes are handed to kernels as they are, in host memory. A backend with memory of its own will need them
 * there, uploaded once and shared by all execs of a base model: that belongs to whoever writes that backend, and
 * exec_make refuses until then.
 */
#include "base/arena.h"
#include "pipeline/tensor/check/guard.h"
#include "pipeline/tensor/graph.h"
#include "pipeline/tensor/plan.h"

#include <assert.h>
#include <stdlib.h>

struct exec {
    const struct graph *graph; /* borrowed, unless owns */
    const struct plan *plan;   /* likewise */
    int owns;                  /* made by exec_open: exec_close frees graph and plan too */
    void *memory;              /* owned */
    uint8_t *arena;            /* memory, aligned */
    const void **bound;        /* owned, per tensor: what exec_bind said */
    size_t peak;
};

/* Like the heap that they lie in, arenas are the process's: this is its count, made by one thread (tensor.h). */
static struct {
    size_t now, most;
} arenas;

size_t exec_arenas_most(void)
{
    return arenas.most;
}

void exec_arenas_reset(void)
{
    arenas.most = arenas.now;
}

/* Everything that could stop a run half-way is asked here. */
static enum code check_ready(const struct graph *g, const struct plan *p, struct err *e)
{
    const struct kernels *k = p->kernels;
    if (p->n_nodes != graph_nodes(g) || p->n_tensors != graph_tensors(g))
        return err_set(e, ERR_INTERNAL, "the graph has grown since it was planned; plan it again");
    if (k->memory_alloc)
        return err_set(e, ERR_INTERNAL, "backend %s: parameters cannot be uploaded yet",
                       k->backend);
    for (int i = 0; i < p->n_nodes; i++) {
        const struct node *n = graph_node(g, i);
        if (!p->runs[i]) continue;
        if (!k->fn[n->op])
            return err_set(e, ERR_INTERNAL, "backend %s has no operator %s", k->backend,
                           op_name(n->op));
        for (int j = 0; j < NODE_INPUTS; j++) {
            if (!value_is(n->in[j])) continue;
            const struct tensor *root =
                graph_tensor(g, (struct value){graph_tensor(g, n->in[j])->root});
            if (root->kind == TENSOR_PARAM && !root->data && shape_count(root->shape))
                return err_set(e, ERR_INTERNAL, "param \"%s\" has no data", root->name);
        }
    }
    return OK;
}

enum code exec_make(struct exec **out, const struct graph *g, const struct plan *p, struct err *e)
{
    *out = NULL;
    enum code rc = check_ready(g, p, e);
    if (rc) return rc;
    struct exec *x = mem_alloc(1, sizeof *x);
    if (!x) return err_set(e, ERR_NOMEM, "no memory to run a graph");
    x->graph = g;
    x->plan = p;
    x->bound = mem_alloc((size_t)p->n_tensors + 1, sizeof *x->bound);
    x->memory = mem_alloc(1, p->peak + PLAN_ALIGN);
    if (!x->bound || !x->memory) {
        exec_free(x);
        return err_set(e, ERR_NOMEM, "no memory for the results of a graph: %zu bytes wanted",
                       p->peak);
    }
    arenas.now += p->peak;
    if (arenas.now > arenas.most) arenas.most = arenas.now;
    x->arena = x->memory;
    x->arena += plan_round((uintptr_t)x->memory) - (uintptr_t)x->memory;
    *out = x;
    return OK;
}

void exec_free(struct exec *x)
{
    if (!x) return;
    if (x->arena) arenas.now -= x->plan->peak;
    free(x->memory);
    free(x->bound);
    free(x);
}

void exec_bind(struct exec *x, struct value input, const void *data)
{
    assert(graph_tensor(x->graph, input)->kind == TENSOR_INPUT);
    x->bound[input.v] = data;
}

/* Where the bytes of a value are. Empty tensors have an address, too: NULL would mean absent. */
static void *address(const struct exec *x, struct value v)
{
    if (!value_is(v)) return NULL;
    int32_t root = graph_tensor(x->graph, v)->root;
    const struct tensor *t = graph_tensor(x->graph, (struct value){root});
    const void *data = t->kind == TENSOR_PARAM ? t->data : x->bound[root];
    if (t->kind == TENSOR_TEMP) data = x->arena + x->plan->buffers[x->plan->of_tensor[root]].offset;
    if (!data && !shape_count(t->shape)) data = x->arena;
    return (void *)(uintptr_t)
        data; /* kernels take inputs as const; only results are written through it */
}

static void run_fill(const struct exec *x, int i, struct run *run)
{
    const struct node *n = graph_node(x->graph, i);
    *run = (struct run){.node = n};
    for (int j = 0; j < NODE_INPUTS; j++) {
        run->in[j] = address(x, n->in[j]);
        run->in_shape[j] = graph_shape(x->graph, n->in[j]);
    }
    for (int j = 0; j < NODE_OUTPUTS; j++) {
        run->out[j] = address(x, n->out[j]);
        run->out_shape[j] = graph_shape(x->graph, n->out[j]);
    }
    int32_t b = x->plan->of_node[i];
    if (b < 0) return;
    run->workspace = x->arena + x->plan->buffers[b].offset;
    run->workspace_bytes = x->plan->buffers[b].bytes;
}

static void touch(struct exec *x, int32_t buffer)
{
    if (buffer < 0) return;
    size_t end = buffer_end(x->plan, &x->plan->buffers[buffer]);
    if (end > x->peak) x->peak = end;
}

static enum code run_node(struct exec *x, int i, struct err *e)
{
    const struct kernels *k = x->plan->kernels;
    const struct node *n = graph_node(x->graph, i);
    struct run run;
    run_fill(x, i, &run);
    if (plan_workspace(k, x->graph, i) > run.workspace_bytes)
        return err_set(e, ERR_INTERNAL,
                       "%s needs more scratch than planned: threads were added since",
                       op_name(n->op));
    for (int j = 0; j < NODE_OUTPUTS; j++)
        if (value_is(n->out[j])) touch(x, x->plan->of_tensor[n->out[j].v]);
    touch(x, x->plan->of_node[i]);
    enum code rc = k->fn[n->op](&run, e);
    if (!rc && k->red_zone) rc = guard_node(x->plan, x->graph, x->arena, i, e);
    return rc;
}

/* Only inputs that some running node reads, or that are kept under another shape, must be bound. */
static enum code check_bound(const struct exec *x, struct err *e)
{
    const struct graph *g = x->graph;
    for (int i = 0; i < x->plan->n_nodes; i++) {
        const struct node *n = graph_node(g, i);
        for (int j = 0; x->plan->runs[i] && j < NODE_INPUTS; j++) {
            if (!value_is(n->in[j])) continue;
            int32_t root = graph_tensor(g, n->in[j])->root;
            const struct tensor *t = graph_tensor(g, (struct value){root});
            if (t->kind == TENSOR_INPUT && !x->bound[root] && shape_count(t->shape))
                return err_set(e, ERR_INTERNAL, "input \"%s\" was never bound", t->name);
        }
    }
    return OK;
}

enum code exec_run(struct exec *x, struct err *e)
{
    const struct plan *p = x->plan;
    enum code rc = check_bound(x, e);
    if (!rc && p->kernels->red_zone) guard_begin(p, x->arena);
    for (int i = 0; !rc && i < p->n_nodes; i++)
        if (p->runs[i]) rc = run_node(x, i, e);
    if (!rc && p->kernels->red_zone) rc = guard_end(p, x->arena, e);
    return rc;
}

const float *exec_data(const struct exec *x, struct value kept)
{
    assert(graph_tensor(x->graph, kept)->kept);
    return address(x, kept);
}

size_t exec_peak(const struct exec *x)
{
    return x->peak;
}

enum code exec_open(struct exec **x, struct graph *g, const struct kernels *k, struct err *e)
{
    struct plan *p = NULL;
    *x = NULL;
    enum code rc = graph_finish(g, e);
    if (!rc) rc = plan_make(&p, g, k, e);
    if (!rc) rc = exec_make(x, g, p, e);
    if (rc) {
        plan_free(p);
        return rc;
    }
    assert(*x);
    (*x)->owns = 1;
    return OK;
}

/* The casts take back what exec_open was given as its own. */
void exec_close(struct exec *x)
{
    if (!x) return;
    assert(x->owns);
    struct plan *p = (struct plan *)(uintptr_t)x->plan;
    struct graph *g = (struct graph *)(uintptr_t)x->graph;
    exec_free(x);
    plan_free(p);
    graph_free(g);
}
