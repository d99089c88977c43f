/* runner.c - graphs of the frozen parts, each with batch 1 (2 for guidance), run one text or picture after another.
 *
 * The sampler keeps three graphs: a prompt's K and V; the UNet told K and V as inputs, its batch being
 * [negative, positive]; the decoder. A prompt's K and V are computed once per picture, not once per step.
 * N batch (halves), H W image, h w latent, L latent channels, T tokens, D text width. */
#include "pipeline/model/runner.h"

#include "base/arena.h"
#include "base/philox.h"
#include "pipeline/model/networks.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Like exec_open, but takes the graph whatever happens. */
static enum code open_take(struct exec **x, struct graph *g, const struct kernels *k, struct err *e)
{
    enum code rc = exec_open(x, g, k, e);
    if (rc) graph_free(g);
    return rc;
}

/* A tokenizer that knows more words than the text encoder would read past its table. */
static enum code check_ids(const struct clip_text_config *c, const int32_t *ids, int n, int n_extra,
                           struct err *e)
{
    for (int i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= c->vocab + n_extra)
            return err_set(e, ERR_INPUT,
                           "token id %d at position %d: the text encoder knows ids below %d",
                           ids[i], i, c->vocab + n_extra);
    return OK;
}

static enum code check_side(const struct base_model *m, int height, int width, struct err *e)
{
    int f = vae_factor(&m->vae);
    if (height > 0 && width > 0 && height % f == 0 && width % f == 0) return OK;
    return err_set(e, ERR_INPUT,
                   "an image of %dx%d: this model needs sides that are multiples of %d", width,
                   height, f);
}

/* ---- texts and images, one by one ---- */

/* One input, one result: the graph of one text or one picture. */
struct passage {
    struct graph *g;
    struct value in, out;
};

static enum code text_passage(const struct base_model *m, int length, const float *extra,
                              int n_extra, struct passage *p, struct err *e)
{
    enum code rc = graph_make(&p->g, e);
    if (rc) return rc;
    struct value rows =
        n_extra ? graph_param(p->g, "extra", SHAPE(n_extra, m->text.hidden), extra) : VALUE_NONE;
    p->in = graph_input(p->g, "ids", DTYPE_I32, SHAPE(1, length));
    p->out = clip_text_build(p->g, &m->text, m->text_weights, p->in, rows);
    graph_keep(p->g, p->out);
    return OK;
}

enum code text_states(const struct base_model *m, const struct kernels *k, const int32_t *ids,
                      int n, int length, const float *extra, int n_extra, float *out, struct err *e)
{
    size_t one = (size_t)length * (size_t)m->text.hidden;
    enum code rc = check_ids(&m->text, ids, n * length, n_extra, e);
    struct passage p;
    struct exec *x;
    if (rc || (rc = text_passage(m, length, extra, n_extra, &p, e))) return rc;
    if ((rc = open_take(&x, p.g, k, e))) return rc;
    for (int i = 0; !rc && i < n; i++) {
        exec_bind(x, p.in, ids + (size_t)i * (size_t)length);
        if (!(rc = exec_run(x, e)))
            memcpy(out + (size_t)i * one, exec_data(x, p.out), one * sizeof *out);
    }
    exec_close(x);
    return rc;
}

static void clamp_log_variance(float *moments, size_t pixels, int L)
{
    for (size_t p = 0; p < pixels; p++)
        for (int c = L; c < 2 * L; c++) {
            float *v = &moments[p * 2 * (size_t)L + (size_t)c];
            *v = *v < -30.0f ? -30.0f : *v > 20.0f ? 20.0f : *v;
        }
}

static enum code moments_passage(const struct base_model *m, int h, int w, struct passage *p,
                                 struct err *e)
{
    enum code rc = graph_make(&p->g, e);
    if (rc) return rc;
    p->in = graph_input(p->g, "image", DTYPE_F32, SHAPE(1, h, w, 3));
    p->out = vae_encode_build(p->g, &m->vae, m->vae_weights, p->in);
    graph_keep(p->g, p->out);
    return OK;
}

