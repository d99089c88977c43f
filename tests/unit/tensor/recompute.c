/* recompute.c - making forward values again in backward changes no byte of any gradient, only where memory is and how much.
 *
 * Random networks of the operators that have gradients, with boundaries at random places, run on the check backend (which
 * poisons dead buffers: a copy that read a value too late would be NaN), with and without.
 */
#include "base/philox.h"
#include "pipeline/tensor/ops.h"
#include "tests/tap.h"

#include <string.h>

enum { NETWORKS = 60, MOST = 40, ROWS = 6, WIDTH = 8, WEIGHTS = 4 };

struct dice {
    struct philox_key key;
    uint64_t network;
    uint32_t rolls;
};

static uint32_t roll(struct dice *d, uint32_t bound)
{
    return philox_below(d->key, d->network, d->rolls++, bound);
}

static float input[ROWS * WIDTH], matrix[WEIGHTS][WIDTH * WIDTH], ones[WIDTH], target[ROWS * WIDTH],
    one[ROWS];

static void fill(void)
{
    struct philox_key k = philox_key(3, PHILOX_TEST);
    philox_normal(k, 0, 0, input, ROWS * WIDTH);
    philox_normal(k, 0, 1, target, ROWS * WIDTH);
    for (int i = 0; i < WEIGHTS; i++) {
        philox_normal(k, 1, (uint32_t)i, matrix[i], WIDTH * WIDTH);
        for (int j = 0; j < WIDTH * WIDTH; j++) matrix[i][j] *= 0.3f;
    }
    for (int i = 0; i < WIDTH; i++) ones[i] = 1.0f;
    for (int i = 0; i < ROWS; i++) one[i] = 1.0f;
}

struct network {
    struct graph *g;
    struct value in, w[WEIGHTS], loss, grad[WEIGHTS];
    int forward_nodes;
};

static struct value layer(struct network *n, struct dice *d, struct value a, struct value b)
{
    struct graph *g = n->g;
    struct value gamma = graph_param(g, "gamma", SHAPE(WIDTH), ones), half;
    switch (roll(d, 7)) {
    case 0: return op_unary(g, a, UNARY_GELU);
    case 1: return op_add(g, a, b);
    case 2: return op_layer_norm(g, a, gamma, gamma, 1e-5f);
    case 3: return op_geglu(g, op_concat(g, a, b, 2));
    case 4: return op_attention(g, a, b, a, 2, 0, 0.5f);
    case 5: half = op_slice(g, a, 2, 0, WIDTH / 2); return op_concat(g, half, half, 2);
    default: return op_linear(g, a, n->w[roll(d, WEIGHTS)], VALUE_NONE);
    }
}

/* The same network for the same number, whatever `recompute` and `bounded` say. */
static void build(struct network *n, uint64_t number, int recompute, int bounded)
{
    struct dice d = {philox_key(7, PHILOX_TEST), number, 0};
    struct value all[MOST];
    graph_make(&n->g, NULL);
    n->in = graph_input(n->g, "x", DTYPE_F32, SHAPE(1, ROWS, WIDTH));
    for (int i = 0; i < WEIGHTS; i++)
        n->w[i] = graph_trained(n->g, "w", SHAPE(WIDTH, WIDTH), matrix[i]);
    all[0] = op_linear(n->g, n->in, n->w[0], VALUE_NONE);
    for (int i = 1; i < MOST; i++) {
        int near = i < 3 ? i : 3;
        struct value a = all[i - 1], b = all[roll(&d, 4) ? i - 1 - (int)roll(&d, (uint32_t)near)
                                                         : (int)roll(&d, (uint32_t)i)];
        all[i] = layer(n, &d, a, b);
        if (!roll(&d, 5) && bounded) graph_boundary(n->g, all[i]);
    }
    struct value flat = op_reshape(n->g, all[MOST - 1], SHAPE(ROWS, WIDTH));
    struct value goal = graph_param(n->g, "target", SHAPE(ROWS, WIDTH), target);
    n->loss = op_mse(n->g, flat, goal, graph_param(n->g, "weight", SHAPE(ROWS), one));
    graph_keep(n->g, n->loss);
    n->forward_nodes = graph_nodes(n->g);
    if (recompute) graph_recompute(n->g);
    graph_backward(n->g, n->loss, n->w, WEIGHTS, n->grad, NULL);
}

