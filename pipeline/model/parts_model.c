/* parts_model.c - the parts of a base model and of its CLIP, each run once on the batch it is given.
 * B batch, C channels, H W space, c h w latent, T tokens, D text width, P projection. */
#include "pipeline/model/loss.h"
#include "pipeline/model/networks.h"
#include "pipeline/model/parts.h"
#include "pipeline/model/runner.h"

#include <stdio.h>
#include <string.h>

struct binding {
    struct value input;
    const void *data;
};

static enum code no_memory(struct err *e)
{
    err_set(e, ERR_NOMEM, "no memory to run a part");
    return ERR_NOMEM; /* said aloud: the analyser does not know what err_set returns */
}

/* Runs a graph once and copies `out` into the arena. Takes the graph, also on failure. */
static enum code run_once(struct part_run *r, struct graph *g, struct value out,
                          const struct binding *in, int n, float **result, struct err *e)
{
    struct exec *x;
    graph_keep(g, out);
    size_t bytes = (size_t)shape_count(graph_shape(g, out)) * sizeof **result;
    enum code rc = exec_open(&x, g, r->kernels, e);
    if (rc) {
        graph_free(g);
        return rc;
    }
    for (int i = 0; i < n; i++) exec_bind(x, in[i].input, in[i].data);
    if (!(rc = exec_run(x, e)) && !(*result = arena_copy(&r->arena, exec_data(x, out), bytes)))
        rc = no_memory(e);
    exec_close(x);
    return rc;
}

/* ---- text, unet ---- */

static enum code text(struct part_run *r, struct err *e)
{
    struct base_model *m;
    int64_t ids_dim[2] = {-1, -1};
    int32_t *ids;
    enum code rc = base_model_open(&m, r->model, e);
    if (rc) return rc;
    if (!(rc = part_ints(r, "input_ids", 2, ids_dim, 0, m->text.vocab - 1, &ids, e))) {
        int64_t dim[3] = {ids_dim[0], ids_dim[1], m->text.hidden};
        float *states = arena_alloc(&r->arena, (size_t)(dim[0] * dim[1] * dim[2]) * sizeof *states);
        if (!states) rc = no_memory(e);
        if (!rc) rc = text_states(m, r->kernels, ids, (int)dim[0], (int)dim[1], NULL, 0, states, e);
        if (!rc) rc = part_give(r, STORED_F32, 3, dim, states, e, "last_hidden_state");
    }
    base_model_close(m);
    return rc;
}

/* The checkpoint's own K/V weights. */
static enum code base_kv(struct part_run *r, const struct base_model *m, float **kv, struct err *e)
{
    *kv = arena_alloc(&r->arena, m->kv.n_weights * sizeof **kv);
    return *kv ? kv_read(&m->kv, m->unet_weights, *kv, e) : no_memory(e);
}

struct unet_inputs {
    int64_t dim[4], text_dim[3];
    float *sample, *time, *hidden;
};

static enum code unet_read(struct part_run *r, const struct base_model *m, struct unet_inputs *in,
                           struct err *e)
{
    float *t;
    *in = (struct unet_inputs){.dim = {-1, m->unet.in_channels, -1, -1},
                               .text_dim = {-1, -1, m->unet.cross_attention_dim}};
    enum code rc = part_image(r, "sample", in->dim, &in->sample, e);
    in->text_dim[0] = in->dim[0];
    if (!rc) rc = part_floats(r, "timestep", 1, &in->dim[0], &t, e);
    if (!rc) rc = part_floats(r, "encoder_hidden_states", 3, in->text_dim, &in->hidden, e);
    if (rc) return rc;
    int C0 = m->unet.channels[0];
    in->time = arena_alloc(&r->arena, (size_t)in->dim[0] * (size_t)C0 * sizeof *in->time);
    if (!in->time) return no_memory(e);
    for (int64_t b = 0; b < in->dim[0]; b++) unet_time(&m->unet, (double)t[b], in->time + b * C0);
    return OK;
}

