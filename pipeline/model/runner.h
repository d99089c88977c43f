/* runner.h - the frozen parts of a base model, run: texts to states, images to latents and back, prompts to pictures.
 *
 *     struct sampler *s;
 *     sampler_make(&s, model, kernels_cpu(), height, width, &e);           // graphs planned once
 *     sampler_run(s, &(struct sample_request){...}, latent, rgb, &e);
 *
 * Each picture is computed alone (guidance pairs its two halves in one batch of 2), so its bytes depend on its own
 * request only: not on its neighbours, ranks or threads.
 */
#ifndef MODEL_RUNNER_H
#define MODEL_RUNNER_H

#include "pipeline/model/base_model.h"
#include "pipeline/model/solver.h"
#include "pipeline/tensor/cost.h"
#include "pipeline/tensor/tensor.h"

#include <stdint.h>

/* Text states of n prompts of `length` ids each: out [n, length, D]. extra: rows of added tokens [n_extra, D] or NULL. */
enum code text_states(const struct base_model *m, const struct kernels *k, const int32_t *ids, int n, int length,
                      const float *extra, int n_extra, float *out, struct err *e);

/* Images RGB 8 bit [n,H,W,3] -> VAE moments [n,h,w,2L], log-variance clamped to [-30,20]. H, W multiples of vae_factor. */
enum code image_moments(const struct base_model *m, const struct kernels *k, const uint8_t *rgb, int n, int h, int w,
                        float *moments, struct err *e);

struct sample_request {
    const int32_t *prompt, *negative;    /* [length] ids each, `length` = tokenizer_length */
    const float *kv;                     /* flat K/V vector to use (W_m), [kv.n_weights] */
    const float *extra;                  /* rows of added tokens [n_extra, D], NULL if none */
    int n_extra;
    const struct solver_kind *solver;    /* NULL: ddim */
    int steps;
    float guidance, eta;                 /* guidance <= 1: one half only; eta: ddim's */
    uint64_t seed;                       /* with index names the picture's noise */
    uint32_t index;
    const float *noise;                  /* [h,w,L], or NULL: philox(seed, PHILOX_SAMPLE_NOISE, 0, index) */
    const float *step_noise;             /* [evaluations,h,w,L], or NULL: philox(seed, PHILOX_SAMPLE_STEP, i, index) */
};
struct sampler;
enum code sampler_make(struct sampler **s, const struct base_model *m, const struct kernels *k, int height, int width,
                       int n_extra, struct err *e);
void sampler_free(struct sampler *s);
size_t sampler_latent_count(const struct sampler *s);         /* h*w*L */
/* latent (may be NULL): [h,w,L] final, scaled. rgb (may be NULL): [height,width,3]; round half to even of 255*clamp.
 * trace (may be NULL): [evaluations+1, h,w,L], first what the sampler starts from (solver_start of the noise). */
enum code sampler_run(struct sampler *s, const struct sample_request *r, float *latent, uint8_t *rgb, float *trace,
                      struct err *e);

/* CLIP features, normalised to length 1. Images are RGB 8 bit [n,S,S,3] with S = vision.image_size: resize and crop
 * first (data/image.h); mean and std are applied here. Texts are encoded whole. out [n, P]. */
enum code clip_image_features(const struct clip_model *m, const struct kernels *k, const uint8_t *rgb, int n,
                              float *out, struct err *e);
enum code clip_text_features(const struct clip_model *m, const struct kernels *k, const char *const *text, int n,
                             float *out, struct err *e);

/* ---- what these take, for plans: the same graphs, planned and not run; the model may be a sketch (weights.h) ----
 * Each adds to *c the arenas that are there at once and the seconds of one text or image. pace may be NULL. */
enum code text_states_cost(const struct base_model *m, const struct kernels *k, int length, int n_extra, struct pace *pace,
                           struct cost *c, struct err *e);
enum code image_moments_cost(const struct base_model *m, const struct kernels *k, int h, int w, struct pace *pace,
                             struct cost *c, struct err *e);
/* A sampler and one picture of it. steps and guidance as in sample_request. */
enum code sampler_cost(const struct base_model *m, const struct kernels *k, int height, int width, int n_extra, int steps,
                       float guidance, struct pace *pace, struct cost *c, struct err *e);
size_t sampler_bytes(const struct base_model *m, int height, int width, int n_extra);      /* of a sampler, beside its arenas */
enum code clip_image_cost(const struct clip_model *m, const struct kernels *k, struct pace *pace, struct cost *c, struct err *e);
enum code clip_text_cost(const struct clip_model *m, const struct kernels *k, struct pace *pace, struct cost *c, struct err *e);

#endif
