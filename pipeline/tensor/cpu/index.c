/* index.c - operators that move numbers without touching them, and the sums that undo the copying.
 *
 * Most are one strided copy: rows of `width` floats from one pitch to another.
 */
#include "base/parallel.h"
#include "pipeline/tensor/cpu/cpu.h"
#include "pipeline/tensor/cpu/simd.h"

#include <assert.h>
#include <string.h>

enum { CHUNK = 16384, COLUMNS = 64 };

/* rows x width from -> to; a NULL from writes zeros. */
struct copy {
    const float *from;
    float *to;
    int64_t rows, width, from_pitch, to_pitch, strip;
};

static void copy_task(void *args, long t)
{
    const struct copy *q = args;
    for (int64_t r = t * q->strip; r < cpu_min((t + 1) * q->strip, q->rows); r++) {
        float *to = q->to + r * q->to_pitch;
        if (q->from) memcpy(to, q->from + r * q->from_pitch, (size_t)q->width * sizeof *to);
        else memset(to, 0, (size_t)q->width * sizeof *to);
    }
}

static void copy(struct copy q)
{
    if (q.rows == 0 || q.width == 0) return;
    q.strip = q.width < CHUNK ? CHUNK / q.width : 1;
    parallel_for((long)cpu_ceil(q.rows, q.strip), copy_task, &q);
}

/* One long row is cut, so that it can be shared. */
static void copy_flat(const float *from, float *to, int64_t n)
{
    int64_t whole = n / CHUNK * CHUNK;
    copy((struct copy){.from = from,
                       .to = to,
                       .rows = n / CHUNK,
                       .width = CHUNK,
                       .from_pitch = CHUNK,
                       .to_pitch = CHUNK});
    copy((struct copy){
        .from = from ? from + whole : NULL, .to = to + whole, .rows = 1, .width = n - whole});
}

CPU_KERNEL(concat)
{
    (void)e;
    struct shape a = run->in_shape[0], b = run->in_shape[1];
    int axis = run->node->attr.axis.axis;
    int64_t rows = cpu_span(a, 0, axis), wide_a = cpu_span(a, axis, a.rank),
            wide_b = cpu_span(b, axis, b.rank);
    float *out = run->out[0];
    copy((struct copy){.from = run->in[0],
                       .to = out,
                       .rows = rows,
                       .width = wide_a,
                       .from_pitch = wide_a,
                       .to_pitch = wide_a + wide_b});
    copy((struct copy){.from = run->in[1],
                       .to = out + wide_a,
                       .rows = rows,
                       .width = wide_b,
                       .from_pitch = wide_b,
                       .to_pitch = wide_a + wide_b});
    return OK;
}

CPU_KERNEL(slice)
{
    (void)e;
    struct shape x = run->in_shape[0];
    struct slice_attr a = run->node->attr.slice;
    int64_t inner = cpu_span(x, a.axis + 1, x.rank);
    copy((struct copy){.from = (const float *)run->in[0] + a.begin * inner,
                       .to = run->out[0],
                       .rows = cpu_span(x, 0, a.axis),
                       .width = a.size * inner,
                       .from_pitch = x.dim[a.axis] * inner,
                       .to_pitch = a.size * inner});
    return OK;
}

CPU_KERNEL(place)
{
    (void)e;
    struct shape x = run->in_shape[0];
    struct slice_attr a = run->node->attr.slice;
    int64_t inner = cpu_span(x, a.axis + 1, x.rank), rows = cpu_span(x, 0, a.axis),
            full = a.size * inner;
    int64_t before = a.begin * inner, width = x.dim[a.axis] * inner;
    float *out = run->out[0];
    copy((struct copy){.to = out, .rows = rows, .width = before, .to_pitch = full});
    copy((struct copy){.from = run->in[0],
                       .to = out + before,
                       .rows = rows,
                       .width = width,
                       .from_pitch = width,
                       .to_pitch = full});
    copy((struct copy){.to = out + before + width,
                       .rows = rows,
                       .width = full - before - width,
                       .to_pitch = full});
    return OK;
}

CPU_KERNEL(repeat)
{
    (void)e;
    int64_t width = shape_count(run->in_shape[0]);
    copy((struct copy){.from = run->in[0],
                       .to = run->out[0],
                       .rows = run->node->attr.repeat.n,
                       .width = width,
                       .to_pitch = width});
    return OK;
}

/* The planner gives both one place; then there is nothing to do. */
CPU_KERNEL(reshape)
{
    (void)e;
    if (run->in[0] != run->out[0])
        copy_flat(run->in[0], run->out[0], shape_count(run->in_shape[0]));
    return OK;
}

CPU_KERNEL(detach_first)
{
    (void)e;
    copy_flat(run->in[0], run->out[0], shape_count(run->in_shape[0]));
    return OK;
}

