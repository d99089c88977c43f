/* simd.h - as many floats at a time as a register holds, and exp and erfc on them.
 *
 * The files of this folder are compiled once for every instruction set (cpu.h), so VECTOR is 8 or 16. GCC's vector
 * types, so that one text serves every machine. Lanes never meet, so a result depends neither on the lane that an
 * element falls in nor on VECTOR, and the tail of an array (vec_load_n) goes through the same arithmetic as its middle.
 * Where lanes must meet, in a sum along a row, there are 16 of them, whatever VECTOR is: struct lanes.
 *
 * exp: 2^n e^r, r in [-ln2/2, ln2/2], polynomial of degree 6; relative error below 2e-7, subnormal results and
 * overflow included; NaN stays NaN. exp2_negative: 2^n 2^r, degree 5, below 2e-7. erfc(z) for z = |x| / sqrt(2):
 * exp(-z^2) t P(t), t = 1 / (1 + 0.55 z), P of degree 9 fitted to 7e-9. tests/parity/accuracy.c holds what comes out to
 * units in the last place.
 */
#ifndef TENSOR_CPU_SIMD_H
#define TENSOR_CPU_SIMD_H

#include <stdint.h>
#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#ifdef __AVX512F__
#define VECTOR 16
#else
#define VECTOR 8
#endif

typedef float vec __attribute__((vector_size(VECTOR * 4)));
typedef int32_t veci __attribute__((vector_size(VECTOR * 4)));
typedef uint32_t vecu __attribute__((vector_size(VECTOR * 4)));
typedef double vecd __attribute__((vector_size(VECTOR * 4))); /* half as many */

static inline vec vec_set(float x)
{
    return x - (vec){0}; /* not x + 0: that would lose the sign of -0 */
}

static inline vec vec_load(const float *p)
{
    vec x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline void vec_store(float *p, vec x)
{
    memcpy(p, &x, sizeof x);
}

/* The first n of a vector, zeros behind. */
static inline vec vec_load_n(const float *p, int64_t n)
{
    if (n >= VECTOR) return vec_load(p);
#ifdef __AVX512F__
    return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << (n > 0 ? n : 0)) - 1), p);
#else
    vec x = {0};
    if (n > 0) memcpy(&x, p, (size_t)n * sizeof *p);
    return x;
#endif
}

static inline void vec_store_n(float *p, vec x, int64_t n)
{
    if (n >= VECTOR) vec_store(p, x);
#ifdef __AVX512F__
    else _mm512_mask_storeu_ps(p, (__mmask16)((1u << (n > 0 ? n : 0)) - 1), (__m512)x);
#else
    else if (n > 0) memcpy(p, &x, (size_t)n * sizeof *p);
#endif
}

/* a * b + c, rounded once. */
static inline vec vec_fma(vec a, vec b, vec c)
{
#if defined __AVX512F__
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined __FMA__
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

/* Each lane of mask is 0 or -1. */
static inline vec vec_select(veci mask, vec yes, vec no)
{
#if defined __AVX512F__
    return (vec)_mm512_mask_blend_ps(_mm512_movepi32_mask((__m512i)mask), (__m512)no, (__m512)yes);
#elif defined __AVX2__
    return (vec)_mm256_blendv_ps((__m256)no, (__m256)yes, (__m256)mask);
#else
    return (vec)((mask & (veci)yes) | (~mask & (veci)no));
#endif
}

/* A NaN in x survives both: the instructions return their second operand then. */
static inline vec vec_at_least(vec x, vec low)
{
#if defined __AVX512F__
    return (vec)_mm512_max_ps((__m512)low, (__m512)x);
#elif defined __AVX2__
    return (vec)_mm256_max_ps((__m256)low, (__m256)x);
#else
    return vec_select(x < low, low, x);
#endif
}

static inline vec vec_at_most(vec x, vec high)
{
#if defined __AVX512F__
    return (vec)_mm512_min_ps((__m512)high, (__m512)x);
#elif defined __AVX2__
    return (vec)_mm256_min_ps((__m256)high, (__m256)x);
#else
    return vec_select(x > high, high, x);
#endif
}

static inline vec vec_abs(vec x)
{
    return (vec)((veci)x & 0x7fffffff);
}

/* The first and the second half of a vector, as doubles. GCC 12 takes a __builtin_convertvector apart, hence the names. */
static inline vecd vec_low(vec x)
{
#if defined __AVX512DQ__
    return (vecd)_mm512_cvtps_pd(_mm512_castps512_ps256((__m512)x));
#elif defined __AVX2__
    return (vecd)_mm256_cvtps_pd(_mm256_castps256_ps128((__m256)x));
#else
    return (vecd){(double)x[0], (double)x[1], (double)x[2], (double)x[3]};
#endif
}

static inline vecd vec_high(vec x)
{
#if defined __AVX512DQ__
    return (vecd)_mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)x, 1));
