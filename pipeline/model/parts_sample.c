/* parts_sample.c - whole trajectories of the sampler, from given noise: the part that samplers are held against diffusers by.
 * B pictures, E evaluations, c h w latent. */
#include "pipeline/model/parts.h"
#include "pipeline/model/runner.h"

#include <string.h>

static enum code no_memory(struct err *e)
{
    err_set(e, ERR_NOMEM, "no memory to run a part");
    return ERR_NOMEM; /* said aloud: the analyser does not know what err_set returns */
}

struct sample_inputs {
    int64_t dim[4], T;
    int32_t *cond, *uncond;
    float *noise, *step_noise; /* [B,h,w,c]; [evaluations,B,h,w,c] or NULL */
    const struct solver_kind *kind;
    int steps, evaluations;
};

/* [evaluations,B,c,h,w] is read as one long list of images. */
static enum code step_noise_read(struct part_run *r, struct sample_inputs *in, struct err *e)
{
    int64_t dim[5] = {in->evaluations, in->dim[0], in->dim[1], in->dim[2], in->dim[3]};
    float *nchw;
    if (!safetensors_find(r->in, "step_noise")) return OK;
    enum code rc = part_floats(r, "step_noise", 5, dim, &nchw, e);
    if (rc) return rc;
    int64_t N = dim[0] * dim[1], C = dim[2], HW = dim[3] * dim[4];
    float *nhwc = in->step_noise = arena_alloc(&r->arena, (size_t)(N * C * HW) * sizeof *nhwc);
    if (!nhwc) return no_memory(e);
    for (int64_t n = 0; n < N; n++)
        for (int64_t c = 0; c < C; c++)
            for (int64_t p = 0; p < HW; p++)
                nhwc[(n * HW + p) * C + c] = nchw[(n * C + c) * HW + p];
    return OK;
}

static enum code sample_options(struct part_run *r, const struct base_model *m,
                                struct sample_inputs *in, struct err *e)
{
    struct solver *s;
    double asked = part_number(r, "steps", 0);
    int most = m->schedule.config.train_steps;
    if (!(asked >= 1 && asked <= most))
        return err_set(e, ERR_INPUT, "option steps is %g, expected 1 to %d", asked, most);
    in->steps = (int)asked;
    in->kind = solver_kind_find(part_text(r, "sampler"));
    if (!in->kind)
        return err_set(e, ERR_INPUT, "option sampler is \"%s\"; choose one of " SOLVER_NAMES,
                       part_text(r, "sampler"));
    enum code rc =
        solver_open(&s, in->kind, &m->schedule, in->steps, part_number(r, "eta", 0), 0, e);
    if (rc) return rc;
    in->evaluations = solver_evaluations(s);
    solver_close(s);
    return OK;
}

static enum code sample_read(struct part_run *r, const struct base_model *m,
                             struct sample_inputs *in, struct err *e)
{
    *in = (struct sample_inputs){.dim = {-1, m->vae.latent_channels, -1, -1},
                                 .T = tokenizer_length(m->tokenizer)};
    int64_t ids_dim[2] = {-1, in->T};
    enum code rc = sample_options(r, m, in, e);
    if (!rc) rc = part_image(r, "noise", in->dim, &in->noise, e);
    ids_dim[0] = in->dim[0];
    if (!rc) rc = part_ints(r, "cond_ids", 2, ids_dim, 0, m->text.vocab - 1, &in->cond, e);
    if (!rc) rc = part_ints(r, "uncond_ids", 2, ids_dim, 0, m->text.vocab - 1, &in->uncond, e);
    return rc ? rc : step_noise_read(r, in, e);
}

/* Picture b's share of what lies as [rows,B,one]: to or from a list of its own. */
static void rows_of(const float *from, float *to, const struct sample_inputs *in, int64_t b)
{
    int64_t B = in->dim[0], one = in->dim[1] * in->dim[2] * in->dim[3];
    for (int64_t i = 0; i < in->evaluations; i++)
        memcpy(to + i * one, from + (i * B + b) * one, (size_t)one * sizeof *to);
}

/* Pictures one by one, as the sampler makes them; their trajectories put side by side: [evaluations+1, B, c, h, w]. */
static enum code sample_run(struct part_run *r, const struct base_model *m, struct err *e)
{
    int f = vae_factor(&m->vae);
    struct sample_inputs in;
    struct sampler *s;
    float *kv = arena_alloc(&r->arena, m->kv.n_weights * sizeof *kv);
    enum code rc = kv ? sample_read(r, m, &in, e) : no_memory(e);
    if (!rc) rc = kv_read(&m->kv, m->unet_weights, kv, e);
    if (rc) return rc;
    int64_t B = in.dim[0], C = in.dim[1], HW = in.dim[2] * in.dim[3], one = C * HW,
            rows = in.evaluations + 1;
    float *trace = arena_alloc(&r->arena, (size_t)(one * rows) * sizeof *trace);
    float *mine = arena_alloc(&r->arena, (size_t)(one * rows) * sizeof *mine);
    float *all = arena_alloc(&r->arena, (size_t)(one * rows * B) * sizeof *all);
    if (!trace || !mine || !all) return no_memory(e);
    if ((rc = sampler_make(&s, m, r->kernels, (int)in.dim[2] * f, (int)in.dim[3] * f, 0, e)))
        return rc;
    for (int64_t b = 0; !rc && b < B; b++) {
        if (in.step_noise) rows_of(in.step_noise, mine, &in, b);
        struct sample_request q = {.prompt = in.cond + b * in.T,
                                   .negative = in.uncond + b * in.T,
                                   .kv = kv,
                                   .solver = in.kind,
                                   .steps = in.steps,
                                   .guidance = (float)part_number(r, "guidance", 0),
                                   .eta = (float)part_number(r, "eta", 0),
                                   .index = (uint32_t)b,
                                   .noise = in.noise + b * one,
                                   .step_noise = in.step_noise ? mine : NULL};
        rc = sampler_run(s, &q, NULL, NULL, trace, e);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t p = 0; p < HW; p++)
                for (int64_t c = 0; c < C; c++)
                    all[((i * B + b) * C + c) * HW + p] = trace[(i * HW + p) * C + c];
    }
    sampler_free(s);
    if (rc) return rc;
    return part_give(r, STORED_F32, 5, (int64_t[]){rows, B, C, in.dim[2], in.dim[3]}, all, e,
                     "latents");
}

static enum code sample(struct part_run *r, struct err *e)
{
    struct base_model *m;
    enum code rc = base_model_open(&m, r->model, e);
    if (rc) return rc;
    rc = sample_run(r, m, e);
    base_model_close(m);
    return rc;
}

static const struct part list[] = {
    {.name = "sample",
     .what = "the latents of every sampling step",
     .run = sample,
     .in = {{"noise", "[B,c,h,w]", "initial latents, of deviation 1"},
            {"cond_ids", "[B,T] I64", "prompts"},
            {"uncond_ids", "[B,T] I64", "negative prompts"},
            {"step_noise", "[E,B,c,h,w]", "optional: what samplers that add noise add"}},
     .out = {{"latents", "[E+1,B,c,h,w]", "E evaluations; first the initial latents, scaled"}},
     .option = {{"sampler", .text = "ddim", .what = SOLVER_NAMES},
                {"steps", 1, {50}, "number of steps"},
                {"guidance", 1, {7.5}, "guidance scale"},
                {"eta", 1, {0}, "ddim's eta"}}},
};
const struct part_table parts_sample = {list, sizeof list / sizeof *list};