static enum code unet_run(struct part_run *r, const struct base_model *m, struct err *e)
{
    struct unet_inputs in;
    struct graph *g;
    float *flat, *result;
    struct value *kv = arena_alloc(&r->arena, (size_t)m->kv.n * sizeof *kv);
    struct value *weight = arena_alloc(&r->arena, (size_t)m->kv.n * sizeof *weight);
    if (!kv || !weight) return no_memory(e);
    enum code rc = unet_read(r, m, &in, e);
    if (!rc) rc = base_kv(r, m, &flat, e);
    if (rc || (rc = graph_make(&g, e))) return rc;

    int64_t B = in.dim[0], H = in.dim[2], W = in.dim[3];
    struct value sample = graph_input(g, "sample", DTYPE_F32, SHAPE(B, H, W, m->unet.in_channels));
    struct value time = graph_input(g, "time", DTYPE_F32, SHAPE(B, m->unet.channels[0]));
    struct value hidden =
        graph_input(g, "hidden", DTYPE_F32, SHAPE(B, in.text_dim[1], in.text_dim[2]));
    for (int i = 0; i < m->kv.n; i++) {
        const struct kv_matrix *w = &m->kv.matrix[i];
        weight[i] = graph_param(g, w->name, SHAPE(w->rows, w->cols), flat + w->offset);
    }
    unet_project(g, &m->kv, hidden, weight, VALUE_NONE, 0, kv);
    struct value out = unet_build(g, &m->unet, m->unet_weights, sample, time, kv);
    struct binding bind[] = {{sample, in.sample}, {time, in.time}, {hidden, in.hidden}};
    if ((rc = run_once(r, g, out, bind, 3, &result, e))) return rc;
    return part_give_image(r, (int64_t[]){B, m->unet.out_channels, H, W}, result, e, "sample");
}

static enum code unet(struct part_run *r, struct err *e)
{
    struct base_model *m;
    enum code rc = base_model_open(&m, r->model, e);
    if (rc) return rc;
    rc = unet_run(r, m, e);
    base_model_close(m);
    return rc;
}

/* ---- the VAE ---- */

typedef struct value vae_build(struct graph *g, const struct vae_config *c, struct weights *w,
                               struct value in);

/* Reads an image of C channels, runs `build` on it; dim becomes that of the result, [N,C,H,W]. */
static enum code vae_run(struct part_run *r, const struct base_model *m, const char *name,
                         int64_t C, vae_build *build, int64_t dim[4], float **result, struct err *e)
{
    struct graph *g;
    float *image;
    int64_t in_dim[4] = {-1, C, -1, -1};
    enum code rc = part_image(r, name, in_dim, &image, e);
    if (rc || (rc = graph_make(&g, e))) return rc;
    struct value in = graph_input(g, name, DTYPE_F32, SHAPE(in_dim[0], in_dim[2], in_dim[3], C));
    struct value out = build(g, &m->vae, m->vae_weights, in);
    struct shape s = graph_shape(g, out);
    memcpy(dim, (int64_t[]){s.dim[0], s.dim[3], s.dim[1], s.dim[2]}, 4 * sizeof *dim);
    return run_once(r, g, out, &(struct binding){in, image}, 1, result, e);
}

/* Moments [N,h,w,2L] parted into mean and clamped log-variance. */
static enum code give_moments(struct part_run *r, const int64_t dim[4], const float *moments,
                              struct err *e)
{
    int64_t L = dim[1] / 2, pixels = dim[0] * dim[2] * dim[3],
            half[4] = {dim[0], L, dim[2], dim[3]};
    float *mean = arena_alloc(&r->arena, (size_t)(pixels * L) * sizeof *mean);
    float *logvar = arena_alloc(&r->arena, (size_t)(pixels * L) * sizeof *logvar);
    if (!mean || !logvar) return no_memory(e);
    for (int64_t p = 0; p < pixels; p++)
        for (int64_t c = 0; c < L; c++) {
            float v = moments[p * 2 * L + L + c];
            mean[p * L + c] = moments[p * 2 * L + c];
            logvar[p * L + c] = v < -30.0f ? -30.0f : v > 20.0f ? 20.0f : v;
        }
    enum code rc = part_give_image(r, half, mean, e, "mean");
    return rc ? rc : part_give_image(r, half, logvar, e, "logvar");
}

