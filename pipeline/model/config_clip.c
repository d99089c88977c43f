/* config_clip.c - CLIP text and vision: the text encoder's config.json, and that of a whole CLIPModel with both halves. */
#include "pipeline/model/config.h"
#include "pipeline/model/jsonfile.h"
#include "base/file.h"

#include <stdio.h>
#include <string.h>

enum { CLIP_WIDTH_MOST = 1 << 16, CLIP_LAYERS_MOST = 512, CLIP_VOCAB_MOST = 1 << 24 };

static enum clip_act read_act(struct jsonfile *f)
{
    const char *act = jsonfile_text(f, "hidden_act", "quick_gelu");
    if (!strcmp(act, "quick_gelu")) return CLIP_QUICK_GELU;
    jsonfile_refuse_not(f, "hidden_act", "gelu");
    return CLIP_GELU;
}

static void check_heads(struct jsonfile *f, int hidden, int heads)
{
    if (!f->rc && hidden % heads)
        jsonfile_fail(f, "%shidden_size %d does not divide into %d heads", f->where, hidden, heads);
}

/* Defaults are those of CLIPTextConfig. */
static void read_text(struct jsonfile *f, struct clip_text_config *c)
{
    jsonfile_refuse_true(f, "use_attention_mask");
    c->vocab = jsonfile_int(f, "vocab_size", 49408, 1, CLIP_VOCAB_MOST);
    c->hidden = jsonfile_int(f, "hidden_size", 512, 1, CLIP_WIDTH_MOST);
    c->intermediate = jsonfile_int(f, "intermediate_size", 2048, 1, CLIP_WIDTH_MOST);
    c->layers = jsonfile_int(f, "num_hidden_layers", 12, 1, CLIP_LAYERS_MOST);
    c->heads = jsonfile_int(f, "num_attention_heads", 8, 1, CLIP_WIDTH_MOST);
    c->positions = jsonfile_int(f, "max_position_embeddings", 77, 2, CLIP_WIDTH_MOST);
    c->projection = jsonfile_int(f, "projection_dim", 512, 1, CLIP_WIDTH_MOST);
    c->eos_id = jsonfile_has(f, "eos_token_id")
                    ? jsonfile_int(f, "eos_token_id", 49407, 0, CLIP_VOCAB_MOST)
                    : 49407;
    c->act = read_act(f);
    c->eps = (float)jsonfile_real(f, "layer_norm_eps", 1e-5);
    check_heads(f, c->hidden, c->heads);
}

/* Defaults are those of CLIPVisionConfig. */
static void read_vision(struct jsonfile *f, struct clip_vision_config *c)
{
    jsonfile_refuse_not_number(f, "num_channels", 3);
    c->hidden = jsonfile_int(f, "hidden_size", 768, 1, CLIP_WIDTH_MOST);
    c->intermediate = jsonfile_int(f, "intermediate_size", 3072, 1, CLIP_WIDTH_MOST);
    c->layers = jsonfile_int(f, "num_hidden_layers", 12, 1, CLIP_LAYERS_MOST);
    c->heads = jsonfile_int(f, "num_attention_heads", 12, 1, CLIP_WIDTH_MOST);
    c->image_size = jsonfile_int(f, "image_size", 224, 1, 4096);
    c->patch = jsonfile_int(f, "patch_size", 32, 1, 4096);
    c->act = read_act(f);
    c->eps = (float)jsonfile_real(f, "layer_norm_eps", 1e-5);
    check_heads(f, c->hidden, c->heads);
    if (!f->rc && c->image_size % c->patch)
        jsonfile_fail(f, "%simage_size %d is not a multiple of patch_size %d", f->where,
                      c->image_size, c->patch);
}

enum code config_read_clip_text(const char *path, struct clip_text_config *out, struct err *e)
{
    struct clip_text_config c = {0};
    struct jsonfile f;
    const char *type;
    jsonfile_open(&f, path, e);
    type = jsonfile_text(&f, "model_type", "clip_text_model");
    if (strcmp(type, "clip_text_model") != 0)
        jsonfile_fail(
            &f, "model_type is %.60s; Engram needs a text encoder of type clip_text_model", type);
    read_text(&f, &c);
    if (!f.rc) *out = c;
    return jsonfile_close(&f);
}

static void read_three(struct jsonfile *f, const char *key, float *out)
{
    json_t *list = f->rc ? NULL : json_object_get(f->at, key);
    if (!list) return;
    for (size_t i = 0; i < 3; i++) {
        json_t *v = json_array_get(list, i);
        if (!json_is_number(v) || json_array_size(list) != 3) {
            jsonfile_fail(f, "%s must list three numbers", key);
            return;
        }
        out[i] = (float)json_number_value(v);
    }
}

/* preprocessor_config.json stands beside config.json; without it, the constants that OpenAI trained with. */
static enum code read_preprocessor(const char *config_path, struct clip_vision_config *c,
                                   struct err *e)
{
    static const float mean[3] = {0.48145466f, 0.4578275f, 0.40821073f},
                       std[3] = {0.26862954f, 0.26130258f, 0.27577711f};
    const char *slash = strrchr(config_path, '/');
    int n_dir = slash ? (int)(slash - config_path) + 1 : 0;
    char path[4096];
    struct jsonfile f;
    memcpy(c->mean, mean, sizeof mean);
    memcpy(c->std, std, sizeof std);
    if (snprintf(path, sizeof path, "%.*spreprocessor_config.json", n_dir, config_path) >=
        (int)sizeof path)
        return err_set(e, ERR_INPUT, "path too long: %.200s", config_path);
    if (!file_exists(path)) return OK;
    jsonfile_open(&f, path, e);
    read_three(&f, "image_mean", c->mean);
    read_three(&f, "image_std", c->std);
    for (int i = 0; i < 3 && !f.rc; i++)
        if (!(c->std[i] > 0)) jsonfile_fail(&f, "image_std must be above 0");
    return jsonfile_close(&f);
}

/* A half that the file leaves out beside the other is all defaults, which are ViT-B/32's. */
static void add_half(struct jsonfile *f, const char *key, const char *other)
{
    if (!f->rc && !jsonfile_has(f, key) && jsonfile_has(f, other) &&
        json_object_set_new(f->root, key, json_object()))
        f->rc = err_set(f->e, ERR_NOMEM, "%s: no memory to read it", f->path);
}

enum code config_read_clip(const char *path, struct clip_text_config *text,
                           struct clip_vision_config *vision, struct err *e)
{
    struct clip_text_config t = {0};
    struct clip_vision_config v = {0};
    struct jsonfile f;
    int projection;
    enum code rc;
    jsonfile_open(&f, path, e);
    jsonfile_refuse_not(&f, "model_type", "clip");
    projection = jsonfile_int(&f, "projection_dim", 512, 1, CLIP_WIDTH_MOST);
    add_half(&f, "text_config", "vision_config");
    add_half(&f, "vision_config", "text_config");
    jsonfile_enter(&f, "text_config", "text_config.");
    read_text(&f, &t);
    jsonfile_enter(&f, NULL, "");
    jsonfile_enter(&f, "vision_config", "vision_config.");
    read_vision(&f, &v);
    if ((rc = jsonfile_close(&f)) || (rc = read_preprocessor(path, &v, e))) return rc;
    t.projection = v.projection =
        projection; /* the halves repeat it, at times wrongly; the model uses this one */
    *text = t;
    *vision = v;
    return OK;
}