enum code image_moments(const struct base_model *m, const struct kernels *k, const uint8_t *rgb,
                        int n, int h, int w, float *moments, struct err *e)
{
    int f = vae_factor(&m->vae), L = m->vae.latent_channels;
    size_t values = (size_t)h * (size_t)w * 3, pixels = (size_t)(h / f) * (size_t)(w / f);
    struct passage p;
    struct exec *x;
    enum code rc = check_side(m, h, w, e);
    if (rc || (rc = moments_passage(m, h, w, &p, e))) return rc;
    if ((rc = open_take(&x, p.g, k, e))) return rc;
    float *image = mem_alloc(values, sizeof *image);
    if (!image) {
        rc = err_set(e, ERR_NOMEM, "no memory for an image of %dx%d", w, h);
        goto close;
    }
    for (int i = 0; !rc && i < n; i++) {
        for (size_t j = 0; j < values; j++)
            image[j] = (float)rgb[(size_t)i * values + j] / 127.5f - 1.0f;
        exec_bind(x, p.in, image);
        if ((rc = exec_run(x, e))) break;
        float *to = moments + (size_t)i * pixels * 2 * (size_t)L;
        memcpy(to, exec_data(x, p.out), pixels * 2 * (size_t)L * sizeof *to);
        clamp_log_variance(to, pixels, L);
    }
    free(image);
close:
    exec_close(x);
    return rc;
}

/* ---- the sampler ---- */

struct unet_run {
    struct exec *x;
    struct value latent, time, out;
};

struct sampler {
    const struct base_model *m; /* borrowed, as are the kernels */
    const struct kernels *k;
    int height, width, h, w, T, n_extra;
    struct cost *cost; /* NULL, or its graphs are planned and not opened (sampler_cost) */
    struct pace *pace; /* likewise */
    size_t n;          /* values of a latent */
    float *kv, *extra; /* owned; W_m and token rows of the request, read by the prompt graph */
    float *states;     /* owned; for every K/V matrix [2][T][rows]: negative, positive */
    float *latent, *shown, *guided, *noise, *time; /* owned scratch; shown: what the UNet reads */
    struct {
        struct exec *x;
        struct value ids, *kv;
    } prompt;                /* kv: owned, [kv.n] */
    struct unet_run unet[2]; /* of one half (made when first wanted) and of two */
    struct {
        struct exec *x;
        struct value latent, image;
    } decode;
};

static size_t states_of(const struct sampler *s, int i) /* values of one prompt's K or V */
{
    return (size_t)s->T * (size_t)s->m->kv.matrix[i].rows;
}

/* Opens a graph to be run, or only adds up what `times` runs of it for one picture would take. Takes g. */
static enum code graph_take(struct sampler *s, struct exec **x, struct graph *g, int times,
                            struct err *e)
{
    if (!s->cost) return open_take(x, g, s->k, e);
    struct cost one = {0};
    enum code rc = cost_take(&one, g, s->k, s->pace, e);
    s->cost->arena += one.arena;
    s->cost->seconds += times * one.seconds;
    return rc;
}

static enum code prompt_open(struct sampler *s, int times, struct err *e)
{
    const struct base_model *m = s->m;
    struct graph *g;
    enum code rc = graph_make(&g, e);
    if (rc) return rc;
    struct value *weight = mem_alloc((size_t)m->kv.n, sizeof *weight);
    s->prompt.kv = mem_alloc((size_t)m->kv.n, sizeof *s->prompt.kv);
    if (!weight || !s->prompt.kv) {
        free(weight);
        graph_free(g);
        return err_set(e, ERR_NOMEM, "no memory for a sampler");
    }
    for (int i = 0; i < m->kv.n; i++) {
        const struct kv_matrix *w = &m->kv.matrix[i];
        weight[i] =
            graph_param(g, w->name, SHAPE(w->rows, w->cols), s->kv ? s->kv + w->offset : NULL);
    }
    struct value rows = s->n_extra
                            ? graph_param(g, "extra", SHAPE(s->n_extra, m->text.hidden), s->extra)
                            : VALUE_NONE;
    s->prompt.ids = graph_input(g, "ids", DTYPE_I32, SHAPE(1, s->T));
    struct value hidden = clip_text_build(g, &m->text, m->text_weights, s->prompt.ids, rows);
    unet_project(g, &m->kv, hidden, weight, VALUE_NONE, 0, s->prompt.kv);
    for (int i = 0; i < m->kv.n; i++) graph_keep(g, s->prompt.kv[i]);
    free(weight);
    return graph_take(s, &s->prompt.x, g, times, e);
}

