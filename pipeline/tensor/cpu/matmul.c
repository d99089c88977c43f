/* matmul.c - linear layers and their gradients.
 *
 * A task owns a rectangle of the result. It packs its columns of the weights block by block of k and lets the rows
 * stream past. Rows of different samples may share a tile: an element of the result is the same sum wherever it is
 * computed (cpu.h), so a sample's bytes do not know their neighbours, and weights are read once for the whole batch.
 */
#include "base/parallel.h"
#include "pipeline/tensor/cpu/cpu.h"

#include <assert.h>
#include <string.h>

struct matmul {
    const struct run *run;
    struct product_cut cut;
    const float *a, *b, *bias;
    float *c;
    int64_t m, n, k;
    int transposed;           /* B is [n, k] */
    const int32_t *index;     /* indexed: sample s uses the table's entry index[s]; else NULL */
    int64_t samples, entries; /* indexed: m rows each; table of so many B */
    size_t scratch;
};

/* c rectangle = a b (+ bias); k in blocks. */
static void rectangle(const struct matmul *x, const float *a, const float *b, float *c, int64_t i,
                      int64_t j)
{
    int64_t rows = cpu_min(x->cut.rows, x->m - i), columns = cpu_min(x->cut.columns, x->n - j);
    int64_t block = cpu_product_block(x->k);
    float *packed = cpu_scratch(x->run, 0, x->scratch);
    for (int64_t k = 0; k == 0 || k < x->k; k += block) {
        int64_t depth = cpu_min(block, x->k - k);
        if (x->transposed)
            cpu_product_pack_transposed(packed, b + j * x->k + k, x->k, depth, columns);
        else cpu_product_pack(packed, b + k * x->n + j, x->n, depth, columns);
        cpu_product(&(struct product){.m = rows,
                                      .n = columns,
                                      .k = depth,
                                      .a = a + i * x->k + k,
                                      .a_row = x->k,
                                      .a_step = 1,
                                      .b = packed,
                                      .c = c + i * x->n + j,
                                      .c_row = x->n,
                                      .start = k ? PRODUCT_ADD : PRODUCT_SET,
                                      .bias = x->bias && !k ? x->bias + j : NULL});
        if (!block) break;
    }
}

static void matmul_task(void *args, long t)
{
    const struct matmul *x = args;
    int64_t per_sample = x->cut.row_tasks * x->cut.column_tasks;
    int64_t s = t / per_sample, at = t % per_sample;
    int64_t i = at / x->cut.column_tasks * x->cut.rows,
            j = at % x->cut.column_tasks * x->cut.columns;
    int64_t entry = x->index ? x->index[s] : 0;
    assert(entry >= 0 && entry < x->entries);
    rectangle(x, x->a + s * x->m * x->k, x->b + entry * x->n * x->k, x->c + s * x->m * x->n, i, j);
}

static size_t matmul_scratch(int64_t k, int64_t columns)
{
    return (size_t)cpu_product_packed(cpu_product_block(k), columns) * sizeof(float);
}

static void matmul(struct matmul *x)
{
    x->cut = cpu_product_cut(x->m, x->n);
    x->scratch = matmul_scratch(x->k, x->cut.columns);
    parallel_for((long)(x->samples * x->cut.row_tasks * x->cut.column_tasks), matmul_task, x);
}

/* y[m, o] = sum_i x[m, i] w[o, i] + bias[o]. Reads each weight once per 384 rows. */
CPU_KERNEL(linear)
{
    (void)e;
    struct shape w = run->in_shape[1];
    int64_t rows = cpu_span(run->in_shape[0], 0, run->in_shape[0].rank - 1);
    assert(cpu_last(run->in_shape[0]) == w.dim[1] && cpu_last(run->out_shape[0]) == w.dim[0]);
    matmul(&(struct matmul){.run = run,
                            .a = run->in[0],
                            .b = run->in[1],
                            .bias = run->in[2],
                            .c = run->out[0],
                            .m = rows,
                            .n = w.dim[0],
                            .k = w.dim[1],
                            .transposed = 1,
                            .samples = 1,
                            .entries = 1});
    return OK;
}

