/* plan.c - on random graphs: no two buffers that live together overlap, dead nodes take no room, and the peak that the
 * plan promises is the peak that the run has. Lives are found here a second time, without the planner's words. */
#include "base/philox.h"
#include "pipeline/tensor/ops.h"
#include "pipeline/tensor/plan.h"
#include "tests/tap.h"
#include "tests/unit/tensor/toy.h"

#define GRAPHS 300
#define MOST 128

struct dice {
    struct philox_key key;
    uint64_t graph;
    uint32_t rolls;
};

static int64_t roll(struct dice *d, uint32_t bound)
{
    return philox_below(d->key, d->graph, d->rolls++, bound);
}

static struct value pick_value(struct dice *d, const struct value *all, int n)
{
    /* Mostly the newest, sometimes an old one: long and short lives. */
    int64_t back = roll(d, 3) ? roll(d, 4) : roll(d, (uint32_t)n);
    return all[n - 1 - (back < n ? back : 0)];
}

static struct value random_op(struct graph *g, struct dice *d, struct value a, struct value b)
{
    int64_t rows = graph_dim(g, a, 0), width = graph_dim(g, a, 1);
    switch (roll(d, 6)) {
    case 0: return op_scale(g, a, 2);
    case 1:
        return shape_equal(graph_shape(g, a), graph_shape(g, b)) ? op_add(g, a, b)
                                                                 : op_add(g, a, a);
    case 2:
        return rows == graph_dim(g, b, 0) && width < 200 ? op_concat(g, a, b, 1)
                                                         : op_scale(g, a, 1);
    case 3: return op_slice(g, a, 1, 0, roll(d, (uint32_t)width + 1));
    case 4: return op_reshape(g, a, SHAPE(width, rows));
    default: return op_unary(g, a, UNARY_GELU);
    }
}

static struct graph *random_graph(struct dice *d)
{
    struct graph *g;
    struct value all[MOST];
    int n = 0, size = 2 + (int)roll(d, MOST - 2);
    graph_make(&g, NULL);
    all[n++] = graph_input(g, "x", DTYPE_F32, SHAPE(1 + roll(d, 9), 1 + roll(d, 60)));
    while (n < size) {
        struct value a = pick_value(d, all, n), b = pick_value(d, all, n);
        all[n] = random_op(g, d, a, b);
        if (!roll(d, 10)) graph_keep(g, all[n]);
        n++;
    }
    graph_keep(g, all[n - 1]);
    return g;
}

/* Is the value read at or after node i, or kept, through itself or a reshape of it? */
static int lives_after(const struct graph *g, const struct plan *p, int32_t root, int i)
{
    for (int32_t t = 0; t < graph_tensors(g); t++) {
        const struct tensor *x = graph_tensor(g, (struct value){t});
        if (x->root == root && x->kept) return 1;
    }
    for (; i < graph_nodes(g); i++)
        for (int j = 0; j < NODE_INPUTS && p->runs[i]; j++) {
            struct value in = graph_node(g, i)->in[j];
            if (value_is(in) && graph_tensor(g, in)->root == root) return 1;
        }
    return 0;
}

struct span {
    size_t begin, end;
};

static int spans_meet(struct span a, struct span b)
{
    return a.begin < b.end && b.begin < a.end;
}

/* All memory in use while node i runs; how many. */
static int spans_at(const struct graph *g, const struct plan *p, int i, struct span *spans)
{
    int n = 0;
    for (int32_t t = 0; t < graph_tensors(g); t++) {
        const struct tensor *x = graph_tensor(g, (struct value){t});
        size_t at = plan_offset(p, (struct value){t});
        if (x->kind != TENSOR_TEMP || x->root != t || at == SIZE_MAX) continue;
        if (x->node > i || (x->node < i && !lives_after(g, p, t, i))) continue;
        spans[n++] = (struct span){at, at + shape_bytes(x->shape)};
    }
    size_t scratch = toy_workspace(g, graph_node(g, i));
    if (scratch)
        spans[n++] = (struct span){p->buffers[p->of_node[i]].offset,
                                   p->buffers[p->of_node[i]].offset + scratch};
    return n;
}

