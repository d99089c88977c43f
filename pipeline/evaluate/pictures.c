/* pictures.c - prompts to pictures in the store, pictures to features. */
#include "pipeline/evaluate/pictures.h"

#include "base/arena.h"
#include "base/file.h"
#include "pipeline/data/image.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum code portrait_make(struct gallery *g, int k, const char *const *pattern, int n,
                               struct err *e)
{
    const struct evaluate_task *t = g->t;
    struct portrait *p = &g->portrait[k];
    int64_t per_prompt = t->settings.evaluate_per_prompt;
    p->n_patterns = patterns_choose(t->concept[k].kind, pattern, n, p->pattern, EVALUATE_PICTURES);
    if (!p->n_patterns)
        return err_set(
            e, ERR_USAGE,
            "no evaluation prompt is for %s, which is of kind %s; give one without a kind",
            t->concept[k].token, t->concept[k].kind);
    if (p->n_patterns < 0 || per_prompt < 1 || per_prompt > EVALUATE_PICTURES / p->n_patterns)
        return err_set(
            e, ERR_USAGE,
            "%d evaluation prompts of %lld pictures; %d pictures of a concept are the most",
            p->n_patterns < 0 ? n : p->n_patterns, (long long)per_prompt, EVALUATE_PICTURES);
    p->n_pictures = p->n_patterns * (int)per_prompt;
    return OK;
}

static enum code portraits_make(struct gallery *g, struct err *e)
{
    const struct evaluate_task *t = g->t;
    const char *const *pattern = t->n_patterns ? t->pattern : evaluate_patterns();
    int n = t->n_patterns;
    if (!n)
        while (pattern[n]) n++;
    enum code rc = patterns_check(pattern, n, e);
    for (int k = 0; !rc && k < t->n; k++) {
        rc = portrait_make(g, k, pattern, n, e);
        int slots = (g->portrait[k].n_pictures + t->ranks->size - 1) / t->ranks->size;
        if (slots > g->slots) g->slots = slots;
    }
    return rc;
}

static enum code tokens_add(struct gallery *g, struct err *e)
{
    g->tokenizer = tokenizer_clone(g->t->model->tokenizer);
    if (!g->tokenizer) return err_set(e, ERR_NOMEM, "out of memory for a tokenizer");
    for (int k = 0; k < g->t->n; k++) {
        int32_t id;
        enum code rc = tokenizer_add(g->tokenizer, g->t->concept[k].token, &id, e);
        if (rc) return rc;
    }
    return OK;
}

/* Ids of one text; a text that the model would read only in part is refused, for its score would mean something else. */
static enum code encode(const struct gallery *g, const char *text, int32_t *ids, struct err *e)
{
    struct encoded x;
    enum code rc = tokenizer_encode(g->tokenizer, text, ids, tokenizer_length(g->tokenizer), &x, e);
    if (rc || x.n_full <= x.n) return rc;
    return err_set(e, ERR_USAGE, "evaluation prompt \"%.200s\" has %d tokens; the model reads %d",
                   text, x.n_full, x.n);
}

enum code gallery_open(struct gallery *g, const struct evaluate_task *t, struct err *e)
{
    const struct base_model *m = t->model;
    size_t length = (size_t)tokenizer_length(m->tokenizer), S = (size_t)t->clip->vision.image_size;
    *g = (struct gallery){.t = t};
    g->side = t->settings.sample_side ? (int)t->settings.sample_side
                                      : m->unet.sample_size * vae_factor(&m->vae);
    g->portrait = mem_alloc((size_t)t->n, sizeof *g->portrait);
    enum code rc = g->portrait ? portraits_make(g, e)
                               : err_set(e, ERR_NOMEM, "out of memory for an evaluation");
    if (!rc) rc = tokens_add(g, e);
    if (rc) return rc;
    g->rows = mem_alloc((size_t)t->n * (size_t)m->text.hidden, sizeof *g->rows);
    g->ids = mem_alloc(2 * length, sizeof *g->ids);
    g->rgb = mem_alloc((size_t)g->side * (size_t)g->side, 3);
    g->seen = mem_alloc((size_t)g->slots * S * S, 3);
    if (!g->rows || !g->ids || !g->rgb || !g->seen)
        return err_set(e, ERR_NOMEM, "out of memory for an evaluation");
    return encode(g, t->settings.sample_negative, g->ids + length, e);
}

void gallery_close(struct gallery *g)
{
    sampler_free(g->sampler);
    if (g->tokenizer) tokenizer_close(g->tokenizer);
    free(g->portrait);
    free(g->rows);
    free(g->ids);
    free(g->rgb);
    free(g->seen);
    *g = (struct gallery){0};
}

int gallery_share(const struct gallery *g, int k)
{
    int rank = g->t->ranks->rank, size = g->t->ranks->size, n = g->portrait[k].n_pictures;
    return n > rank ? (n - rank + size - 1) / size : 0;
}

static enum code image_get(const struct gallery *g, struct hash h, struct image *out, struct err *e)
{
    struct bytes b = {0};
    char name[HASH_TEXT];
    *out = (struct image){0};
    enum code rc = objects_get(g->t->store, h, IMAGE_FILE_BYTES, &b, e);
    hash_text(h, name);
    if (!rc) rc = image_decode(b.data, b.n, name, out, NULL, e);
    free(b.data);
    return rc;
}

/* What CLIP sees of an image; takes the pixels. */
static enum code show_take(const struct gallery *g, struct image *im, uint8_t *seen, struct err *e)
{
    int S = g->t->clip->vision.image_size;
    enum code rc = image_square(im, S, e);
    if (!rc && im->rgb) memcpy(seen, im->rgb, (size_t)S * (size_t)S * 3);
    image_fini(im);
    return rc;
}

