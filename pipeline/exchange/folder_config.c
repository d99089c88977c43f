/* folder_config.c - model_index.json and the parts' configurations.
 *
 * What changes: the vocabulary has more words, and parts that an export does not hold (safety_checker, feature_extractor,
 * image encoders) are absent: [null, null], which diffusers takes as such.
 */
#include "pipeline/exchange/folder.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INDEX "diffusers/model_index.json"
#define TEXT "diffusers/text_encoder/config.json"

static int is_ours(const char *component)
{
    static const char *const ours[] = {"unet", "vae", "text_encoder", "tokenizer", "scheduler"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (!strcmp(component, ours[i])) return 1;
    return 0;
}

static json_t *absent(void)
{
    return json_pack("[n,n]");
}

static enum code edit_index(json_t *j, struct err *e)
{
    const char *key;
    json_t *value;
    int failed = 0;
    json_object_foreach(j, key, value)
    {
        if (json_is_array(value) && !is_ours(key)) failed |= json_object_set_new(j, key, absent());
    }
    failed |= json_object_set_new(j, "safety_checker", absent());
    failed |= json_object_set_new(j, "feature_extractor", absent());
    failed |= json_object_set_new(j, "requires_safety_checker", json_false());
    return failed ? err_set(e, ERR_NOMEM, "no memory to plan model_index.json") : OK;
}

/* What transformers takes where it is told to take what is there. */
static const char *type_name(enum stored_dtype dtype)
{
    return dtype == STORED_F16 ? "float16" : dtype == STORED_F32 ? "float32" : NULL;
}

static enum code edit_text(const struct exchange *x, json_t *j, struct err *e)
{
    const char *type = type_name(x->dtype);
    int failed = 0;
    if (x->state->n)
        failed |= json_object_set_new(
            j, "vocab_size", json_integer(tokenizer_vocab(x->model->tokenizer) + x->state->n));
    if (type && json_object_get(j, "torch_dtype"))
        failed |= json_object_set_new(j, "torch_dtype", json_string(type));
    if (type && json_object_get(j, "dtype"))
        failed |= json_object_set_new(j, "dtype", json_string(type));
    return failed ? err_set(e, ERR_NOMEM, "no memory to plan a text encoder") : OK;
}

static enum code copy(const struct exchange *x, const char *name, struct output *out, struct err *e)
{
    char path[200];
    struct bytes b;
    snprintf(path, sizeof path, "diffusers/%s", name);
    enum code rc = folder_read(x->base_path, name, &b, e);
    if (!rc && !b.data) rc = err_set(e, ERR_NOT_FOUND, "%s/%s is gone", x->base_path, name);
    if (!rc) rc = output_add_text(out, path, b.data, b.n, e);
    free(b.data);
    return rc;
}

static enum code index_of_folder(const struct exchange *x, struct output *out, struct err *e)
{
    json_t *j;
    enum code rc = folder_json(x->base_path, "model_index.json", &j, e);
    if (rc || (rc = edit_index(j, e))) {
        json_decref(j);
        return rc;
    }
    return folder_add(out, INDEX, j, e);
}

static enum code text_of_folder(const struct exchange *x, struct output *out, struct err *e)
{
    json_t *j;
    enum code rc = folder_json(x->base_path, "text_encoder/config.json", &j, e);
    if (rc || (rc = edit_text(x, j, e))) {
        json_decref(j);
        return rc;
    }
    return folder_add(out, TEXT, j, e);
}

enum code folder_configs(const struct exchange *x, struct output *out, struct err *e)
{
    if (x->model->file) return folder_made(x, out, e);
    enum code rc = index_of_folder(x, out, e);
    if (!rc) rc = copy(x, "unet/config.json", out, e);
    if (!rc) rc = copy(x, "vae/config.json", out, e);
    if (!rc) rc = text_of_folder(x, out, e);
    return rc ? rc : copy(x, "scheduler/scheduler_config.json", out, e);
}
