/* norm.c - group norm (with silu behind it) and layer norm, forward and backward to x.
 *
 *     xhat = (x - mean) rstd      z = xhat gamma + beta      y = z or silu(z)
 *     dx = rstd (dxhat - mean(dxhat) - xhat mean(dxhat xhat)),   dxhat = dy [silu'(z)] gamma
 *
 * Statistics are sums in double, taken per channel over strips of pixels and then over strips and channels in order.
 * A strip is cut by shape and lies in one sample. The backward pass recomputes the statistics from x: that is one more
 * pass over memory instead of buffers that live through the whole step.
 */
#include "base/parallel.h"
#include "pipeline/tensor/cpu/cpu.h"
#include "pipeline/tensor/cpu/simd.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { STRIP = 16384 };        /* floats of a strip, about: 64 KB stay in L2 between passes */
enum { MOMENTS = VECTOR / 4 }; /* vectors whose sums fit into the registers */

struct norm {
    const struct run *run;
    const float *dy, *x, *gamma, *beta;
    float *out;
    int64_t samples, pixels, channels, groups, strip, strips;
    float eps;
    int silu;
    double *partial;              /* [samples][strips][2][channels] */
    float *mean, *rstd, *m1, *m2; /* [samples][channels]; m1 = mean(dxhat), m2 = mean(dxhat xhat) */
};

static void norm_layout(struct norm *q, struct shape x, struct norm_attr a)
{
    q->samples = x.dim[0];
    q->channels = cpu_last(x);
    q->pixels = cpu_span(x, 1, x.rank - 1);
    q->groups = a.groups;
    q->eps = a.eps;
    q->silu = a.silu;
    q->strip = q->channels < STRIP && q->channels > 0 ? STRIP / q->channels : 1;
    q->strips = cpu_ceil(q->pixels, q->strip);
}

static size_t norm_partial_bytes(const struct norm *q)
{
    return ((size_t)(q->samples * q->strips * 2 * q->channels) * sizeof(double) + 63) / 64 * 64;
}

static size_t norm_bytes(const struct norm *q)
{
    return norm_partial_bytes(q) + (size_t)(4 * q->samples * q->channels) * sizeof(float);
}

static void norm_place(struct norm *q)
{
    float *f = (float *)(void *)((char *)q->run->workspace + norm_partial_bytes(q));
    int64_t each = q->samples * q->channels;
    q->partial = q->run->workspace;
    q->mean = f;
    q->rstd = f + each;
    q->m1 = f + 2 * each;
    q->m2 = f + 3 * each;
}

struct strip {
    int64_t sample, first, last;
    double *sum, *sum2;
};

static struct strip strip_of(const struct norm *q, long t)
{
    int64_t s = t / q->strips, at = t % q->strips;
    double *sum = q->partial + t * 2 * q->channels;
    return (struct strip){s, s * q->pixels + at * q->strip,
                          s * q->pixels + cpu_min((at + 1) * q->strip, q->pixels), sum,
                          sum + q->channels};
}

static void store_sums(double *to, vecd low, vecd high, int64_t n)
{
    double both[VECTOR];
    memcpy(both, &low, sizeof low);
    memcpy(both + VECTOR / 2, &high, sizeof high);
    memcpy(to, both, (size_t)n * sizeof *to);
}

/* Sums of x and x^2 over a strip: `wide` vectors of channels down all its pixels, of the last vector n channels. Several
 * at once, so that a pixel's visit takes whole lines that lie side by side: memory brings those sooner than lone ones. */
static inline __attribute__((always_inline)) void moments_of(const struct norm *q, struct strip s,
                                                             int64_t c, const int wide, int64_t n)
{
    vecd a0[MOMENTS] = {0}, a1[MOMENTS] = {0}, b0[MOMENTS] = {0}, b1[MOMENTS] = {0};
    const float *at = q->x + s.first * q->channels + c;
    for (int64_t p = s.first; p < s.last; p++, at += q->channels)
#pragma GCC unroll 4
        for (int i = 0; i < wide; i++) {
            vec x = vec_load_n(at + i * VECTOR, n);
            vecd low = vec_low(x), high = vec_high(x);
            a0[i] += low, a1[i] += high;
            b0[i] += low * low, b1[i] += high * high;
        }
    for (int i = 0; i < wide; i++) {
        store_sums(s.sum + c + i * VECTOR, a0[i], a1[i], n);
        store_sums(s.sum2 + c + i * VECTOR, b0[i], b1[i], n);
    }
}