/* Latent and time come once and are repeated for the halves; K and V of both halves lie side by side in s->states, and a
 * single half is the positive one. */
static enum code unet_open(struct sampler *s, int halves, int times, struct err *e)
{
    const struct base_model *m = s->m;
    struct unet_run *u = &s->unet[halves - 1];
    struct graph *g;
    if (u->x) return OK;
    enum code rc = graph_make(&g, e);
    if (rc) return rc;
    struct value *kv = mem_alloc((size_t)m->kv.n, sizeof *kv);
    if (!kv) {
        graph_free(g);
        return err_set(e, ERR_NOMEM, "no memory for a sampler");
    }
    u->latent = graph_input(g, "latent", DTYPE_F32, SHAPE(1, s->h, s->w, m->unet.in_channels));
    u->time = graph_input(g, "time", DTYPE_F32, SHAPE(1, m->unet.channels[0]));
    for (int i = 0; i < m->kv.n; i++)
        kv[i] = graph_input(g, m->kv.matrix[i].name, DTYPE_F32,
                            SHAPE(halves, s->T, m->kv.matrix[i].rows));
    struct value latent = u->latent, time = u->time;
    if (halves > 1) {
        latent = op_repeat(g, latent, halves);
        time = op_repeat(g, time, halves);
    }
    u->out = unet_build(g, &m->unet, m->unet_weights, latent, time, kv);
    graph_keep(g, u->out);
    if (!(rc = graph_take(s, &u->x, g, times, e)) && u->x) {
        const float *at = s->states;
        for (int i = 0; i < m->kv.n; at += 2 * states_of(s, i), i++)
            exec_bind(u->x, kv[i], halves == 2 ? at : at + states_of(s, i));
        exec_bind(u->x, u->latent, s->shown);
        exec_bind(u->x, u->time, s->time);
    }
    free(kv);
    return rc;
}

static enum code decode_open(struct sampler *s, int times, struct err *e)
{
    struct graph *g;
    enum code rc = graph_make(&g, e);
    if (rc) return rc;
    s->decode.latent =
        graph_input(g, "latent", DTYPE_F32, SHAPE(1, s->h, s->w, s->m->vae.latent_channels));
    s->decode.image = vae_decode_build(g, &s->m->vae, s->m->vae_weights, s->decode.latent);
    graph_keep(g, s->decode.image);
    return graph_take(s, &s->decode.x, g, times, e);
}

static void sampler_size(struct sampler *s, const struct base_model *m, const struct kernels *k,
                         int height, int width, int n_extra)
{
    int f = vae_factor(&m->vae);
    *s = (struct sampler){.m = m,
                          .k = k,
                          .height = height,
                          .width = width,
                          .h = height / f,
                          .w = width / f,
                          .T = tokenizer_length(m->tokenizer),
                          .n_extra = n_extra};
    s->n = (size_t)s->h * (size_t)s->w * (size_t)m->vae.latent_channels;
}

static size_t states_count(const struct sampler *s)
{
    size_t n = 0;
    for (int i = 0; i < s->m->kv.n; i++) n += 2 * states_of(s, i);
    return n;
}

enum code sampler_make(struct sampler **out, const struct base_model *m, const struct kernels *k,
                       int height, int width, int n_extra, struct err *e)
{
    *out = NULL;
    enum code rc = check_side(m, height, width, e);
    struct sampler *s = rc ? NULL : mem_alloc(1, sizeof *s);
    if (!s) return rc ? rc : err_set(e, ERR_NOMEM, "no memory for a sampler");
    sampler_size(s, m, k, height, width, n_extra);
    size_t n_states = states_count(s);
    s->kv = mem_alloc(m->kv.n_weights, sizeof *s->kv);
    s->extra = mem_alloc((size_t)n_extra * (size_t)m->text.hidden + 1, sizeof *s->extra);
    s->states = mem_alloc(n_states, sizeof *s->states);
    s->latent = mem_alloc(s->n, sizeof *s->latent);
    s->shown = mem_alloc(s->n, sizeof *s->shown);
    s->guided = mem_alloc(s->n, sizeof *s->guided);
    s->noise = mem_alloc(s->n, sizeof *s->noise);
    s->time = mem_alloc((size_t)m->unet.channels[0], sizeof *s->time);
    if (!s->kv || !s->extra || !s->states || !s->latent || !s->shown || !s->guided || !s->noise ||
        !s->time)
        rc = err_set(e, ERR_NOMEM, "no memory for a sampler of %dx%d", width, height);
    if (!rc) rc = prompt_open(s, 1, e);
    if (!rc) rc = unet_open(s, 2, 1, e);
    if (!rc) rc = decode_open(s, 1, e);
    if (rc) sampler_free(s);
    else *out = s;
    return rc;
}

