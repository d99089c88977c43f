/* parts_cns.c - neurons and one training step on given tensors (tests/golden/README.md). */
#include "pipeline/method/parts_cns.h"

#include "pipeline/method/adam.h"
#include "pipeline/model/runner.h"
#include "pipeline/neurons/score.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum code no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "out of memory running a part");
}

static enum code read_w0(struct part_run *r, const struct base_model *m, float **out, struct err *e)
{
    *out = arena_alloc(&r->arena, (m->kv.n_weights + 1) * sizeof **out);
    return *out ? kv_read(&m->kv, m->unet_weights, *out, e) : no_memory(e);
}

/* ---- score ------------------------------------------------------------------------------------------------------- */

static enum code give_masks(struct part_run *r, const struct base_model *m, const struct mask *mask,
                            int64_t P, const struct mask *general, struct err *e)
{
    enum code rc = OK;
    for (int i = 0; !rc && i < m->kv.n; i++) {
        const struct kv_matrix *k = &m->kv.matrix[i];
        size_t n = (size_t)(k->rows * k->cols);
        uint8_t *bytes = arena_alloc(&r->arena, n * ((size_t)P + 1) + 1);
        if (!bytes) return no_memory(e);
        for (int64_t p = 0; p <= P; p++) {
            const struct mask *from = p < P ? &mask[p] : general;
            for (size_t j = 0; j < n; j++)
                bytes[(size_t)p * n + j] = (uint8_t)mask_get(from, k->offset + j);
        }
        rc = part_give(r, STORED_U8, 3, (int64_t[]){P, k->rows, k->cols}, bytes, e, "mask.%s",
                       k->name);
        if (!rc)
            rc = part_give(r, STORED_U8, 2, (int64_t[]){k->rows, k->cols}, bytes + (size_t)P * n, e,
                           "general.%s", k->name);
    }
    return rc;
}

/* Norms, one mask per prompt, and their AND by the very function that training uses. */
static enum code score_all(struct part_run *r, const struct base_model *m, const int32_t *ids,
                           int64_t P, int64_t T, struct mask *mask, struct mask *general,
                           struct err *e)
{
    int D = m->text.hidden;
    float *states = arena_alloc(&r->arena, (size_t)(P * T) * (size_t)D * sizeof *states), *w0;
    double *norms = arena_alloc(&r->arena, (size_t)P * (size_t)D * sizeof *norms);
    struct score_options o = {.fraction = part_number(r, "fraction", 0)};
    struct collectives one = collectives_single();
    if (!states || !norms) return no_memory(e);
    enum code rc = read_w0(r, m, &w0, e);
    if (!rc) rc = text_states(m, r->kernels, ids, (int)P, (int)T, NULL, 0, states, e);
    for (int64_t p = 0; !rc && p < P; p++)
        score_norms(&o, states + (size_t)(p * T) * (size_t)D, (int)T, D, (int)T,
                    norms + (size_t)p * (size_t)D);
    for (int64_t p = 0; !rc && p < P; p++) rc = mask_init(&mask[p], m->kv.n_weights, e);
    if (!rc) rc = mask_init(general, m->kv.n_weights, e);
    if (!rc) rc = score_prompts(&m->kv, w0, &o, norms, (int)P, D, mask, e);
    if (!rc) rc = score_common(&m->kv, w0, &o, norms, (int)P, D, 1.0, &one, general, e);
    return rc;
}

static enum code run_score(struct part_run *r, struct err *e)
{
    struct base_model *m;
    struct mask general = {0}, *mask = NULL;
    int64_t dim[2] = {-1, -1};
    int32_t *ids;
    enum code rc = base_model_open(&m, r->model, e);
    if (rc) return rc;
    rc = part_ints(r, "input_ids", 2, dim, 0, m->text.vocab - 1, &ids, e);
    if (!rc && !(mask = arena_alloc(&r->arena, (size_t)dim[0] * sizeof *mask))) rc = no_memory(e);
    if (!rc) rc = score_all(r, m, ids, dim[0], dim[1], mask, &general, e);
    if (!rc) rc = give_masks(r, m, mask, dim[0], &general, e);
    for (int64_t p = 0; mask && p < dim[0]; p++) mask_fini(&mask[p]);
    mask_fini(&general);
    base_model_close(m);
    return rc;
}

/* ---- step -------------------------------------------------------------------------------------------------------- */

struct list {
    uint32_t *at;
    size_t n;
    float *w, *grad, *m, *v;
};

static enum code read_mask(struct part_run *r, const struct base_model *m, struct mask *out,
                           struct err *e)
{
    enum code rc = mask_init(out, m->kv.n_weights, e);
    for (int i = 0; !rc && i < m->kv.n; i++) {
        const struct kv_matrix *k = &m->kv.matrix[i];
        int64_t dim[2] = {k->rows, k->cols};
        char name[160];
        int32_t *bits;
        snprintf(name, sizeof name, "mask.%s", k->name);
        rc = part_ints(r, name, 2, dim, 0, 1, &bits, e);
        for (int64_t j = 0; !rc && j < k->rows * k->cols; j++)
            if (bits[j]) mask_set(out, k->offset + (size_t)j);
    }
    return rc;
}

