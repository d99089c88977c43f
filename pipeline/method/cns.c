/* cns.c - Concept Neuron Selection: select by equations (3) to (6), train the selection, write a commit. */
#include "pipeline/method/cns.h"

#include "base/arena.h"
#include "pipeline/method/train.h"
#include "pipeline/model/runner.h"
#include "pipeline/neurons/score.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CURVE_POINTS 100 /* of the learning curve that a commit records */

/* ---- score ------------------------------------------------------------------------------------------------------- */

/* A6: captions as they are, or with the new token (whose row is still its first value) before the class word. */
static void caption_text(const struct task *t, int i, char *out, size_t bytes)
{
    struct task with_caption = *t;
    with_caption.settings.train_use_captions = 1;
    if (t->settings.score_caption_token) instance_prompt(&with_caption, i, out, bytes);
    else snprintf(out, bytes, "%s", t->caption[i]);
}

/* Feature norms v of n texts: out [n][D]. */
static enum code norms_of(const struct task *t, const struct score_options *o,
                          const char *const *text, int n, int with_token, double *out,
                          struct err *e)
{
    int length = tokenizer_length(t->model->tokenizer), D = t->model->text.hidden;
    struct tokenizer *k = tokenizer_clone(t->model->tokenizer);
    int32_t *ids = mem_alloc((size_t)length, sizeof *ids), id;
    float *states = mem_alloc((size_t)length * (size_t)D, sizeof *states),
          *row = mem_alloc((size_t)D, sizeof *row);
    enum code rc =
        k && ids && states && row ? OK : err_set(e, ERR_NOMEM, "out of memory while scoring");
    if (!rc && with_token) rc = tokenizer_add(k, t->token, &id, e);
    if (!rc && with_token) rc = token_init(t, row, e);
    for (int i = 0; !rc && i < n; i++) {
        struct encoded enc;
        rc = tokenizer_encode(k, text[i], ids, length, &enc, e);
        if (!rc)
            rc = text_states(t->model, t->kernels, ids, 1, length, with_token ? row : NULL,
                             with_token, states, e);
        if (!rc) score_norms(o, states, length, D, enc.n, out + (size_t)i * (size_t)D);
    }
    free(ids);
    free(states);
    free(row);
    tokenizer_close(k);
    return rc;
}

/* AND (or vote) over the masks of n texts. */
static enum code common_mask(const struct task *t, const struct score_options *o,
                             const char *const *text, int n, int with_token, double share,
                             struct mask *out, struct err *e)
{
    int D = t->model->text.hidden;
    const float *w = t->settings.score_weights ? t->lineage->kv : t->w0;
    double *norms = mem_alloc((size_t)n * (size_t)D + 1, sizeof *norms);
    enum code rc = norms ? OK : err_set(e, ERR_NOMEM, "out of memory while scoring");
    if (!rc) rc = norms_of(t, o, text, n, with_token, norms, e);
    rc = collectives_agree(t->ranks, rc, e);
    if (!rc) rc = score_common(&t->model->kv, w, o, norms, n, D, share, t->ranks, out, e);
    free(norms);
    return rc;
}

/* A caption must be read whole, or its mask would be another caption's. Calibration prompts may be cut: any prompt serves. */
static enum code captions_fit(const struct task *t, const char *const *text, struct err *e)
{
    int length = tokenizer_length(t->model->tokenizer);
    int32_t *ids = mem_alloc((size_t)length, sizeof *ids);
    enum code rc = ids ? OK : err_set(e, ERR_NOMEM, "out of memory for captions");
    for (int i = 0; !rc && i < t->n_captions; i++) {
        struct encoded enc;
        rc = tokenizer_encode(t->model->tokenizer, text[i], ids, length, &enc, e);
        if (!rc && enc.n_full > length)
            rc = err_set(e, ERR_INPUT,
                         "caption \"%.60s...\" has %d tokens; the text encoder reads %d", text[i],
                         enc.n_full, length);
    }
    free(ids);
    return rc;
}

static enum code base_mask(const struct task *t, const struct score_options *o, struct mask *out,
                           struct err *e)
{
    enum { ROOM = 2048 };
    char *room = mem_alloc((size_t)t->n_captions + 1, ROOM);
    const char **text = mem_alloc((size_t)t->n_captions + 1, sizeof *text);
    enum code rc = room && text ? OK : err_set(e, ERR_NOMEM, "out of memory for captions");
    rc = collectives_agree(t->ranks, rc, e);
    for (int i = 0; !rc && i < t->n_captions; i++) {
        text[i] = room + (size_t)i * ROOM;
        caption_text(t, i, room + (size_t)i * ROOM, ROOM);
    }
    if (!rc) rc = captions_fit(t, text, e);
    if (!rc)
        rc = common_mask(t, o, text, t->n_captions, t->settings.score_caption_token != 0,
                         t->settings.base_vote, out, e);
    free(room);
    free(text);
    return rc;
}

static enum code cns_score(const struct task *t, struct masks *out, struct err *e)
{
    const struct settings *s = &t->settings;
    struct score_options o = {.fraction = s->score_fraction,
                              .tokens = (enum score_tokens)s->score_tokens,
                              .group = (enum score_group)s->score_group,
                              .rownorm = s->score_rownorm != 0};
    int k = s->general_k < t->n_calibration ? (int)s->general_k : t->n_calibration;
    size_t n = t->model->kv.n_weights;
    *out = (struct masks){0};
    if (t->n_captions < 1)
        return err_set(e, ERR_INPUT, "concept %s has no captions to score", t->token);
    enum code rc = mask_init(&out->base, n, e);
    if (!rc) rc = mask_init(&out->general, n, e);
    rc = collectives_agree(t->ranks, rc, e);
    if (!rc) rc = base_mask(t, &o, &out->base, e);
    if (!rc && k > 0) rc = common_mask(t, &o, t->calibration, k, 0, 1.0, &out->general, e);
    if (!rc) rc = mask_copy(&out->concept, &out->base, e);
    if (!rc) {
        mask_and_not(&out->concept, &out->general); /* (6) */
        rc = mask_copy(&out->reg, &out->concept, e);
    }
    if (!rc) mask_and(&out->reg, &t->lineage->used);
    if (rc) masks_fini(out);
    return rc;
}

