/* folder_made.c - configurations of a base that is a single file and has none: what config.c would read back as the model. */
#include "pipeline/exchange/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION "0.35.0" /* of diffusers, whose keys these are */

/* The shortest decimal that is v as a float: 1e-05, and not what a double makes of it. */
static json_t *real(float v)
{
    char text[32];
    for (int digits = 6; digits < 10; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)v);
        if (strtof(text, NULL) == v) break;
    }
    return json_real(strtod(text, NULL));
}

static json_t *ints(const int *v, int n)
{
    json_t *list = json_array();
    for (int i = 0; list && i < n; i++) json_array_append_new(list, json_integer(v[i]));
    return list;
}

/* One number where all are the same. */
static json_t *one_or_list(const int *v, int n)
{
    for (int i = 1; i < n; i++)
        if (v[i] != v[0]) return ints(v, n);
    return json_integer(v[0]);
}

static json_t *blocks(const int *has_attention, int n, const char *with, const char *without)
{
    json_t *list = json_array();
    for (int i = 0; list && i < n; i++)
        json_array_append_new(list, json_string(has_attention[i] ? with : without));
    return list;
}

static json_t *unet_json(const struct unet_config *c)
{
    return json_pack(
        "{s:s,s:s,s:s,s:o,s:o,s:i,s:o,s:i,s:b,s:o,s:i,s:o,s:o,s:i,s:i,s:i,s:o,s:o,s:b}",
        "_class_name", "UNet2DConditionModel", "_diffusers_version", VERSION, "act_fn", "silu",
        "attention_head_dim", one_or_list(c->heads, c->levels), "block_out_channels",
        ints(c->channels, c->levels), "cross_attention_dim", c->cross_attention_dim,
        "down_block_types",
        blocks(c->down_attention, c->levels, "CrossAttnDownBlock2D", "DownBlock2D"),
        "downsample_padding", c->downsample_padding, "flip_sin_to_cos", c->flip_sin_to_cos,
        "freq_shift", real(c->freq_shift), "in_channels", c->in_channels, "layers_per_block",
        one_or_list(c->layers, c->levels), "norm_eps", real(c->norm_eps), "norm_num_groups",
        c->norm_groups, "out_channels", c->out_channels, "sample_size", c->sample_size,
        "transformer_layers_per_block", one_or_list(c->depth, c->levels), "up_block_types",
        blocks(c->up_attention, c->levels, "CrossAttnUpBlock2D", "UpBlock2D"),
        "use_linear_projection", c->linear_projection);
}

static json_t *vae_json(const struct vae_config *c, int side)
{
    int all[CONFIG_LEVELS] = {1, 1, 1, 1, 1, 1, 1, 1};
    json_t *shift = c->shift_factor == 0 ? json_null() : real(c->shift_factor);
    return json_pack(
        "{s:s,s:s,s:s,s:o,s:o,s:i,s:i,s:b,s:i,s:i,s:i,s:o,s:o,s:o,s:o,s:b,s:b}", "_class_name",
        "AutoencoderKL", "_diffusers_version", VERSION, "act_fn", "silu", "block_out_channels",
        ints(c->channels, c->levels), "down_block_types",
        blocks(all, c->levels, "DownEncoderBlock2D", ""), "in_channels", c->in_channels,
        "latent_channels", c->latent_channels, "mid_block_add_attention", c->mid_attention,
        "layers_per_block", c->layers, "norm_num_groups", c->norm_groups, "sample_size", side,
        "out_channels", json_integer(c->out_channels), "scaling_factor", real(c->scaling_factor),
        "shift_factor", shift, "up_block_types", blocks(all, c->levels, "UpDecoderBlock2D", ""),
        "use_quant_conv", c->quant_conv, "use_post_quant_conv", c->post_quant_conv);
}