#elif defined __AVX2__
    return (vecd)_mm256_cvtps_pd(_mm256_extractf128_ps((__m256)x, 1));
#else
    return (vecd){(double)x[4], (double)x[5], (double)x[6], (double)x[7]};
#endif
}

/* 16 floats, and 8 doubles that gather them: what every sum along a row is made of, so that it is the same sum with 8
 * floats in a register as with 16. */
enum { LANES = 16, LANE_PARTS = LANES / VECTOR };
struct lanes {
    vec part[LANE_PARTS];
};
struct lanesd {
    vecd part[LANE_PARTS];
};

static inline struct lanes lanes_load_n(const float *p, int64_t n)
{
    struct lanes x;
    for (int i = 0; i < LANE_PARTS; i++) x.part[i] = vec_load_n(p + i * VECTOR, n - i * VECTOR);
    return x;
}

/* sum[i] += x[i] y[i] + x[i + 8] y[i + 8] */
static inline struct lanesd lanes_dot(struct lanesd sum, struct lanes x, struct lanes y)
{
#if VECTOR == 16
    sum.part[0] += vec_low(x.part[0]) * vec_low(y.part[0]) + vec_high(x.part[0]) * vec_high(y.part[0]);
#else
    sum.part[0] += vec_low(x.part[0]) * vec_low(y.part[0]) + vec_low(x.part[1]) * vec_low(y.part[1]);
    sum.part[1] += vec_high(x.part[0]) * vec_high(y.part[0]) + vec_high(x.part[1]) * vec_high(y.part[1]);
#endif
    return sum;
}

static inline struct lanesd lanes_gather(struct lanesd sum, struct lanes x)
{
#if VECTOR == 16
    sum.part[0] += vec_low(x.part[0]) + vec_high(x.part[0]);
#else
    sum.part[0] += vec_low(x.part[0]) + vec_low(x.part[1]);
    sum.part[1] += vec_high(x.part[0]) + vec_high(x.part[1]);
#endif
    return sum;
}

/* Always in this order, whatever the machine: halves on halves. */
static inline double lanesd_sum(struct lanesd sum)
{
    typedef double two __attribute__((vector_size(16)));
    two x[LANES / 4];
    memcpy(x, &sum, sizeof x);
    x[0] = (x[0] + x[2]) + (x[1] + x[3]);
    return x[0][0] + x[0][1];
}

static inline float lanes_sum(struct lanes sum)
{
    typedef float four __attribute__((vector_size(16)));
    four x[LANES / 4];
    memcpy(x, &sum, sizeof x);
    x[0] = (x[0] + x[2]) + (x[1] + x[3]);
    x[0] += __builtin_shufflevector(x[0], x[0], 2, 3, 0, 1);
    return x[0][0] + x[0][1];
}

/* A largest value needs no order. */
static inline float vec_max(vec x)
{
#if VECTOR == 16
    x = vec_at_least(x, __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    x = vec_at_least(x, __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
    x = vec_at_least(x, __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
    x = vec_at_least(x, __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));
#else
    x = vec_at_least(x, __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3));
    x = vec_at_least(x, __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5));
    x = vec_at_least(x, __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6));
#endif
    return x[0];
}

/* e^r for |r| <= ln2 / 2 */
static inline vec vec_exp_small(vec r)
{
    vec p = vec_set(1.9875691500e-4f);
    p = vec_fma(p, r, vec_set(1.3981999507e-3f));
    p = vec_fma(p, r, vec_set(8.3334519073e-3f));
    p = vec_fma(p, r, vec_set(4.1665795894e-2f));
    p = vec_fma(p, r, vec_set(1.6666665459e-1f));
    p = vec_fma(p, r, vec_set(5.0000001201e-1f));
    return vec_fma(p, r * r, r) + vec_set(1.0f);
}

