/* stage_sample.c - pictures of prompts with W_m: previews of a learn job, or a sample job. Picture i of a stage is prompt i / per,
 * number i % per; rank i % size draws it. Outputs are PNG objects in picture order.
 */
#include "workers/stage.h"

#include "pipeline/data/image.h"
#include "pipeline/data/picture_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct drawing {
    struct group *g;
    const struct msg_stage *s;
    struct settings settings;
    struct strs prompts;
    const char *negative, *name; /* name: the lineage's */
    int per_prompt;
    uint64_t seed;
    struct lineage lineage;
    struct tokenizer *tokenizer;
    struct sampler *sampler;
    int side, length;
    int32_t *ids; /* [2][length] */
};

static enum code what_to_draw(struct drawing *d, const struct message *request, struct err *e)
{
    const char *settings;
    if (request->kind == MSG_learn) {
        d->prompts = request->learn.preview_prompts;
        d->seed = request->learn.seed;
        d->name = request->learn.lineage;
        settings = request->learn.settings;
    } else {
        d->prompts = request->sample.prompts;
        d->negative = request->sample.negative;
        d->per_prompt = (int)request->sample.per_prompt;
        d->seed = request->sample.seed;
        d->name = request->sample.lineage;
        settings = request->sample.settings;
    }
    enum code rc = settings_parse(&d->settings, settings, e);
    if (!d->negative || !*d->negative) d->negative = d->settings.sample_negative;
    if (d->per_prompt < 1) d->per_prompt = 1;
    return rc;
}

static enum code drawing_open(struct drawing *d, const struct message *request, struct err *e)
{
    struct group *g = d->g;
    int32_t id;
    struct encoded enc;
    enum code rc = what_to_draw(d, request, e);
    if (!rc) rc = group_lineage(g, d->s, &d->lineage, e);
    d->tokenizer = tokenizer_clone(g->model->tokenizer);
    d->length = tokenizer_length(g->model->tokenizer);
    d->ids = mem_alloc(2 * (size_t)d->length, sizeof *d->ids);
    if (!rc && (!d->tokenizer || !d->ids)) rc = err_set(e, ERR_NOMEM, "out of memory for drawing");
    for (int i = 0; !rc && i < d->lineage.n; i++)
        rc = tokenizer_add(d->tokenizer, d->lineage.token[i], &id, e);
    d->side = group_side(g, &d->settings);
    if (!rc)
        rc = tokenizer_encode(d->tokenizer, d->negative, d->ids + d->length, d->length, &enc, e);
    if (!rc)
        rc = sampler_make(&d->sampler, g->model, g->kernels, d->side, d->side, d->lineage.n, e);
    return rc;
}

static void drawing_close(struct drawing *d)
{
    sampler_free(d->sampler);
    tokenizer_close(d->tokenizer);
    lineage_fini(&d->lineage);
    free(d->ids);
}

/* The last part of the base model's path, as its lineage has it, wherever it lies here: what people call it. */
static const char *model_name(const struct msg_stage *s)
{
    const char *slash = strrchr(s->base_path, '/');
    return slash && slash[1] ? slash + 1 : s->base_path;
}

/* A whole hash of a commit is the right to fetch it, and it names photos: a picture that is given away says enough of it to be
 * looked up by whoever may see the lineage, and no more. */
enum { COMMIT_DIGITS = 16 };

/* The texts that other programs read, and ours. */
static enum code encode_picture(const struct drawing *d, int i, const uint8_t *rgb,
                                struct bytes *png, struct err *e)
{
    char commit[HASH_TEXT] = "", base[HASH_TEXT];
    const char *token[PROTO_CHAIN];
    const struct settings *s = &d->settings;
    const struct solver_kind *solver = solver_kind_at(s->sample_sampler);
    struct picture_facts f = {.prompt = d->prompts.v[i / d->per_prompt],
                              .negative = d->negative,
                              .setting = solver->name,
                              .sampler = solver->label,
                              .steps = s->sample_steps,
                              .guidance = s->sample_guidance,
                              .eta = s->sample_eta,
                              .seed = d->seed,
                              .index = (uint32_t)i,
                              .w = d->side,
                              .h = d->side,
                              .model = model_name(d->s),
                              .base = hash_text(d->g->model->hash, base),
                              .commit = commit,
                              .lineage = d->name,
                              .token = token,
                              .n_tokens = d->lineage.n};
    struct text parameters = {0}, json = {0};
    for (int k = 0; k < d->lineage.n; k++) token[k] = d->lineage.token[k];
    if (!hash_is_zero(d->lineage.head)) hash_text(d->lineage.head, commit)[COMMIT_DIGITS] = '\0';
    picture_text_parameters(&f, &parameters);
    enum code rc = picture_text_json(&f, &json, e);
    if (!rc && (!text_ok(&parameters) || !text_ok(&json)))
        rc = err_set(e, ERR_NOMEM, "out of memory for a picture's texts");
    const char *text[] = {"parameters", parameters.s, "engram", json.s, NULL};
    struct image im = {.rgb = (uint8_t *)(uintptr_t)rgb, .w = d->side, .h = d->side};
    if (!rc) rc = image_encode_png(&im, text, png, e);
    text_fini(&parameters);
    text_fini(&json);
    return rc;
}

