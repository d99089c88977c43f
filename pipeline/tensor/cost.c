/* cost.c - plans without runs, and the pace of single nodes.
 *
 * Work of a node: its arithmetic if it has any (graph_node_flops), else the bytes it reads and writes. Of each operator one node
 * is run, such that nodes up to its size do half of the operator's work: small ones are less efficient than large ones, and
 * these are the ones that count. Of those that are more than ENOUGH the lightest, so that learning takes seconds and not a minute.
 * (With 1e9 nothing but the stem of Stable Diffusion's UNet was left of the convolutions at 512 pixels, which has four channels and
 * no Winograd: 70 GFLOP/s for what then ran at 214.)
 *
 * A node alone finds its weights in the near caches, which a whole graph does not; with caches that were emptied it misses its input, too,
 * which a whole graph has just written. On Storybook the first is 0.55 and the second 1.5 of what a node takes in its graph, so the pace is
 * the geometric mean of both. A node that works for long is run once: caches hardly matter to it.
 */
#include "pipeline/tensor/cost.h"

#include "base/arena.h"
#include "base/parallel.h"
#include "base/philox.h"
#include "pipeline/tensor/graph.h"
#include "pipeline/tensor/plan.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#define ENOUGH 2e10   /* of work: some 200 ms of arithmetic on one core */
#define SETTLED 0.030 /* seconds after which a node is not run again */
#define REPEATS 7
#define FAR_BYTES \
    ((size_t)4 << 20) /* more than the near caches of a core, less than what cores share */

static double clock_of(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double now(void)
{
    return clock_of(CLOCK_MONOTONIC);
}

/* Seconds that all threads of this process have computed: what others take does not count. */
static double busy(void)
{
    return clock_of(CLOCK_PROCESS_CPUTIME_ID);
}

static double work(const struct graph *g, const struct node *n)
{
    double bytes = 0, flops = graph_node_flops(g, n);
    if (flops > 0) return flops;
    for (int i = 0; i < NODE_INPUTS; i++) bytes += (double)shape_bytes(graph_shape(g, n->in[i]));
    for (int i = 0; i < NODE_OUTPUTS; i++) bytes += (double)shape_bytes(graph_shape(g, n->out[i]));
    return bytes;
}

/* The work of all running nodes of an operator that have no more than `most` of it each. */
static double work_up_to(const struct graph *g, const struct plan *p, enum op op, double most)
{
    double sum = 0;
    for (int i = 0; i < p->n_nodes; i++) {
        const struct node *n = graph_node(g, i);
        double w = n->op == op && p->runs[i] ? work(g, n) : 0;
        if (w <= most) sum += w;
    }
    return sum;
}

/* The node to measure for an operator, or -1. O(n^2) in the nodes of one operator. */
static int specimen(const struct graph *g, const struct plan *p, enum op op)
{
    double half = work_up_to(g, p, op, 1e300) / 2, least = 0, best_work = 0;
    int lightest = -1, best = -1;
    for (int i = 0; i < p->n_nodes; i++) {
        const struct node *n = graph_node(g, i);
        if (n->op != op || !p->runs[i]) continue;
        double w = work(g, n);
        if (lightest < 0 || w < least) {
            lightest = i;
            least = w;
        }
        if (w > ENOUGH) continue;
        int enough = best >= 0 && work_up_to(g, p, op, best_work) >= half;
        if (best < 0 ||
            (enough ? w < best_work && work_up_to(g, p, op, w) >= half : w > best_work)) {
            best = i;
            best_work = w;
        }
    }
    return best < 0 ? lightest : best;
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

/* Drives everything else out of the near caches. */
static void cool(volatile char *far)
{
    for (size_t i = 0; i < FAR_BYTES; i += 64) far[i]++;
}

/* One run in processor seconds of a thread. far: NULL, or the caches are cold. */
static enum code clock_run(struct exec *x, volatile char *far, double *took, struct err *e)
{
    if (far) cool(far);
    double begin = busy();
    enum code rc = exec_run(x, e);
    *took = (busy() - begin) / parallel_threads();
    return rc;
}

/* The best of a few. */
static enum code clock_runs(struct exec *x, volatile char *far, double *best, struct err *e)
{
    double spent = 0, took;
    enum code rc = OK;
    for (int i = 0; !rc && i < REPEATS && spent < SETTLED; i++) {
        rc = clock_run(x, far, &took, e);
        if (!i || took < *best) *best = took;
        spent += took;
    }
    return rc;
}

/* Warm and cold. The first run warms up; of a node that works so long that caches and first touches hardly matter it is all. */
static enum code clock_node(struct exec *x, volatile char *far, double *seconds, struct err *e)
{
    double warm = 0, cold = 0;
    enum code rc = clock_run(x, NULL, seconds, e);
    if (rc || *seconds > SETTLED) return rc;
    rc = clock_runs(x, NULL, &warm, e);
    if (!rc) rc = clock_runs(x, far, &cold, e);
    *seconds = sqrt(warm * cold);
    return rc;
}

static enum code measure(struct pace *pace, const struct graph *g, const struct node *n,
                         const struct kernels *k, struct err *e)
{
    struct graph *one = NULL;
    struct exec *x = NULL;
    struct value in[NODE_INPUTS];
    void *bytes[NODE_INPUTS] = {0};
    double begin = now(), seconds = 0, w = work(g, n);
    char *far = mem_alloc(FAR_BYTES, 1);
    enum code rc = far ? alone(g, n, &one, in, e)
                       : err_set(e, ERR_NOMEM, "out of memory while measuring the pace");
    if (!rc) rc = exec_open(&x, one, k, e);
    if (!rc) rc = bind(x, one, in, bytes, e);
    if (!rc) rc = clock_node(x, far, &seconds, e);
    if (!rc) pace->seconds[n->op] = seconds / (w > 0 ? w : 1);
    if (x) exec_close(x);
    else graph_free(one);
    for (int i = 0; i < NODE_INPUTS; i++) free(bytes[i]);
    free(far);
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