static int overlaps(const struct graph *g, const struct plan *p)
{
    static struct span spans[4 * MOST];
    int bad = 0;
    for (int i = 0; i < graph_nodes(g); i++) {
        if (!p->runs[i]) continue;
        int n = spans_at(g, p, i, spans);
        for (int a = 0; a < n; a++) {
            bad += spans[a].begin % PLAN_ALIGN != 0 || spans[a].end > plan_peak(p);
            for (int b = 0; b < a; b++) bad += spans_meet(spans[a], spans[b]);
        }
    }
    return bad;
}

/* No plan can need less than the most that lives at once. */
static size_t least_peak(const struct graph *g, const struct plan *p)
{
    static struct span spans[4 * MOST];
    size_t most = 0;
    for (int i = 0; i < graph_nodes(g); i++) {
        int n = p->runs[i] ? spans_at(g, p, i, spans) : 0;
        size_t sum = 0;
        for (int a = 0; a < n; a++) sum += plan_round(spans[a].end - spans[a].begin);
        if (sum > most) most = sum;
    }
    return most;
}

static int runs_to_peak(struct graph *g, const struct plan *p)
{
    static float data[16 * 64];
    struct exec *x;
    struct err e = {0};
    if (exec_make(&x, g, p, &e)) return 0;
    exec_bind(x, (struct value){0}, data);
    int good = !exec_run(x, &e) && exec_peak(x) == plan_peak(p);
    if (e.code) printf("#   %s\n", e.text);
    exec_free(x);
    return good;
}

static void test_random(const struct kernels *k, uint64_t seed)
{
    int bad = 0, short_of = 0;
    size_t peaks = 0, least = 0;
    for (uint64_t i = 0; i < GRAPHS; i++) {
        struct dice d = {philox_key(seed, PHILOX_TEST), i, 0};
        struct graph *g = random_graph(&d);
        struct plan *p = NULL;
        struct err e = {0};
        if (graph_finish(g, &e) || plan_make(&p, g, k, &e))
            printf("#   graph %d: %s\n", (int)i, e.text);
        int graph_bad = !p || overlaps(g, p);
        if (graph_bad) printf("#   graph %d overlaps\n", (int)i);
        bad += graph_bad;
        short_of += !p || !runs_to_peak(g, p);
        peaks += p ? plan_peak(p) : 0;
        least += p ? least_peak(g, p) : 0;
        plan_free(p);
        graph_free(g);
    }
    ok(!bad, "%s: no buffers that live together overlap, in %d random graphs", k->backend, GRAPHS);
    if (!k->red_zone)
        ok(peaks < least * 1.05, "%s: plans waste %.1f %% over the most that lives at once",
           k->backend, 100.0 * (double)(peaks - least) / (double)least);
    ok(!short_of, "%s: the planned peak is the measured peak", k->backend);
}

/* x -> a chain of equal tensors needs room for two, however long it is. */
static void test_chain(void)
{
    struct graph *g;
    struct plan *p;
    graph_make(&g, NULL);
    struct value v = graph_input(g, "x", DTYPE_F32, SHAPE(16, 16));
    for (int i = 0; i < 50; i++) v = op_scale(g, v, 2);
    graph_keep(g, v);
    plan_make(&p, g, &toy, NULL);
    ok(plan_peak(p) == 2 * 16 * 16 * 4, "a chain needs two buffers");
    plan_free(p);
    graph_free(g);
}

static void test_dead(void)
{
    struct graph *g;
    struct plan *p;
    graph_make(&g, NULL);
    struct value x = graph_input(g, "x", DTYPE_F32, SHAPE(8)), y = op_scale(g, x, 2);
    struct value dead = op_scale(g, op_concat(g, y, y, 0), 3), view = op_reshape(g, y, SHAPE(2, 4));
    graph_keep(g, view);
    plan_make(&p, g, &toy, NULL);
    ok(plan_offset(p, dead) == SIZE_MAX && plan_peak(p) == 64, "what nobody keeps takes no room");
    ok(plan_offset(p, view) == plan_offset(p, y), "a reshape lies where its root lies");
    ok(plan_offset(p, x) == SIZE_MAX, "an input is not in the arena");
    plan_free(p);
    graph_keep(g, x);
    plan_make(&p, g, &toy, NULL);
    plan_free(p);
    plan_free(NULL);
    graph_free(g);
}

int main(void)
{
    struct kernels guarded = toy;
    guarded.backend = "toy with red zones";
    guarded.red_zone = PLAN_ALIGN;
    uint64_t seed = tap_seed(20261123);
    test_random(&toy, seed);
    test_random(&guarded, seed);
    test_chain();
    test_dead();
    return done_testing();
}
