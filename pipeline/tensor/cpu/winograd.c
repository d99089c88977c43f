/* winograd.c - 3x3 convolutions of stride 1 with a quarter of the multiplications (Winograd's F(4x4, 3x3)).
 *
 * A tile of 4x4 results comes from 6x6 pixels. Both the pixels and the kernel are evaluated at 6 x 6 points, where a
 * convolution is a product point by point, so that 36 matrix products over channels take the place of 9 x 16:
 *
 *     V = B^T d B (pixels)     U = G g G^T (kernel)     M_p = sum_channels V_p U_p     y = A^T M A + bias
 *
 * The points are 0, a, -a, b, -b, infinity with a = 1/sqrt(2), b = sqrt(2). They lose a quarter of what the usual 1 and 2
 * lose: 2e-6 of the largest result at 640 channels, where 1 and 2 lose 8e-6 (decisions/0011).
 *
 * U is four times the kernel and is never kept: a task makes it block by block where the product reads it, in cache. With
 * turning M into pixels that is a fifth of the time at 256 tiles and nearly half at 16 (docs/speed.md), and in exchange
 * memory sees a quarter of the bytes and no weight lies there twice.
 *
 * The image is taken a block of tiles at a time, so that V stays in the cache that the cores share. First all threads make
 * V; then a task owns 48 columns of at most 128 tiles: for every block of channels it makes U and adds 36 products to M,
 * then it turns M into pixels.
 *
 * The gradient to the input is the convolution of dy with the kernel turned round, inputs and outputs exchanged: the
 * same code.
 *
 * An element of M is one fixed sum (cpu.h), and what is done before and after knows nothing of its neighbours: bytes
 * depend on neither blocks, threads nor samples. They differ from those of a direct convolution, so which one a layer
 * gets follows from its shape alone (cpu_winograd_fits).
 */
#include "base/parallel.h"
#include "pipeline/tensor/cpu/cpu.h"
#include "pipeline/tensor/cpu/simd.h"

#include <assert.h>

enum {
    POINTS = 36,
    COLUMNS = 48,           /* of a task: three panels */
    TILES = 128,            /* of a task, at most: M is 900 KB */
    DEPTH = 64,             /* channels of a block of the sum, at most: U is 440 KB */
    STRIP = 32,             /* channels whose kernels are turned at once, backward */
    V_FLOATS = 3 << 20,     /* of a block of tiles, about: 12 MB */
    PIXELS_MANY = 196,      /* of a sample's result: always */
    PIXELS_LEAST = 64,      /* with at most */
    KERNELS_MOST = 1 << 18, /* kernels of 9 weights */
    CHANNELS_LEAST = 16,
    PAD = 16, /* between points, or all 36 streams would meet in one set of L1 */
    PARTS = PRODUCT_COLUMNS / VECTOR
};

static const float A1 = 0.70710678118654752f,
                   B1 = 1.41421356237309505f; /* a, b; a^2 = 1/2, b^2 = 2 */

struct winograd {
    const struct run *run;
    const float *x, *w, *bias;
    float *y;
    int64_t samples, h, width, channels; /* of x: what is summed over */
    int64_t out_h, out_w, n;             /* of y */
    int64_t top, left;
    int backward;
    int64_t tiles_y, tiles_x, tiles; /* of a sample, in two directions; of all samples */
    int64_t block, first, count;     /* tiles of a block; the block at hand */
    int64_t part;                    /* tiles of a task */
    int64_t depth;                   /* channels of a block of the sum */
    size_t shared, scratch;
};

/* ---- six points ---- */

#define INLINE static inline __attribute__((always_inline))

/* x[0], x[step], .. x[5 step] become B^T x:
 *     x0 - 5/2 x2 + x4,   (x4 - 2 x2) +- a (x3 - 2 x1),   (x4 - x2 / 2) +- b (x3 - x1 / 2),   x1 - 5/2 x3 + x5 */
