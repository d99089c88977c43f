/* ceilings.c - what this machine can do at most: fused multiply-adds from registers, sgemm, copying memory.
 *
 *     ceilings THREADS      ->  {"fma_256": GFLOP/s, "fma_512": GFLOP/s or 0, "sgemm": GFLOP/s, "copy": GB/s}
 *
 * Best of several rounds, a few seconds in all. Multiply-adds count 2; of a copied byte its reading and its writing count.
 * fma_512 is what other programs may use that are built for AVX-512; Engram's kernels are 256 bits wide. sgemm is
 * OpenBLAS's of 2048^3.
 */
#include "base/parallel.h"

#include <cblas.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 5, SIDE = 2048, CHAINS = 12 };
static const long FMAS = 20000000;
static const size_t COPIED = (size_t)128 << 20; /* bytes per thread: well beyond any cache */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *memory(size_t bytes)
{
    void *p = aligned_alloc(64, bytes);
    if (!p) {
        fprintf(stderr, "ceilings: no memory\n");
        exit(1);
    }
    memset(p, 0, bytes);
    return p;
}

#if defined(__x86_64__)
#include <immintrin.h>

/* Twelve chains hide a latency of four cycles on two ports, and leave registers for a and b. */
#define FMA_LOOP(type, set1, fmadd)                                        \
    type chain[CHAINS], a = set1(0.999f), b = set1(0.001f);                \
    (void)args, (void)tile;                                                \
    for (int i = 0; i < CHAINS; i++) chain[i] = set1((float)i);            \
    for (long n = 0; n < FMAS; n++)                                        \
        for (int i = 0; i < CHAINS; i++) chain[i] = fmadd(chain[i], a, b); \
    for (int i = 0; i < CHAINS; i++) __asm__ volatile("" : : "v"(chain[i]));

__attribute__((target("avx2,fma"), optimize("O3,unroll-loops"))) static void fma_256(void *args,
                                                                                     long tile)
{
    FMA_LOOP(__m256, _mm256_set1_ps, _mm256_fmadd_ps)
}

__attribute__((target("avx512f"), optimize("O3,unroll-loops"))) static void fma_512(void *args,
                                                                                    long tile)
{
    FMA_LOOP(__m512, _mm512_set1_ps, _mm512_fmadd_ps)
}

static parallel_fn *fma_of(int bits)
{
    if (bits == 256 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return fma_256;
    return bits == 512 && __builtin_cpu_supports("avx512f") ? fma_512 : NULL;
}
#else
static parallel_fn *fma_of(int bits)
{
    (void)bits;
    return NULL;
}
#endif

static double best_of(long tiles, parallel_fn *fn, void *args)
{
    double best = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        double start = now();
        parallel_for(tiles, fn, args);
        double t = now() - start;
        if (t < best) best = t;
    }
    return best;
}

static double fma_rate(int bits, int threads)
{
    parallel_fn *fn = fma_of(bits);
    if (!fn) return 0;
    return 2e-9 * (double)FMAS * CHAINS * (bits / 32) * threads / best_of(threads, fn, NULL);
}

static double sgemm_rate(int threads)
{
    size_t n = SIDE;
    float *a = memory(n * n * 4), *b = memory(n * n * 4), *c = memory(n * n * 4);
    double best = 1e9;
    openblas_set_num_threads(threads);
    for (int i = 0; i <= ROUNDS; i++) {
        double start = now();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, SIDE, SIDE, SIDE, 1, a, SIDE, b, SIDE,
                    0, c, SIDE);
        double t = now() - start;
        if (i > 0 && t < best) best = t; /* the first one starts OpenBLAS's threads */
    }
    free(a);
    free(b);
    free(c);
    return 2e-9 * (double)n * (double)n * (double)n / best;
}

struct copy {
    char *from, *to;
};

static void copy_tile(void *args, long tile)
{
    const struct copy *c = args;
    memcpy(c->to + (size_t)tile * COPIED, c->from + (size_t)tile * COPIED, COPIED);
}

static double copy_rate(int threads)
{
    struct copy c = {memory((size_t)threads * COPIED), memory((size_t)threads * COPIED)};
    memset(c.from, 1, (size_t)threads * COPIED);
    double rate = 2e-9 * (double)threads * (double)COPIED / best_of(threads, copy_tile, &c);
    free(c.from);
    free(c.to);
    return rate;
}

int main(int argc, char **argv)
{
    parallel_start(argc > 1 ? atoi(argv[1]) : 0);
    int threads = parallel_threads();
    double fma256 = fma_rate(256, threads), fma512 = fma_rate(512, threads);
    double copy = copy_rate(threads), sgemm = sgemm_rate(threads);
    printf("{\"threads\": %d, \"fma_256\": %.1f, \"fma_512\": %.1f, \"sgemm\": %.1f, \"copy\": "
           "%.1f}\n",
           threads, fma256, fma512, sgemm, copy);
    parallel_stop();
    return 0;
}
