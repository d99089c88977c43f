/* base_model.c - opens a diffusers directory or a single file: everything is looked at before anything is computed.
 *
 * A base model is named by the SHA-256 of a short text (docs/formats.md, "Model directories"): the hashes of its parts and
 * every configuration value that changes a result. Values that only suggest something (sample_size) are left out, so
 * that two copies which compute the same have the same name however their files are split or formatted.
 */
#include "pipeline/model/base_model.h"
#include "base/arena.h"
#include "base/file.h"
#include "base/text.h"
#include "pipeline/model/jsonfile.h"
#include "pipeline/model/single_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MOST 4096

static enum code join(char path[PATH_MOST], const char *dir, const char *file, struct err *e)
{
    if (snprintf(path, PATH_MOST, "%s/%s", dir, file) < PATH_MOST) return OK;
    return err_set(e, ERR_INPUT, "path too long: %.200s/%s", dir, file);
}

/* ---- what is there -------------------------------------------------------------------------------------------------- */

/* Pipelines whose components are exactly ours; what they do at sampling time is not used. */
static const char *const pipelines[] = {"StableDiffusionPipeline",
                                        "StableDiffusionImg2ImgPipeline"};

/* One line for all that is missing: people fix a folder once, not file by file. */
static enum code check_files(const char *dir, const char *const *file, int n, struct err *e)
{
    char path[PATH_MOST], line[400] = "";
    int missing = 0;
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        enum code rc = join(path, dir, file[i], e);
        if (rc) return rc;
        if (file_exists(path)) continue;
        at += (size_t)snprintf(line + at, sizeof line - at, "%s%s", missing++ ? ", " : "", file[i]);
    }
    if (!missing) return OK;
    return err_set(e, ERR_NOT_FOUND, "%s: a diffusers model needs %s, which %s missing", dir, line,
                   missing > 1 ? "are" : "is");
}

static void check_component(struct jsonfile *f, const char *name)
{
    json_t *pair = f->rc ? NULL : json_object_get(f->at, name);
    if (!f->rc && !json_is_string(json_array_get(pair, 1)))
        jsonfile_fail(f, "the pipeline has no %s, which Engram needs", name);
}

static enum code check_index(const char *dir, struct err *e)
{
    char path[PATH_MOST];
    struct jsonfile f;
    const char *class_name;
    size_t i = 0;
    enum code rc = join(path, dir, "model_index.json", e);
    if (rc) return rc;
    if (!file_exists(path))
        return err_set(
            e, ERR_NOT_FOUND,
            "%s: no model_index.json; expected a diffusers folder with model_index.json, unet/, "
            "vae/, text_encoder/, tokenizer/ and scheduler/, or a single-file checkpoint "
            "(.safetensors) of Stable Diffusion 1.x or 2.x",
            dir);
    jsonfile_open(&f, path, e);
    class_name = jsonfile_text(&f, "_class_name", "");
    while (i < sizeof pipelines / sizeof *pipelines && strcmp(class_name, pipelines[i]) != 0) i++;
    if (!f.rc && (strstr(class_name, "XL") || jsonfile_has(&f, "text_encoder_2")))
        jsonfile_fail(
            &f, "a Stable Diffusion XL model (%.80s); Engram runs Stable Diffusion 1.x and 2.x",
            class_name);
    else if (!f.rc && i == sizeof pipelines / sizeof *pipelines)
        jsonfile_fail(&f, "_class_name is \"%.80s\"; Engram runs StableDiffusionPipeline",
                      class_name);
    check_component(&f, "unet");
    check_component(&f, "vae");
    check_component(&f, "text_encoder");
    check_component(&f, "tokenizer");
    check_component(&f, "scheduler");
    return jsonfile_close(&f);
}

/* ---- configurations ------------------------------------------------------------------------------------------------- */