INLINE void points_of_pixels(vec *x, const int step)
{
    vec x0 = x[0], x1 = x[step], x2 = x[2 * step], x3 = x[3 * step], x4 = x[4 * step],
        x5 = x[5 * step];
    vec even_a = vec_fma(vec_set(-2.0f), x2, x4), odd_a = vec_fma(vec_set(-2.0f), x1, x3),
        even_b = vec_fma(vec_set(-0.5f), x2, x4), odd_b = vec_fma(vec_set(-0.5f), x1, x3);
    x[0] = vec_fma(vec_set(-2.5f), x2, x0 + x4);
    x[step] = vec_fma(vec_set(A1), odd_a, even_a);
    x[2 * step] = vec_fma(vec_set(-A1), odd_a, even_a);
    x[3 * step] = vec_fma(vec_set(B1), odd_b, even_b);
    x[4 * step] = vec_fma(vec_set(-B1), odd_b, even_b);
    x[5 * step] = vec_fma(vec_set(-2.5f), x3, x1 + x5);
}

/* G g: g0,   -2/3 (g0 + g2 / 2 +- a g1),   1/6 (g0 + 2 g2 +- b g1),   g2 */
INLINE void points_of_kernel(vec g0, vec g1, vec g2, vec *to, const int step)
{
    vec even_a = vec_fma(vec_set(0.5f), g2, g0) * vec_set(-2.0f / 3),
        even_b = vec_fma(vec_set(2.0f), g2, g0) * vec_set(1.0f / 6);
    to[0] = g0;
    to[step] = vec_fma(vec_set(A1 * (-2.0f / 3)), g1, even_a);
    to[2 * step] = vec_fma(vec_set(A1 * (2.0f / 3)), g1, even_a);
    to[3 * step] = vec_fma(vec_set(B1 / 6), g1, even_b);
    to[4 * step] = vec_fma(vec_set(B1 / -6), g1, even_b);
    to[5 * step] = g2;
}

/* The first four of m[0], m[step], .. become A^T m:
 *     m0 + s + t,   a u + b v,   s / 2 + 2 t,   a u / 2 + 2 b v + m5;   s, u = m1 +- m2,   t, v = m3 +- m4 */
INLINE void results_of_points(vec *m, const int step)
{
    vec s = m[step] + m[2 * step], u = (m[step] - m[2 * step]) * vec_set(A1),
        t = m[3 * step] + m[4 * step], v = (m[3 * step] - m[4 * step]) * vec_set(B1);
    m[0] = (m[0] + s) + t;
    m[step] = u + v;
    m[2 * step] = vec_fma(vec_set(0.5f), s, t + t);
    m[3 * step] = vec_fma(vec_set(0.5f), u, v + v) + m[5 * step];
}

/* ---- where things lie ---- */

/* V, shared: [block of channels][36][tile][channel of the block], so that a product reads one run of memory. */
static int64_t v_stride(const struct winograd *q)
{
    return q->block * q->depth + PAD;
}

static float *v_at(const struct winograd *q, int64_t channel, int64_t tile)
{
    return (float *)q->run->workspace + channel / q->depth * POINTS * v_stride(q) +
           tile * q->depth + channel % q->depth;
}

/* Of a thread: M [36][tile][48], U [36][panel][channel of the block][16], kernels turned round [9][panel][strip][16]. */
static int64_t m_stride(const struct winograd *q)
{
    return q->part * COLUMNS + PAD;
}

static int64_t u_stride(const struct winograd *q)
{
    return q->depth * COLUMNS + PAD;
}

static int64_t scratch_floats(const struct winograd *q)
{
    return POINTS * (m_stride(q) + u_stride(q)) + (q->backward ? 9 * STRIP * COLUMNS : 0);
}

struct place { /* of a tile */
    int64_t sample, y, x;
};

static struct place place_of(const struct winograd *q, int64_t tile)
{
    int64_t per_sample = q->tiles_y * q->tiles_x, at = tile % per_sample;
    return (struct place){tile / per_sample, at / q->tiles_x * 4, at % q->tiles_x * 4};
}

