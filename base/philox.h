/* philox.h - Philox4x32-10, the counter-based random numbers of Salmon et al., SC'11.
 *
 *     struct philox_key k = philox_key(seed, PHILOX_TRAIN_NOISE);
 *     philox_normal(k, step, sample, out, n);       // same bytes on every machine and any rank count
 *
 * A number is a function of (seed, purpose, step, sample, position) and of nothing else: no state to save,
 * no order to keep (invariant 4). Counter words: {position, sample, step low, step high ^ purpose};
 * key words: the seed. Normals by Box-Muller in double, rounded to float once.
 */
#ifndef BASE_PHILOX_H
#define BASE_PHILOX_H

#include <stddef.h>
#include <stdint.h>

enum philox_purpose {             /* numbers are part of results: never reuse, append only */
    PHILOX_SAMPLE_NOISE = 1,      /* initial latents of sampling */
    PHILOX_SAMPLE_STEP = 2,       /* noise added by stochastic samplers */
    PHILOX_TRAIN_NOISE = 3,
    PHILOX_TRAIN_TIME = 4,
    PHILOX_TRAIN_PICK = 5,        /* which image, which class image */
    PHILOX_TRAIN_FLIP = 6,
    PHILOX_LATENT = 7,            /* draw from the VAE posterior */
    PHILOX_PRIOR_NOISE = 8,
    PHILOX_PRIOR_TIME = 9,
    PHILOX_TOKEN_INIT = 10,
    PHILOX_SIMULATION = 11,
    PHILOX_TEST = 12
};

struct philox_key { uint32_t k[2]; uint32_t purpose; };

struct philox_key philox_key(uint64_t seed, enum philox_purpose purpose);
void philox_block(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);   /* the bare cipher */
void philox_bits(struct philox_key k, uint64_t step, uint32_t sample, uint32_t *out, size_t n);
void philox_uniform(struct philox_key k, uint64_t step, uint32_t sample, float *out, size_t n);  /* [0,1) */
void philox_normal(struct philox_key k, uint64_t step, uint32_t sample, float *out, size_t n);
/* One integer in [0, bound), unbiased (Lemire's method with rejection on further positions). bound > 0. */
uint32_t philox_below(struct philox_key k, uint64_t step, uint32_t sample, uint32_t bound);

#endif
