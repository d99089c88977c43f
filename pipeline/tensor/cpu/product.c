/* product.c - the one matrix product of the CPU backend: a 6 x 16 tile in registers and what packs for it.
 *
 * 12 accumulators of 8 floats, two registers of B, one broadcast of A: 12 fused multiply-adds per k against 8 loads.
 * A panel of B (320 x 16 floats, 20 KB) stays in L1 while rows of A stream past it. A is never packed: its rows are
 * named by pointers, so a convolution points into the image and needs no im2col.
 *
 * Why not a library: docs/decisions/0002-matrix-products.md.
 */
#include "pipeline/tensor/cpu/cpu.h"
#include "pipeline/tensor/cpu/simd.h"

#include <assert.h>

/* rows and wide are constants wherever this is inlined, so acc lives in registers. wide: 1 or 2 registers of columns,
 * of which the panel always has 2. `step` floats between two k of one row. */
static inline __attribute__((always_inline)) void tile(const int rows, const int wide,
                                                       const float *const *a, int64_t segments,
                                                       int64_t length, int64_t step, const float *b,
                                                       float *const *c, int columns,
                                                       enum product_start start, const float *bias)
{
    v8 acc[PRODUCT_ROWS][2];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = v8_set(0.0f);
    for (int64_t s = 0; s < segments; s++, a += PRODUCT_ROWS) {
        const float *row[PRODUCT_ROWS];
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) row[r] = a[r];
        for (int64_t k = 0, at = 0; k < length; k++, at += step, b += PRODUCT_COLUMNS) {
            v8 b0 = v8_load(b), b1 = v8_load(b + 8);
#pragma GCC unroll 6
            for (int r = 0; r < rows; r++) {
                v8 x = v8_set(row[r][at]);
                acc[r][0] = v8_fma(x, b0, acc[r][0]);
                if (wide > 1) acc[r][1] = v8_fma(x, b1, acc[r][1]);
            }
        }
    }
    if (columns == 8 * wide) {
        v8 from0 = v8_set(0.0f), from1 = from0;
        if (bias) {
            from0 = v8_load(bias);
            if (wide > 1) from1 = v8_load(bias + 8);
        }
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            if (start == PRODUCT_ADD) {
                from0 = v8_load(c[r]);
                if (wide > 1) from1 = v8_load(c[r] + 8);
            }
            v8_store(c[r], from0 + acc[r][0]);
            if (wide > 1) v8_store(c[r] + 8, from1 + acc[r][1]);
        }
    } else {
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            float sum[PRODUCT_COLUMNS];
            v8_store(sum, acc[r][0]);
            v8_store(sum + 8, acc[r][1]);
            for (int j = 0; j < columns; j++)
                c[r][j] = (start == PRODUCT_ADD ? c[r][j] : bias ? bias[j] : 0.0f) + sum[j];
        }
    }
}

#define TILE(rows_)                                                                             \
    case rows_:                                                                                 \
        if (columns > 8) tile(rows_, 2, a, segments, length, step, b, c, columns, start, bias); \
        else tile(rows_, 1, a, segments, length, step, b, c, columns, start, bias);             \
        break;

static void tile_of(int rows, const float *const *a, int64_t segments, int64_t length, int64_t step,
                    const float *b, float *const *c, int columns, enum product_start start,
                    const float *bias)
{
    switch (rows) {
        TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) default : assert(!"a tile has 1 to 6 rows");
    }
}

void cpu_product_tile(int rows, const float *const *a, int64_t segments, int64_t length,
                      const float *b, float *const *c, int columns, enum product_start start,
                      const float *bias)
{
    tile_of(rows, a, segments, length, 1, b, c, columns, start, bias);
}

void cpu_product(const struct product *p)
{
    assert(!p->bias || p->start == PRODUCT_SET);
    for (int64_t j = 0; j < p->n; j += PRODUCT_COLUMNS) {
        int columns = (int)cpu_min(PRODUCT_COLUMNS, p->n - j);
        for (int64_t i = 0; i < p->m; i += PRODUCT_ROWS) {
            int rows = (int)cpu_min(PRODUCT_ROWS, p->m - i);
            const float *a[PRODUCT_ROWS];
            float *c[PRODUCT_ROWS];
            for (int r = 0; r < rows; r++) {
                a[r] = p->a + (i + r) * p->a_row;
                c[r] = p->c + (i + r) * p->c_row + j;
            }
            tile_of(rows, a, 1, p->k, p->a_step, p->b + j * p->k, c, columns, p->start,
                    p->bias ? p->bias + j : NULL);
        }
    }
}