void sampler_free(struct sampler *s)
{
    if (!s) return;
    exec_close(s->prompt.x);
    exec_close(s->unet[0].x);
    exec_close(s->unet[1].x);
    exec_close(s->decode.x);
    free(s->prompt.kv);
    free(s->kv);
    free(s->extra);
    free(s->states);
    free(s->latent);
    free(s->shown);
    free(s->guided);
    free(s->noise);
    free(s->time);
    free(s);
}

size_t sampler_bytes(const struct base_model *m, int height, int width, int n_extra)
{
    struct sampler s;
    sampler_size(&s, m, NULL, height, width, n_extra);
    return sizeof(float) *
           (m->kv.n_weights + (size_t)n_extra * (size_t)m->text.hidden + states_count(&s) +
            (4 + SOLVER_HISTORY) * s.n + (size_t)m->unet.channels[0]);
}

/* A run without guidance opens one graph more, of one half, beside the one that sampler_make opens. */
enum code sampler_cost(const struct base_model *m, const struct kernels *k, int height, int width,
                       int n_extra, int steps, float guidance, struct pace *pace, struct cost *c,
                       struct err *e)
{
    int guided = guidance > 1.0f;
    struct sampler s;
    enum code rc = check_side(m, height, width, e);
    if (rc) return rc;
    sampler_size(&s, m, k, height, width, n_extra);
    s.cost = c;
    s.pace = pace;
    rc = prompt_open(&s, guided ? 2 : 1, e);
    if (!rc) rc = unet_open(&s, 2, guided ? steps : 0, e);
    if (!rc && !guided) rc = unet_open(&s, 1, steps, e);
    if (!rc) rc = decode_open(&s, 1, e);
    free(s.prompt.kv);
    return rc;
}

size_t sampler_latent_count(const struct sampler *s)
{
    return s->n;
}

/* K and V of one prompt into their half of s->states: 0 negative, 1 positive. */
static enum code prompt_run(struct sampler *s, const int32_t *ids, int half, struct err *e)
{
    enum code rc = check_ids(&s->m->text, ids, s->T, s->n_extra, e);
    if (rc) return rc;
    exec_bind(s->prompt.x, s->prompt.ids, ids);
    if ((rc = exec_run(s->prompt.x, e))) return rc;
    float *at = s->states;
    for (int i = 0; i < s->m->kv.n; at += 2 * states_of(s, i), i++)
        memcpy(at + (size_t)half * states_of(s, i), exec_data(s->prompt.x, s->prompt.kv[i]),
               states_of(s, i) * sizeof *at);
    return OK;
}

/* e = e_neg + g (e_pos - e_neg), or the positive half alone, for s->shown. Borrowed until the next prediction. */
static enum code predict(struct sampler *s, int halves, float guidance, double t, const float **out,
                         struct err *e)
{
    struct unet_run *u = &s->unet[halves - 1];
    unet_time(&s->m->unet, t, s->time);
    enum code rc = exec_run(u->x, e);
    if (rc) return rc;
    const float *negative = exec_data(u->x, u->out), *positive = negative + s->n;
    *out = negative;
    if (halves == 1) return OK;
    for (size_t i = 0; i < s->n; i++)
        s->guided[i] = negative[i] + guidance * (positive[i] - negative[i]);
    *out = s->guided;
    return OK;
}

/* Noise of step i into s->noise; NULL where the step takes none. */
static const float *step_noise(struct sampler *s, const struct sample_request *r,
                               const struct solver *v, int i)
{
    if (!solver_draws(v, i)) return NULL;
    if (r->step_noise) return r->step_noise + (size_t)i * s->n;
    philox_normal(philox_key(r->seed, PHILOX_SAMPLE_STEP), (uint64_t)i, r->index, s->noise, s->n);
    return s->noise;
}

