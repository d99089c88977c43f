/* prompts.c - what the text encoder reads during training: instance prompts, and the new token's first row. */
#include "pipeline/method/cns.h"

#include "base/arena.h"
#include "base/philox.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is_style(const struct task *t)
{
    return !strcmp(t->kind, "style");
}

/* The first occurrence of word as a whole word, or NULL. */
static const char *find_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = text; n && (at = strstr(at, word)); at++) {
        int left = at == text || !isalnum((unsigned char)at[-1]);
        int right = !isalnum((unsigned char)at[n]);
        if (left && right) return at;
    }
    return NULL;
}

void instance_prompt(const struct task *t, int i, char *out, size_t bytes)
{
    const char *pattern = is_style(t) ? t->settings.train_style_prompt : t->settings.train_prompt;
    const char *caption =
        t->settings.train_use_captions && i < t->n_captions ? t->caption[i] : NULL;
    const char *at = caption && !is_style(t) ? find_word(caption, t->class_word) : NULL;
    if (at) snprintf(out, bytes, "%.*s%s %s", (int)(at - caption), caption, t->token, at);
    else if (caption && is_style(t)) snprintf(out, bytes, "%s, in %s style", caption, t->token);
    else prompt_fill(pattern, t->token, t->class_word, out, bytes);
}

static const float *embedding_row(const struct task *t, int32_t id, struct err *e)
{
    const struct base_model *m = t->model;
    const char *name = "text_model.embeddings.token_embedding.weight";
    const float *table =
        weights_float(m->text_weights, name, (int64_t)m->text.vocab * m->text.hidden, e);
    return table ? table + (size_t)id * (size_t)m->text.hidden : NULL;
}

/* Mean of the rows of a text's tokens; the usual class word is one token. */
static enum code mean_row(const struct task *t, const char *text, float *out, struct err *e)
{
    const struct tokenizer *k = t->model->tokenizer;
    int length = tokenizer_length(k), D = t->model->text.hidden;
    int32_t *ids = mem_alloc((size_t)length, sizeof *ids);
    double *sum = mem_alloc((size_t)D, sizeof *sum);
    struct encoded enc = {0};
    enum code rc = ids && sum ? OK : err_set(e, ERR_NOMEM, "out of memory for a token's row");
    if (!rc) rc = tokenizer_encode(k, text, ids, length, &enc, e);
    if (!rc && enc.end < 2)
        rc = err_set(e, ERR_INPUT, "token.init: \"%s\" has no tokens to start from", text);
    for (int i = 1; !rc && i < enc.end; i++) {
        const float *row = embedding_row(t, ids[i], e);
        if (!row) rc = e ? e->code : ERR_INTERNAL;
        for (int j = 0; row && j < D; j++) sum[j] += row[j];
    }
    for (int j = 0; !rc && j < D; j++) out[j] = (float)(sum[j] / (enc.end - 1));
    free(ids);
    free(sum);
    return rc;
}

static enum code random_row(const struct task *t, const char *sigma, float *out, struct err *e)
{
    size_t D = (size_t)t->model->text.hidden;
    char *end;
    double scale = strtod(sigma, &end);
    if (end == sigma || *end || !isfinite(scale) || scale < 0.0)
        return err_set(e, ERR_USAGE,
                       "token.init = rand:%s: expected a standard deviation, for example rand:0.02",
                       sigma);
    philox_normal(philox_key(t->seed, PHILOX_TOKEN_INIT), 0, 0, out, D);
    for (size_t j = 0; j < D; j++) out[j] = (float)(out[j] * scale);
    return OK;
}

enum code token_init(const struct task *t, float *out, struct err *e)
{
    const char *how = t->settings.token_init;
    int D = t->model->text.hidden;
    if (!strcmp(how, "class")) return mean_row(t, t->class_word, out, e);
    if (!strncmp(how, "rand:", 5)) return random_row(t, how + 5, out, e);
    long id = -1;
    char *end = NULL;
    if (!strncmp(how, "id:", 3)) {
        id = strtol(how + 3, &end, 10);
        if (end == how + 3 || *end)
            return err_set(e, ERR_USAGE, "token.init = %s: expected a whole number after id:", how);
    } else if (!strncmp(how, "word:", 5)) {
        id = tokenizer_lookup(t->model->tokenizer, how + 5);
        if (id < 0) return mean_row(t, how + 5, out, e);
    } else
        return err_set(e, ERR_USAGE,
                       "token.init = %s: expected class, word:NAME, id:N or rand:SIGMA", how);
    if (id < 0 || id >= t->model->text.vocab)
        return err_set(e, ERR_USAGE, "token.init = %s: the vocabulary has ids 0 to %d", how,
                       t->model->text.vocab - 1);
    const float *row = embedding_row(t, (int32_t)id, e);
    if (!row) return e ? e->code : ERR_INTERNAL;
    memcpy(out, row, (size_t)D * sizeof *out);
    return OK;
}