/* ---- pixels to V: a task is one tile ---- */

INLINE void tile_points(const struct winograd *q, const float *const pixel[POINTS], int64_t tile,
                        int64_t c, int64_t n)
{
    const int64_t stride = v_stride(q);
    float *to = v_at(q, c, tile);
    vec d[POINTS];
#pragma GCC unroll 36
    for (int i = 0; i < POINTS; i++) d[i] = pixel[i] ? vec_load_n(pixel[i] + c, n) : vec_set(0.0f);
#pragma GCC unroll 6
    for (int i = 0; i < 6; i++) points_of_pixels(d + i, 6);
#pragma GCC unroll 6
    for (int i = 0; i < 6; i++) points_of_pixels(d + 6 * i, 1);
#pragma GCC unroll 36
    for (int i = 0; i < POINTS; i++) vec_store_n(to + i * stride, d[i], n);
}

static void pixels_task(void *args, long t)
{
    const struct winograd *q = args;
    struct place at = place_of(q, q->first + t);
    const float *pixel[POINTS]; /* NULL: outside */
    for (int i = 0; i < POINTS; i++) {
        int64_t y = at.y + i / 6 - q->top, x = at.x + i % 6 - q->left;
        int inside = y >= 0 && y < q->h && x >= 0 && x < q->width;
        pixel[i] = inside ? q->x + ((at.sample * q->h + y) * q->width + x) * q->channels : NULL;
    }
    int64_t c = 0;
    for (; c + VECTOR <= q->channels; c += VECTOR) tile_points(q, pixel, t, c, VECTOR);
    if (c < q->channels) tile_points(q, pixel, t, c, q->channels - c);
}

/* ---- kernels to U ---- */

/* One vector of columns of one channel: nine taps, `step` floats apart, become 36 points. */
INLINE void kernel_points(const float *tap, int64_t step, int64_t n, float *to, int64_t stride)
{
    vec g[POINTS], h[3 * 6];
#pragma GCC unroll 3
    for (int x = 0; x < 3; x++)
        points_of_kernel(vec_load_n(tap + x * step, n), vec_load_n(tap + (3 + x) * step, n),
                         vec_load_n(tap + (6 + x) * step, n), h + x, 3);
#pragma GCC unroll 6
    for (int y = 0; y < 6; y++)
        points_of_kernel(h[3 * y], h[3 * y + 1], h[3 * y + 2], g + 6 * y, 1);
#pragma GCC unroll 36
    for (int i = 0; i < POINTS; i++) vec_store(to + i * stride, g[i]);
}

/* Forward: w[tap][channel][column]; columns lie side by side. Nine pieces of 192 bytes a channel are no pattern that a
 * processor would guess, so the pieces of a later channel are asked for. */
static void kernels_forward(const struct winograd *q, float *u, int64_t k, int64_t depth, int64_t j)
{
    enum { AHEAD = 6, LINE = 16 };
    int64_t columns = cpu_min(COLUMNS, q->n - j), tap = q->channels * q->n, stride = u_stride(q);
    const float *from = q->w + k * q->n + j;
    for (int64_t i = 0; i < depth; i++, from += q->n, u += PRODUCT_COLUMNS) {
        if (i + AHEAD < depth)
            for (int t = 0; t < 9; t++)
                for (int64_t c = 0; c < columns; c += LINE)
                    __builtin_prefetch(from + AHEAD * q->n + t * tap + c);
        for (int64_t c = 0; c < columns; c += VECTOR) {
            float *to = u + c / PRODUCT_COLUMNS * depth * PRODUCT_COLUMNS + c % PRODUCT_COLUMNS;
            if (columns - c >= VECTOR) kernel_points(from + c, tap, VECTOR, to, stride);
            else kernel_points(from + c, tap, columns - c, to, stride);
        }
    }
}