static enum code read_configs(struct base_model *m, const char *dir, struct err *e)
{
    static const char *const files[] = {"unet/config.json", "vae/config.json",
                                        "text_encoder/config.json",
                                        "scheduler/scheduler_config.json", "tokenizer/merges.txt"};
    char path[PATH_MOST];
    struct schedule_config schedule;
    enum code rc;
    if ((rc = check_files(dir, files, (int)(sizeof files / sizeof *files), e))) return rc;
    if ((rc = join(path, dir, files[0], e)) || (rc = config_read_unet(path, &m->unet, e)))
        return rc;
    if ((rc = join(path, dir, files[1], e)) || (rc = config_read_vae(path, &m->vae, e))) return rc;
    if ((rc = join(path, dir, files[2], e)) || (rc = config_read_clip_text(path, &m->text, e)))
        return rc;
    if ((rc = join(path, dir, files[3], e)) || (rc = config_read_schedule(path, &schedule, e)))
        return rc;
    if ((rc = base_model_tokenizer_open(&m->tokenizer, dir, e))) return rc;
    return schedule_make(&m->schedule, &schedule, e);
}

static enum code check_tokenizer(const struct tokenizer *t, const struct clip_text_config *text,
                                 const char *dir, struct err *e)
{
    if (tokenizer_vocab(t) != text->vocab)
        return err_set(
            e, ERR_INPUT,
            "%s: the tokenizer has %d entries but the text encoder embeds %d (vocab_size)", dir,
            tokenizer_vocab(t), text->vocab);
    if (tokenizer_length(t) > text->positions)
        return err_set(e, ERR_INPUT,
                       "%s: the tokenizer writes %d ids but the text encoder has %d positions "
                       "(max_position_embeddings)",
                       dir, tokenizer_length(t), text->positions);
    return OK;
}

/* Do the parts belong together? */
static enum code check_parts(const struct base_model *m, const char *dir, struct err *e)
{
    if (m->text.hidden != m->unet.cross_attention_dim)
        return err_set(e, ERR_INPUT,
                       "%s: the text encoder is %d wide (hidden_size) but the UNet expects %d "
                       "(cross_attention_dim); these parts are of different models",
                       dir, m->text.hidden, m->unet.cross_attention_dim);
    if (m->vae.latent_channels != m->unet.in_channels)
        return err_set(
            e, ERR_INPUT,
            "%s: the VAE has %d latent_channels but the UNet %d in_channels; these parts are of "
            "different models",
            dir, m->vae.latent_channels, m->unet.in_channels);
    return check_tokenizer(m->tokenizer, &m->text, dir, e);
}

/* ---- the name ------------------------------------------------------------------------------------------------------- */

static void add_ints(struct text *t, const char *key, const int *v, int n)
{
    text_printf(t, " %s=", key);
    for (int i = 0; i < n; i++) text_printf(t, "%s%d", i ? "," : "", v[i]);
}

static void add_part(struct text *t, const char *name, struct hash h)
{
    char hex[HASH_TEXT];
    if (hash_is_zero(h))
        t->failed = 1; /* no memory for the hash: weights_hash has no other way to say it */
    text_printf(t, "%s %s", name, hash_text(h, hex));
}

static void add_unet(struct text *t, const struct unet_config *c)
{
    add_ints(t, "channels", c->channels, c->levels);
    add_ints(t, "layers", c->layers, c->levels);
    add_ints(t, "heads", c->heads, c->levels);
    add_ints(t, "depth", c->depth, c->levels);
    add_ints(t, "down", c->down_attention, c->levels);
    add_ints(t, "up", c->up_attention, c->levels);
    text_printf(t, " groups=%d eps=%.9g flip=%d shift=%.9g padding=%d\n", c->norm_groups,
                (double)c->norm_eps, c->flip_sin_to_cos, (double)c->freq_shift,
                c->downsample_padding);
}

static void add_vae(struct text *t, const struct vae_config *c)
{
    add_ints(t, "channels", c->channels, c->levels);
    text_printf(t, " layers=%d groups=%d attention=%d quant=%d,%d scale=%.9g shift=%.9g\n",
                c->layers, c->norm_groups, c->mid_attention, c->quant_conv, c->post_quant_conv,
                (double)c->scaling_factor, (double)c->shift_factor);
}

static void add_text_config(struct text *t, const struct clip_text_config *c)
{
    text_printf(t, " layers=%d heads=%d act=%s eps=%.9g\n", c->layers, c->heads,
                c->act == CLIP_GELU ? "gelu" : "quick_gelu", (double)c->eps);
}

static void add_tokenizer(struct text *t, const struct tokenizer *tok)
{
    add_part(t, "tokenizer", tokenizer_hash(tok));
    text_printf(t, " length=%d start=%d end=%d pad=%d\n", tokenizer_length(tok),
                (int)tokenizer_start(tok), (int)tokenizer_end(tok), (int)tokenizer_pad(tok));
}

