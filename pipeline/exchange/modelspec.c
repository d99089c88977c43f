/* modelspec.c - metadata of exported files. */
#include "pipeline/exchange/modelspec.h"

#include "base/text.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAIRS_MOST 32

struct pairs {
    struct arena *arena;
    const char **text; /* key, value, ... */
    size_t n;
    int failed;
};

/* NULL values are left out. */
static void add(struct pairs *p, const char *key, const char *value)
{
    if (!value) return;
    assert(p->n + 2 <= 2 * PAIRS_MOST);
    p->text[p->n] = key;
    p->text[p->n + 1] = arena_strdup(p->arena, value);
    p->failed |= !p->text[p->n + 1];
    p->n += 2;
}

static void add_number(struct pairs *p, const char *key, uint64_t v)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    add(p, key, text);
}

static void add_hash(struct pairs *p, const char *key, struct hash h)
{
    char text[HASH_TEXT];
    if (!hash_is_zero(h)) add(p, key, hash_text(h, text));
}

/* Takes j. */
static void add_json(struct pairs *p, const char *key, json_t *j)
{
    char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    p->failed |= !text;
    add(p, key, text);
    free(text);
    json_decref(j);
}

const char *modelspec_phrase(const struct exchange_concept *c, struct arena *a)
{
    if (!strcmp(c->kind, "style")) return arena_strdup(a, c->token);
    return arena_printf(a, "%s %s", c->token, c->class_word);
}

const char *modelspec_base_name(const struct exchange *x, struct arena *a)
{
    static const char tail[] = ".safetensors";
    size_t n = strlen(x->base_path), begin;
    while (n > 1 && x->base_path[n - 1] == '/') n--;
    for (begin = n; begin && x->base_path[begin - 1] != '/';) begin--;
    if (n - begin > sizeof tail - 1 &&
        !strncmp(x->base_path + n - (sizeof tail - 1), tail, sizeof tail - 1))
        n -= sizeof tail - 1;
    return arena_printf(a, "%.*s", (int)(n - begin), x->base_path + begin);
}

static int is_v(const struct exchange *x)
{
    return x->model->schedule.config.prediction == PREDICT_V;
}

/* The specification's names for what people have; another size of the same architecture gets no name that promises more. */
static const char *architecture(const struct exchange *x)
{
    int width = x->model->unet.cross_attention_dim;
    if (width == 768) return "stable-diffusion-v1";
    if (width == 1024) return is_v(x) ? "stable-diffusion-v2-768-v" : "stable-diffusion-v2-512";
    return "stable-diffusion-other";
}

static void add_date(struct pairs *p, int64_t ms)
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    char text[32];
    if (!ms || !gmtime_r(&t, &tm)) return;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    add(p, "modelspec.date", text);
}

static void add_phrases(struct pairs *p, const struct exchange *x)
{
    struct text all = {0};
    for (int i = 0; i < x->state->n; i++) {
        if (!exchange_is_wanted(x, i)) continue;
        const char *phrase = modelspec_phrase(&x->concept[i], p -> arena);
        p->failed |= !phrase;
        text_printf(&all, "%s%s", all.n ? ", " : "", phrase ? phrase : "");
    }
    p->failed |= all.failed;
    if (all.n) add(p, "modelspec.trigger_phrase", all.s);
    text_fini(&all);
}

static void add_modelspec(struct pairs *p, const struct exchange *x, enum modelspec_kind kind)
{
    int side = x->model->unet.sample_size * vae_factor(&x->model->vae);
    char title[200], resolution[32], merged[200];
    const char *base = modelspec_base_name(x, p->arena);
    snprintf(title, sizeof title, "%.100s, %d concept%s on %.60s", x->lineage, x->state->n,
             x->state->n == 1 ? "" : "s", base ? base : "");
    snprintf(resolution, sizeof resolution, "%dx%d", side, side);
    snprintf(merged, sizeof merged, "%.190s", base ? base : "");
    p->failed |= !base;
    add(p, "modelspec.sai_model_spec", "1.0.1");
    add(p, "modelspec.architecture", architecture(x));
    add(p, "modelspec.implementation",
        kind == MODELSPEC_DELTA ? "engram" : "https://github.com/CompVis/stable-diffusion");
    add(p, "modelspec.title", title);
    add(p, "modelspec.resolution", resolution);
    add(p, "modelspec.prediction_type", is_v(x) ? "v" : "epsilon");
    add(p, "modelspec.merged_from", merged);
    add(p, "modelspec.hash_sha256", SAFETENSORS_HASH);
    add(p, "modelspec.tags", "engram, continual personalization, concept neuron selection");
    add_date(p, x->date_ms);
    add_phrases(p, x);
}

/* The record is for those who want to put a commit together again. */
static json_t *concept_json(const struct exchange *x, int i, enum modelspec_kind kind)
{
    const struct exchange_concept *c = &x->concept[i];
    char commit[HASH_TEXT], parent[HASH_TEXT];
    hash_text(c->commit, commit);
    hash_text(c->parent, parent);
    return json_pack("{s:i,s:s,s:s*,s:s,s:s,s:s,s:I,s:s*}", "number", i + 1, "commit", commit,
                     "parent", hash_is_zero(c->parent) ? NULL : parent, "token", c->token, "class",
                     c->class_word, "kind", c->kind, "neurons", (json_int_t)c->n_neurons, "made",
                     kind == MODELSPEC_DELTA ? c->made : NULL);
}

static void add_engram(struct pairs *p, const struct exchange *x, enum modelspec_kind kind)
{
    json_t *concepts = json_array();
    for (int i = 0; i < x->state->n; i++)
        if (exchange_is_wanted(x, i))
            p->failed |= json_array_append_new(concepts, concept_json(x, i, kind)) != 0;
    add(p, "engram.lineage", x->lineage);
    add_hash(p, "engram.base", x->model->hash);
    add_hash(p, "engram.commit", x->state->head);
    add_json(p, "engram.concepts", concepts);
}

/* Where each neuron is, so that a delta can be applied by somebody who has the base and this file only. */
static void add_delta(struct pairs *p, const struct exchange *x)
{
    const struct kv_layout *kv = &x->model->kv;
    json_t *matrices = json_array();
    for (int i = 0; i < kv->n; i++)
        p->failed |=
            json_array_append_new(matrices, json_pack("[s,I,I]", kv->matrix[i].name,
                                                      (json_int_t)kv->matrix[i].rows,
                                                      (json_int_t)kv->matrix[i].cols)) != 0;
    add(p, "engram.format", "engram delta 1");
    add_number(p, "engram.neurons", kv->n_weights);
    add_number(p, "engram.width", x->state->dim);
    add_json(p, "engram.matrices", matrices);
}

enum code modelspec_make(const struct exchange *x, enum modelspec_kind kind, struct arena *a,
                         const char *const **out, struct err *e)
{
    struct pairs p = {.arena = a, .text = arena_alloc(a, (2 * PAIRS_MOST + 1) * sizeof(char *))};
    if (!p.text) return err_set(e, ERR_NOMEM, "no memory for an export's metadata");
    add(&p, "format", "pt");
    add_modelspec(&p, x, kind);
    add_engram(&p, x, kind);
    if (kind == MODELSPEC_DELTA) add_delta(&p, x);
    *out = p.text;
    return p.failed ? err_set(e, ERR_NOMEM, "no memory for an export's metadata") : OK;
}