/* Backward: w[tap][column][channel], the last tap first. */
static void kernels_backward(const struct winograd *q, float *u, float *turned, int64_t k,
                             int64_t depth, int64_t j)
{
    int64_t columns = cpu_min(COLUMNS, q->n - j);
    for (int64_t at = 0; at < depth; at += STRIP) {
        int64_t strip = cpu_min(STRIP, depth - at);
        for (int tap = 0; tap < 9; tap++)
            cpu_product_pack_transposed(turned + tap * STRIP * COLUMNS,
                                        q->w + ((8 - tap) * q->n + j) * q->channels + k + at,
                                        q->channels, strip, columns);
        for (int64_t c = 0; c < columns; c += VECTOR) {
            int64_t panel = c / PRODUCT_COLUMNS, lane = c % PRODUCT_COLUMNS;
            const float *from = turned + panel * strip * PRODUCT_COLUMNS + lane;
            float *to = u + (panel * depth + at) * PRODUCT_COLUMNS + lane;
            for (int64_t i = 0; i < strip; i++)
                kernel_points(from + i * PRODUCT_COLUMNS, STRIP * COLUMNS, VECTOR,
                              to + i * PRODUCT_COLUMNS, u_stride(q));
        }
    }
}

/* ---- M to pixels ---- */

INLINE void tile_results(const struct winograd *q, const float *m, struct place at, int64_t j,
                         int64_t n)
{
    const int64_t stride = m_stride(q);
    vec x[POINTS], bias = q->bias ? vec_load_n(q->bias + j, n) : vec_set(0.0f);
#pragma GCC unroll 36
    for (int i = 0; i < POINTS; i++) x[i] = vec_load(m + i * stride);
#pragma GCC unroll 6
    for (int i = 0; i < 6; i++) results_of_points(x + i, 6);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) results_of_points(x + 6 * i, 1);
    float *to = q->y + ((at.sample * q->out_h + at.y) * q->out_w + at.x) * q->n + j;
    int64_t high = cpu_min(4, q->out_h - at.y), wide = cpu_min(4, q->out_w - at.x);
#pragma GCC unroll 4
    for (int y = 0; y < 4; y++)
#pragma GCC unroll 4
        for (int c = 0; c < 4; c++)
            if (y < high && c < wide)
                vec_store_n(to + (y * q->out_w + c) * q->n, x[6 * y + c] + bias, n);
}

static void columns_task(void *args, long t)
{
    const struct winograd *q = args;
    int64_t parts = cpu_ceil(q->count, q->part), first = t % parts * q->part,
            count = cpu_min(q->part, q->count - first);
    int64_t j = t / parts * COLUMNS, columns = cpu_min(COLUMNS, q->n - j);
    float *m = cpu_scratch(q->run, q->shared, q->scratch), *u = m + POINTS * m_stride(q),
          *turned = u + POINTS * u_stride(q);
    for (int64_t k = 0; k < q->channels; k += q->depth) {
        int64_t depth = cpu_min(q->depth, q->channels - k);
        if (q->backward) kernels_backward(q, u, turned, k, depth, j);
        else kernels_forward(q, u, k, depth, j);
        for (int p = 0; p < POINTS; p++)
            cpu_product(&(struct product){.m = count,
                                          .n = columns,
                                          .k = depth,
                                          .a = v_at(q, k, first) + p * v_stride(q),
                                          .a_row = q->depth,
                                          .a_step = 1,
                                          .b = u + p * u_stride(q),
                                          .c = m + p * m_stride(q),
                                          .c_row = COLUMNS,
                                          .start = k ? PRODUCT_ADD : PRODUCT_SET});
    }
    for (int64_t i = 0; i < count; i++) {
        struct place at = place_of(q, q->first + first + i);
        for (int64_t c = 0; c < columns; c += VECTOR)
            tile_results(q, m + i * COLUMNS + c, at, j + c, columns - c);
    }
}

/* ---- the two operators ---- */

/* All tiles in parts of one size: about `most`, and whole rows of the product's tile. */
static int64_t tiles_in(int64_t tiles, int64_t most)
{
    int64_t parts = tiles ? cpu_ceil(tiles, most) : 1;
    return cpu_ceil(cpu_ceil(tiles, parts), PRODUCT_ROWS) * PRODUCT_ROWS;
}