static enum code vae_encode(struct part_run *r, struct err *e)
{
    struct base_model *m;
    int64_t dim[4];
    float *moments;
    enum code rc = base_model_open(&m, r->model, e);
    if (rc) return rc;
    rc = vae_run(r, m, "image", m->vae.in_channels, vae_encode_build, dim, &moments, e);
    if (!rc) rc = give_moments(r, dim, moments, e);
    base_model_close(m);
    return rc;
}

static enum code vae_decode(struct part_run *r, struct err *e)
{
    struct base_model *m;
    int64_t dim[4];
    float *image;
    enum code rc = base_model_open(&m, r->model, e);
    if (rc) return rc;
    rc = vae_run(r, m, "latent", m->vae.latent_channels, vae_decode_build, dim, &image, e);
    if (!rc) rc = part_give_image(r, dim, image, e, "image");
    base_model_close(m);
    return rc;
}

/* ---- CLIP ---- */

static enum code clip_open(struct part_run *r, struct clip_model **m, struct err *e)
{
    char dir[4200];
    enum code rc = base_model_clip_path(r->model, dir, sizeof dir, e);
    return rc ? rc : clip_model_open(m, dir, e);
}

/* Where the text ends, by the rule of the reference: the largest id if the file says eos 2 (as old files do, wrongly), else
 * the first eos. Evaluation does not need it: it asks the tokenizer. */
static int32_t end_of(const struct clip_text_config *c, const int32_t *ids, int64_t T)
{
    int32_t largest = 0;
    for (int32_t t = 0; t < T; t++) {
        if (c->eos_id != 2 && ids[t] == c->eos_id) return t;
        if (ids[t] > ids[largest]) largest = t;
    }
    return c->eos_id == 2 ? largest : 0;
}

static enum code clip_text_run(struct part_run *r, const struct clip_model *m, struct err *e)
{
    struct graph *g;
    int64_t dim[2] = {-1, -1};
    int32_t *ids;
    float *result;
    enum code rc = part_ints(r, "input_ids", 2, dim, 0, m->text.vocab - 1, &ids, e);
    if (rc) return rc;
    int32_t *ends = arena_alloc(&r->arena, (size_t)dim[0] * sizeof *ends);
    if (!ends) return no_memory(e);
    for (int64_t b = 0; b < dim[0]; b++) ends[b] = end_of(&m->text, ids + b * dim[1], dim[1]);
    if ((rc = graph_make(&g, e))) return rc;
    struct value in = graph_input(g, "input_ids", DTYPE_I32, SHAPE(dim[0], dim[1]));
    struct value end = graph_input(g, "end", DTYPE_I32, SHAPE(dim[0]));
    struct value hidden = clip_text_build(g, &m->text, m->weights, in, VALUE_NONE);
    struct value out = clip_text_feature(g, &m->text, m->weights, hidden, end);
    struct binding bind[] = {{in, ids}, {end, ends}};
    if ((rc = run_once(r, g, out, bind, 2, &result, e))) return rc;
    return part_give(r, STORED_F32, 2, (int64_t[]){dim[0], m->text.projection}, result, e,
                     "text_embeds");
}

static enum code clip_text(struct part_run *r, struct err *e)
{
    struct clip_model *m;
    enum code rc = clip_open(r, &m, e);
    if (rc) return rc;
    rc = clip_text_run(r, m, e);
    clip_model_close(m);
    return rc;
}

static enum code clip_image_run(struct part_run *r, const struct clip_model *m, struct err *e)
{
    struct graph *g;
    int64_t S = m->vision.image_size, dim[4] = {-1, 3, S, S};
    float *pixels, *result;
    enum code rc = part_image(r, "pixel_values", dim, &pixels, e);
    if (rc || (rc = graph_make(&g, e))) return rc;
    struct value in = graph_input(g, "pixel_values", DTYPE_F32, SHAPE(dim[0], S, S, 3));
    struct value out = clip_vision_build(g, &m->vision, m->weights, in);
    if ((rc = run_once(r, g, out, &(struct binding){in, pixels}, 1, &result, e))) return rc;
    return part_give(r, STORED_F32, 2, (int64_t[]){dim[0], m->vision.projection}, result, e,
                     "image_embeds");
}