CPU_KERNEL(detach_first_dx)
{
    (void)e;
    struct shape x = run->in_shape[0];
    int64_t pitch = x.dim[1] * x.dim[2], width = pitch - (x.dim[1] ? x.dim[2] : 0);
    float *out = run->out[0];
    if (pitch == 0) return OK;
    copy((struct copy){.to = out, .rows = x.dim[0], .width = x.dim[2], .to_pitch = pitch});
    copy((struct copy){.from = (const float *)run->in[0] + x.dim[2],
                       .to = out + x.dim[2],
                       .rows = x.dim[0],
                       .width = width,
                       .from_pitch = pitch,
                       .to_pitch = pitch});
    return OK;
}

/* upsample: out[y, x] = in[y h / H, x w / W], rounded down.
 * upsample_dx: in[y, x] gets the sum of its copies, H y / h rounded up and what follows. A task is one row. */
struct resize {
    const float *from;
    float *to;
    int64_t h, w, big_h, big_w, channels;
};

static void upsample_task(void *args, long t)
{
    const struct resize *q = args;
    int64_t n = t / q->big_h, y = t % q->big_h * q->h / q->big_h;
    const float *from = q->from + (n * q->h + y) * q->w * q->channels;
    float *to = q->to + t * q->big_w * q->channels;
    for (int64_t x = 0; x < q->big_w; x++)
        memcpy(to + x * q->channels, from + x * q->w / q->big_w * q->channels,
               (size_t)q->channels * sizeof *to);
}

static void upsample_dx_task(void *args, long t)
{
    const struct resize *q = args;
    int64_t n = t / q->h, y = t % q->h;
    int64_t y0 = cpu_ceil(y * q->big_h, q->h), y1 = cpu_ceil((y + 1) * q->big_h, q->h);
    for (int64_t x = 0; x < q->w; x++) {
        int64_t x0 = cpu_ceil(x * q->big_w, q->w), x1 = cpu_ceil((x + 1) * q->big_w, q->w);
        float *to = q->to + (t * q->w + x) * q->channels;
        for (int64_t c = 0; c < q->channels; c += VECTOR) {
            int64_t left = q->channels - c;
            vec sum = vec_set(0.0f);
            for (int64_t by = y0; by < y1; by++)
                for (int64_t bx = x0; bx < x1; bx++)
                    sum += vec_load_n(
                        q->from + ((n * q->big_h + by) * q->big_w + bx) * q->channels + c, left);
            vec_store_n(to + c, sum, left);
        }
    }
}

CPU_KERNEL(upsample)
{
    (void)e;
    struct shape x = run->in_shape[0], y = run->out_shape[0];
    struct resize q = {run->in[0], run->out[0], x.dim[1], x.dim[2], y.dim[1], y.dim[2], x.dim[3]};
    if (shape_count(y)) parallel_for((long)(y.dim[0] * q.big_h), upsample_task, &q);
    return OK;
}

CPU_KERNEL(upsample_dx)
{
    (void)e;
    struct shape dy = run->in_shape[0], x = run->out_shape[0];
    struct resize q = {run->in[0], run->out[0], x.dim[1], x.dim[2], dy.dim[1], dy.dim[2], x.dim[3]};
    if (shape_count(x)) parallel_for((long)(x.dim[0] * q.h), upsample_dx_task, &q);
    return OK;
}

struct embed {
    const int32_t *ids;
    const float *table, *extra;
    float *out;
    int64_t tokens, rows, more, width, strip;
};

static void embed_task(void *args, long t)
{
    const struct embed *q = args;
    for (int64_t i = t * q->strip; i < cpu_min((t + 1) * q->strip, q->tokens); i++) {
        int64_t id = q->ids[i];
        assert(id >= 0 && id < q->rows + q->more);
        const float *row =
            id < q->rows ? q->table + id * q->width : q->extra + (id - q->rows) * q->width;
        memcpy(q->out + i * q->width, row, (size_t)q->width * sizeof *row);
    }
}

CPU_KERNEL(embed)
{
    (void)e;
    struct shape table = run->in_shape[1];
    struct embed q = {.ids = run->in[0],
                      .table = run->in[1],
                      .extra = run->in[2],
                      .out = run->out[0],
                      .tokens = shape_count(run->in_shape[0]),
                      .rows = table.dim[0],
                      .more = run->in[2] ? run->in_shape[2].dim[0] : 0,
                      .width = table.dim[1]};
    if (q.width == 0) return OK;
    q.strip = q.width < CHUNK ? CHUNK / q.width : 1;
    parallel_for((long)cpu_ceil(q.tokens, q.strip), embed_task, &q);
    return OK;
}

/* dextra[r] = sum over samples, in order, of the sum over the sample's tokens that are row r. A task is 64 columns. */
struct dextra {
    const float *dy;
    const int32_t *ids;
    float *out;
    int64_t samples, tokens, width, first, column_tasks;
};

