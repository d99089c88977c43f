/* config.h - what the JSON files of a diffusers directory say, with the class defaults where they are silent.
 *
 * Unknown keys are ignored (newer writers add them); a key that asks for something Engram does not compute is refused
 * by name. Lists given as one number are expanded. Source of every default: docs/formats.md, "Model directories".
 */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include "base/err.h"

#define CONFIG_LEVELS 8

struct unet_config {
    int sample_size, in_channels, out_channels;
    int levels;
    int channels[CONFIG_LEVELS];            /* block_out_channels */
    int layers[CONFIG_LEVELS];              /* layers_per_block: down has that many, up one more */
    int heads[CONFIG_LEVELS];               /* the file calls it attention_head_dim */
    int depth[CONFIG_LEVELS];               /* transformer_layers_per_block */
    int down_attention[CONFIG_LEVELS];      /* CrossAttnDownBlock2D (1) or DownBlock2D (0) */
    int up_attention[CONFIG_LEVELS];        /* in file order: deepest first */
    int cross_attention_dim, norm_groups;
    float norm_eps;
    int linear_projection, flip_sin_to_cos;
    float freq_shift;
    int downsample_padding;
};

struct vae_config {
    int in_channels, out_channels, latent_channels;
    int levels, channels[CONFIG_LEVELS], layers, norm_groups;
    int mid_attention, quant_conv, post_quant_conv;
    float scaling_factor, shift_factor;
};
int vae_factor(const struct vae_config *c);  /* image side / latent side = 2^(levels-1) */

enum clip_act { CLIP_QUICK_GELU, CLIP_GELU };
struct clip_text_config {
    int vocab, hidden, intermediate, layers, heads, positions, projection;
    int eos_id;                             /* as the file says; 2 means "largest id" by history */
    enum clip_act act;
    float eps;
};
struct clip_vision_config {
    int hidden, intermediate, layers, heads, image_size, patch, projection;
    enum clip_act act;
    float eps;
    float mean[3], std[3];                  /* preprocessor_config.json, or OpenAI's */
};

enum prediction { PREDICT_EPSILON, PREDICT_V };
enum spacing { SPACING_UNSAID, SPACING_LEADING, SPACING_LINSPACE, SPACING_TRAILING };      /* UNSAID: each sampler's own */
enum scheduler { SCHEDULER_OTHER, SCHEDULER_DDIM, SCHEDULER_PNDM, SCHEDULER_DPM, SCHEDULER_EULER, SCHEDULER_EULER_A };
/* The reference hands one scheduler's file to another by carrying only what the file said; what it left out becomes the other
 * class's default. Hence what was unsaid is kept as such; 0 in the last four fields is the usual file. */
struct schedule_config {
    int train_steps;                        /* num_train_timesteps */
    double beta_start, beta_end;
    int scaled_linear;                      /* beta_schedule: scaled_linear (1) or linear (0) */
    int steps_offset, set_alpha_to_one;     /* 1: the pipeline insists; as DDIM reads it: 1 where the file is silent */
    enum prediction prediction;
    enum spacing spacing;                   /* timestep_spacing */
    enum scheduler file_class;              /* _class_name: whose file it is */
    int offset_unsaid, alpha_unsaid;        /* the file has no steps_offset, no set_alpha_to_one */
    int ends_at_sigma_min;                  /* final_sigmas_type: sigma_min (1) or zero (0) */
};

enum code config_read_unet(const char *path, struct unet_config *out, struct err *e);
enum code config_read_vae(const char *path, struct vae_config *out, struct err *e);
enum code config_read_clip_text(const char *path, struct clip_text_config *out, struct err *e);
/* A CLIPModel's config.json holds both halves (text_config, vision_config). */
enum code config_read_clip(const char *path, struct clip_text_config *text, struct clip_vision_config *vision,
                           struct err *e);
const char *config_spacing(enum spacing how);                     /* as the file says it; "" for UNSAID */
enum code config_read_schedule(const char *path, struct schedule_config *out, struct err *e);

#endif
