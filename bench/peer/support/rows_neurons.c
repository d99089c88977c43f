/* rows_neurons.c - rows of personalization: neurons from prompts, and training steps one after another. */
#include "bench/peer/support/rows.h"

#include "pipeline/method/adam.h"
#include "pipeline/model/loss.h"
#include "pipeline/neurons/score.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- score: text states of P prompts -> the neurons that all of them use ---- */

struct scoring {
    int P, T, D;
    float *states, *w0;
    double *norms;
    struct mask general;
};

static enum code score_open(struct row *r, struct err *e)
{
    int64_t dim[3] = {-1, -1, r->m->text.hidden};
    float *states;
    struct scoring *s;
    enum code rc = part_floats(&r->part, "states", 3, dim, &states, e);
    if (rc) return rc;
    if (!(s = r->state = row_alloc(r, 1, sizeof *s, e))) return e->code;
    *s = (struct scoring){.P = (int)dim[0], .T = (int)dim[1], .D = (int)dim[2], .states = states};
    s->norms = row_alloc(r, (size_t)s->P * (size_t)s->D, sizeof *s->norms, e);
    if (!s->norms || !(s->w0 = row_kv(r, e))) return e->code;
    return mask_init(&s->general, r->m->kv.n_weights, e);
}

static enum code score_run(struct row *r, struct err *e)
{
    struct scoring *s = r->state;
    struct score_options o = {.fraction = 0.30};
    struct collectives one = collectives_single();
    for (int p = 0; p < s->P; p++)
        score_norms(&o, s->states + (size_t)p * (size_t)s->T * (size_t)s->D, s->T, s->D, s->T,
                    s->norms + (size_t)p * (size_t)s->D);
    return score_common(&r->m->kv, s->w0, &o, s->norms, s->P, s->D, 1.0, &one, &s->general, e);
}

static enum code score_give(struct row *r, struct err *e)
{
    struct scoring *s = r->state;
    enum code rc = OK;
    for (int i = 0; !rc && i < r->m->kv.n; i++) {
        const struct kv_matrix *k = &r->m->kv.matrix[i];
        size_t n = (size_t)(k->rows * k->cols);
        uint8_t *bits = row_alloc(r, n, 1, e);
        if (!bits) return e->code;
        for (size_t j = 0; j < n; j++) bits[j] = (uint8_t)mask_get(&s->general, k->offset + j);
        rc = part_give(&r->part, STORED_U8, 2, (int64_t[]){k->rows, k->cols}, bits, e, "general.%s",
                       k->name);
    }
    return rc;
}

static void score_close(struct row *r)
{
    mask_fini(&((struct scoring *)r->state)->general);
}

const struct row_kind row_score = {
    {.name = "score", .what = "AND over prompts of the neurons that each uses"},
    score_open,
    score_run,
    score_give,
    score_close};

/* ---- step: forward, backward, clipping, Adam on the masked neurons and the token's row ---- */

struct training {
    int64_t B, T;
    size_t latent, D, n; /* floats of a latent, of a row; trained neurons */
    float *noisy, *target, *weight, *kv, *row, *d_row;
    int32_t *t, *ids;
    uint32_t *at; /* owned: positions of the trained neurons */
    float *w, *d_w;
    struct adam neurons, token;
    int64_t step;
    struct loss_graph *loss;
    float last_loss, last_norm;
};

static enum code mask_read(struct row *r, struct training *s, struct err *e)
{
    struct mask mask;
    enum code rc = mask_init(&mask, r->m->kv.n_weights, e);
    for (int i = 0; !rc && i < r->m->kv.n; i++) {
        const struct kv_matrix *k = &r->m->kv.matrix[i];
        int64_t dim[2] = {k->rows, k->cols};
        char name[160];
        float *bits;
        snprintf(name, sizeof name, "mask.%s", k->name);
        rc = part_floats(&r->part, name, 2, dim, &bits, e);
        for (int64_t j = 0; !rc && j < k->rows * k->cols; j++)
            if (bits[j] > 0) mask_set(&mask, k->offset + (size_t)j);
    }
    if (!rc) rc = mask_positions(&mask, &s->at, &s->n, e);
    mask_fini(&mask);
    return rc;
}

/* x_t and target of every sample, in place of latent and noise. */
static void add_noise(const struct base_model *m, struct training *s)
{
    for (int64_t b = 0; b < s->B; b++) {
        float *x = s->noisy + (size_t)b * s->latent, *noise = s->target + (size_t)b * s->latent;
        float *mixed = malloc(2 * s->latent * sizeof *mixed);
        if (!mixed) abort();
        schedule_add_noise(&m->schedule, s->t[b], x, noise, mixed, s->latent);
        schedule_target(&m->schedule, s->t[b], x, noise, mixed + s->latent, s->latent);
        for (size_t i = 0; i < s->latent; i++) {
            x[i] = mixed[i];
            noise[i] = mixed[s->latent + i];
        }
        free(mixed);
    }
}