static void moments_task(void *args, long t)
{
    const struct norm *q = args;
    struct strip s = strip_of(q, t);
    int64_t c = 0;
    for (; c + MOMENTS * VECTOR <= q->channels; c += MOMENTS * VECTOR)
        moments_of(q, s, c, MOMENTS, VECTOR);
    for (; c + VECTOR <= q->channels; c += VECTOR) moments_of(q, s, c, 1, VECTOR);
    if (c < q->channels) moments_of(q, s, c, 1, q->channels - c);
}

/* Adds the strips of a sample in order, into its first; then the channels of each group. */
static void add_strips(const struct norm *q, int64_t sample)
{
    double *first = q->partial + sample * q->strips * 2 * q->channels;
    for (int64_t i = 1; i < q->strips; i++)
        for (int64_t c = 0; c < 2 * q->channels; c++) first[c] += first[i * 2 * q->channels + c];
}

static void finish_moments(const struct norm *q)
{
    int64_t width = q->channels / q->groups;
    double count = (double)(width * q->pixels);
    for (int64_t s = 0; s < q->samples; s++) {
        const double *sum = q->partial + s * q->strips * 2 * q->channels, *sum2 = sum + q->channels;
        add_strips(q, s);
        for (int64_t g = 0; g < q->groups; g++) {
            double a = 0, b = 0;
            for (int64_t c = g * width; c < (g + 1) * width; c++) a += sum[c], b += sum2[c];
            double mean = a / count, variance = b / count - mean * mean;
            double rstd = 1.0 / sqrt((variance > 0 ? variance : 0) +
                                     (double)q->eps); /* a NaN lives on in mean */
            for (int64_t c = g * width; c < (g + 1) * width; c++) {
                q->mean[s * q->channels + c] = (float)mean;
                q->rstd[s * q->channels + c] = (float)rstd;
            }
        }
    }
}

static inline __attribute__((always_inline)) void normalise(const struct norm *q, const float *mean,
                                                            const float *rstd, int64_t at,
                                                            int64_t c, int64_t n, const int silu)
{
    vec xhat = (vec_load_n(q->x + at, n) - vec_load_n(mean + c, n)) * vec_load_n(rstd + c, n);
    vec z = vec_fma(xhat, vec_load_n(q->gamma + c, n), vec_load_n(q->beta + c, n));
    vec_store_n(q->out + at, silu ? vec_silu(z) : z, n);
}

static inline __attribute__((always_inline)) void normalise_strip(const struct norm *q, long t,
                                                                  const int silu)
{
    struct strip s = strip_of(q, t);
    const float *mean = q->mean + s.sample * q->channels, *rstd = q->rstd + s.sample * q->channels;
    for (int64_t p = s.first; p < s.last; p++) {
        int64_t c = 0, at = p * q->channels, C = q->channels;
        for (; c + VECTOR <= C; c += VECTOR) normalise(q, mean, rstd, at + c, c, VECTOR, silu);
        if (c < C) normalise(q, mean, rstd, at + c, c, C - c, silu);
    }
}

static void normalise_task(void *args, long t)
{
    const struct norm *q = args;
    if (q->silu) normalise_strip(q, t, 1);
    else normalise_strip(q, t, 0);
}

CPU_KERNEL(group_norm)
{
    (void)e;
    struct norm q = {
        .run = run, .x = run->in[0], .gamma = run->in[1], .beta = run->in[2], .out = run->out[0]};
    norm_layout(&q, run->in_shape[0], run->node->attr.norm);
    if (q.samples * q.pixels * q.channels == 0) return OK;
    assert(q.groups > 0 && q.channels % q.groups == 0);
    norm_place(&q);
    parallel_for((long)(q.samples * q.strips), moments_task, &q);
    finish_moments(&q);
    parallel_for((long)(q.samples * q.strips), normalise_task, &q);
    return OK;
}