static void dextra_task(void *args, long t)
{
    const struct dextra *q = args;
    int64_t row = t / q->column_tasks, c = t % q->column_tasks * COLUMNS,
            n = cpu_min(COLUMNS, q->width - c);
    float *out = q->out + row * q->width + c;
    memset(out, 0, (size_t)n * sizeof *out);
    for (int64_t s = 0; s < q->samples; s++) {
        float sum[COLUMNS] = {0};
        for (int64_t i = 0; i < q->tokens; i++) {
            if (q->ids[s * q->tokens + i] != q->first + row) continue;
            const float *dy = q->dy + (s * q->tokens + i) * q->width + c;
            for (int64_t j = 0; j < n; j++) sum[j] += dy[j];
        }
        for (int64_t j = 0; j < n; j++) out[j] += sum[j];
    }
}

CPU_KERNEL(embed_dextra)
{
    (void)e;
    struct shape dy = run->in_shape[0];
    struct rows_attr a = run->node->attr.rows;
    struct dextra q = {run->in[0], run->in[1], run->out[0], dy.dim[0],
                       dy.dim[1],  dy.dim[2],  a.first,     cpu_ceil(dy.dim[2], COLUMNS)};
    parallel_for((long)(a.rows * q.column_tasks), dextra_task, &q);
    return OK;
}

/* At most a few rows: not worth a thread. */
CPU_KERNEL(pick)
{
    (void)e;
    struct shape x = run->in_shape[0];
    const int32_t *at = run->in[1];
    const float *from = run->in[0];
    float *to = run->out[0];
    for (int64_t n = 0; n < x.dim[0]; n++) {
        assert(at[n] >= 0 && at[n] < x.dim[1]);
        if (x.dim[2])
            memcpy(to + n * x.dim[2], from + (n * x.dim[1] + at[n]) * x.dim[2],
                   (size_t)x.dim[2] * sizeof *to);
    }
    return OK;
}

CPU_KERNEL(pick_dx)
{
    (void)e;
    struct shape dx = run->out_shape[0];
    const int32_t *at = run->in[1];
    const float *dy = run->in[0];
    float *out = run->out[0];
    copy_flat(NULL, out, shape_count(dx));
    for (int64_t n = 0; n < dx.dim[0]; n++) {
        assert(at[n] >= 0 && at[n] < dx.dim[1]);
        if (dx.dim[2])
            memcpy(out + (n * dx.dim[1] + at[n]) * dx.dim[2], dy + n * dx.dim[2],
                   (size_t)dx.dim[2] * sizeof *out);
    }
    return OK;
}

/* Sum over the dimensions that the result has as 1. Within a sample in double; samples are added in order, as floats,
 * so that the sum of a batch is the sum of what its samples alone would give. A task is one row of the result, 64
 * columns of it. Dimensions are [N, A, B, C], missing ones 1. */
struct reduce {
    const float *x;
    float *out;
    int64_t dim[4], to[4], column_tasks;
};

static void sum_columns(const struct reduce *q, const int64_t begin[3], const int64_t end[3],
                        int64_t c, int64_t n, float sum[COLUMNS])
{
    double total[COLUMNS] = {0};
    for (int64_t a = begin[1]; a < end[1]; a++)
        for (int64_t b = begin[2]; b < end[2]; b++) {
            const float *x = q->x + ((begin[0] * q->dim[1] + a) * q->dim[2] + b) * q->dim[3] + c;
            if (q->to[3] == q->dim[3])
                for (int64_t j = 0; j < n; j++) total[j] += (double)x[j];
            else
                for (int64_t j = 0; j < q->dim[3]; j++) total[0] += (double)x[j];
        }
    for (int64_t j = 0; j < n; j++) sum[j] = (float)total[j];
}

static void reduce_task(void *args, long t)
{
    const struct reduce *q = args;
    int64_t row = t / q->column_tasks, c = t % q->column_tasks * COLUMNS,
            n = cpu_min(COLUMNS, q->to[3] - c);
    int64_t at[3] = {row / q->to[2] / q->to[1], row / q->to[2] % q->to[1], row % q->to[2]}, end[3];
    float *out = q->out + row * q->to[3] + c, sum[COLUMNS];
    for (int i = 0; i < 3; i++) end[i] = q->to[i] == q->dim[i] ? at[i] + 1 : q->dim[i];
    memset(out, 0, (size_t)n * sizeof *out);
    for (int64_t s = at[0]; s < end[0]; s++) {
        sum_columns(q, (int64_t[3]){s, at[1], at[2]}, end, c, n, sum);
        for (int64_t j = 0; j < n; j++) out[j] = s > at[0] ? out[j] + sum[j] : sum[j];
    }
}

CPU_KERNEL(reduce)
{
    (void)e;
    struct shape x = run->in_shape[0], y = run->out_shape[0];
    struct reduce q = {
        .x = run->in[0], .out = run->out[0], .dim = {1, 1, 1, 1}, .to = {1, 1, 1, 1}};
    for (int i = 0; i < x.rank; i++) {
        int to = i == 0 ? 0 : i + 4 - x.rank;
        q.dim[to] = x.dim[i];
        q.to[to] = y.dim[i];
    }
    q.column_tasks = cpu_ceil(q.to[3], COLUMNS);
    parallel_for((long)(q.to[0] * q.to[1] * q.to[2] * q.column_tasks), reduce_task, &q);
    return OK;
}