/* One picture to g->rgb. */
static enum code sample(struct gallery *g, int k, int i, const struct view *v, struct err *e)
{
    const struct evaluate_task *t = g->t;
    const struct evaluate_concept *c = &t->concept[k];
    const struct settings *s = &t->settings;
    char text[PATTERN_TEXT];
    enum code rc = OK;
    if (!g->sampler)
        rc = sampler_make(&g->sampler, t->model, t->kernels, g->side, g->side, t->n, e);
    if (rc) return rc;
    pattern_fill(g->portrait[k].pattern[i / (int)s->evaluate_per_prompt], c->kind,
                 v->plain ? NULL : c->token, c->class_word, text);
    struct sample_request r = {.prompt = g->ids,
                               .negative = g->ids + tokenizer_length(g->tokenizer),
                               .kv = v->kv,
                               .extra = g->rows,
                               .n_extra = t->n,
                               .solver = solver_kind_at(s->sample_sampler),
                               .steps = (int)s->sample_steps,
                               .guidance = (float)s->sample_guidance,
                               .eta = (float)s->sample_eta,
                               .seed = t->seed,
                               .index = (uint32_t)i};
    rc = encode(g, text, g->ids, e);
    return rc ? rc : sampler_run(g->sampler, &r, NULL, g->rgb, NULL, e);
}

/* The picture in g->rgb to the store, and as a copy of its own to *out. */
static enum code store(const struct gallery *g, struct hash *name, struct image *out, struct err *e)
{
    struct image im = {g->rgb, g->side, g->side};
    size_t n = (size_t)g->side * (size_t)g->side * 3;
    struct bytes png = {0};
    enum code rc = image_encode_png(&im, NULL, &png, e);
    if (!rc) rc = objects_put(g->t->store, png.data, png.n, name, e);
    free(png.data);
    if (rc) return rc;
    *out = (struct image){mem_alloc(n, 1), g->side, g->side};
    if (!out->rgb) return err_set(e, ERR_NOMEM, "out of memory for a picture");
    memcpy(out->rgb, g->rgb, n);
    return OK;
}

static enum code draw_one(struct gallery *g, int k, int i, const struct view *v, struct hash *name,
                          uint8_t *seen, struct err *e)
{
    struct image im = {0};
    /* A picture that is known but no longer there is drawn again: the store may have been tidied. */
    if (v->known && !image_get(g, v->known[i], &im, NULL)) {
        *name = v->known[i];
        return show_take(g, &im, seen, e);
    }
    enum code rc = sample(g, k, i, v, e);
    if (!rc) rc = store(g, name, &im, e);
    return rc ? rc : show_take(g, &im, seen, e);
}

static enum code tell(struct gallery *g, int k, const struct view *v, struct err *e)
{
    const struct evaluate_task *t = g->t;
    char line[160];
    g->drawn++;
    if (!t->progress || t->ranks->rank) return OK;
    snprintf(line, sizeof line, "picture of %s, %s", t->concept[k].token, v->what);
    if (t->progress(t->progress_self, g->drawn, g->of, line))
        return err_set(e, ERR_CANCELLED, "evaluation was cancelled");
    return OK;
}

enum code gallery_draw(struct gallery *g, int k, const struct view *v, struct err *e)
{
    const struct evaluate_task *t = g->t;
    size_t S = (size_t)t->clip->vision.image_size;
    int n = gallery_share(g, k);
    enum code rc = OK;
    for (int j = 0; !rc && j < n; j++) {
        int i = j * t->ranks->size + t->ranks->rank;
        rc = draw_one(g, k, i, v, &v->picture[j], g->seen + (size_t)j * S * S * 3, e);
        if (!rc) rc = tell(g, k, v, e);
    }
    if (!rc && n) rc = clip_image_features(t->clip, t->kernels, g->seen, n, v->feature, e);
    return rc;
}

enum code gallery_features(const struct gallery *g, const struct hash *image, int n, float *out,
                           struct err *e)
{
    size_t S = (size_t)g->t->clip->vision.image_size;
    uint8_t *seen = mem_alloc((size_t)n * S * S + 1, 3);
    if (!seen) return err_set(e, ERR_NOMEM, "out of memory for %d reference images", n);
    enum code rc = OK;
    for (int i = 0; !rc && i < n; i++) {
        struct image im = {0};
        rc = image_get(g, image[i], &im, e);
        if (!rc) rc = show_take(g, &im, seen + (size_t)i * S * S * 3, e);
    }
    if (!rc && n) rc = clip_image_features(g->t->clip, g->t->kernels, seen, n, out, e);
    free(seen);
    return rc;
}

enum code gallery_apart(const struct gallery *g, struct hash a, struct hash b, double *out,
                        struct err *e)
{
    struct image x = {0}, y = {0};
    uint64_t sum = 0;
    *out = 0;
    if (hash_equal(a, b)) return OK;
    enum code rc = image_get(g, a, &x, e);
    if (!rc) rc = image_get(g, b, &y, e);
    if (!rc && (x.w != y.w || x.h != y.h))
        rc = err_set(e, ERR_CORRUPT, "two pictures to compare are %dx%d and %dx%d", x.w, x.h, y.w,
                     y.h);
    size_t n = rc ? 0 : (size_t)x.w * (size_t)x.h * 3;
    for (size_t i = 0; i < n; i++) sum += (uint64_t)abs((int)x.rgb[i] - (int)y.rgb[i]);
    if (n) *out = (double)sum / (255.0 * (double)n);
    image_fini(&x);
    image_fini(&y);
    return rc;
}
