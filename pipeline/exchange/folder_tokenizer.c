/* folder_tokenizer.c - tokenizer/ with the lineage's tokens, so that the slow and the fast tokenizer both load it.
 *
 * Since transformers 4.34 the list added_tokens_decoder in tokenizer_config.json is the truth for both; with it there,
 * special_tokens_map.json is not read any more. So the special tokens that the model was trained with, which may stand in
 * that map alone (SD 2.x: the pad token), are written into the list and the four keys. Older versions read
 * added_tokens.json. Added tokens are not `normalized`: the fast tokenizer would find those in lower-cased text, also where
 * the prompt has capitals, and the slow one would not.
 */
#include "pipeline/exchange/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIR "diffusers/tokenizer/"

static json_t *token_json(const char *text, int is_normalized, int is_special)
{
    return json_pack("{s:s,s:b,s:b,s:b,s:b,s:b}", "content", text, "lstrip", 0, "normalized",
                     is_normalized, "rstrip", 0, "single_word", 0, "special", is_special);
}

static int add_token(json_t *list, int32_t id, json_t *token)
{
    char key[16];
    snprintf(key, sizeof key, "%d", (int)id);
    return json_object_set_new(list, key, token);
}

struct special {
    const char *key;
    int32_t id;
};

/* The four keys and their entries in the list. A key that says the same already is left as it is spelt. */
static int set_specials(const struct tokenizer *t, json_t *config, json_t *list)
{
    const struct special special[] = {{"bos_token", tokenizer_start(t)},
                                      {"eos_token", tokenizer_end(t)},
                                      {"unk_token", tokenizer_unknown(t)},
                                      {"pad_token", tokenizer_pad(t)}};
    int failed = 0;
    for (int i = 0; i < 4; i++) {
        char key[16];
        const char *text = tokenizer_piece(t, special[i].id);
        json_t *old = json_object_get(config, special[i].key);
        const char *says =
            json_string_value(json_is_object(old) ? json_object_get(old, "content") : old);
        snprintf(key, sizeof key, "%d", (int)special[i].id);
        if (!says || strcmp(says, text) != 0)
            failed |= json_object_set_new(config, special[i].key, json_string(text));
        /* As the class makes them: start, end and unknown token are normalized, another pad token is not. */
        if (!json_object_get(list, key))
            failed |= add_token(list, special[i].id, token_json(text, i < 3, 1));
    }
    return failed;
}

static int set_added(const struct exchange *x, json_t *list, json_t *added)
{
    int failed = 0;
    for (int i = 0; i < x->state->n; i++) {
        int32_t id = tokenizer_vocab(x->model->tokenizer) + i;
        const char *text = x->concept[i].token;
        failed |= add_token(list, id, token_json(text, 0, 0)) |
                  json_object_set_new(added, text, json_integer(id));
    }
    return failed;
}

static enum code plan_config(const struct exchange *x, const char *from, struct output *out,
                             struct err *e)
{
    const struct tokenizer *t = x->model->tokenizer;
    json_t *config = NULL, *list, *added = json_object();
    enum code rc = folder_json(from, "tokenizer_config.json", &config, e);
    if (rc) goto free_all;
    if (!config)
        config = json_pack("{s:s,s:b,s:b,s:s,s:i}", "tokenizer_class", "CLIPTokenizer",
                           "add_prefix_space", 0, "do_lower_case", 1, "errors", "replace",
                           "model_max_length", tokenizer_length(t));
    list = json_object_get(config, "added_tokens_decoder");
    if (!json_is_object(list)) {
        json_object_set_new(config, "added_tokens_decoder", json_object());
        list = json_object_get(config, "added_tokens_decoder");
    }
    if (!added || !list || set_specials(t, config, list) || set_added(x, list, added)) {
        rc = err_set(e, ERR_NOMEM, "no memory to plan a tokenizer");
        goto free_all;
    }
    rc = folder_add(out, DIR "tokenizer_config.json", config, e);
    config = NULL;
    if (!rc && x->state->n) {
        rc = folder_add(out, DIR "added_tokens.json", added, e);
        added = NULL;
    }
free_all:
    json_decref(config);
    json_decref(added);
    return rc;
}

/* A file as it is. is_needed: it must be there. */
static enum code plan_copy(const char *from, const char *name, int is_needed, struct output *out,
                           struct err *e)
{
    char path[200];
    struct bytes b;
    snprintf(path, sizeof path, DIR "%s", name);
    enum code rc = folder_read(from, name, &b, e);
    if (!rc && b.data) rc = output_add_text(out, path, b.data, b.n, e);
    else if (!rc && is_needed) rc = err_set(e, ERR_NOT_FOUND, "%s/%s is gone", from, name);
    free(b.data);
    return rc;
}

/* A base with merges alone has its vocabulary in memory. */
static enum code plan_vocabulary(const struct exchange *x, struct output *out, struct err *e)
{
    const struct tokenizer *t = x->model->tokenizer;
    json_t *j = json_object();
    int failed = !j;
    for (int32_t id = 0; !failed && id < tokenizer_vocab(t); id++)
        failed = json_object_set_new(j, tokenizer_piece(t, id), json_integer(id));
    if (!failed) return folder_add(out, DIR "vocab.json", j, e);
    json_decref(j);
    return err_set(e, ERR_NOMEM, "no memory to plan a vocabulary");
}

enum code folder_tokenizer(const struct exchange *x, struct output *out, struct err *e)
{
    char from[4096], vocabulary[4600];
    enum code rc = base_model_tokenizer_path(x->base_path, from, sizeof from, e);
    if (rc) return rc;
    snprintf(vocabulary, sizeof vocabulary, "%s/vocab.json", from);
    rc = file_exists(vocabulary) ? plan_copy(from, "vocab.json", 1, out, e)
                                 : plan_vocabulary(x, out, e);
    if (!rc) rc = plan_copy(from, "merges.txt", 1, out, e);
    /* A single file's family may know better than the folder beside it (the pad token). */
    if (!rc && !x->model->file) rc = plan_copy(from, "special_tokens_map.json", 0, out, e);
    if (!rc && !x->state->n && !x->model->file)
        return plan_copy(from, "tokenizer_config.json", 0, out, e);
    return rc ? rc : plan_config(x, from, out, e);
}