/* dxhat of a vector of channels of one pixel, and xhat. */
static inline vec norm_dxhat(const struct norm *q, const float *mean, const float *rstd, int64_t at,
                             int64_t c, int64_t n, vec *xhat)
{
    vec gamma = vec_load_n(q->gamma + c, n), dz = vec_load_n(q->dy + at, n);
    *xhat = (vec_load_n(q->x + at, n) - vec_load_n(mean + c, n)) * vec_load_n(rstd + c, n);
    if (q->silu) dz *= vec_silu_slope(vec_fma(*xhat, gamma, vec_load_n(q->beta + c, n)));
    return dz * gamma;
}

static inline void slopes_of(const struct norm *q, struct strip s, int64_t c, int64_t n)
{
    const float *mean = q->mean + s.sample * q->channels, *rstd = q->rstd + s.sample * q->channels;
    vecd a0 = {0}, a1 = {0}, b0 = {0}, b1 = {0};
    for (int64_t p = s.first; p < s.last; p++) {
        vec xhat, d = norm_dxhat(q, mean, rstd, p * q->channels + c, c, n, &xhat);
        vecd low = vec_low(d), high = vec_high(d);
        a0 += low, a1 += high;
        b0 += low * vec_low(xhat), b1 += high * vec_high(xhat);
    }
    store_sums(s.sum + c, a0, a1, n);
    store_sums(s.sum2 + c, b0, b1, n);
}

static void slopes_task(void *args, long t)
{
    const struct norm *q = args;
    struct strip s = strip_of(q, t);
    int64_t c = 0;
    for (; c + VECTOR <= q->channels; c += VECTOR) slopes_of(q, s, c, VECTOR);
    if (c < q->channels) slopes_of(q, s, c, q->channels - c);
}

static void finish_slopes(const struct norm *q)
{
    int64_t width = q->channels / q->groups;
    double count = (double)(width * q->pixels);
    for (int64_t s = 0; s < q->samples; s++) {
        const double *sum = q->partial + s * q->strips * 2 * q->channels, *sum2 = sum + q->channels;
        add_strips(q, s);
        for (int64_t g = 0; g < q->groups; g++) {
            double a = 0, b = 0;
            for (int64_t c = g * width; c < (g + 1) * width; c++) a += sum[c], b += sum2[c];
            for (int64_t c = g * width; c < (g + 1) * width; c++) {
                q->m1[s * q->channels + c] = (float)(a / count);
                q->m2[s * q->channels + c] = (float)(b / count);
            }
        }
    }
}

static inline void norm_dx(const struct norm *q, int64_t base, int64_t at, int64_t c, int64_t n)
{
    vec xhat, d = norm_dxhat(q, q->mean + base, q->rstd + base, at, c, n, &xhat);
    d = d - vec_load_n(q->m1 + base + c, n);
    d = vec_fma(-xhat, vec_load_n(q->m2 + base + c, n), d);
    vec_store_n(q->out + at, d * vec_load_n(q->rstd + base + c, n), n);
}

static void norm_dx_task(void *args, long t)
{
    const struct norm *q = args;
    struct strip s = strip_of(q, t);
    int64_t base = s.sample * q->channels, C = q->channels;
    for (int64_t p = s.first; p < s.last; p++) {
        int64_t c = 0;
        for (; c + VECTOR <= C; c += VECTOR) norm_dx(q, base, p * C + c, c, VECTOR);
        if (c < C) norm_dx(q, base, p * C + c, c, C - c);
    }
}

CPU_KERNEL(group_norm_dx)
{
    (void)e;
    struct norm q = {.run = run,
                     .dy = run->in[0],
                     .x = run->in[1],
                     .gamma = run->in[2],
                     .beta = run->in[3],
                     .out = run->out[0]};
    norm_layout(&q, run->in_shape[1], run->node->attr.norm);
    if (q.samples * q.pixels * q.channels == 0) return OK;
    assert(q.groups > 0 && q.channels % q.groups == 0);
    norm_place(&q);
    parallel_for((long)(q.samples * q.strips), moments_task, &q);
    finish_moments(&q);
    parallel_for((long)(q.samples * q.strips), slopes_task, &q);
    finish_slopes(&q);
    parallel_for((long)(q.samples * q.strips), norm_dx_task, &q);
    return OK;
}

/* Layer norm: a row is one token; rows do not know one another. */
struct layer {
    const float *dy, *x, *gamma, *beta;
    float *out;
    int64_t rows, channels, strip;
    float eps;
};

struct moments {
    float mean, rstd;
};