static enum code end_name(struct text *t, const char *dir, struct hash *out, struct err *e)
{
    enum code rc = text_ok(t) ? OK : err_set(e, ERR_NOMEM, "%s: no memory to name the model", dir);
    if (!rc) *out = hash_bytes(t->s, t->n);
    text_fini(t);
    return rc;
}

static enum code name_model(struct base_model *m, const char *dir, struct err *e)
{
    const struct schedule_config *s = &m->schedule.config;
    struct text t = {0};
    text_add(&t, "engram base model 1\n");
    add_part(&t, "unet", weights_hash(m->unet_weights));
    add_unet(&t, &m->unet);
    add_part(&t, "vae", weights_hash(m->vae_weights));
    add_vae(&t, &m->vae);
    add_part(&t, "text_encoder", weights_hash(m->text_weights));
    add_text_config(&t, &m->text);
    add_tokenizer(&t, m->tokenizer);
    text_printf(&t, "schedule steps=%d beta=%.17g,%.17g curve=%s offset=%d one=%d predict=%s\n",
                s->train_steps, s->beta_start, s->beta_end,
                s->scaled_linear ? "scaled_linear" : "linear", s->steps_offset, s->set_alpha_to_one,
                s->prediction == PREDICT_V ? "v" : "epsilon");
    if (s->spacing != SPACING_UNSAID) text_printf(&t, "spacing %s\n", config_spacing(s->spacing));
    if (s->ends_at_sigma_min) text_add(&t, "final sigma_min\n");
    return end_name(&t, dir, &m->hash, e);
}

static enum code name_clip(struct clip_model *m, const char *dir, struct err *e)
{
    const struct clip_vision_config *v = &m->vision;
    struct text t = {0};
    text_add(&t, "engram clip model 1\n");
    add_part(&t, "clip", weights_hash(m->weights));
    add_text_config(&t, &m->text);
    text_printf(&t,
                "vision layers=%d heads=%d image=%d patch=%d act=%s eps=%.9g mean=%.9g,%.9g,%.9g "
                "std=%.9g,%.9g,%.9g\n",
                v->layers, v->heads, v->image_size, v->patch,
                v->act == CLIP_GELU ? "gelu" : "quick_gelu", (double)v->eps, (double)v->mean[0],
                (double)v->mean[1], (double)v->mean[2], (double)v->std[0], (double)v->std[1],
                (double)v->std[2]);
    add_tokenizer(&t, m->tokenizer);
    return end_name(&t, dir, &m->hash, e);
}

/* ---- open and close ------------------------------------------------------------------------------------------------- */

static enum code open_weights(struct weights **w, const char *dir, const char *part,
                              const char *stem, struct err *e)
{
    char path[PATH_MOST];
    enum code rc = join(path, dir, part, e);
    return rc ? rc : weights_open(w, path, stem, e);
}

static enum code open_directory(struct base_model *m, const char *dir, struct err *e)
{
    enum code rc;
    m->layout = "diffusers folder";
    m->prediction_by = "scheduler/scheduler_config.json";
    if ((rc = check_index(dir, e))) return rc;
    if ((rc = read_configs(m, dir, e))) return rc;
    if ((rc = check_parts(m, dir, e))) return rc;
    if ((rc = open_weights(&m->unet_weights, dir, "unet", "diffusion_pytorch_model", e))) return rc;
    if ((rc = open_weights(&m->vae_weights, dir, "vae", "diffusion_pytorch_model", e))) return rc;
    return open_weights(&m->text_weights, dir, "text_encoder", "model", e);
}

static enum code view_part(struct weights **w, const struct base_model *m,
                           enum original_component c, struct err *e)
{
    static const char *const label[ORIGINAL_COMPONENTS] = {
        [ORIGINAL_UNET] = "unet", [ORIGINAL_VAE] = "vae", [ORIGINAL_TEXT] = "text_encoder"};
    return weights_view(w, label[c], m->file->part[c].tensor, m->file->part[c].n, e);
}