static enum code clip_image(struct part_run *r, struct err *e)
{
    struct clip_model *m;
    enum code rc = clip_open(r, &m, e);
    if (rc) return rc;
    rc = clip_image_run(r, m, e);
    clip_model_close(m);
    return rc;
}

/* ---- the loss and its gradients ---- */

struct loss_inputs {
    int64_t dim[4], T;
    float *latent, *noise, *weight, *row;
    int32_t *t, *ids;
};

static enum code loss_read(struct part_run *r, const struct base_model *m, struct loss_inputs *in,
                           struct err *e)
{
    int32_t vocab = m->text.vocab, *token;
    int64_t ids_dim[2] = {-1, -1}, row_dim[1] = {m->text.hidden}, one[1] = {1};
    *in = (struct loss_inputs){.dim = {-1, m->unet.in_channels, -1, -1}};
    enum code rc = part_image(r, "latent", in->dim, &in->latent, e);
    if (!rc) rc = part_image(r, "noise", in->dim, &in->noise, e);
    ids_dim[0] = in->dim[0];
    if (!rc)
        rc = part_ints(r, "timestep", 1, in->dim, 0, m->schedule.config.train_steps - 1, &in->t, e);
    if (!rc) rc = part_ints(r, "token_id", 1, one, vocab, vocab, &token, e);
    if (!rc) rc = part_ints(r, "input_ids", 2, ids_dim, 0, vocab, &in->ids, e);
    if (!rc) rc = part_floats(r, "token_row", 1, row_dim, &in->row, e);
    if (!rc) rc = part_floats(r, "weight", 1, in->dim, &in->weight, e);
    in->T = ids_dim[1];
    return rc;
}

static void gather(const struct base_model *m, const struct loss_outputs *o, struct part_loss *out)
{
    for (int i = 0; i < m->kv.n; i++) {
        const struct kv_matrix *w = &m->kv.matrix[i];
        for (int64_t j = 0; j < w->rows * w->cols; j++)
            out->d_kv[w->offset + (size_t)j] += o->d_kv[i][j];
    }
    for (int j = 0; j < m->text.hidden; j++) out->d_row[j] += o->d_extra[j];
}

enum code part_loss(struct part_run *r, const struct base_model *m, const float *kv,
                    struct part_loss *out, struct err *e)
{
    struct loss_inputs in;
    struct loss_graph *l;
    struct loss_outputs o;
    enum code rc = loss_read(r, m, &in, e);
    if (rc) return rc;
    size_t n = (size_t)(in.dim[1] * in.dim[2] * in.dim[3]);
    float *noisy = arena_alloc(&r->arena, n * sizeof *noisy),
          *target = arena_alloc(&r->arena, n * sizeof *target);
    *out = (struct part_loss){.B = in.dim[0], .row = in.row};
    out->per_sample = arena_alloc(&r->arena, (size_t)out->B * sizeof *out->per_sample);
    out->d_kv = arena_alloc(&r->arena, m->kv.n_weights * sizeof *out->d_kv);
    out->d_row = arena_alloc(&r->arena, (size_t)m->text.hidden * sizeof *out->d_row);
    if (!noisy || !target || !out->per_sample || !out->d_kv || !out->d_row) return no_memory(e);

    struct loss_shape shape = {.h = (int)in.dim[2],
                               .w = (int)in.dim[3],
                               .length = (int)in.T,
                               .n_extra = 1,
                               .detach_first = part_number(r, "detach_bos", 0) != 0};
    if ((rc = loss_make(&l, m, r->kernels, &shape, kv, in.row, e))) return rc;
    for (int64_t b = 0; !rc && b < out->B; b++) {
        const float *x0 = in.latent + (size_t)b * n, *noise = in.noise + (size_t)b * n;
        schedule_add_noise(&m->schedule, in.t[b], x0, noise, noisy, n);
        schedule_target(&m->schedule, in.t[b], x0, noise, target, n);
        struct loss_sample sample = {.noisy = noisy,
                                     .target = target,
                                     .t = in.t[b],
                                     .ids = in.ids + b * in.T,
                                     .weight = in.weight[b] / (float)out->B};
        if ((rc = loss_run(l, &sample, &o, e))) break;
        out->per_sample[b] = o.error;
        out->loss += o.loss;
        gather(m, &o, out);
    }
    loss_free(l);
    return rc;
}