static json_t *text_json(const struct exchange *x)
{
    const struct clip_text_config *c = &x->model->text;
    const struct tokenizer *t = x->model->tokenizer;
    return json_pack(
        "{s:[s],s:s,s:i,s:i,s:i,s:s,s:i,s:o,s:i,s:i,s:i,s:i,s:i,s:i}", "architectures",
        "CLIPTextModel", "model_type", "clip_text_model", "bos_token_id", (int)tokenizer_start(t),
        "eos_token_id", c->eos_id, "pad_token_id", (int)tokenizer_pad(t), "hidden_act",
        c->act == CLIP_GELU ? "gelu" : "quick_gelu", "hidden_size", c->hidden, "layer_norm_eps",
        real(c->eps), "intermediate_size", c->intermediate, "max_position_embeddings", c->positions,
        "num_attention_heads", c->heads, "num_hidden_layers", c->layers, "projection_dim",
        c->projection, "vocab_size", c->vocab + x->state->n);
}

static json_t *scheduler_json(const struct schedule_config *c)
{
    static const char *const names[] = {[SCHEDULER_OTHER] = "PNDMScheduler",
                                        [SCHEDULER_DDIM] = "DDIMScheduler",
                                        [SCHEDULER_PNDM] = "PNDMScheduler",
                                        [SCHEDULER_DPM] = "DPMSolverMultistepScheduler",
                                        [SCHEDULER_EULER] = "EulerDiscreteScheduler",
                                        [SCHEDULER_EULER_A] = "EulerAncestralDiscreteScheduler"};
    json_t *j =
        json_pack("{s:s,s:s,s:f,s:f,s:s,s:b,s:i,s:s,s:b}", "_class_name", names[c->file_class],
                  "_diffusers_version", VERSION, "beta_start", c->beta_start, "beta_end",
                  c->beta_end, "beta_schedule", c->scaled_linear ? "scaled_linear" : "linear",
                  "clip_sample", 0, "num_train_timesteps", c->train_steps, "prediction_type",
                  c->prediction == PREDICT_V ? "v_prediction" : "epsilon", "skip_prk_steps", 1);
    if (!j) return NULL;
    if (!c->alpha_unsaid)
        json_object_set_new(j, "set_alpha_to_one", json_boolean(c->set_alpha_to_one));
    if (!c->offset_unsaid) json_object_set_new(j, "steps_offset", json_integer(c->steps_offset));
    if (c->spacing != SPACING_UNSAID)
        json_object_set_new(j, "timestep_spacing", json_string(config_spacing(c->spacing)));
    if (c->ends_at_sigma_min) json_object_set_new(j, "final_sigmas_type", json_string("sigma_min"));
    return j;
}

static json_t *index_json(const struct schedule_config *c)
{
    json_t *scheduler = scheduler_json(c);
    const char *name = json_string_value(json_object_get(scheduler, "_class_name"));
    json_t *j =
        name ? json_pack("{s:s,s:s,s:[n,n],s:b,s:[n,n],s:[s,s],s:[s,s],s:[s,s],s:[s,s],s:[s,s]}",
                         "_class_name", "StableDiffusionPipeline", "_diffusers_version", VERSION,
                         "feature_extractor", "requires_safety_checker", 0, "safety_checker",
                         "scheduler", "diffusers", name, "text_encoder", "transformers",
                         "CLIPTextModel", "tokenizer", "transformers", "CLIPTokenizer", "unet",
                         "diffusers", "UNet2DConditionModel", "vae", "diffusers", "AutoencoderKL")
             : NULL;
    json_decref(scheduler);
    return j;
}

enum code folder_made(const struct exchange *x, struct output *out, struct err *e)
{
    const struct base_model *m = x->model;
    int side = m->unet.sample_size * vae_factor(&m->vae);
    enum code rc =
        folder_add(out, "diffusers/model_index.json", index_json(&m->schedule.config), e);
    if (!rc) rc = folder_add(out, "diffusers/unet/config.json", unet_json(&m->unet), e);
    if (!rc) rc = folder_add(out, "diffusers/vae/config.json", vae_json(&m->vae, side), e);
    if (!rc) rc = folder_add(out, "diffusers/text_encoder/config.json", text_json(x), e);
    return rc ? rc
              : folder_add(out, "diffusers/scheduler/scheduler_config.json",
                           scheduler_json(&m->schedule.config), e);
}