static enum code optimiser_open(struct row *r, struct training *s, struct err *e)
{
    double b1 = part_number(&r->part, "betas", 0), b2 = part_number(&r->part, "betas", 1),
           eps = part_number(&r->part, "eps", 0);
    s->neurons =
        (struct adam){part_number(&r->part, "lr_neuron", 0), b1, b2, eps, s->n, NULL, NULL};
    s->token = (struct adam){part_number(&r->part, "lr_token", 0), b1, b2, eps, s->D, NULL, NULL};
    if (!(s->neurons.m = row_alloc(r, s->n, sizeof(float), e)) ||
        !(s->neurons.v = row_alloc(r, s->n, sizeof(float), e)) ||
        !(s->token.m = row_alloc(r, s->D, sizeof(float), e)) ||
        !(s->token.v = row_alloc(r, s->D, sizeof(float), e)) ||
        !(s->w = row_alloc(r, s->n, sizeof(float), e)) ||
        !(s->d_w = row_alloc(r, s->n, sizeof(float), e)) ||
        !(s->d_row = row_alloc(r, s->D, sizeof(float), e)) || !(s->kv = row_kv(r, e)))
        return e->code;
    for (size_t i = 0; i < s->n; i++) s->w[i] = s->kv[s->at[i]];
    return OK;
}

static enum code step_open(struct row *r, struct err *e)
{
    const struct base_model *m = r->m;
    int64_t dim[4] = {-1, m->unet.in_channels, -1, -1}, row_dim[1] = {m->text.hidden};
    struct training *s = r->state = row_alloc(r, 1, sizeof *s, e);
    if (!s) return e->code;
    int64_t ids_dim[2] = {-1, -1};
    enum code rc = part_image(&r->part, "latent", dim, &s->noisy, e);
    if (!rc) rc = part_image(&r->part, "noise", dim, &s->target, e);
    ids_dim[0] = s->B = dim[0];
    if (!rc) rc = part_ints(&r->part, "timestep", 1, dim, 0, 999, &s->t, e);
    if (!rc) rc = part_ints(&r->part, "input_ids", 2, ids_dim, 0, m->text.vocab, &s->ids, e);
    if (!rc) rc = part_floats(&r->part, "token_row", 1, row_dim, &s->row, e);
    if (!rc) rc = mask_read(r, s, e);
    s->T = ids_dim[1];
    s->D = (size_t)m->text.hidden;
    s->latent = (size_t)(dim[1] * dim[2] * dim[3]);
    if (!rc) rc = optimiser_open(r, s, e);
    if (rc) return rc;
    add_noise(m, s);
    struct loss_shape shape = {
        .h = (int)dim[2], .w = (int)dim[3], .length = (int)s->T, .n_extra = 1};
    if ((rc = loss_make(&s->loss, m, r->part.kernels, &shape, s->kv, s->row, e))) return rc;
    r->planned = loss_peak(s->loss);
    r->flops = (double)s->B * loss_flops(s->loss);
    return OK;
}

/* The neurons' gradients lie matrix after matrix, their positions ascend: one pass over both. */
static void gather(const struct kv_layout *l, const struct loss_outputs *o, struct training *s)
{
    size_t i = 0;
    for (int k = 0; k < l->n; k++) {
        const struct kv_matrix *w = &l->matrix[k];
        size_t end = w->offset + (size_t)(w->rows * w->cols);
        for (; i < s->n && s->at[i] < end; i++) s->d_w[i] += o->d_kv[k][s->at[i] - w->offset];
    }
    for (size_t j = 0; j < s->D; j++) s->d_row[j] += o->d_extra[j];
}

static enum code step_run(struct row *r, struct err *e)
{
    struct training *s = r->state;
    struct loss_outputs o;
    s->last_loss = 0;
    for (size_t i = 0; i < s->n; i++) s->d_w[i] = 0;
    for (size_t j = 0; j < s->D; j++) s->d_row[j] = 0;
    for (int64_t b = 0; b < s->B; b++) {
        struct loss_sample sample = {.noisy = s->noisy + (size_t)b * s->latent,
                                     .target = s->target + (size_t)b * s->latent,
                                     .t = s->t[b],
                                     .ids = s->ids + b * s->T,
                                     .weight = 1.0f / (float)s->B};
        enum code rc = loss_run(s->loss, &sample, &o, e);
        if (rc) return rc;
        s->last_loss += o.loss;
        gather(&r->m->kv, &o, s);
    }
    double norm2 = adam_norm2(s->d_w, s->n) + adam_norm2(s->d_row, s->D);
    double scale = adam_clip(part_number(&r->part, "clip", 0), norm2);
    s->last_norm = (float)sqrt(norm2);
    s->step++;
    adam_step(&s->neurons, s->step, scale, s->d_w, s->w);
    adam_step(&s->token, s->step, scale, s->d_row, s->row);
    for (size_t i = 0; i < s->n; i++) s->kv[s->at[i]] = s->w[i];
    return OK;
}

static enum code step_give(struct row *r, struct err *e)
{
    struct training *s = r->state;
    int64_t one = 1, D = (int64_t)s->D;
    enum code rc = part_give(&r->part, STORED_F32, 1, &one, &s->last_loss, e, "loss");
    if (!rc) rc = part_give(&r->part, STORED_F32, 1, &one, &s->last_norm, e, "grad_norm");
    if (!rc) rc = part_give(&r->part, STORED_F32, 1, &D, s->row, e, "token_row");
    return rc;
}

static void step_close(struct row *r)
{
    struct training *s = r->state;
    loss_free(s->loss);
    free(s->at);
}

const struct row_kind row_step = {
    {.name = "step",
     .what = "one personalization step after another",
     .option = {{"lr_token", 1, {5e-4}, "Adam's rate for the row"},
                {"lr_neuron", 1, {3e-5}, "Adam's rate for neurons"},
                {"betas", 2, {0.9, 0.999}, "Adam's"},
                {"eps", 1, {1e-8}, "Adam's"},
                {"clip", 1, {1.0}, "global gradient norm limit, 0: none"}}},
    step_open,
    step_run,
    step_give,
    step_close};
