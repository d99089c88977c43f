/* conv.c - convolution and its gradient to the input, as products whose rows of A point into the image.
 *
 * Row = one pixel of the result, k = (tap, channel). A tap of a pixel is a run of channels that lies contiguous in
 * NHWC, so A is only a table of pointers, and a tap outside the image points to a run of zeros. Nothing is copied
 * (no im2col); a task packs its columns of the weights and visits its rows.
 *
 * Without padding on the left and right the taps of one kernel row lie side by side in memory and count as one
 * (patch embeddings: 3 channels x 32 taps become one run of 96).
 *
 * The gradient: dx[iy] gathers dy[oy] w[ky] with oy * stride = iy + top - ky. Pixels of dx are taken in stride x stride
 * classes by (iy + top) and (ix + left) modulo the stride, because all pixels of a class have the same taps.
 */
#include "base/parallel.h"
#include "pipeline/tensor/cpu/cpu.h"

#include <assert.h>
#include <string.h>

enum { CLASSES_MOST = 16, TAPS_MOST = 64 };

/* What one tap reads: pixel (row * step + dy, column * step + dx) of the source, and where its weights lie. */
struct tap {
    int64_t dy, dx, weight;
};

/* Pixels that share their taps. The result pixel of (row, column) is (first_y + row * every, first_x + column * every). */
struct class {
    int64_t rows, columns; /* how many pixels */
    int64_t first_y, first_x;
    int64_t phase_y, phase_x; /* conv_dx: kernel row and column of the first tap */
    int64_t taps_y, taps_x;
};

struct conv {
    const struct run *run;
    const float *source, *w, *bias;
    float *to;
    int64_t samples, h, w_, channels; /* source: [samples, h, w_, channels] as stored */
    int64_t run_length;      /* floats that one tap reads; channels, or kw * channels when merged */
    int64_t out_h, out_w, n; /* result: [samples, out_h, out_w, n] */
    int64_t kw;              /* of the weights as stored */
    int64_t stride, top, left;
    int64_t step, every; /* source pixels per result row; result pixels between rows of a class */
    int backward;
    int classes;
    struct class class[CLASSES_MOST];
    long first_task[CLASSES_MOST + 1];
    struct product_cut cut[CLASSES_MOST];
    int64_t group, part; /* a block of k is `group` taps of `part` floats each */
    size_t shared, scratch;
};

/* Source pixel of the first result pixel for tap t of a class, and the tap's index in the weights. */
static struct tap tap_of(const struct conv *c, const struct class *k, int64_t t)
{
    int64_t ty = t / k->taps_x, tx = t % k->taps_x;
    if (!c->backward) return (struct tap){ty - c->top, tx - c->left, ty * k->taps_x + tx};
    int64_t ky = k->phase_y + ty * c->stride, kx = k->phase_x + tx * c->stride;
    return (struct tap){(k->first_y + c->top - ky) / c->stride,
                        (k->first_x + c->left - kx) / c->stride, ky * c->kw + kx};
}

/* Pointers of one tap for the rows of a task, into table[row tile][tap of the group][row of the tile]. */
static void point(const struct conv *c, const struct class *k, struct tap tap, int64_t offset,
                  int64_t first, int64_t count, const float **table, int64_t tile_stride)
{
    const float *zeros = c->run->workspace;
    int64_t per_sample = k->rows * k->columns, s = first / per_sample, at = first % per_sample;
    int64_t row = at / k->columns, column = at % k->columns;
    for (int64_t i = 0; i < count; i++) {
        int64_t y = row * c->step + tap.dy, x = column * c->step + tap.dx;
        int inside = y >= 0 && y < c->h && x >= 0 && x < c->w_;
        table[i / PRODUCT_ROWS * tile_stride + i % PRODUCT_ROWS] =
            inside ? c->source + ((s * c->h + y) * c->w_ + x) * c->channels + offset : zeros;
        if (++column == k->columns) {
            column = 0;
            if (++row == k->rows) row = 0, s++;
        }
    }
}

static void point_results(const struct conv *c, const struct class *k, int64_t first, int64_t count,
                          float **table)
{
    int64_t per_sample = k->rows * k->columns, s = first / per_sample, at = first % per_sample;
    for (int64_t i = 0; i < count; i++) {
        int64_t y = k->first_y + at / k->columns * c->every,
                x = k->first_x + at % k->columns * c->every;
        table[i] = c->to + ((s * c->out_h + y) * c->out_w + x) * c->n;
        if (++at == per_sample) at = 0, s++;
    }
}

static void pack_tap(const struct conv *c, float *to, int64_t weight, int64_t offset, int64_t depth,
                     int64_t j, int64_t columns)
{
    if (c->backward) /* w[tap][i][o]: k is o, n is i */
        cpu_product_pack_transposed(to, c->w + (weight * c->n + j) * c->channels + offset,
                                    c->channels, depth, columns);
    else
        cpu_product_pack(to, c->w + (weight * c->run_length + offset) * c->n + j, c->n, depth,
                         columns);
}