static enum code denoise(struct sampler *s, const struct sample_request *r, struct solver *v,
                         float *trace, struct err *e)
{
    int halves = r->guidance > 1.0f ? 2 : 1;
    if (!r->noise)
        philox_normal(philox_key(r->seed, PHILOX_SAMPLE_NOISE), 0, r->index, s->noise, s->n);
    solver_start(v, r->noise ? r->noise : s->noise, s->latent);
    if (trace) memcpy(trace, s->latent, s->n * sizeof *trace);
    for (int i = 0; i < solver_evaluations(v); i++) {
        const float *prediction;
        solver_input(v, i, s->latent, s->shown);
        enum code rc = predict(s, halves, r->guidance, solver_time(v, i), &prediction, e);
        if (rc) return rc;
        solver_step(v, i, prediction, step_noise(s, r, v, i), s->latent);
        if (trace) memcpy(trace + (size_t)(i + 1) * s->n, s->latent, s->n * sizeof *trace);
    }
    return OK;
}

/* 255 * clamp(x/2 + 1/2), half to even as the reference rounds. NaN becomes 0. */
static uint8_t byte_of(float x)
{
    float v = x * 0.5f + 0.5f;
    v = v > 0.0f ? (v < 1.0f ? v : 1.0f) : 0.0f;
    return (uint8_t)rintf(v * 255.0f);
}

static enum code decode(struct sampler *s, uint8_t *rgb, struct err *e)
{
    for (size_t i = 0; i < s->n; i++)
        s->guided[i] = s->latent[i] / s->m->vae.scaling_factor + s->m->vae.shift_factor;
    exec_bind(s->decode.x, s->decode.latent, s->guided);
    enum code rc = exec_run(s->decode.x, e);
    if (rc) return rc;
    const float *image = exec_data(s->decode.x, s->decode.image);
    for (size_t i = 0; i < (size_t)s->height * (size_t)s->width * 3; i++)
        rgb[i] = byte_of(image[i]);
    return OK;
}

enum code sampler_run(struct sampler *s, const struct sample_request *r, float *latent,
                      uint8_t *rgb, float *trace, struct err *e)
{
    const struct base_model *m = s->m;
    struct solver *v;
    assert(r->n_extra == s->n_extra);
    enum code rc = solver_open(&v, r->solver ? r->solver : &solver_ddim, &m->schedule, r->steps,
                               (double)r->eta, s->n, e);
    if (rc) return rc;
    memcpy(s->kv, r->kv, m->kv.n_weights * sizeof *s->kv);
    if (r->n_extra)
        memcpy(s->extra, r->extra, (size_t)r->n_extra * (size_t)m->text.hidden * sizeof *s->extra);
    int halves = r->guidance > 1.0f ? 2 : 1;
    rc = unet_open(s, halves, 1, e);
    if (!rc) rc = prompt_run(s, r->prompt, 1, e);
    if (!rc && halves == 2) rc = prompt_run(s, r->negative, 0, e);
    if (!rc) rc = denoise(s, r, v, trace, e);
    if (!rc && latent) memcpy(latent, s->latent, s->n * sizeof *latent);
    if (!rc && rgb) rc = decode(s, rgb, e);
    solver_close(v);
    return rc;
}

/* ---- CLIP for evaluation ---- */

static void normalise(float *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    float scale = sum > 0 ? (float)(1.0 / sqrt(sum)) : 0.0f;
    for (int i = 0; i < n; i++) x[i] *= scale;
}

static enum code vision_passage(const struct clip_model *m, struct passage *p, struct err *e)
{
    int64_t S = m->vision.image_size;
    enum code rc = graph_make(&p->g, e);
    if (rc) return rc;
    p->in = graph_input(p->g, "pixels", DTYPE_F32, SHAPE(1, S, S, 3));
    p->out = clip_vision_build(p->g, &m->vision, m->weights, p->in);
    graph_keep(p->g, p->out);
    return OK;
}

/* *end: where the text's feature is read. */
static enum code feature_passage(const struct clip_model *m, struct passage *p, struct value *end,
                                 struct err *e)
{
    enum code rc = graph_make(&p->g, e);
    if (rc) return rc;
    p->in = graph_input(p->g, "ids", DTYPE_I32, SHAPE(1, tokenizer_length(m->tokenizer)));
    *end = graph_input(p->g, "end", DTYPE_I32, SHAPE(1));
    struct value hidden = clip_text_build(p->g, &m->text, m->weights, p->in, VALUE_NONE);
    p->out = clip_text_feature(p->g, &m->text, m->weights, hidden, *end);
    graph_keep(p->g, p->out);
    return OK;
}