/* ---- commit ------------------------------------------------------------------------------------------------------ */

static json_t *rounded(double v)
{
    char s[32];
    snprintf(s, sizeof s, "%.6g", v);
    return json_real(strtod(s, NULL));
}

/* Means over equal stretches of steps: enough to draw, small enough to keep for ever. */
static json_t *curve(const struct train_state *s)
{
    json_t *list = json_array();
    int64_t points = s->steps < CURVE_POINTS ? s->steps : CURVE_POINTS;
    for (int64_t p = 0; p < points; p++) {
        int64_t from = s->steps * p / points, to = s->steps * (p + 1) / points;
        double sum = 0.0;
        for (int64_t i = from; i < to; i++) sum += (double)s->loss[i];
        json_array_append_new(list, rounded(sum / (double)(to - from)));
    }
    return list;
}

static json_t *densities(const struct masks *m)
{
    return json_pack("{s:o,s:o,s:o,s:o}", "base", rounded(mask_density(&m->base)), "general",
                     rounded(mask_density(&m->general)), "concept",
                     rounded(mask_density(&m->concept)), "reg", rounded(mask_density(&m->reg)));
}

/* The commit's record of how it was made. No times and no places: same concept, same bytes. The settings are its last member,
 * in their canonical form: a number rounded for people would not train the same concept again. NULL: out of memory. */
static char *record(const struct task *t, const struct masks *m, const struct train_state *s)
{
    struct text out = {0};
    json_t *root = json_object();
    json_object_set_new(root, "method", json_string("cns"));
    json_object_set_new(root, "seed", json_integer((json_int_t)t->seed));
    json_object_set_new(root, "steps", json_integer((json_int_t)s->steps));
    json_object_set_new(root, "densities", densities(m));
    json_object_set_new(root, "losses", curve(s));
    json_object_set_new(root, "reg_balance",
                        s->balance_n ? rounded(s->balance_sum / (double)s->balance_n)
                                     : json_null());
    json_object_set_new(root, "inputs",
                        json_loads(t->inputs_json ? t->inputs_json : "{}", 0, NULL));
    char *facts = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(6));
    json_decref(root);
    if (facts) text_add_bytes(&out, facts, strlen(facts) - 1); /* without the closing brace */
    text_add(&out, ",\"settings\":");
    settings_record(&t->settings, &out);
    text_add(&out, "}");
    int whole = facts && text_ok(&out);
    free(facts);
    if (!whole) text_fini(&out);
    return out.s; /* handed over */
}

static enum code commit_fill(const struct task *t, const struct masks *m,
                             const struct train_state *s, struct commit *out, struct err *e)
{
    *out = (struct commit){
        .base = t->model->hash, .parent = t->lineage->head, .n_values = s->n, .dim = s->dim};
    memcpy(out->token, t->token, sizeof out->token);
    memcpy(out->class_word, t->class_word, sizeof out->class_word);
    memcpy(out->kind, t->kind, sizeof out->kind);
    enum code rc = mask_copy(&out->mask, &m->concept, e);
    out->value = mem_alloc(s->n + 1, sizeof(float));
    out->row = mem_alloc((size_t)s->dim + 1, sizeof(float));
    out->made = record(t, m, s);
    if (!rc && (!out->value || !out->row || !out->made))
        rc = err_set(e, ERR_NOMEM, "out of memory for a commit");
    if (!rc) {
        memcpy(out->value, s->w, s->n * sizeof(float));
        memcpy(out->row, s->row, s->dim * sizeof(float));
    }
    if (rc) commit_fini(out);
    return rc;
}

static enum code check_finite(const struct train_state *s, const char *token, struct err *e)
{
    int good = 1;
    for (size_t i = 0; i < s->n; i++) good &= isfinite(s->w[i]) != 0;
    for (size_t i = 0; i < s->dim; i++) good &= isfinite(s->row[i]) != 0;
    if (good) return OK;
    return err_set(e, ERR_FAILED,
                   "training of %s diverged; try a smaller train.lr or train.lr_token", token);
}

static enum code cns_train(const struct task *t, const struct masks *m, struct commit *out,
                           struct err *e)
{
    struct train_state s;
    *out = (struct commit){0};
    if (t->instance.n < 1)
        return err_set(e, ERR_INPUT, "concept %s has no images to train on", t->token);
    if (t->prior.n && t->prior.side != t->instance.side)
        return err_set(
            e, ERR_INPUT,
            "class images are %d pixels wide, the images of %s %d: make both with one sample.side",
            t->prior.side, t->token, t->instance.side);
    if (m->concept.n_bits != t->model->kv.n_weights)
        return err_set(e, ERR_CORRUPT, "the masks of %s are for another base model", t->token);
    enum code rc = train_run(t, m, &s, e);
    if (rc) return rc;
    rc = check_finite(&s, t->token, e);
    if (!rc) rc = commit_fill(t, m, &s, out, e);
    train_state_fini(&s);
    return rc;
}

const struct method method_cns = {
    .name = "cns",
    .what = "Concept Neuron Selection: train the few neurons a concept's captions share and others "
            "do not",
    .score = cns_score,
    .train = cns_train,
};
