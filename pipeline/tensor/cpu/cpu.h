/* cpu.h - the CPU backend from inside: what its files offer one another.
 *
 * float32, NHWC, one pool of threads. table.c holds the table; every other file is one family and its twin in
 * cuda/ has the same functions in the same order. All of them are compiled once for every instruction set that is worth
 * it: on x86-64 for v3 (AVX2, FMA) and v4 (AVX-512). The copies meet in ../kernels.c only; their tables give the same
 * bytes. Rules that all of them keep:
 *
 * 1. Work is cut by shape, never by the number of threads, and every output element is one fixed sum of its own
 *    inputs, so bytes depend neither on threads nor on the other samples of a batch.
 * 2. Sums over samples (linear_dw, linear_indexed_dw, reduce, embed_dextra) first finish one sample, then add the
 *    samples in order.
 * 3. Nor on the instruction set: a product is fused where simd.h says so and nowhere else, and a sum over the lanes of
 *    registers is defined on 16 of them.
 * 4. No allocation. Scratch comes from run->workspace: shared parts first, then one part per thread.
 */
#ifndef TENSOR_CPU_CPU_H
#define TENSOR_CPU_CPU_H

#include "pipeline/tensor/kernels.h"

/* The only name that leaves a copy of this folder (the Makefile keeps the others local), hence one for each. */
#ifndef CPU_TABLE
#define CPU_TABLE cpu_table
#endif
const struct kernels *CPU_TABLE(void);

#define CPU_KERNEL(name) enum code cpu_##name(const struct run *run, struct err *e)
#define OP(name, inputs, outputs, attr) CPU_KERNEL(name);
#include "pipeline/tensor/ops.def"
#undef OP

/* Scratch of the families that need some, in bytes. */
size_t cpu_matmul_workspace(const struct graph *g, const struct node *node);
size_t cpu_conv_workspace(const struct graph *g, const struct node *node);
size_t cpu_norm_workspace(const struct graph *g, const struct node *node);
size_t cpu_attention_workspace(const struct graph *g, const struct node *node);

/* 3x3 convolutions of stride 1 in another way, where it pays: which layers, follows from the shape of one sample alone.
 * w is [3,3,I,O], out_h x out_w the result (of conv_dx: the gradient). */
int cpu_winograd_fits(struct shape w, int stride, int64_t out_h, int64_t out_w);
void cpu_winograd(const struct run *run);                  /* a conv, a conv_dx that fit */
void cpu_winograd_dx(const struct run *run);
size_t cpu_winograd_workspace(const struct graph *g, const struct node *node);

/* The calling thread's part of a workspace: bytes each, behind `shared` bytes that belong to all. */
void *cpu_scratch(const struct run *run, size_t shared, size_t bytes);
size_t cpu_scratch_bytes(size_t shared, size_t bytes);

/* Neuron scoring: select.c, and select_row.c. */
select_fn cpu_select;
part_rows_fn cpu_part_rows;
settle_row_fn cpu_settle_row;
logs_fn cpu_logs;
float cpu_log(float x); /* as logs count: 1024 log2 */

/* Products. C += A B, with B packed in panels of 16 columns: panel[k][16], zeros behind the last column.
 *
 * An element of C is: what it starts from, plus block after block of k, each block a chain of fused multiply-adds
 * from zero in the order of k. Nothing else enters: not the tile, not the row, not the column. */
enum { PRODUCT_COLUMNS = 16, PRODUCT_K = 320 };
#ifdef __AVX512F__
enum { PRODUCT_ROWS = 8, PRODUCT_WIDE = 48 }; /* of the largest tile; width in whole panels */
#else
enum { PRODUCT_ROWS = 6, PRODUCT_WIDE = 16 };
#endif
enum product_start {
    PRODUCT_SET,
    PRODUCT_ADD
}; /* C starts from zero (or the bias), or from itself */

struct product {
    int64_t m, n, k;
    const float *a; /* a(i, k) = a[i * a_row + k * a_step] */
    int64_t a_row, a_step;
    const float *b; /* packed k x n */
    float *c;       /* c(i, j) = c[i * c_row + j] */
    int64_t c_row;
    enum product_start start;
    const float *bias; /* [n] or NULL; with PRODUCT_SET only */
};
void cpu_product(const struct product *p);

/* One tile of at most PRODUCT_ROWS x PRODUCT_WIDE with the rows of A named one by one, in segments of equal length:
 * a[segment * PRODUCT_ROWS + row]. The way convolutions use it. b is panels of segments * length rows. */
void cpu_product_tile(int rows, const float *const *a, int64_t segments, int64_t length,
                      const float *b, float *const *c, int columns, enum product_start start,
                      const float *bias);

/* Packs k rows x n columns into panels. b(k, n) = b[k * ld + n], or transposed b[n * ld + k]. */
void cpu_product_pack(float *to, const float *b, int64_t ld, int64_t k, int64_t n);
void cpu_product_pack_transposed(float *to, const float *b, int64_t ld, int64_t k, int64_t n);
static inline int64_t cpu_product_packed(int64_t k, int64_t n) /* floats */
{
    return k * ((n + PRODUCT_COLUMNS - 1) / PRODUCT_COLUMNS * PRODUCT_COLUMNS);
}

/* How a long sum is cut: blocks of equal size (but the last), at most PRODUCT_K. */
static inline int64_t cpu_product_block(int64_t k)
{
    int64_t blocks = (k + PRODUCT_K - 1) / PRODUCT_K;
    return blocks > 1 ? ((k + blocks - 1) / blocks + 7) / 8 * 8 : k;
}

/* How an m x n result is cut into tasks: rows and columns of one task. By shape only. */
struct product_cut {
    int64_t rows, columns, row_tasks, column_tasks;
};
struct product_cut cpu_product_cut(int64_t m, int64_t n);

/* Small helpers on shapes. */
static inline int64_t cpu_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static inline int64_t cpu_ceil(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}
/* Product of the dimensions first..last-1. */
static inline int64_t cpu_span(struct shape s, int first, int last)
{
    int64_t n = 1;
    for (int i = first; i < last; i++) n *= s.dim[i];
    return n;
}
static inline int64_t cpu_last(struct shape s)
{
    return s.dim[s.rank - 1];
}

#endif
