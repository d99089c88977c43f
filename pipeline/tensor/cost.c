/* cost.c - plans without runs, and the pace of single nodes.
 *
 * Work of a node: its arithmetic if it has any (node_flops in flops.c), else the bytes it reads and writes. Of each operator one
 * node is run: the one with the most work that is no more than ENOUGH, so that a measurement lasts tens of milliseconds and is
 * yet of the sizes that matter; only heavier ones, the lightest.
 */
#include "pipeline/tensor/cost.h"

#include "base/arena.h"
#include "base/philox.h"
#include "pipeline/tensor/graph.h"
#include "pipeline/tensor/plan.h"

#include <stdlib.h>
#include <time.h>

#define ENOUGH 1e9    /* about 15 ms of arithmetic on one core */
#define SETTLED 0.010 /* seconds of one run above which it is not repeated */
#define REPEATS 3

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double work(const struct graph *g, const struct node *n)
{
    double bytes = 0, flops = graph_node_flops(g, n);
    if (flops > 0) return flops;
    for (int i = 0; i < NODE_INPUTS; i++) bytes += (double)shape_bytes(graph_shape(g, n->in[i]));
    for (int i = 0; i < NODE_OUTPUTS; i++) bytes += (double)shape_bytes(graph_shape(g, n->out[i]));
    return bytes;
}

/* The node to measure for an operator, or -1. */
static int specimen(const struct graph *g, const struct plan *p, enum op op)
{
    int best = -1;
    double most = 0;
    for (int i = 0; i < p->n_nodes; i++) {
        const struct node *n = graph_node(g, i);
        if (n->op != op || !p->runs[i]) continue;
        double w = work(g, n);
        if (best < 0 || (w <= ENOUGH ? w > most || most > ENOUGH : w < most)) {
            best = i;
            most = w;
        }
    }
    return best;
}

/* A graph of that node alone. Floats are of a normal distribution, indices zero, which is in range of any table. */
static enum code alone(const struct graph *g, const struct node *n, struct graph **out,
                       struct value in[NODE_INPUTS], struct err *e)
{
    struct node one = *n;
    unsigned outputs = 0;
    enum code rc = graph_make(out, e);
    if (rc) return rc;
    for (int i = 0; i < NODE_INPUTS; i++) {
        in[i] = VALUE_NONE;
        if (!value_is(n->in[i])) continue;
        const struct tensor *t = graph_tensor(g, n->in[i]);
        in[i] = one.in[i] = graph_input(*out, "x", t->dtype, t->shape);
    }
    for (int i = 0; i < NODE_OUTPUTS; i++) outputs |= (unsigned)value_is(n->out[i]) << i;
    graph_add(*out, &one, outputs);
    for (int i = 0; i < NODE_OUTPUTS; i++)
        if (value_is(one.out[i])) graph_keep(*out, one.out[i]);
    return graph_finish(*out, e);
}

static enum code bind(struct exec *x, const struct graph *g, const struct value in[NODE_INPUTS],
                      void *bytes[NODE_INPUTS], struct err *e)
{
    for (int i = 0; i < NODE_INPUTS; i++) {
        if (!value_is(in[i])) continue;
        size_t n = (size_t)shape_count(graph_shape(g, in[i]));
        bytes[i] = mem_alloc(n + 1, 4);
        if (!bytes[i]) return err_set(e, ERR_NOMEM, "out of memory while measuring the pace");
        if (graph_tensor(g, in[i])->dtype == DTYPE_F32)
            philox_normal(philox_key(1, PHILOX_TEST), 0, (uint32_t)i, bytes[i], n);
        exec_bind(x, in[i], bytes[i]);
    }
    return OK;
}

/* The best of a few runs after a first that warms up. */
static enum code clock_runs(struct exec *x, double *best, struct err *e)
{
    enum code rc = exec_run(x, e);
    for (int i = 0; !rc && i < REPEATS; i++) {
        double begin = now();
        rc = exec_run(x, e);
        double took = now() - begin;
        if (!i || took < *best) *best = took;
        if (took > SETTLED) break;
    }
    return rc;
}

static enum code measure(struct pace *pace, const struct graph *g, const struct node *n,
                         const struct kernels *k, struct err *e)
{
    struct graph *one = NULL;
    struct exec *x = NULL;
    struct value in[NODE_INPUTS];
    void *bytes[NODE_INPUTS] = {0};
    double begin = now(), took = 0, w = work(g, n);
    enum code rc = alone(g, n, &one, in, e);
    if (!rc) rc = exec_open(&x, one, k, e);
    if (!rc) rc = bind(x, one, in, bytes, e);
    if (!rc) rc = clock_runs(x, &took, e);
    if (!rc) pace->seconds[n->op] = took / (w > 0 ? w : 1);
    if (x) exec_close(x);
    else graph_free(one);
    for (int i = 0; i < NODE_INPUTS; i++) free(bytes[i]);
    pace->spent += now() - begin;
    return rc;
}

static enum code add_seconds(struct cost *c, const struct graph *g, const struct plan *p,
                             const struct kernels *k, struct pace *pace, struct err *e)
{
    for (int op = 0; op < OP_COUNT; op++) {
        int at = pace->seconds[op] > 0 ? -1 : specimen(g, p, (enum op)op);
        enum code rc = at < 0 ? OK : measure(pace, g, graph_node(g, at), k, e);
        if (rc) return rc;
    }
    for (int i = 0; i < p->n_nodes; i++)
        if (p->runs[i])
            c->seconds += work(g, graph_node(g, i)) * pace->seconds[graph_node(g, i)->op];
    return OK;
}

enum code cost_take(struct cost *c, struct graph *g, const struct kernels *k, struct pace *pace,
                    struct err *e)
{
    struct plan *p = NULL;
    enum code rc = graph_finish(g, e);
    if (!rc) rc = plan_make(&p, g, k, e);
    if (!rc) c->arena += plan_peak(p);
    if (!rc && pace) rc = add_seconds(c, g, p, k, pace, e);
    plan_free(p);
    graph_free(g);
    return rc;
}