static struct moments row_moments(const struct layer *q, const float *x)
{
    struct lanesd a = {0}, b = {0};
    for (int64_t c = 0; c < q->channels; c += LANES) {
        struct lanes v = lanes_load_n(x + c, q->channels - c);
        a = lanes_gather(a, v);
        b = lanes_dot(b, v, v);
    }
    double n = (double)q->channels, mean = lanesd_sum(a) / n,
           variance = lanesd_sum(b) / n - mean * mean;
    return (struct moments){(float)mean,
                            (float)(1.0 / sqrt((variance > 0 ? variance : 0) + (double)q->eps))};
}

static void layer_task(void *args, long t)
{
    const struct layer *q = args;
    for (int64_t r = t * q->strip; r < cpu_min((t + 1) * q->strip, q->rows); r++) {
        const float *x = q->x + r * q->channels;
        struct moments m = row_moments(q, x);
        for (int64_t c = 0; c < q->channels; c += VECTOR) {
            int64_t n = q->channels - c;
            vec xhat = (vec_load_n(x + c, n) - vec_set(m.mean)) * vec_set(m.rstd);
            vec_store_n(q->out + r * q->channels + c,
                        vec_fma(xhat, vec_load_n(q->gamma + c, n), vec_load_n(q->beta + c, n)), n);
        }
    }
}

static void layer_dx_task(void *args, long t)
{
    const struct layer *q = args;
    for (int64_t r = t * q->strip; r < cpu_min((t + 1) * q->strip, q->rows); r++) {
        const float *x = q->x + r * q->channels, *dy = q->dy + r * q->channels;
        struct moments m = row_moments(q, x);
        struct lanesd a = {0}, b = {0};
        for (int64_t c = 0; c < q->channels; c += LANES) {
            struct lanes xhat, d; /* d is zero behind the end */
            for (int i = 0; i < LANE_PARTS; i++) {
                int64_t at = c + i * VECTOR, n = q->channels - at;
                xhat.part[i] = (vec_load_n(x + at, n) - vec_set(m.mean)) * vec_set(m.rstd);
                d.part[i] = vec_load_n(dy + at, n) * vec_load_n(q->gamma + at, n);
            }
            a = lanes_gather(a, d);
            b = lanes_dot(b, d, xhat);
        }
        vec m1 = vec_set((float)(lanesd_sum(a) / (double)q->channels)),
            m2 = vec_set((float)(lanesd_sum(b) / (double)q->channels));
        for (int64_t c = 0; c < q->channels; c += VECTOR) {
            int64_t n = q->channels - c;
            vec xhat = (vec_load_n(x + c, n) - vec_set(m.mean)) * vec_set(m.rstd);
            vec d = vec_load_n(dy + c, n) * vec_load_n(q->gamma + c, n) - m1;
            vec_store_n(q->out + r * q->channels + c, vec_fma(-xhat, m2, d) * vec_set(m.rstd), n);
        }
    }
}

static void layer_run(struct layer *q, struct shape x, float eps, parallel_fn *task)
{
    q->channels = cpu_last(x);
    q->rows = cpu_span(x, 0, x.rank - 1);
    q->eps = eps;
    q->strip = q->channels < STRIP && q->channels > 0 ? STRIP / q->channels : 1;
    if (q->channels) parallel_for((long)cpu_ceil(q->rows, q->strip), task, q);
}

CPU_KERNEL(layer_norm)
{
    (void)e;
    struct layer q = {.x = run->in[0], .gamma = run->in[1], .beta = run->in[2], .out = run->out[0]};
    layer_run(&q, run->in_shape[0], run->node->attr.norm.eps, layer_task);
    return OK;
}

CPU_KERNEL(layer_norm_dx)
{
    (void)e;
    struct layer q = {.dy = run->in[0], .x = run->in[1], .gamma = run->in[2], .out = run->out[0]};
    layer_run(&q, run->in_shape[1], run->node->attr.norm.eps, layer_dx_task);
    return OK;
}

size_t cpu_norm_workspace(const struct graph *g, const struct node *node)
{
    struct norm q = {0};
    if (node->op != OP_group_norm && node->op != OP_group_norm_dx) return 0;
    norm_layout(&q, graph_shape(g, node->in[node->op == OP_group_norm_dx]), node->attr.norm);
    return norm_bytes(&q);
}
