/* product.c - the one matrix product of the CPU backend: a tile in registers and what packs for it.
 *
 *     registers         tile       a step of k
 *     16 of 8 floats    6 x 16     12 fused multiply-adds, 2 loads of B, 6 broadcasts of A
 *     32 of 16 floats   8 x 48     24, 3 and 8
 *
 * B lies in panels of 16 columns whatever the tile; a wide one reads three of them side by side. A is never packed: its
 * rows are named by pointers, so a convolution points into the image and needs no im2col.
 *
 * Why not a library: docs/decisions/0002-matrix-products.md.
 */
#include "pipeline/tensor/cpu/cpu.h"
#include "pipeline/tensor/cpu/simd.h"

#include <assert.h>
#include <string.h>

enum { PARTS = PRODUCT_COLUMNS / VECTOR, WIDE = PRODUCT_WIDE / VECTOR }; /* of a panel, of a tile */

/* rows and wide (vectors of columns) are constants wherever this is inlined, so acc lives in registers. `step` floats
 * between two k of one row. Of the last vector only some columns may be wanted. */
static inline __attribute__((always_inline)) void tile(const int rows, const int wide,
                                                       const float *const *a, int64_t segments,
                                                       int64_t length, int64_t step, const float *b,
                                                       float *const *c, int columns,
                                                       enum product_start start, const float *bias)
{
    const int64_t panel = segments * length * PRODUCT_COLUMNS;
    vec acc[PRODUCT_ROWS][WIDE];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int i = 0; i < wide; i++) acc[r][i] = vec_set(0.0f);
    for (int64_t s = 0; s < segments; s++, a += PRODUCT_ROWS) {
        const float *row[PRODUCT_ROWS];
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) row[r] = a[r];
        for (int64_t k = 0, at = 0; k < length; k++, at += step, b += PRODUCT_COLUMNS) {
            vec from[WIDE];
#pragma GCC unroll 8
            for (int i = 0; i < wide; i++)
                from[i] = vec_load(b + i / PARTS * panel + i % PARTS * VECTOR);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                vec x = vec_set(row[r][at]);
#pragma GCC unroll 8
                for (int i = 0; i < wide; i++) acc[r][i] = vec_fma(x, from[i], acc[r][i]);
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < wide; i++) {
        int64_t n = columns - i * VECTOR;
        vec from = bias ? vec_load_n(bias + i * VECTOR, n) : vec_set(0.0f);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            float *to = c[r] + i * VECTOR;
            if (start == PRODUCT_ADD) from = vec_load_n(to, n);
            vec_store_n(to, from + acc[r][i], n);
        }
    }
}

#define TILE(rows, wide) tile(rows, wide, a, segments, length, step, b, c, columns, start, bias)
#if VECTOR == 16
#define TILES(rows)                               \
    case rows:                                    \
        if (columns > 2 * VECTOR) TILE(rows, 3);  \
        else if (columns > VECTOR) TILE(rows, 2); \
        else TILE(rows, 1);                       \
        break;
#else
#define TILES(rows)                          \
    case rows:                               \
        if (columns > VECTOR) TILE(rows, 2); \
        else TILE(rows, 1);                  \
        break;
#endif

static void tile_of(int rows, const float *const *a, int64_t segments, int64_t length, int64_t step,
                    const float *b, float *const *c, int columns, enum product_start start,
                    const float *bias)
{
    /* clang-format off */
    switch (rows) {
        TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6)
#if VECTOR == 16
        TILES(7) TILES(8)
#endif
    default: assert(!"a tile has 1 to PRODUCT_ROWS rows");
    }
    /* clang-format on */
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
    for (int64_t j = 0; j < p->n; j += PRODUCT_WIDE) {
        int columns = (int)cpu_min(PRODUCT_WIDE, p->n - j);
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
                for (int part = 0; part < PARTS; part++)
                    vec_store(to + part * VECTOR, vec_load(from + part * VECTOR));
            }
        } else {
            for (int64_t i = 0; i < k; i++, from += ld)
                for (int64_t c = 0; c < PRODUCT_COLUMNS; c++) *to++ = c < columns ? from[c] : 0.0f;
        }
    }
}

typedef float eight __attribute__((vector_size(32)));

/* Eight rows of eight become eight columns, by three rounds of swapping. */
static inline void transpose8(eight x[8])
{
    eight y[8];
    for (int i = 0; i < 4; i++) {
        y[2 * i] = __builtin_shufflevector(x[2 * i], x[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        y[2 * i + 1] = __builtin_shufflevector(x[2 * i], x[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    eight z[8];
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
                eight x[8] = {{0}};
                for (int64_t c = 0; c < columns; c++) {
                    const float *from = b + (first + c) * ld + i;
                    if (depth == 8) memcpy(&x[c], from, sizeof *x);
                    else memcpy(&x[c], from, (size_t)depth * sizeof *from);
                }
                transpose8(x);
                for (int64_t d = 0; d < depth; d++)
                    memcpy(out + (i + d) * PRODUCT_COLUMNS, &x[d], sizeof *x);
            }
        }
    }
}

/* Rows: as many as keep A's rows and B's panels in L2 together; fewer, then narrower, until there is work for a dozen
 * threads. Packing B costs a fortieth of the product at 384 rows, a tenth at 96. */
struct product_cut cpu_product_cut(int64_t m, int64_t n)
{
    enum { ROWS_MOST = 384, ROWS_LEAST = 96, COLUMNS_MOST = 96, COLUMNS_LEAST = 48, TASKS = 12 };
    struct product_cut cut = {.rows = ROWS_MOST, .columns = COLUMNS_MOST};
    while (cut.rows > ROWS_LEAST && cpu_ceil(m, cut.rows) * cpu_ceil(n, cut.columns) < TASKS)
        cut.rows /= 2;
    if (cpu_ceil(m, cut.rows) * cpu_ceil(n, cut.columns) < TASKS) cut.columns = COLUMNS_LEAST;
    cut.row_tasks = cpu_ceil(m, cut.rows);
    cut.column_tasks = cpu_ceil(n, cut.columns);
    return cut;
}