CPU_KERNEL(linear_indexed)
{
    (void)e;
    struct shape x = run->in_shape[0], w = run->in_shape[1];
    assert(x.rank == 3 && w.rank == 3 && x.dim[2] == w.dim[2]);
    matmul(&(struct matmul){.run = run,
                            .a = run->in[0],
                            .b = run->in[1],
                            .index = run->in[2],
                            .c = run->out[0],
                            .m = x.dim[1],
                            .n = w.dim[1],
                            .k = w.dim[2],
                            .transposed = 1,
                            .samples = x.dim[0],
                            .entries = w.dim[0]});
    return OK;
}

/* dx[m, i] = sum_o dy[m, o] w[o, i] */
CPU_KERNEL(linear_dx)
{
    (void)e;
    struct shape w = run->in_shape[1];
    int64_t rows = cpu_span(run->in_shape[0], 0, run->in_shape[0].rank - 1);
    assert(cpu_last(run->in_shape[0]) == w.dim[0]);
    matmul(&(struct matmul){.run = run,
                            .a = run->in[0],
                            .b = run->in[1],
                            .c = run->out[0],
                            .m = rows,
                            .n = w.dim[1],
                            .k = w.dim[0],
                            .samples = 1,
                            .entries = 1});
    return OK;
}

CPU_KERNEL(linear_indexed_dx)
{
    (void)e;
    struct shape dy = run->in_shape[0], w = run->in_shape[1];
    assert(dy.rank == 3 && w.rank == 3 && dy.dim[2] == w.dim[1]);
    matmul(&(struct matmul){.run = run,
                            .a = run->in[0],
                            .b = run->in[1],
                            .index = run->in[2],
                            .c = run->out[0],
                            .m = dy.dim[1],
                            .n = w.dim[2],
                            .k = w.dim[1],
                            .samples = dy.dim[0],
                            .entries = w.dim[0]});
    return OK;
}

/* dw[o, i] = sum over samples, in order, of (sum_t dy[t, o] x[t, i]). A sample of one block is added straight to dw; a
 * longer one is summed in scratch first, so that dw is the ordered sum of what each sample alone would give. */
struct matmul_dw {
    const struct run *run;
    struct product_cut cut;
    const float *dy, *x;
    float *dw;
    const int32_t *index;
    int64_t samples, tokens, outputs, inputs, entries;
    size_t scratch;
};

static void dw_sample(const struct matmul_dw *q, const float *dy, const float *x, float *to,
                      int64_t to_row, float *packed, int64_t i, int64_t j, enum product_start start)
{
    int64_t rows = cpu_min(q->cut.rows, q->outputs - i),
            columns = cpu_min(q->cut.columns, q->inputs - j);
    int64_t block = cpu_product_block(q->tokens);
    for (int64_t t = 0; t < q->tokens; t += block) {
        int64_t depth = cpu_min(block, q->tokens - t);
        cpu_product_pack(packed, x + t * q->inputs + j, q->inputs, depth, columns);
        cpu_product(&(struct product){.m = rows,
                                      .n = columns,
                                      .k = depth,
                                      .a = dy + t * q->outputs + i,
                                      .a_row = 1,
                                      .a_step = q->outputs,
                                      .b = packed,
                                      .c = to,
                                      .c_row = to_row,
                                      .start = t ? PRODUCT_ADD : start});
    }
}