/* Panels of one block: panel[tap][k][16], so that a tile walks its taps without a jump. */
static void pack_group(const struct conv *c, const struct class *k, float *packed, int64_t tap,
                       int64_t taps, int64_t offset, int64_t depth, int64_t j, int64_t columns)
{
    for (int64_t at = 0; at < columns; at += PRODUCT_COLUMNS)
        for (int64_t t = 0; t < taps; t++, packed += depth * PRODUCT_COLUMNS)
            pack_tap(c, packed, tap_of(c, k, tap + t).weight, offset, depth, j + at,
                     cpu_min(PRODUCT_COLUMNS, columns - at));
}

static void clear_rows(float **to, int64_t rows, int64_t columns, const float *bias, int64_t j)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t x = 0; x < columns; x++) to[i][j + x] = bias ? bias[j + x] : 0.0f;
}

static void conv_task(void *args, long t)
{
    const struct conv *c = args;
    int which = 0;
    while (t >= c->first_task[which + 1]) which++;
    const struct class *k = &c->class[which];
    struct product_cut cut = c->cut[which];
    int64_t at = t - c->first_task[which];
    int64_t first = at / cut.column_tasks * cut.rows, j = at % cut.column_tasks * cut.columns;
    int64_t rows = cpu_min(cut.rows, c->samples * k->rows * k->columns - first);
    int64_t columns = cpu_min(cut.columns, c->n - j), taps = k->taps_y * k->taps_x;
    int64_t tile_stride = c->group * PRODUCT_ROWS;

    char *scratch = cpu_scratch(c->run, c->shared, c->scratch);
    float **to = (float **)(void *)scratch;
    const float **from = (const float **)(void *)(scratch + sizeof *to * (size_t)cut.rows);
    float *packed = (float *)(void *)(from + cpu_ceil(cut.rows, PRODUCT_ROWS) * tile_stride);
    point_results(c, k, first, rows, to);
    if (taps == 0 || c->run_length == 0) {
        clear_rows(to, rows, columns, c->bias, j);
        return;
    }
    int started = 0;
    for (int64_t tap = 0; tap < taps; tap += c->group) {
        int64_t group = cpu_min(c->group, taps - tap);
        for (int64_t offset = 0; offset < c->run_length; offset += c->part, started = 1) {
            int64_t depth = cpu_min(c->part, c->run_length - offset);
            pack_group(c, k, packed, tap, group, offset, depth, j, columns);
            for (int64_t g = 0; g < group; g++)
                point(c, k, tap_of(c, k, tap + g), offset, first, rows, from + g * PRODUCT_ROWS,
                      tile_stride);
            for (int64_t p = 0; p < columns; p += PRODUCT_WIDE)
                for (int64_t r = 0; r < rows; r += PRODUCT_ROWS) {
                    float *tile[PRODUCT_ROWS];
                    int height = (int)cpu_min(PRODUCT_ROWS, rows - r);
                    for (int q = 0; q < height; q++) tile[q] = to[r + q] + j + p;
                    cpu_product_tile(height, from + r / PRODUCT_ROWS * tile_stride, group, depth,
                                     packed + p * group * depth, tile,
                                     (int)cpu_min(PRODUCT_WIDE, columns - p),
                                     started ? PRODUCT_ADD : PRODUCT_SET,
                                     c->bias && !started ? c->bias + j + p : NULL);
                }
        }
    }
}

static int64_t wrap(int64_t a, int64_t b)
{
    return ((a % b) + b) % b;
}

/* How many of 0..size-1 are congruent to first (first < stride). */
static int64_t congruent(int64_t size, int64_t first, int64_t stride)
{
    return first < size ? (size - first + stride - 1) / stride : 0;
}

static void cut_conv(struct conv *c)
{
    int64_t most_rows = 0, most_columns = 0, taps = 0;
    c->part = cpu_product_block(c->run_length);
    for (int i = 0; i < c->classes; i++)
        if (c->class[i].taps_y * c->class[i].taps_x > taps)
            taps = c->class[i].taps_y * c->class[i].taps_x;
    c->group = c->part < c->run_length || c->part == 0 ? 1 : PRODUCT_K / c->part;
    c->group = cpu_min(c->group, TAPS_MOST);
    if (c->group > taps) c->group = taps > 0 ? taps : 1;
    for (int i = 0; i < c->classes; i++) {
        c->cut[i] = cpu_product_cut(c->samples * c->class[i].rows * c->class[i].columns, c->n);
        c->first_task[i + 1] =
            c->first_task[i] + (long)(c->cut[i].row_tasks * c->cut[i].column_tasks);
        if (c->cut[i].rows > most_rows) most_rows = c->cut[i].rows;
        if (c->cut[i].columns > most_columns) most_columns = c->cut[i].columns;
    }
    c->shared = ((size_t)c->run_length * sizeof(float) + 63) / 64 * 64;
    c->scratch = sizeof(float *) * (size_t)(most_rows + cpu_ceil(most_rows, PRODUCT_ROWS) *
                                                            c->group * PRODUCT_ROWS) +
                 sizeof(float) * (size_t)(c->group * cpu_product_packed(c->part, most_columns));
}