static enum code loss_give(struct part_run *r, const struct base_model *m,
                           const struct part_loss *l, struct err *e)
{
    int64_t D = m->text.hidden;
    enum code rc = part_give(r, STORED_F32, 1, (int64_t[]){1}, &l->loss, e, "loss");
    if (!rc) rc = part_give(r, STORED_F32, 1, &l->B, l->per_sample, e, "loss_per_sample");
    if (!rc) rc = part_give(r, STORED_F32, 1, &D, l->d_row, e, "grad.token_row");
    for (int i = 0; !rc && i < m->kv.n; i++) {
        const struct kv_matrix *w = &m->kv.matrix[i];
        rc = part_give(r, STORED_F32, 2, (int64_t[]){w->rows, w->cols}, l->d_kv + w->offset, e,
                       "grad.%s", w->name);
    }
    return rc;
}

static enum code loss(struct part_run *r, struct err *e)
{
    struct base_model *m;
    struct part_loss l;
    float *kv;
    enum code rc = base_model_open(&m, r->model, e);
    if (rc) return rc;
    rc = base_kv(r, m, &kv, e);
    if (!rc) rc = part_loss(r, m, kv, &l, e);
    if (!rc) rc = loss_give(r, m, &l, e);
    base_model_close(m);
    return rc;
}

static const struct part list[] = {
    {.name = "text",
     .what = "token ids through the text encoder",
     .run = text,
     .in = {{"input_ids", "[B,T] I64", "token ids"}},
     .out = {{"last_hidden_state", "[B,T,D]", "after the final layer norm"}}},
    {.name = "unet",
     .what = "one prediction of the UNet",
     .run = unet,
     .in = {{"sample", "[B,C,H,W]", "noisy latents"},
            {"timestep", "[B] F32", "may be fractional"},
            {"encoder_hidden_states", "[B,T,D]", "text states"}},
     .out = {{"sample", "[B,C,H,W]", "epsilon or v"}}},
    {.name = "vae-encode",
     .what = "images to the moments of their latents",
     .run = vae_encode,
     .in = {{"image", "[B,3,H,W]", "in [-1,1]"}},
     .out = {{"mean", "[B,c,h,w]", "not scaled"}, {"logvar", "[B,c,h,w]", "clamped to [-30,20]"}}},
    {.name = "vae-decode",
     .what = "latents to images",
     .run = vae_decode,
     .in = {{"latent", "[B,c,h,w]", "divided by scaling_factor already"}},
     .out = {{"image", "[B,3,H,W]", "not clamped"}}},
    {.name = "clip-text",
     .what = "the evaluation feature of texts, by MODEL/clip",
     .run = clip_text,
     .in = {{"input_ids", "[B,T] I64", "token ids"}},
     .out = {{"text_embeds", "[B,P]", "projected, not normalised"}}},
    {.name = "clip-image",
     .what = "the evaluation feature of images, by MODEL/clip",
     .run = clip_image,
     .in = {{"pixel_values", "[B,3,S,S]", "resized and normalised already"}},
     .out = {{"image_embeds", "[B,P]", "projected, not normalised"}}},
    {.name = "loss",
     .what = "the personalization loss and its gradients",
     .run = loss,
     .in = {{"latent", "[B,c,h,w]", "clean, scaled"},
            {"noise", "[B,c,h,w]", "what was added to it"},
            {"timestep", "[B] I64", "how much of it"},
            {"input_ids", "[B,T] I64", "captions; the added token has id token_id"},
            {"token_row", "[D]", "embedding of the added token"},
            {"token_id", "[1] I64", "the size of the vocabulary"},
            {"weight", "[B]", "of each sample"}},
     .out = {{"loss", "[1]", "sum_b weight_b loss_per_sample_b / B"},
             {"loss_per_sample", "[B]", "mean squared errors"},
             {"grad.NAME", "[out,in]", "for every K and V weight NAME"},
             {"grad.token_row", "[D]", "summed over its occurrences"}},
     .option = {{"detach_bos", 1, {1}, "1: no gradient through K and V of the start token"}}},
};
const struct part_table parts_model = {list, sizeof list / sizeof *list};