/* Bytes of the arena and the gradients; 0: it did not run. */
static size_t run(struct network *n, float out[WEIGHTS][WIDTH * WIDTH])
{
    struct plan *p = NULL;
    struct exec *x = NULL;
    struct err e = {0};
    size_t peak = 0;
    enum code rc = plan_make(&p, n->g, kernels_check(), &e);
    if (!rc) rc = exec_make(&x, n->g, p, &e);
    if (!rc) {
        exec_bind(x, n->in, input);
        rc = exec_run(x, &e);
    }
    for (int i = 0; !rc && i < WEIGHTS; i++)
        if (value_is(n->grad[i])) memcpy(out[i], exec_data(x, n->grad[i]), sizeof out[i]);
    if (!rc) peak = plan_peak(p);
    if (rc) printf("# %s\n", e.text);
    exec_free(x);
    plan_free(p);
    graph_free(n->g);
    return peak;
}

static void random_networks(void)
{
    int equal = 0, copied = 0, smaller = 0, unbounded = 0;
    for (uint64_t i = 0; i < NETWORKS; i++) {
        static float kept[WEIGHTS][WIDTH * WIDTH], made[WEIGHTS][WIDTH * WIDTH];
        struct network a, b, c;
        memset(kept, 0, sizeof kept);
        memset(made, 0, sizeof made);
        build(&a, i, 0, 1);
        build(&b, i, 1, 1);
        build(&c, i, 1, 0);
        copied += graph_nodes(b.g) > graph_nodes(a.g);
        unbounded += graph_nodes(c.g) == graph_nodes(a.g);
        graph_free(c.g);
        size_t whole = run(&a, kept), less = run(&b, made);
        equal += whole && less && !memcmp(kept, made, sizeof kept);
        smaller += less < whole;
    }
    is_int(equal, NETWORKS, "every gradient of every network is the same, byte for byte");
    ok(copied > NETWORKS * 3 / 4, "most networks have something to make again (%d of %d)", copied,
       NETWORKS);
    ok(smaller > NETWORKS / 2, "and most of them need less memory (%d)", smaller);
    is_int(unbounded, NETWORKS, "without a boundary nothing is made again");
}

/* A chain of blocks as networks have them: memory grows with the square of what one keeps, time by one forward. */
static void chain(void)
{
    enum { BLOCKS = 12, WIDE = 64 };
    static float w[WIDE * WIDE], x[32 * WIDE];
    size_t peak[2];
    double flops[2];
    for (int recompute = 0; recompute < 2; recompute++) {
        struct graph *g;
        struct plan *p;
        graph_make(&g, NULL);
        if (recompute) graph_recompute(g);
        struct value h = graph_param(g, "x", SHAPE(1, 32, WIDE), x), grad,
                     t = graph_trained(g, "w", SHAPE(WIDE, WIDE), w);
        for (int i = 0; i < BLOCKS; i++) {
            struct value y = op_linear(g, h, t, VALUE_NONE);
            for (int j = 0; j < 3; j++)
                y = op_unary(g, op_linear(g, op_unary(g, y, UNARY_SILU), t, VALUE_NONE),
                             UNARY_GELU);
            h = graph_boundary(g, op_add(g, h, y));
        }
        graph_backward(g, h, &t, 1, &grad, NULL);
        is_int(plan_make(&p, g, kernels_cpu(), NULL), OK, "a chain is planned");
        peak[recompute] = plan_peak(p);
        flops[recompute] = graph_flops(g);
        plan_free(p);
        graph_free(g);
    }
    ok(peak[1] * 3 < peak[0], "%d blocks: %zu bytes where %zu were needed", BLOCKS, peak[1],
       peak[0]);
    double forward = 2.0 * 32 * WIDE * WIDE * 4 * BLOCKS;
    ok(flops[1] - flops[0] > 0 && flops[1] - flops[0] < forward,
       "for less than one forward more: %.0f of %.0f", flops[1] - flops[0], forward);
}

int main(void)
{
    fill();
    random_networks();
    chain();
    return done_testing();
}
