/* latents.h - the training pictures as VAE moments, computed once: images of the concept (and their mirror images) and class
 * images of the prior. The work is split over ranks by picture and gathered, so every rank holds all of them.
 */
#ifndef METHOD_LATENTS_H
#define METHOD_LATENTS_H

#include "pipeline/method/method.h"

struct latents {
    float *moments;            /* owned, [n][mirrors][h][w][2L]: mean, log-variance */
    int n, mirrors;            /* mirrors: 1, or 2 with the left-right mirror image second */
    int h, w, channels;        /* of a latent; channels = L */
};

enum code latents_make(struct latents *l, const struct task *t, struct picture_set pictures, int mirrors, struct err *e);
/* The sizes alone, for plans: moments stays NULL. *mine: how many this rank would encode; *gathering: bytes that are there
 * beside the moments until all ranks have them. */
void latents_size(struct latents *l, const struct task *t, struct picture_set pictures, int mirrors, int *mine, size_t *gathering);
void latents_fini(struct latents *l);
size_t latents_bytes(const struct latents *l);                      /* of all moments */
size_t latents_count(const struct latents *l);                      /* floats of one latent, h*w*L */

/* (mean + exp(logvar / 2) * noise - shift) * scale of picture i, mirror k. noise and out [h][w][L]. */
void latents_draw(const struct latents *l, const struct vae_config *c, int i, int k, const float *noise, float *out);

#endif
