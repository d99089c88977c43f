/* pointwise.c - one pass over memory: activations, sums, geglu, the loss.
 *
 * Cut into chunks of 16384 elements (64 KB). The loss is cut by sample instead: its sum is one sample's own.
 */
#include "base/parallel.h"
#include "pipeline/tensor/cpu/cpu.h"
#include "pipeline/tensor/cpu/simd.h"

#include <assert.h>

enum { CHUNK = 16384 };

struct unary {
    enum unary_kind kind;
    float scale;
    int64_t n;
    const float *dy, *x;
    float *out;
};

static inline __attribute__((always_inline)) vec unary_value(enum unary_kind kind, float scale,
                                                             vec x)
{
    switch (kind) {
    case UNARY_SILU: return vec_silu(x);
    case UNARY_GELU: return vec_gelu(x);
    case UNARY_QUICK_GELU: return x * vec_sigmoid(vec_set(1.702f) * x);
    case UNARY_SCALE: return x * vec_set(scale);
    }
    assert(!"unary kind");
    return x;
}

static inline __attribute__((always_inline)) vec unary_slope(enum unary_kind kind, float scale,
                                                             vec x)
{
    vec one = vec_set(1.0f), s, a;
    switch (kind) {
    case UNARY_SILU: return vec_silu_slope(x);
    case UNARY_GELU: return vec_gelu_slope(x);
    case UNARY_QUICK_GELU:
        a = vec_set(1.702f) * x;
        s = vec_sigmoid(a);
        return s * vec_fma(a, one - s, one);
    case UNARY_SCALE: return vec_set(scale);
    }
    assert(!"unary kind");
    return x;
}

#define UNARY_LOOP(kind_)                                                               \
    for (int64_t i = from; i < to; i += VECTOR) {                                       \
        vec x = vec_load_n(u->x + i, to - i);                                           \
        vec y = u->dy ? vec_load_n(u->dy + i, to - i) * unary_slope(kind_, u->scale, x) \
                      : unary_value(kind_, u->scale, x);                                \
        vec_store_n(u->out + i, y, to - i);                                             \
    }

static void unary_task(void *args, long t)
{
    const struct unary *u = args;
    int64_t from = t * CHUNK, to = cpu_min(from + CHUNK, u->n);
    switch (u->kind) { /* the switch outside the loop, a constant inside */
    case UNARY_SILU: UNARY_LOOP(UNARY_SILU) break;
    case UNARY_GELU: UNARY_LOOP(UNARY_GELU) break;
    case UNARY_QUICK_GELU: UNARY_LOOP(UNARY_QUICK_GELU) break;
    case UNARY_SCALE: UNARY_LOOP(UNARY_SCALE) break;
    }
}

CPU_KERNEL(unary)
{
    (void)e;
    struct unary u = {run->node->attr.unary.kind,
                      run->node->attr.unary.scale,
                      shape_count(run->in_shape[0]),
                      NULL,
                      run->in[0],
                      run->out[0]};
    parallel_for((long)cpu_ceil(u.n, CHUNK), unary_task, &u);
    return OK;
}

CPU_KERNEL(unary_dx)
{
    (void)e;
    struct unary u = {run->node->attr.unary.kind,
                      run->node->attr.unary.scale,
                      shape_count(run->in_shape[0]),
                      run->in[0],
                      run->in[1],
                      run->out[0]};
    parallel_for((long)cpu_ceil(u.n, CHUNK), unary_task, &u);
    return OK;
}

/* a + b, b broadcast. A row is the last dimension. */
struct add {
    const float *a, *b;
    float *out;
    int64_t n, rows, width, strip, dim[3], step[3];
    int same, one;
};

static void add_same_task(void *args, long t)
{
    const struct add *q = args;
    for (int64_t i = t * CHUNK; i < cpu_min((t + 1) * CHUNK, q->n); i++)
        q->out[i] = q->a[i] + q->b[i];
}

static void add_task(void *args, long t)
{
    const struct add *q = args;
    for (int64_t r = t * q->strip; r < cpu_min((t + 1) * q->strip, q->rows); r++) {
        int64_t i2 = r % q->dim[2], i1 = r / q->dim[2] % q->dim[1], i0 = r / q->dim[2] / q->dim[1];
        const float *a = q->a + r * q->width,
                    *b = q->b + i0 * q->step[0] + i1 * q->step[1] + i2 * q->step[2];
        float *out = q->out + r * q->width;
        if (q->one)
            for (int64_t i = 0; i < q->width; i++) out[i] = a[i] + b[0];
        else
            for (int64_t i = 0; i < q->width; i++) out[i] = a[i] + b[i];
    }
}