void cpu_product_pack(float *to, const float *b, int64_t ld, int64_t k, int64_t n)
{
    for (int64_t j = 0; j < n; j += PRODUCT_COLUMNS) {
        int64_t columns = cpu_min(PRODUCT_COLUMNS, n - j);
        const float *from = b + j;
        if (columns == PRODUCT_COLUMNS) {
            for (int64_t i = 0; i < k; i++, from += ld, to += PRODUCT_COLUMNS) {
                v8_store(to, v8_load(from));
                v8_store(to + 8, v8_load(from + 8));
            }
        } else {
            for (int64_t i = 0; i < k; i++, from += ld)
                for (int64_t c = 0; c < PRODUCT_COLUMNS; c++) *to++ = c < columns ? from[c] : 0.0f;
        }
    }
}

/* Eight rows of eight become eight columns, by three rounds of swapping. */
static inline void transpose8(v8 x[8])
{
    v8 y[8];
    for (int i = 0; i < 4; i++) {
        y[2 * i] = __builtin_shufflevector(x[2 * i], x[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        y[2 * i + 1] = __builtin_shufflevector(x[2 * i], x[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    v8 z[8];
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++) {
            z[4 * i + 2 * j] =
                __builtin_shufflevector(y[4 * i + j], y[4 * i + 2 + j], 0, 1, 8, 9, 4, 5, 12, 13);
            z[4 * i + 2 * j + 1] =
                __builtin_shufflevector(y[4 * i + j], y[4 * i + 2 + j], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int i = 0; i < 4; i++) {
        x[i] = __builtin_shufflevector(z[i], z[4 + i], 0, 1, 2, 3, 8, 9, 10, 11);
        x[4 + i] = __builtin_shufflevector(z[i], z[4 + i], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

void cpu_product_pack_transposed(float *to, const float *b, int64_t ld, int64_t k, int64_t n)
{
    for (int64_t j = 0; j < n; j += PRODUCT_COLUMNS, to += k * PRODUCT_COLUMNS) {
        for (int64_t half = 0; half < PRODUCT_COLUMNS; half += 8) {
            int64_t first = j + half, columns = n - first < 0 ? 0 : cpu_min(8, n - first);
            float *out = to + half;
            for (int64_t i = 0; i < k; i += 8) {
                int64_t depth = cpu_min(8, k - i);
                v8 x[8];
                for (int64_t c = 0; c < 8; c++)
                    x[c] = c < columns ? v8_load_n(b + (first + c) * ld + i, depth) : v8_set(0.0f);
                transpose8(x);
                for (int64_t d = 0; d < depth; d++) v8_store(out + (i + d) * PRODUCT_COLUMNS, x[d]);
            }
        }
    }
}

/* Rows: as many as keep A's rows and B's panels in L2 together; fewer, then narrower, until there is work for a dozen
 * threads. Packing B costs a fortieth of the product at 384 rows, a tenth at 96. */
struct product_cut cpu_product_cut(int64_t m, int64_t n)
{
    enum { ROWS_MOST = 384, ROWS_LEAST = 96, COLUMNS_MOST = 64, COLUMNS_LEAST = 32, TASKS = 12 };
    struct product_cut cut = {.rows = ROWS_MOST, .columns = COLUMNS_MOST};
    while (cut.rows > ROWS_LEAST && cpu_ceil(m, cut.rows) * cpu_ceil(n, cut.columns) < TASKS)
        cut.rows /= 2;
    if (cpu_ceil(m, cut.rows) * cpu_ceil(n, cut.columns) < TASKS) cut.columns = COLUMNS_LEAST;
    cut.row_tasks = cpu_ceil(m, cut.rows);
    cut.column_tasks = cpu_ceil(n, cut.columns);
    return cut;
}