static struct conv conv_forward(struct shape x, struct shape w, struct shape y, struct conv_attr a)
{
    struct conv c = {.samples = x.dim[0],
                     .h = x.dim[1],
                     .w_ = x.dim[2],
                     .channels = x.dim[3],
                     .run_length = x.dim[3],
                     .out_h = y.dim[1],
                     .out_w = y.dim[2],
                     .n = w.dim[3],
                     .kw = w.dim[1],
                     .stride = a.stride,
                     .top = a.pad[0],
                     .left = a.pad[1],
                     .step = a.stride,
                     .every = 1,
                     .classes = 1};
    int64_t taps_x = w.dim[1];
    if (a.pad[1] == 0 && a.pad[3] == 0) c.run_length = taps_x * x.dim[3], taps_x = 1;
    c.class[0] =
        (struct class){.rows = y.dim[1], .columns = y.dim[2], .taps_y = w.dim[0], .taps_x = taps_x};
    cut_conv(&c);
    return c;
}

/* dy is the source, dx [N, h, w, I] the result. A class: pixels whose (iy + top) % stride is phase_y. */
static struct conv conv_backward(struct shape dy, struct shape w, struct conv_dx_attr a)
{
    int64_t stride = a.conv.stride;
    struct conv c = {.samples = dy.dim[0],
                     .h = dy.dim[1],
                     .w_ = dy.dim[2],
                     .channels = dy.dim[3],
                     .run_length = dy.dim[3],
                     .out_h = a.h,
                     .out_w = a.w,
                     .n = w.dim[2],
                     .kw = w.dim[1],
                     .stride = stride,
                     .top = a.conv.pad[0],
                     .left = a.conv.pad[1],
                     .step = 1,
                     .every = stride,
                     .backward = 1};
    assert(stride * stride <= CLASSES_MOST);
    for (int64_t py = 0; py < stride; py++)
        for (int64_t px = 0; px < stride; px++) {
            int64_t y = wrap(py - c.top, stride), x = wrap(px - c.left, stride);
            c.class[c.classes++] = (struct class){.rows = congruent(a.h, y, stride),
                                                  .columns = congruent(a.w, x, stride),
                                                  .first_y = y,
                                                  .first_x = x,
                                                  .phase_y = py,
                                                  .phase_x = px,
                                                  .taps_y = congruent(w.dim[0], py, stride),
                                                  .taps_x = congruent(w.dim[1], px, stride)};
        }
    cut_conv(&c);
    return c;
}

static void conv_run(struct conv *c, const struct run *run)
{
    if (c->samples * c->out_h * c->out_w * c->n == 0) return;
    c->run = run;
    c->source = run->in[0];
    c->w = run->in[1];
    c->to = run->out[0];
    memset(run->workspace, 0, c->shared); /* the run of zeros */
    parallel_for(c->first_task[c->classes], conv_task, c);
}

/* y[n, oy, ox, o] = bias[o] + sum_{ky, kx, i} x[n, oy s + ky - top, ox s + kx - left, i] w[ky, kx, i, o] */
CPU_KERNEL(conv)
{
    (void)e;
    assert(run->in_shape[0].rank == 4 && run->in_shape[1].dim[2] == run->in_shape[0].dim[3]);
    struct conv_attr a = run->node->attr.conv;
    struct shape w = run->in_shape[1], y = run->out_shape[0];
    if (cpu_winograd_fits(w, a.stride, y.dim[1], y.dim[2])) {
        cpu_winograd(run);
        return OK;
    }
    struct conv c = conv_forward(run->in_shape[0], w, y, a);
    c.bias = run->in[2];
    conv_run(&c, run);
    return OK;
}

CPU_KERNEL(conv_dx)
{
    (void)e;
    assert(run->in_shape[0].rank == 4 && run->in_shape[1].dim[3] == run->in_shape[0].dim[3]);
    struct conv_dx_attr a = run->node->attr.conv_dx;
    if (cpu_winograd_fits(run->in_shape[1], a.conv.stride, a.h, a.w)) {
        cpu_winograd_dx(run);
        return OK;
    }
    struct conv c = conv_backward(run->in_shape[0], run->in_shape[1], a);
    conv_run(&c, run);
    return OK;
}

size_t cpu_conv_workspace(const struct graph *g, const struct node *node)
{
    struct shape a = graph_shape(g, node->in[0]), w = graph_shape(g, node->in[1]);
    struct shape y = graph_shape(g, node->out[0]);
    int back = node->op == OP_conv_dx;
    int stride = back ? node->attr.conv_dx.conv.stride : node->attr.conv.stride;
    if (cpu_winograd_fits(w, stride, y.dim[1], y.dim[2])) return cpu_winograd_workspace(g, node);
    struct conv c =
        back ? conv_backward(a, w, node->attr.conv_dx) : conv_forward(a, w, y, node->attr.conv);
    return cpu_scratch_bytes(c.shared, c.scratch);
}