static void lay_out(struct winograd *q)
{
    q->tiles_y = cpu_ceil(q->out_h, 4);
    q->tiles_x = cpu_ceil(q->out_w, 4);
    q->tiles = q->samples * q->tiles_y * q->tiles_x;
    int64_t most = V_FLOATS / POINTS / q->channels;
    q->block = tiles_in(q->tiles, most > 16 ? most : 16);
    q->part = tiles_in(q->block, TILES);
    q->depth = cpu_ceil(q->channels, cpu_ceil(q->channels, DEPTH));
    q->depth = cpu_ceil(q->depth, LANES) * LANES; /* by LANES, not VECTOR: it is part of the sum */
    q->shared = (size_t)(cpu_ceil(q->channels, q->depth) * POINTS * v_stride(q)) * sizeof(float);
    q->scratch = (size_t)scratch_floats(q) * sizeof(float);
}

static struct winograd forward(struct shape x, struct shape w, struct shape y, struct conv_attr a)
{
    struct winograd q = {.samples = x.dim[0],
                         .h = x.dim[1],
                         .width = x.dim[2],
                         .channels = x.dim[3],
                         .out_h = y.dim[1],
                         .out_w = y.dim[2],
                         .n = w.dim[3],
                         .top = a.pad[0],
                         .left = a.pad[1]};
    lay_out(&q);
    return q;
}

static struct winograd backward(struct shape dy, struct shape w, struct conv_dx_attr a)
{
    struct winograd q = {.samples = dy.dim[0],
                         .h = dy.dim[1],
                         .width = dy.dim[2],
                         .channels = dy.dim[3],
                         .out_h = a.h,
                         .out_w = a.w,
                         .n = w.dim[2],
                         .top = 2 - a.conv.pad[0],
                         .left = 2 - a.conv.pad[1],
                         .backward = 1};
    lay_out(&q);
    return q;
}

static void winograd_run(struct winograd *q, const struct run *run)
{
    q->run = run;
    q->x = run->in[0];
    q->w = run->in[1];
    q->y = run->out[0];
    for (q->first = 0; q->first < q->tiles; q->first += q->block) {
        q->count = cpu_min(q->block, q->tiles - q->first);
        parallel_for((long)q->count, pixels_task, q);
        parallel_for((long)(cpu_ceil(q->n, COLUMNS) * cpu_ceil(q->count, q->part)), columns_task,
                     q);
    }
}

/* Over few pixels the points of a kernel are used four times only; then it pays while kernels stay in cache. */
int cpu_winograd_fits(struct shape w, int stride, int64_t out_h, int64_t out_w)
{
    int64_t pixels = out_h * out_w, i = w.dim[2], o = w.dim[3];
    if (w.dim[0] != 3 || w.dim[1] != 3 || stride != 1) return 0;
    if (i < CHANNELS_LEAST || o < CHANNELS_LEAST) return 0;
    return pixels >= PIXELS_MANY || (pixels >= PIXELS_LEAST && i * o <= KERNELS_MOST);
}

void cpu_winograd(const struct run *run)
{
    struct winograd q =
        forward(run->in_shape[0], run->in_shape[1], run->out_shape[0], run->node->attr.conv);
    q.bias = run->in[2];
    winograd_run(&q, run);
}

void cpu_winograd_dx(const struct run *run)
{
    struct winograd q = backward(run->in_shape[0], run->in_shape[1], run->node->attr.conv_dx);
    winograd_run(&q, run);
}

size_t cpu_winograd_workspace(const struct graph *g, const struct node *node)
{
    struct shape a = graph_shape(g, node->in[0]), w = graph_shape(g, node->in[1]);
    struct winograd q = node->op == OP_conv
                            ? forward(a, w, graph_shape(g, node->out[0]), node->attr.conv)
                            : backward(a, w, node->attr.conv_dx);
    return cpu_scratch_bytes(q.shared, q.scratch);
}