static enum code draw(struct drawing *d, int i, uint8_t *rgb, struct hash *out, struct err *e)
{
    struct encoded enc;
    struct bytes png = {0};
    const char *prompt = d->prompts.v[i / d->per_prompt];
    enum code rc = tokenizer_encode(d->tokenizer, prompt, d->ids, d->length, &enc, e);
    if (!rc && enc.n_full > enc.n)
        rc = err_set(e, ERR_INPUT, "prompt \"%.200s\" has %d tokens; the text encoder reads %d",
                     prompt, enc.n_full, enc.n);
    struct sample_request r = {.prompt = d->ids,
                               .negative = d->ids + d->length,
                               .kv = d->lineage.kv,
                               .extra = d->lineage.rows,
                               .n_extra = d->lineage.n,
                               .solver = solver_kind_at(d->settings.sample_sampler),
                               .steps = (int)d->settings.sample_steps,
                               .guidance = (float)d->settings.sample_guidance,
                               .eta = (float)d->settings.sample_eta,
                               .seed = d->seed,
                               .index = (uint32_t)i};
    if (!rc) rc = sampler_run(d->sampler, &r, NULL, rgb, NULL, e);
    if (!rc) rc = encode_picture(d, i, rgb, &png, e);
    if (!rc) rc = objects_put(d->g->objects, png.data, png.n, out, e);
    free(png.data);
    return rc;
}

static enum code draw_mine(struct drawing *d, int n, struct hash *mine, struct err *e)
{
    struct group *g = d->g;
    uint8_t *rgb = mem_alloc((size_t)d->side * (size_t)d->side + 1, 3);
    enum code rc = rgb ? OK : err_set(e, ERR_NOMEM, "out of memory for a picture");
    for (int i = g->ranks->rank; !rc && i < n; i += g->ranks->size) {
        rc = draw(d, i, rgb, &mine[i / g->ranks->size], e);
        if (!rc && g->progress && g->progress(g->progress_self, i + 1, n, "pictures"))
            rc = err_set(e, ERR_CANCELLED, "stopped after picture %d of %d", i + 1, n);
    }
    free(rgb);
    return rc;
}

enum code stage_sample(struct group *g, const struct msg_stage *s, const struct message *request,
                       struct arena *a, struct outcome *out, struct err *e)
{
    struct drawing d = {.g = g, .s = s};
    struct hash *mine = NULL, *all = NULL, *ordered = NULL;
    enum code rc = collectives_agree(g->ranks, drawing_open(&d, request, e), e);
    size_t size = (size_t)g->ranks->size, n = rc ? 0 : d.prompts.n * (size_t)d.per_prompt,
           per_rank = (n + size - 1) / size;
    if (!rc) {
        mine = arena_alloc(a, (per_rank + 1) * sizeof *mine);
        all = arena_alloc(a, (per_rank * size + 1) * sizeof *all);
        ordered = arena_alloc(a, (n + 1) * sizeof *ordered);
        rc = mine && all && ordered ? draw_mine(&d, (int)n, mine, e)
                                    : err_set(e, ERR_NOMEM, "out of memory for %zu pictures", n);
        rc = collectives_agree(g->ranks, rc, e);
    }
    if (!rc) rc = g->ranks->gather(g->ranks, mine, per_rank * sizeof *mine, all, e);
    for (size_t i = 0; !rc && i < n; i++) ordered[i] = all[(i % size) * per_rank + i / size];
    if (!rc) rc = outcome_set(out, a, ordered, n, e);
    if (!rc) text_printf(&out->report, "{\"pictures\":%zu,\"side\":%d}", n, d.side);
    drawing_close(&d);
    return rc;
}