static enum code open_file(struct base_model *m, const char *path, struct err *e)
{
    enum code rc = single_file_open(&m->file, path, e);
    if (rc) return rc;
    m->layout = m->file->shape.layout.open_clip ? "single file, Stable Diffusion 2.x"
                                                : "single file, Stable Diffusion 1.x";
    m->prediction_by = m->file->prediction_by;
    m->unet = m->file->shape.unet;
    m->vae = m->file->shape.vae;
    m->text = m->file->shape.text;
    if ((rc = base_model_tokenizer_open(&m->tokenizer, path, e))) return rc;
    if ((rc = schedule_make(&m->schedule, &m->file->schedule, e))) return rc;
    if ((rc = check_parts(m, path, e))) return rc;
    if ((rc = view_part(&m->unet_weights, m, ORIGINAL_UNET, e))) return rc;
    if ((rc = view_part(&m->vae_weights, m, ORIGINAL_VAE, e))) return rc;
    return view_part(&m->text_weights, m, ORIGINAL_TEXT, e);
}

enum code base_model_peek(struct base_model **out, const char *path, struct err *e)
{
    enum code rc = ERR_NOMEM;
    struct base_model *m = mem_alloc(1, sizeof *m);
    *out = NULL;
    if (!m) return err_set(e, rc, "%s: no memory to open it", path);
    rc = single_file_is(path) ? open_file(m, path, e) : open_directory(m, path, e);
    if (rc) goto close;
    if ((rc = kv_layout_make(&m->kv, &m->unet, e))) goto close;
    *out = m;
    m = NULL;
close:
    base_model_close(m);
    return rc;
}

enum code base_model_open(struct base_model **out, const char *path, struct err *e)
{
    enum code rc = base_model_peek(out, path, e);
    if (!rc && !(rc = name_model(*out, path, e))) return OK;
    base_model_close(*out);
    *out = NULL;
    return rc;
}

void base_model_close(struct base_model *m)
{
    if (!m) return;
    weights_close(m->text_weights);
    weights_close(m->vae_weights);
    weights_close(m->unet_weights);
    kv_layout_free(&m->kv);
    schedule_free(&m->schedule);
    tokenizer_close(m->tokenizer);
    single_file_close(m->file);
    free(m);
}

/* More tensors than numbers: such a component keeps its memory to itself. */
static void shelve(struct weights *w, struct shelf *s, uint64_t first)
{
    if (2 * weights_count(w) <= SHELF_PART) weights_shelve(w, s, first);
}

void base_model_shelve(struct base_model *m, struct shelf *s)
{
    shelve(m->unet_weights, s, SHELF_UNET);
    shelve(m->vae_weights, s, SHELF_VAE);
    shelve(m->text_weights, s, SHELF_TEXT);
}

void base_model_sketch(struct base_model *m, int on)
{
    weights_sketch(m->unet_weights, on);
    weights_sketch(m->vae_weights, on);
    weights_sketch(m->text_weights, on);
}

struct weights_use base_model_use(const struct base_model *m)
{
    const struct weights *w[] = {m->unet_weights, m->vae_weights, m->text_weights};
    struct weights_use all = {0};
    for (int i = 0; i < 3; i++) {
        struct weights_use one = weights_use(w[i]);
        all.mapped += one.mapped;
        all.converted += one.converted;
    }
    return all;
}

enum code clip_model_open(struct clip_model **out, const char *dir, struct err *e)
{
    static const char *const files[] = {"config.json", "merges.txt"};
    char path[PATH_MOST];
    enum code rc;
    struct clip_model *m = mem_alloc(1, sizeof *m);
    *out = NULL;
    if (!m) return err_set(e, ERR_NOMEM, "%s: no memory to open it", dir);
    if ((rc = check_files(dir, files, 2, e))) goto close;
    if ((rc = join(path, dir, files[0], e))) goto close;
    if ((rc = config_read_clip(path, &m->text, &m->vision, e))) goto close;
    if ((rc = tokenizer_open(&m->tokenizer, dir, e))) goto close;
    if ((rc = check_tokenizer(m->tokenizer, &m->text, dir, e))) goto close;
    if ((rc = weights_open(&m->weights, dir, "model", e))) goto close;
    if ((rc = name_clip(m, dir, e))) goto close;
    *out = m;
    m = NULL;
close:
    clip_model_close(m);
    return rc;
}

void clip_model_close(struct clip_model *m)
{
    if (!m) return;
    weights_close(m->weights);
    tokenizer_close(m->tokenizer);
    free(m);
}

void clip_model_shelve(struct clip_model *m, struct shelf *s)
{
    shelve(m->weights, s, SHELF_CLIP);
}