/* x = n ln2 + r. Adding 1.5 * 2^23 rounds to an integer in the low bits; ln2 comes in two parts, the first of 9 bits,
 * so that n times it is exact. */
static inline vec vec_exp_split(vec x, veci *n)
{
    const vec magic = vec_set(12582912.0f);
    vec t = vec_fma(x, vec_set(1.44269504f), magic), whole = t - magic;
    *n = (veci)t - (veci)magic;
    return vec_fma(whole, vec_set(2.12194440e-4f), vec_fma(whole, vec_set(-0.693359375f), x));
}

static inline vec vec_exp(vec x)
{
    veci n;
    vec p = vec_exp_small(vec_exp_split(vec_at_most(vec_at_least(x, vec_set(-104.0f)), vec_set(89.0f)), &n));
    veci half = n >> 1; /* 2^n in two factors, each a normal number */
    return p * (vec)((half + 127) << 23) * (vec)((n - half + 127) << 23);
}

/* 2^x for x <= 0 where nobody looks below the normal numbers: from -125 on it stays at 2.4e-38. What is left of x when
 * its nearest integer is taken off is exact, so five terms are as good here as six and a split ln2 are above. */
static inline vec vec_exp2_negative(vec x)
{
    const vec magic = vec_set(12582912.0f);
    x = vec_at_least(x, vec_set(-125.0f));
    vec t = x + magic, r = x - (t - magic), p = vec_set(1.326472731e-3f);
    p = vec_fma(p, r, vec_set(9.671512991e-3f));
    p = vec_fma(p, r, vec_set(5.550733581e-2f));
    p = vec_fma(p, r, vec_set(2.402224243e-1f));
    p = vec_fma(p, r, vec_set(6.931470037e-1f));
    p = vec_fma(p, r, vec_set(1.0f));
    /* The low 9 bits of magic are zero. Unsigned: lanes behind the end of a row hold anything, and are thrown away later. */
    return p * (vec)(((vecu)t << 23) + 0x3f800000u);
}

/* Phi(x), the normal distribution: what gelu multiplies x with; and its density. The exponent is x^2 / 2 with what rounding
 * took from it, not the square of a rounded z: in the lower tail that would be a hundred times the error. */
static inline vec vec_normal(vec x, vec *density)
{
    static const float c[10] = {0.05804782659f, -0.33665991338f, 0.78125270579f, -0.85343707508f,
                                0.36396672542f, -0.09499712050f, 0.20205135400f, 0.25881985929f,
                                0.31066355853f, 0.31029208609f};
    const vec half = vec_set(0.5f);
    vec size = vec_at_most(vec_abs(x), vec_set(20.0f));
    vec t = vec_set(1.0f) / vec_fma(size * vec_set(0.70710678f), vec_set(0.55f), vec_set(1.0f)),
        p = vec_set(c[0]);
    for (int i = 1; i < 10; i++) p = vec_fma(p, t, vec_set(c[i]));
    vec square = size * size, rest = vec_fma(size, size, -square), e = vec_exp(-half * square);
    e = vec_fma(-half * rest, e, e);
    vec tail = half * (e * p * t);
    *density = e * vec_set(0.39894228f);
    return vec_select(x < vec_set(0.0f), tail, vec_set(1.0f) - tail);
}

static inline vec vec_sigmoid(vec x)
{
    return vec_set(1.0f) / (vec_set(1.0f) + vec_exp(-x));
}

static inline vec vec_silu(vec x)
{
    return x / (vec_set(1.0f) + vec_exp(-x));
}

/* d silu / dx = s (1 + x (1 - s)), s = sigmoid(x) */
static inline vec vec_silu_slope(vec x)
{
    vec s = vec_sigmoid(x);
    return s * vec_fma(x, vec_set(1.0f) - s, vec_set(1.0f));
}

static inline vec vec_gelu(vec x)
{
    vec density;
    return x * vec_normal(x, &density);
}

/* Phi(x) + x phi(x) */
static inline vec vec_gelu_slope(vec x)
{
    vec density, cdf = vec_normal(x, &density);
    return vec_fma(x, density, cdf);
}

#endif
