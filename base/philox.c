/* philox.c - Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3; SC'11).
 *
 * Number i of a draw is word i % 4 of block i / 4, so the first m of n numbers do not depend on n. Uniforms take the
 * upper 24 bits. Normals 2j and 2j + 1 come from words 2j and 2j + 1:
 *
 *     r = sqrt(-2 ln((w0 + 1/2) / 2^32)),  a = 2 pi w1 / 2^32,  r cos a,  r sin a
 *
 * in double, rounded to float once: an error in the last place of another libm vanishes in the rounding, except about
 * once in 2^28 numbers.
 */
#include "base/philox.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static const uint32_t multiplier[2] = {0xD2511F53u, 0xCD9E8D57u};
static const uint32_t weyl[2] = {0x9E3779B9u, 0xBB67AE85u}; /* golden ratio, sqrt(3) - 1 */
static const double two_pi = 6.283185307179586476925286766559;

enum { ROUNDS = 10 };

struct philox_key philox_key(uint64_t seed, enum philox_purpose purpose)
{
    return (struct philox_key){{(uint32_t)seed, (uint32_t)(seed >> 32)}, (uint32_t)purpose};
}

void philox_block(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p0 = (uint64_t)multiplier[0] * c0, p1 = (uint64_t)multiplier[1] * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += weyl[0];
        k1 += weyl[1];
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

/* Block number position of one draw. */
static void draw(struct philox_key k, uint64_t step, uint32_t sample, uint64_t position,
                 uint32_t out[4])
{
    assert(position <= UINT32_MAX);
    uint32_t counter[4] = {(uint32_t)position, sample, (uint32_t)step,
                           (uint32_t)(step >> 32) ^ k.purpose};
    philox_block(counter, k.k, out);
}

void philox_bits(struct philox_key k, uint64_t step, uint32_t sample, uint32_t *out, size_t n)
{
    for (size_t i = 0; i < n; i += 4) {
        uint32_t w[4];
        draw(k, step, sample, i / 4, w);
        memcpy(out + i, w, (n - i < 4 ? n - i : 4) * sizeof *out);
    }
}

void philox_uniform(struct philox_key k, uint64_t step, uint32_t sample, float *out, size_t n)
{
    for (size_t i = 0; i < n; i += 4) {
        uint32_t w[4];
        draw(k, step, sample, i / 4, w);
        for (size_t j = 0; j < 4 && i + j < n; j++) out[i + j] = (float)(w[j] >> 8) * 0x1p-24f;
    }
}

static void box_muller(uint32_t w0, uint32_t w1, float out[2])
{
    double r = sqrt(-2.0 * log(((double)w0 + 0.5) * 0x1p-32));
    double angle = two_pi * ((double)w1 * 0x1p-32);
    out[0] = (float)(r * cos(angle));
    out[1] = (float)(r * sin(angle));
}

void philox_normal(struct philox_key k, uint64_t step, uint32_t sample, float *out, size_t n)
{
    for (size_t i = 0; i < n; i += 4) {
        uint32_t w[4];
        float z[4];
        draw(k, step, sample, i / 4, w);
        box_muller(w[0], w[1], z);
        box_muller(w[2], w[3], z + 2);
        memcpy(out + i, z, (n - i < 4 ? n - i : 4) * sizeof *out);
    }
}

/* Lemire, Fast Random Integer Generation in an Interval, 2019. Rejection is rarer than bound / 2^32. */
uint32_t philox_below(struct philox_key k, uint64_t step, uint32_t sample, uint32_t bound)
{
    assert(bound > 0);
    uint32_t threshold = (0u - bound) % bound;
    for (uint64_t position = 0;; position++) {
        uint32_t w[4];
        draw(k, step, sample, position, w);
        for (int j = 0; j < 4; j++) {
            uint64_t product = (uint64_t)w[j] * bound;
            if ((uint32_t)product >= threshold) return (uint32_t)(product >> 32);
        }
    }
}
