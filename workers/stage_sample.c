/* stage_sample.c - pictures of prompts with W_m: previews of a learn job, or a sample job. Picture i of a stage is prompt i / per,
 * number i % per; rank i % size draws it. Outputs are PNG objects in picture order.
 */
#include "workers/stage.h"

#include "pipeline/data/image.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct drawing {
    struct group *g;
    const struct msg_stage *s;
    struct settings settings;
    struct strs prompts;
    const char *negative;
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
        settings = request->learn.settings;
    } else {
        d->prompts = request->sample.prompts;
        d->negative = request->sample.negative;
        d->per_prompt = (int)request->sample.per_prompt;
        d->seed = request->sample.seed;
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

/* The text chunk that other programs read, and ours. */
static enum code encode_picture(const struct drawing *d, int i, const uint8_t *rgb,
                                struct bytes *png, struct err *e)
{
    char parameters[4600], commit[HASH_TEXT], base[HASH_TEXT];
    snprintf(parameters, sizeof parameters,
             "%s\nNegative prompt: %s\nSteps: %" PRId64
             ", Sampler: DDIM, CFG scale: %g, Seed: %" PRIu64 ", Size: %dx%d, "
             "Model hash: %.10s, Version: engram",
             d->prompts.v[i / d->per_prompt], d->negative, d->settings.sample_steps,
             d->settings.sample_guidance, d->seed, d->side, d->side,
             hash_text(d->g->model->hash, base));
    hash_text(d->s->commit, commit);
    const char *text[] = {"parameters", parameters, "engram.commit", commit, NULL};
    struct image im = {.rgb = (uint8_t *)(uintptr_t)rgb, .w = d->side, .h = d->side};
    return image_encode_png(&im, text, png, e);
}

static enum code draw(struct drawing *d, int i, uint8_t *rgb, struct hash *out, struct err *e)
{
    struct encoded enc;
    struct bytes png = {0};
    const char *prompt = d->prompts.v[i / d->per_prompt];
    enum code rc = tokenizer_encode(d->tokenizer, prompt, d->ids, d->length, &enc, e);
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
