/* few.h - the last step of a selection: which of at most 64 scores are the largest.
 *
 * Scores are non-negative floats as whole numbers, which order as their bits do. A score is among the k largest if fewer
 * than k are larger, so each is compared with all: a fixed flow without branches, and at 64 still cheaper than to guess
 * pivots and to be wrong.
 */
#ifndef TENSOR_CPU_FEW_H
#define TENSOR_CPU_FEW_H

#include "pipeline/tensor/cpu/simd.h"
#include "pipeline/tensor/kernels.h"

enum { WORD = 64 };

static inline veci spread(int32_t x)
{
    return x - (veci){0};
}

static inline veci load(const int32_t *p)
{
    veci x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* A bit per lane: x > t. */
static inline uint64_t above(veci x, veci t)
{
#if defined(__AVX512F__)
    return _mm512_cmpgt_epi32_mask((__m512i)x, (__m512i)t);
#elif defined(__AVX2__)
    return (uint32_t)_mm256_movemask_ps((__m256)(x > t));
#else
    veci yes = x > t;
    uint64_t bits = 0;
    for (int i = 0; i < VECTOR; i++) bits |= (uint64_t)(yes[i] & 1) << i;
    return bits;
#endif
}

static inline float as_float(int32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline int32_t as_bits(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* Scores in the order of their indices, at most 64. Behind the last one, where few_end was told, come some of -1. */
struct few {
    int32_t value[2 * WORD + VECTOR];
    size_t n;
};

static inline void few_end(struct few *few)
{
    memset(few->value + few->n, 0xff, VECTOR * sizeof *few->value);
}

/* How many of the few are larger than each of a vector of them. */
static inline veci few_larger(const struct few *few, veci x)
{
    veci a = {0}, b = {0};
    for (size_t i = 0; i < few->n; i += 4) {
        const int32_t *y = few->value + i;
        a -= spread(y[0]) > x;
        b -= spread(y[1]) > x;
        a -= spread(y[2]) > x;
        b -= spread(y[3]) > x;
    }
    return a + b;
}

/* The smallest of those taken; of those that equal it the last lose their bits until k are left. */
static inline uint64_t few_first(const struct few *few, uint64_t taken, size_t k, int32_t *last)
{
    *last = INT32_MAX;
    for (uint64_t left = taken; left; left &= left - 1) {
        int32_t x = few->value[__builtin_ctzll(left)];
        if (x < *last) *last = x;
    }
    for (int i = WORD - 1; (size_t)__builtin_popcountll(taken) > k; i--)
        if (taken >> i & 1 && few->value[i] == *last) taken ^= UINT64_C(1) << i;
    return taken;
}

/* A bit for each of the k largest, 0 < k <= few->n; *last is the smallest of them. */
static inline uint64_t few_largest(const struct few *few, size_t k, int32_t *last)
{
    const veci enough = spread((int32_t)k);
    uint64_t taken = 0, more = 0;
    for (size_t i = 0; i < few->n; i += VECTOR) {
        veci larger = few_larger(few, load(few->value + i));
        taken |= above(enough, larger) << i;
        more |= above(enough - 1, larger) << i;
    }
    if (few->n < WORD) taken &= (UINT64_C(1) << few->n) - 1;
    more = taken & ~more; /* has exactly k - 1 that are larger: the last, unless it has equals */
    if (!more || (size_t)__builtin_popcountll(taken) != k) return few_first(few, taken, k, last);
    *last = few->value[__builtin_ctzll(more)];
    return taken;
}

/* Bit j of taken goes to the j-th one of `among`. */
static inline uint64_t deposit(uint64_t taken, uint64_t among)
{
#ifdef __BMI2__
    return _pdep_u64(taken, among);
#else
    uint64_t out = 0;
    for (; among; among &= among - 1, taken >>= 1)
        if (taken & 1) out |= among & -among;
    return out;
#endif
}

/* The k largest of the few become ones, too. Returns the smallest of them. */
static inline int32_t few_write(const struct few *few, size_t k, const uint64_t *between,
                                size_t words, uint64_t *ones)
{
    int32_t last;
    uint64_t taken = few_largest(few, k, &last);
    for (size_t i = 0; i < words; i++) {
        int n = __builtin_popcountll(between[i]);
        ones[i] |= deposit(taken, between[i]);
        taken = n < WORD ? taken >> n : 0;
    }
    return last;
}

#endif