enum code clip_image_features(const struct clip_model *m, const struct kernels *k,
                              const uint8_t *rgb, int n, float *out, struct err *e)
{
    const struct clip_vision_config *c = &m->vision;
    int S = c->image_size, P = c->projection;
    size_t values = (size_t)S * (size_t)S * 3;
    struct passage p;
    struct exec *x;
    enum code rc = vision_passage(m, &p, e);
    if (rc || (rc = open_take(&x, p.g, k, e))) return rc;
    float *pixels = mem_alloc(values, sizeof *pixels);
    if (!pixels) {
        rc = err_set(e, ERR_NOMEM, "no memory for an image of %dx%d", S, S);
        goto close;
    }
    for (int i = 0; !rc && i < n; i++) {
        for (size_t j = 0; j < values; j++)
            pixels[j] = ((float)rgb[(size_t)i * values + j] * (1.0f / 255.0f) - c->mean[j % 3]) /
                        c->std[j % 3];
        exec_bind(x, p.in, pixels);
        if ((rc = exec_run(x, e))) break;
        memcpy(out + (size_t)i * (size_t)P, exec_data(x, p.out), (size_t)P * sizeof *out);
        normalise(out + (size_t)i * (size_t)P, P);
    }
    free(pixels);
close:
    exec_close(x);
    return rc;
}

enum code clip_text_features(const struct clip_model *m, const struct kernels *k,
                             const char *const *text, int n, float *out, struct err *e)
{
    const struct clip_text_config *c = &m->text;
    int T = tokenizer_length(m->tokenizer), P = c->projection;
    struct passage p;
    struct value end;
    struct exec *x;
    enum code rc = feature_passage(m, &p, &end, e);
    if (rc || (rc = open_take(&x, p.g, k, e))) return rc;
    int32_t *ids = mem_alloc((size_t)T, sizeof *ids);
    if (!ids) {
        rc = err_set(e, ERR_NOMEM, "no memory for a text of %d tokens", T);
        goto close;
    }
    for (int i = 0; !rc && i < n; i++) {
        struct encoded info;
        if ((rc = tokenizer_encode(m->tokenizer, text[i], ids, T, &info, e))) break;
        if ((rc = check_ids(c, ids, T, 0, e))) break;
        int32_t at = info.end;
        exec_bind(x, p.in, ids);
        exec_bind(x, end, &at);
        if ((rc = exec_run(x, e))) break;
        memcpy(out + (size_t)i * (size_t)P, exec_data(x, p.out), (size_t)P * sizeof *out);
        normalise(out + (size_t)i * (size_t)P, P);
    }
    free(ids);
close:
    exec_close(x);
    return rc;
}

/* ---- costs ---- */

enum code text_states_cost(const struct base_model *m, const struct kernels *k, int length,
                           int n_extra, struct pace *pace, struct cost *c, struct err *e)
{
    struct passage p;
    enum code rc = text_passage(m, length, NULL, n_extra, &p, e);
    return rc ? rc : cost_take(c, p.g, k, pace, e);
}

enum code image_moments_cost(const struct base_model *m, const struct kernels *k, int h, int w,
                             struct pace *pace, struct cost *c, struct err *e)
{
    struct passage p;
    enum code rc = check_side(m, h, w, e);
    if (!rc) rc = moments_passage(m, h, w, &p, e);
    return rc ? rc : cost_take(c, p.g, k, pace, e);
}

enum code clip_image_cost(const struct clip_model *m, const struct kernels *k, struct pace *pace,
                          struct cost *c, struct err *e)
{
    struct passage p;
    enum code rc = vision_passage(m, &p, e);
    return rc ? rc : cost_take(c, p.g, k, pace, e);
}

enum code clip_text_cost(const struct clip_model *m, const struct kernels *k, struct pace *pace,
                         struct cost *c, struct err *e)
{
    struct passage p;
    struct value end;
    enum code rc = feature_passage(m, &p, &end, e);
    return rc ? rc : cost_take(c, p.g, k, pace, e);
}