static enum code make_list(struct part_run *r, const struct mask *mask, const float *kv,
                           const float *d_kv, struct list *l, struct err *e)
{
    enum code rc = mask_positions(mask, &l->at, &l->n, e);
    if (rc) return rc;
    float **four[] = {&l->w, &l->grad, &l->m, &l->v};
    for (int i = 0; i < 4; i++)
        if (!(*four[i] = arena_alloc(&r->arena, (l->n + 1) * sizeof(float)))) return no_memory(e);
    for (size_t i = 0; i < l->n; i++) {
        l->w[i] = kv[l->at[i]];
        l->grad[i] = d_kv[l->at[i]];
    }
    return OK;
}

static enum code give_step(struct part_run *r, const struct base_model *m,
                           const struct part_loss *l, float norm, const float *kv, const float *row,
                           struct err *e)
{
    enum code rc = part_give(r, STORED_F32, 1, (int64_t[]){1}, &l->loss, e, "loss");
    if (!rc) rc = part_give(r, STORED_F32, 1, &l->B, l->per_sample, e, "loss_per_sample");
    if (!rc) rc = part_give(r, STORED_F32, 1, (int64_t[]){1}, &norm, e, "grad_norm");
    if (!rc) rc = part_give(r, STORED_F32, 1, (int64_t[]){m->text.hidden}, row, e, "token_row");
    for (int i = 0; !rc && i < m->kv.n; i++) {
        const struct kv_matrix *k = &m->kv.matrix[i];
        rc = part_give(r, STORED_F32, 2, (int64_t[]){k->rows, k->cols}, kv + k->offset, e,
                       "weight.%s", k->name);
    }
    return rc;
}

static enum code step(struct part_run *r, const struct base_model *m, const struct mask *mask,
                      struct list *l, struct err *e)
{
    struct part_loss loss;
    float *kv, *row_m, *row_v;
    size_t D = (size_t)m->text.hidden;
    enum code rc = read_w0(r, m, &kv, e);
    if (!rc) rc = part_loss(r, m, kv, &loss, e);
    if (!rc) rc = make_list(r, mask, kv, loss.d_kv, l, e);
    if (rc) return rc;
    row_m = arena_alloc(&r->arena, D * sizeof *row_m);
    row_v = arena_alloc(&r->arena, D * sizeof *row_v);
    if (!row_m || !row_v) return no_memory(e);
    double beta1 = part_number(r, "betas", 0), beta2 = part_number(r, "betas", 1),
           eps = part_number(r, "eps", 0);
    struct adam neurons = {part_number(r, "lr_neuron", 0), beta1, beta2, eps, l->n, l->m, l->v};
    struct adam token = {part_number(r, "lr_token", 0), beta1, beta2, eps, D, row_m, row_v};
    double norm2 = adam_norm2(l->grad, l->n) + adam_norm2(loss.d_row, D);
    double scale = adam_clip(part_number(r, "clip", 0), norm2);
    adam_step(&neurons, 1, scale, l->grad, l->w);
    adam_step(&token, 1, scale, loss.d_row, loss.row);
    for (size_t i = 0; i < l->n; i++) kv[l->at[i]] = l->w[i];
    return give_step(r, m, &loss, (float)sqrt(norm2), kv, loss.row, e);
}

static enum code run_step(struct part_run *r, struct err *e)
{
    struct base_model *m;
    struct mask mask = {0};
    struct list l = {0};
    enum code rc = base_model_open(&m, r->model, e);
    if (rc) return rc;
    rc = read_mask(r, m, &mask, e);
    if (!rc) rc = step(r, m, &mask, &l, e);
    free(l.at);
    mask_fini(&mask);
    base_model_close(m);
    return rc;
}

static const struct part PARTS[] = {
    {.name = "score",
     .what = "the neurons that each prompt uses, and those that all use (paper, equations 3 and 5)",
     .in = {{"input_ids", "[P,T] I64", "token ids of P prompts"}},
     .out = {{"mask.NAME", "[P,out,in] U8", "one per cross-attention K and V weight"},
             {"general.NAME", "[out,in] U8", "AND over prompts"}},
     .option = {{"fraction", 1, {0.30}, "share of a row that is selected"}},
     .run = run_score},
    {.name = "step",
     .what = "one personalization step: loss, gradients, clipping and Adam on the masked neurons "
             "and the token's row",
     .in = {{"latent, noise", "[B,c,h,w]", "clean scaled latent, and its noise"},
            {"timestep, weight", "[B]", "I64; weight of each sample"},
            {"input_ids", "[B,T] I64", ""},
            {"token_row", "[D]", "row of the added token"},
            {"token_id", "[1] I64", "its id, the vocabulary's size"},
            {"mask.NAME", "[out,in] U8", "the concept's neurons"}},
     .out = {{"loss, grad_norm", "[1]", ""},
             {"loss_per_sample", "[B]", ""},
             {"token_row", "[D]", "after the step"},
             {"weight.NAME", "[out,in]", "after the step"}},
     .option = {{"lr_token", 1, {5e-4}, "Adam's rate for the row"},
                {"lr_neuron", 1, {3e-5}, "Adam's rate for neurons"},
                {"betas", 2, {0.9, 0.999}, "Adam's"},
                {"eps", 1, {1e-8}, "Adam's"},
                {"clip", 1, {1.0}, "global gradient norm limit, 0: none"},
                {"detach_bos", 1, {1}, "no gradient through the start token's K and V"}},
     .run = run_step},
};

const struct part_table parts_cns = {PARTS, sizeof PARTS / sizeof PARTS[0]};
