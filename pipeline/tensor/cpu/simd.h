/* simd.h - eight floats at a time, and exp and erfc on them.
 *
 * GCC's vector types, so that one text serves every machine; with AVX2 a v8 is one register. Lanes never meet, so a
 * result does not depend on the lane that an element falls in, and the tail of an array (v8_load_n) goes through the
 * same arithmetic as its middle.
 *
 * exp: 2^n e^r, r in [-ln2/2, ln2/2], polynomial of degree 6; relative error below 2e-7, subnormal results and
 * overflow included; NaN stays NaN. erfc(z) for z >= 0: exp(-z^2) t P(t), t = 1 / (1 + 0.55 z), P of degree 9 fitted to
 * 7e-9; relative error below 5e-7 while the result is a normal number.
 */
#ifndef TENSOR_CPU_SIMD_H
#define TENSOR_CPU_SIMD_H

#include <stdint.h>
#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

typedef float v8 __attribute__((vector_size(32)));
typedef int32_t v8i __attribute__((vector_size(32)));
typedef double v4d __attribute__((vector_size(32)));

static inline v8 v8_set(float x)
{
    return (v8){x, x, x, x, x, x, x, x};
}

static inline v8 v8_load(const float *p)
{
    v8 x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline void v8_store(float *p, v8 x)
{
    memcpy(p, &x, sizeof x);
}

/* The first n of 8, zeros behind. */
static inline v8 v8_load_n(const float *p, int64_t n)
{
    if (n >= 8) return v8_load(p);
    v8 x = {0};
    memcpy(&x, p, (size_t)n * sizeof *p);
    return x;
}

static inline void v8_store_n(float *p, v8 x, int64_t n)
{
    if (n >= 8) v8_store(p, x);
    else memcpy(p, &x, (size_t)n * sizeof *p);
}

/* a * b + c, rounded once. */
static inline v8 v8_fma(v8 a, v8 b, v8 c)
{
#ifdef __FMA__
    return (v8)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

static inline v8 v8_select(v8i mask, v8 yes, v8 no)
{
#ifdef __AVX2__
    return (v8)_mm256_blendv_ps((__m256)no, (__m256)yes, (__m256)mask);
#else
    return (v8)((mask & (v8i)yes) | (~mask & (v8i)no));
#endif
}

/* A NaN in x survives both: the instructions return their second operand then. */
static inline v8 v8_at_least(v8 x, v8 low)
{
#ifdef __AVX2__
    return (v8)_mm256_max_ps((__m256)low, (__m256)x);
#else
    return v8_select(x < low, low, x);
#endif
}

static inline v8 v8_at_most(v8 x, v8 high)
{
#ifdef __AVX2__
    return (v8)_mm256_min_ps((__m256)high, (__m256)x);
#else
    return v8_select(x > high, high, x);
#endif
}

static inline v8 v8_abs(v8 x)
{
    return (v8)((v8i)x & 0x7fffffff);
}

static inline v4d v8_low(v8 x)
{
    return (v4d){(double)x[0], (double)x[1], (double)x[2], (double)x[3]};
}

static inline v4d v8_high(v8 x)
{
    return (v4d){(double)x[4], (double)x[5], (double)x[6], (double)x[7]};
}

/* Always in this order, whatever the machine. */
static inline float v8_sum(v8 x)
{
    return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

static inline float v8_max(v8 x)
{
    x = v8_at_least(x, __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3));
    x = v8_at_least(x, __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5));
    x = v8_at_least(x, __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6));
    return x[0];
}

/* e^r for |r| <= ln2 / 2 */
static inline v8 v8_exp_small(v8 r)
{
    v8 p = v8_set(1.9875691500e-4f);
    p = v8_fma(p, r, v8_set(1.3981999507e-3f));
    p = v8_fma(p, r, v8_set(8.3334519073e-3f));
    p = v8_fma(p, r, v8_set(4.1665795894e-2f));
    p = v8_fma(p, r, v8_set(1.6666665459e-1f));
    p = v8_fma(p, r, v8_set(5.0000001201e-1f));
    return v8_fma(p, r * r, r) + v8_set(1.0f);
}

/* x = n ln2 + r. Adding 1.5 * 2^23 rounds to an integer in the low bits; ln2 comes in two parts, the first of 9 bits,
 * so that n times it is exact. */
static inline v8 v8_exp_split(v8 x, v8i *n)
{
    const v8 magic = v8_set(12582912.0f);
    v8 t = v8_fma(x, v8_set(1.44269504f), magic), whole = t - magic;
    *n = (v8i)t - (v8i)magic;
    return v8_fma(whole, v8_set(2.12194440e-4f), v8_fma(whole, v8_set(-0.693359375f), x));
}

static inline v8 v8_exp(v8 x)
{
    v8i n;
    v8 p = v8_exp_small(v8_exp_split(v8_at_most(v8_at_least(x, v8_set(-104.0f)), v8_set(89.0f)), &n));
    v8i half = n >> 1; /* 2^n in two factors, each a normal number */
    return p * (v8)((half + 127) << 23) * (v8)((n - half + 127) << 23);
}

/* The same for x <= 0 where nobody looks below the normal numbers: from -87.3 on it stays at 1.2e-38. */
static inline v8 v8_exp_negative(v8 x)
{
    v8i n;
    v8 p = v8_exp_small(v8_exp_split(v8_at_least(x, v8_set(-87.33654f)), &n));
    return p * (v8)((n + 127) << 23);
}

static inline v8 v8_erfc_positive(v8 z)
{
    static const float c[10] = {0.05804782659f, -0.33665991338f, 0.78125270579f, -0.85343707508f,
                                0.36396672542f, -0.09499712050f, 0.20205135400f, 0.25881985929f,
                                0.31066355853f, 0.31029208609f};
    v8 t = v8_set(1.0f) / v8_fma(z, v8_set(0.55f), v8_set(1.0f)), p = v8_set(c[0]);
    for (int i = 1; i < 10; i++) p = v8_fma(p, t, v8_set(c[i]));
    v8 square = z * z, rest = v8_fma(z, z, -square); /* what rounding took from the exponent */
    v8 e = v8_exp(-square);
    return v8_fma(-rest, e, e) * p * t;
}

/* Phi(x), the normal distribution: what gelu multiplies x with. Accurate in its lower tail, too. */
static inline v8 v8_normal_cdf(v8 x)
{
    v8 size = v8_select(x < v8_set(0.0f), -x, x);
    v8 tail =
        v8_set(0.5f) * v8_erfc_positive(v8_at_most(size, v8_set(20.0f)) * v8_set(0.70710678f));
    return v8_select(x < v8_set(0.0f), tail, v8_set(1.0f) - tail);
}

static inline v8 v8_sigmoid(v8 x)
{
    return v8_set(1.0f) / (v8_set(1.0f) + v8_exp(-x));
}

static inline v8 v8_silu(v8 x)
{
    return x / (v8_set(1.0f) + v8_exp(-x));
}

/* d silu / dx = s (1 + x (1 - s)), s = sigmoid(x) */
static inline v8 v8_silu_slope(v8 x)
{
    v8 s = v8_sigmoid(x);
    return s * v8_fma(x, v8_set(1.0f) - s, v8_set(1.0f));
}

static inline v8 v8_gelu(v8 x)
{
    return x * v8_normal_cdf(x);
}

/* Phi(x) + x phi(x) */
static inline v8 v8_gelu_slope(v8 x)
{
    v8 density = v8_exp(v8_set(-0.5f) * x * x) * v8_set(0.39894228f);
    return v8_fma(x, density, v8_normal_cdf(x));
}

#endif