CPU_KERNEL(add)
{
    (void)e;
    struct shape a = run->in_shape[0], b = run->in_shape[1];
    struct add q = {.a = run->in[0],
                    .b = run->in[1],
                    .out = run->out[0],
                    .n = shape_count(a),
                    .dim = {1, 1, 1}};
    assert(a.rank == b.rank);
    if (q.n == 0) return OK;
    if (shape_equal(a, b)) {
        parallel_for((long)cpu_ceil(q.n, CHUNK), add_same_task, &q);
        return OK;
    }
    q.width = cpu_last(a);
    q.rows = q.n / q.width;
    q.one = cpu_last(b) == 1;
    q.strip = q.width < CHUNK ? CHUNK / q.width : 1;
    int64_t stride = cpu_last(b);
    for (int i = a.rank - 2; i >= 0; stride *= b.dim[i], i--) {
        int to = i + 3 - (a.rank - 1);
        q.dim[to] = a.dim[i];
        q.step[to] = b.dim[i] == 1 ? 0 : stride;
    }
    parallel_for((long)cpu_ceil(q.rows, q.strip), add_task, &q);
    return OK;
}

/* x = [u, g] per row: y = u gelu(g);  du = dy gelu(g), dg = dy u gelu'(g) */
struct geglu {
    const float *dy, *x;
    float *out;
    int64_t rows, width, strip;
};

static void geglu_task(void *args, long t)
{
    const struct geglu *q = args;
    for (int64_t r = t * q->strip; r < cpu_min((t + 1) * q->strip, q->rows); r++) {
        const float *u = q->x + 2 * r * q->width, *g = u + q->width;
        for (int64_t i = 0; i < q->width; i += VECTOR) {
            int64_t n = q->width - i;
            vec_store_n(q->out + r * q->width + i,
                        vec_load_n(u + i, n) * vec_gelu(vec_load_n(g + i, n)), n);
        }
    }
}

static void geglu_dx_task(void *args, long t)
{
    const struct geglu *q = args;
    for (int64_t r = t * q->strip; r < cpu_min((t + 1) * q->strip, q->rows); r++) {
        const float *u = q->x + 2 * r * q->width, *g = u + q->width, *dy = q->dy + r * q->width;
        float *du = q->out + 2 * r * q->width, *dg = du + q->width;
        for (int64_t i = 0; i < q->width; i += VECTOR) {
            int64_t n = q->width - i;
            vec d = vec_load_n(dy + i, n), gate = vec_load_n(g + i, n);
            vec_store_n(du + i, d * vec_gelu(gate), n);
            vec_store_n(dg + i, d * vec_load_n(u + i, n) * vec_gelu_slope(gate), n);
        }
    }
}

static void geglu_run(struct geglu *q, struct shape x, parallel_fn *task)
{
    q->width = cpu_last(x) / 2;
    q->rows = cpu_span(x, 0, x.rank - 1);
    q->strip = q->width < CHUNK && q->width > 0 ? CHUNK / q->width : 1;
    parallel_for((long)cpu_ceil(q->rows, q->strip), task, q);
}

CPU_KERNEL(geglu)
{
    (void)e;
    geglu_run(&(struct geglu){.x = run->in[0], .out = run->out[0]}, run->in_shape[0], geglu_task);
    return OK;
}

CPU_KERNEL(geglu_dx)
{
    (void)e;
    geglu_run(&(struct geglu){.dy = run->in[0], .x = run->in[1], .out = run->out[0]},
              run->in_shape[1], geglu_dx_task);
    return OK;
}

/* loss[n] = weight[n] mean (p - t)^2;  dp = dl[n] weight[n] 2 (p - t) / count */
struct mse {
    const float *dl, *p, *t, *weight;
    float *out;
    int64_t count;
};

static void mse_task(void *args, long s)
{
    const struct mse *q = args;
    const float *p = q->p + s * q->count, *t = q->t + s * q->count;
    struct lanesd sum = {0};
    for (int64_t i = 0; i < q->count; i += LANES) {
        struct lanes d, other = lanes_load_n(t + i, q->count - i);
        d = lanes_load_n(p + i, q->count - i);
        for (int j = 0; j < LANE_PARTS; j++) d.part[j] -= other.part[j];
        sum = lanes_dot(sum, d, d);
    }
    q->out[s] =
        q->count ? (float)((double)q->weight[s] * (lanesd_sum(sum) / (double)q->count)) : 0.0f;
}

static void mse_dp_task(void *args, long s)
{
    const struct mse *q = args;
    const float *p = q->p + s * q->count, *t = q->t + s * q->count;
    float by = (float)((double)q->dl[s] * (double)q->weight[s] * 2.0 / (double)q->count);
    for (int64_t i = 0; i < q->count; i++) q->out[s * q->count + i] = by * (p[i] - t[i]);
}

CPU_KERNEL(mse)
{
    (void)e;
    struct shape p = run->in_shape[0];
    struct mse q = {NULL, run->in[0], run->in[1], run->in[2], run->out[0], cpu_span(p, 1, p.rank)};
    parallel_for((long)p.dim[0], mse_task, &q);
    return OK;
}

CPU_KERNEL(mse_dp)
{
    (void)e;
    struct shape p = run->in_shape[1];
    struct mse q = {run->in[0], run->in[1],  run->in[2],
                    run->in[3], run->out[0], cpu_span(p, 1, p.rank)};
    if (q.count) parallel_for((long)p.dim[0], mse_dp_task, &q);
    return OK;
}
