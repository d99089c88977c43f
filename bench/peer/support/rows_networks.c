/* rows_networks.c - rows that only look: one UNet pass, one decoded picture, one sampled picture. */
#include "bench/peer/support/rows.h"

#include "pipeline/model/networks.h"
#include "pipeline/model/runner.h"

/* ---- one graph that is run again and again ---- */

struct network {
    struct exec *x;
    struct value out;
    int64_t dim[4]; /* of the result, [N,C,H,W] */
    const char *name;
};

static enum code network_open(struct row *r, struct graph *g, struct value out, const char *name,
                              struct err *e)
{
    struct network *n = r->state;
    struct shape s = graph_shape(g, out);
    *n =
        (struct network){.out = out, .name = name, .dim = {s.dim[0], s.dim[3], s.dim[1], s.dim[2]}};
    graph_keep(g, out);
    r->flops = graph_flops(g);
    struct plan *p;
    enum code rc = graph_finish(g, e);
    if (!rc && !(rc = plan_make(&p, g, r->part.kernels, e))) {
        r->planned = plan_peak(p);
        plan_free(p);
        rc = exec_open(&n->x, g, r->part.kernels, e);
    }
    if (rc) graph_free(g);
    return rc;
}

static enum code network_run(struct row *r, struct err *e)
{
    return exec_run(((struct network *)r->state)->x, e);
}

static enum code network_give(struct row *r, struct err *e)
{
    struct network *n = r->state;
    return part_give_image(&r->part, n->dim, exec_data(n->x, n->out), e, n->name);
}

static void network_close(struct row *r)
{
    exec_close(((struct network *)r->state)->x);
}

static enum code unet_open(struct row *r, struct err *e)
{
    const struct base_model *m = r->m;
    int64_t dim[4] = {1, m->unet.in_channels, -1, -1}, one[1] = {1},
            text_dim[3] = {1, -1, m->unet.cross_attention_dim};
    float *sample, *t, *hidden, *flat, *sinusoid;
    struct value *kv, *weight;
    struct graph *g;
    enum code rc = part_image(&r->part, "sample", dim, &sample, e);
    if (!rc) rc = part_floats(&r->part, "timestep", 1, one, &t, e);
    if (!rc) rc = part_floats(&r->part, "encoder_hidden_states", 3, text_dim, &hidden, e);
    if (rc) return rc;
    if (!(r->state = row_alloc(r, 1, sizeof(struct network), e)) || !(flat = row_kv(r, e)) ||
        !(sinusoid = row_alloc(r, (size_t)m->unet.channels[0], sizeof *sinusoid, e)) ||
        !(kv = row_alloc(r, (size_t)m->kv.n, sizeof *kv, e)) ||
        !(weight = row_alloc(r, (size_t)m->kv.n, sizeof *weight, e)))
        return e->code;
    if ((rc = graph_make(&g, e))) return rc;
    struct value in = graph_input(g, "sample", DTYPE_F32, SHAPE(1, dim[2], dim[3], dim[1]));
    struct value time = graph_input(g, "time", DTYPE_F32, SHAPE(1, m->unet.channels[0]));
    struct value states = graph_input(g, "hidden", DTYPE_F32, SHAPE(1, text_dim[1], text_dim[2]));
    for (int i = 0; i < m->kv.n; i++) {
        const struct kv_matrix *w = &m->kv.matrix[i];
        weight[i] = graph_param(g, w->name, SHAPE(w->rows, w->cols), flat + w->offset);
    }
    unet_project(g, &m->kv, states, weight, VALUE_NONE, 0, kv);
    struct value out = unet_build(g, &m->unet, m->unet_weights, in, time, kv);
    if ((rc = network_open(r, g, out, "sample", e))) return rc;
    unet_time(&m->unet, (double)t[0], sinusoid);
    struct exec *x = ((struct network *)r->state)->x;
    exec_bind(x, in, sample);
    exec_bind(x, time, sinusoid);
    exec_bind(x, states, hidden);
    return OK;
}

