/* latents.c - pictures to VAE moments, shared over ranks. */
#include "pipeline/method/latents.h"

#include "base/arena.h"
#include "pipeline/model/runner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t moment_count(const struct latents *l)
{
    return (size_t)l->h * (size_t)l->w * 2 * (size_t)l->channels;
}

size_t latents_count(const struct latents *l)
{
    return moment_count(l) / 2;
}

static void mirror(const uint8_t *rgb, int side, uint8_t *out)
{
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++)
            memcpy(out + ((size_t)y * (size_t)side + (size_t)x) * 3,
                   rgb + ((size_t)y * (size_t)side + (size_t)(side - 1 - x)) * 3, 3);
}

/* Pictures rank, rank + size, ... into mine, one after another. */
static enum code encode_mine(const struct latents *l, const struct task *t, struct picture_set p,
                             float *mine, struct err *e)
{
    size_t bytes = (size_t)p.side * (size_t)p.side * 3, slot = 0;
    uint8_t *flipped = mem_alloc(bytes, 1);
    enum code rc = flipped ? OK : err_set(e, ERR_NOMEM, "out of memory encoding pictures");
    for (int job = t->ranks->rank; !rc && job < l->n * l->mirrors; job += t->ranks->size, slot++) {
        const uint8_t *rgb = p.rgb + (size_t)(job / l->mirrors) * bytes;
        if (job % l->mirrors) mirror(rgb, p.side, flipped);
        rc = image_moments(t->model, t->kernels, job % l->mirrors ? flipped : rgb, 1, p.side,
                           p.side, mine + slot * moment_count(l), e);
    }
    free(flipped);
    return rc;
}

size_t latents_bytes(const struct latents *l)
{
    return (size_t)l->n * (size_t)l->mirrors * moment_count(l) * sizeof(float);
}

void latents_size(struct latents *l, const struct task *t, struct picture_set p, int mirrors,
                  int *mine, size_t *gathering)
{
    int size = t->ranks->size;
    *l = (struct latents){.n = p.n, .mirrors = mirrors, .channels = t->model->vae.latent_channels};
    l->h = l->w = p.side / vae_factor(&t->model->vae);
    *mine = (p.n * mirrors + size - 1) / size;
    *gathering = (size_t)*mine * (1 + (size_t)size) * moment_count(l) * sizeof(float);
}

enum code latents_make(struct latents *l, const struct task *t, struct picture_set p, int mirrors,
                       struct err *e)
{
    int n_mine, size = t->ranks->size;
    size_t gathering;
    latents_size(l, t, p, mirrors, &n_mine, &gathering);
    size_t count = moment_count(l), jobs = (size_t)p.n * (size_t)mirrors, per_rank = (size_t)n_mine;
    if (!jobs) return OK;
    float *mine = mem_alloc(per_rank * count, sizeof *mine);
    float *all = mem_alloc(per_rank * count * (size_t)size, sizeof *all);
    l->moments = mem_alloc(jobs * count, sizeof *l->moments);
    enum code rc = mine && all && l->moments
                       ? OK
                       : err_set(e, ERR_NOMEM, "out of memory for %zu latents", jobs);
    if (!rc) rc = encode_mine(l, t, p, mine, e);
    rc = collectives_agree(t->ranks, rc, e);
    if (!rc) rc = t->ranks->gather(t->ranks, mine, per_rank * count * sizeof *mine, all, e);
    for (size_t j = 0; !rc && j < jobs; j++) {
        size_t at = (j % (size_t)size) * per_rank + j / (size_t)size;
        memcpy(l->moments + j * count, all + at * count, count * sizeof *all);
    }
    free(mine);
    free(all);
    if (rc) latents_fini(l);
    return rc;
}

void latents_fini(struct latents *l)
{
    free(l->moments);
    *l = (struct latents){0};
}

void latents_draw(const struct latents *l, const struct vae_config *c, int i, int k,
                  const float *noise, float *out)
{
    size_t L = (size_t)l->channels, cells = (size_t)l->h * (size_t)l->w;
    const float *moments =
        l->moments + ((size_t)i * (size_t)l->mirrors + (size_t)k) * moment_count(l);
    for (size_t cell = 0; cell < cells; cell++)
        for (size_t j = 0; j < L; j++) {
            float mean = moments[cell * 2 * L + j], logvar = moments[cell * 2 * L + L + j];
            float z = mean + expf(0.5f * logvar) * noise[cell * L + j];
            out[cell * L + j] = (z - c->shift_factor) * c->scaling_factor;
        }
}