static void dw_task(void *args, long t)
{
    const struct matmul_dw *q = args;
    int64_t per_entry = q->cut.row_tasks * q->cut.column_tasks;
    int64_t entry = t / per_entry, at = t % per_entry;
    int64_t i = at / q->cut.column_tasks * q->cut.rows,
            j = at % q->cut.column_tasks * q->cut.columns;
    int64_t rows = cpu_min(q->cut.rows, q->outputs - i),
            columns = cpu_min(q->cut.columns, q->inputs - j);
    float *packed = cpu_scratch(q->run, 0, q->scratch);
    float *alone = packed + cpu_product_packed(cpu_product_block(q->tokens), q->cut.columns);
    float *dw = q->dw + entry * q->outputs * q->inputs + i * q->inputs + j;
    for (int64_t r = 0; r < rows; r++) memset(dw + r * q->inputs, 0, (size_t)columns * sizeof *dw);
    for (int64_t s = 0; s < q->samples; s++) {
        if (q->index && q->index[s] != entry) continue;
        const float *dy = q->dy + s * q->tokens * q->outputs, *x = q->x + s * q->tokens * q->inputs;
        if (q->tokens <= PRODUCT_K) {
            dw_sample(q, dy, x, dw, q->inputs, packed, i, j, PRODUCT_ADD);
            continue;
        }
        dw_sample(q, dy, x, alone, columns, packed, i, j, PRODUCT_SET);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < columns; c++) dw[r * q->inputs + c] += alone[r * columns + c];
    }
}

static size_t dw_scratch(int64_t tokens, struct product_cut cut)
{
    int64_t alone = tokens > PRODUCT_K ? cut.rows * cut.columns : 0;
    return (size_t)(cpu_product_packed(cpu_product_block(tokens), cut.columns) + alone) *
           sizeof(float);
}

static void matmul_dw(struct matmul_dw *q)
{
    q->cut = cpu_product_cut(q->outputs, q->inputs);
    q->scratch = dw_scratch(q->tokens, q->cut);
    parallel_for((long)(q->entries * q->cut.row_tasks * q->cut.column_tasks), dw_task, q);
}

CPU_KERNEL(linear_dw)
{
    (void)e;
    struct shape dy = run->in_shape[0], x = run->in_shape[1];
    matmul_dw(&(struct matmul_dw){.run = run,
                                  .dy = run->in[0],
                                  .x = run->in[1],
                                  .dw = run->out[0],
                                  .samples = dy.rank > 1 ? dy.dim[0] : 1,
                                  .tokens = cpu_span(dy, 1, dy.rank - 1),
                                  .outputs = cpu_last(dy),
                                  .inputs = cpu_last(x),
                                  .entries = 1});
    return OK;
}

CPU_KERNEL(linear_indexed_dw)
{
    (void)e;
    struct shape dy = run->in_shape[0], x = run->in_shape[1];
    assert(dy.rank == 3 && x.rank == 3 && dy.dim[1] == x.dim[1]);
    matmul_dw(&(struct matmul_dw){.run = run,
                                  .dy = run->in[0],
                                  .x = run->in[1],
                                  .index = run->in[2],
                                  .dw = run->out[0],
                                  .samples = dy.dim[0],
                                  .tokens = dy.dim[1],
                                  .outputs = dy.dim[2],
                                  .inputs = x.dim[2],
                                  .entries = run->out_shape[0].dim[0]});
    return OK;
}

size_t cpu_matmul_workspace(const struct graph *g, const struct node *node)
{
    struct shape a = graph_shape(g, node->in[0]), b = graph_shape(g, node->in[1]);
    size_t bytes = 0;
    switch (node->op) {
    case OP_linear:
        bytes =
            matmul_scratch(b.dim[1], cpu_product_cut(cpu_span(a, 0, a.rank - 1), b.dim[0]).columns);
        break;
    case OP_linear_dx:
        bytes =
            matmul_scratch(b.dim[0], cpu_product_cut(cpu_span(a, 0, a.rank - 1), b.dim[1]).columns);
        break;
    case OP_linear_indexed:
        bytes = matmul_scratch(b.dim[2], cpu_product_cut(a.dim[1], b.dim[1]).columns);
        break;
    case OP_linear_indexed_dx:
        bytes = matmul_scratch(b.dim[1], cpu_product_cut(a.dim[1], b.dim[2]).columns);
        break;
    case OP_linear_dw:
        bytes = dw_scratch(cpu_span(a, 1, a.rank - 1), cpu_product_cut(cpu_last(a), cpu_last(b)));
        break;
    case OP_linear_indexed_dw:
        bytes = dw_scratch(a.dim[1], cpu_product_cut(a.dim[2], b.dim[2]));
        break;
    default: assert(!"not a product");
    }
    return cpu_scratch_bytes(0, bytes);
}