static enum code decode_open(struct row *r, struct err *e)
{
    int64_t dim[4] = {1, r->m->vae.latent_channels, -1, -1};
    float *latent;
    struct graph *g;
    enum code rc = part_image(&r->part, "latent", dim, &latent, e);
    if (rc) return rc;
    if (!(r->state = row_alloc(r, 1, sizeof(struct network), e))) return e->code;
    if ((rc = graph_make(&g, e))) return rc;
    struct value in = graph_input(g, "latent", DTYPE_F32, SHAPE(1, dim[2], dim[3], dim[1]));
    struct value out = vae_decode_build(g, &r->m->vae, r->m->vae_weights, in);
    if ((rc = network_open(r, g, out, "image", e))) return rc;
    exec_bind(((struct network *)r->state)->x, in, latent);
    return OK;
}

const struct row_kind row_unet = {
    {.name = "unet", .what = "one UNet pass"}, unet_open, network_run, network_give, network_close};
const struct row_kind row_decode = {{.name = "vae-decode", .what = "one picture from its latent"},
                                    decode_open,
                                    network_run,
                                    network_give,
                                    network_close};

/* ---- a whole picture ---- */

struct picture {
    struct sampler *s;
    struct sample_request request;
    int64_t dim[4]; /* of the latent, [N,C,H,W] */
    float *latent;
    uint8_t *rgb;
};

static enum code sample_open(struct row *r, struct err *e)
{
    const struct base_model *m = r->m;
    int64_t dim[4] = {1, m->vae.latent_channels, -1, -1},
            ids_dim[2] = {1, tokenizer_length(m->tokenizer)};
    int32_t *cond, *uncond;
    float *noise;
    struct picture *p;
    enum code rc = part_image(&r->part, "noise", dim, &noise, e);
    if (!rc) rc = part_ints(&r->part, "cond_ids", 2, ids_dim, 0, m->text.vocab - 1, &cond, e);
    if (!rc) rc = part_ints(&r->part, "uncond_ids", 2, ids_dim, 0, m->text.vocab - 1, &uncond, e);
    if (rc) return rc;
    if (!(p = r->state = row_alloc(r, 1, sizeof *p, e))) return e->code;
    int f = vae_factor(&m->vae), h = (int)dim[2] * f, w = (int)dim[3] * f;
    for (int i = 0; i < 4; i++) p->dim[i] = dim[i];
    p->request = (struct sample_request){.prompt = cond,
                                         .negative = uncond,
                                         .kv = row_kv(r, e),
                                         .solver = solver_kind_find(part_text(&r->part, "sampler")),
                                         .steps = (int)part_number(&r->part, "steps", 0),
                                         .guidance = (float)part_number(&r->part, "guidance", 0),
                                         .noise = noise};
    p->latent = row_alloc(r, (size_t)(dim[1] * dim[2] * dim[3]), sizeof *p->latent, e);
    p->rgb = row_alloc(r, (size_t)h * (size_t)w, 3, e);
    if (!p->request.kv || !p->latent || !p->rgb) return e->code;
    return sampler_make(&p->s, m, r->part.kernels, h, w, 0, e);
}

static enum code sample_run(struct row *r, struct err *e)
{
    struct picture *p = r->state;
    return sampler_run(p->s, &p->request, p->latent, p->rgb, NULL, e);
}

static enum code sample_give(struct row *r, struct err *e)
{
    struct picture *p = r->state;
    return part_give_image(&r->part, p->dim, p->latent, e, "latents");
}

static void sample_close(struct row *r)
{
    sampler_free(((struct picture *)r->state)->s);
}

const struct row_kind row_sample = {{.name = "sample",
                                     .what = "one picture, from prompt and noise to pixels",
                                     .option = {{"sampler", .text = "ddim", .what = SOLVER_NAMES},
                                                {"steps", 1, {20}, "number of steps"},
                                                {"guidance", 1, {5.0}, "guidance scale"}}},
                                    sample_open,
                                    sample_run,
                                    sample_give,
                                    sample_close};
