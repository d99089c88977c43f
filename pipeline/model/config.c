/* config.c - UNet, VAE and noise schedule: defaults where the file is silent, a refusal by name where it asks for a
 * network that pipeline/model does not build. The CLIP halves are in config_clip.c.
 */
#include "pipeline/model/config.h"
#include "pipeline/model/jsonfile.h"

#include <stdlib.h>
#include <string.h>

/* Generous bounds: their only purpose is that later arithmetic cannot overflow. */
enum { WIDTH_MOST = 1 << 16, SIDE_MOST = 1 << 14, LAYERS_MOST = 64 };

/* Keys that change the network when they are set at all, or when they are true. */
static const char *const unet_unset[] = {
    "addition_embed_type",  "class_embed_type",      "num_class_embeds",
    "encoder_hid_dim",      "encoder_hid_dim_type",  "time_cond_proj_dim",
    "time_embedding_dim",   "time_embedding_act_fn", "timestep_post_act",
    "cross_attention_norm", "num_attention_heads",   "reverse_transformer_layers_per_block",
};
static const char *const unet_false[] = {
    "center_input_sample",     "only_cross_attention", "dual_cross_attention",
    "class_embeddings_concat", "resnet_skip_time_act", "mid_block_only_cross_attention",
};
static const struct {
    const char *key, *wanted;
} unet_text[] = {
    {"act_fn", "silu"},
    {"resnet_time_scale_shift", "default"},
    {"time_embedding_type", "positional"},
    {"attention_type", "default"},
    {"mid_block_type", "UNetMidBlock2DCrossAttn"},
};
static const struct {
    const char *key;
    double wanted;
} unet_number[] = {
    {"mid_block_scale_factor", 1},
    {"resnet_out_scale_factor", 1},
    {"conv_in_kernel", 3},
    {"conv_out_kernel", 3},
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static void refuse_other_unets(struct jsonfile *f)
{
    for (size_t i = 0; i < COUNT(unet_unset); i++) jsonfile_refuse_set(f, unet_unset[i]);
    for (size_t i = 0; i < COUNT(unet_false); i++) jsonfile_refuse_true(f, unet_false[i]);
    for (size_t i = 0; i < COUNT(unet_text); i++)
        jsonfile_refuse_not(f, unet_text[i].key, unet_text[i].wanted);
    for (size_t i = 0; i < COUNT(unet_number); i++)
        jsonfile_refuse_not_number(f, unet_number[i].key, unet_number[i].wanted);
}

/* The channel list decides how many levels there are; every other list must agree. */
static int read_levels(struct jsonfile *f, int *channels, const int *otherwise, int n_otherwise)
{
    size_t n = jsonfile_length(f, "block_out_channels");
    if (!jsonfile_has(f, "block_out_channels")) {
        memcpy(channels, otherwise, (size_t)n_otherwise * sizeof *channels);
        return n_otherwise;
    }
    if (n < 1 || n > CONFIG_LEVELS) {
        jsonfile_fail(f, "block_out_channels must list 1 to %d levels", CONFIG_LEVELS);
        return 1;
    }
    jsonfile_ints(f, "block_out_channels", 0, 1, WIDTH_MOST, channels, (int)n);
    return (int)n;
}

/* Fills attention[i] with whether block i is `crossed` (1) or `plain` (0). otherwise: the class default. */
static void read_blocks(struct jsonfile *f, const char *key, int levels, const char *crossed,
                        const char *plain, const int *otherwise, int n_otherwise, int *attention)
{
    json_t *list = f->rc ? NULL : json_object_get(f->at, key);
    if (f->rc) return;
    if ((list ? json_array_size(list) : (size_t)n_otherwise) != (size_t)levels) {
        jsonfile_fail(f, "%s lists %zu blocks for %d levels of block_out_channels", key,
                      list ? json_array_size(list) : (size_t)n_otherwise, levels);
        return;
    }
    for (int i = 0; i < levels; i++) {
        const char *type = json_string_value(json_array_get(list, (size_t)i));
        if (!list) attention[i] = otherwise[i];
        else if (type && crossed && !strcmp(type, crossed)) attention[i] = 1;
        else if (type && !strcmp(type, plain)) attention[i] = 0;
        else
            jsonfile_fail(f, "%s holds %.60s, which Engram does not compute (it knows %s%s%s)", key,
                          type ? type : "something that is no text", crossed ? crossed : "",
                          crossed ? " and " : "", plain);
    }
}

/* cross_attention_dim may be a list per level; the text states have one width. */
static int read_cross_dim(struct jsonfile *f, int levels)
{
    int dim[CONFIG_LEVELS];
    jsonfile_ints(f, "cross_attention_dim", 1280, 1, WIDTH_MOST, dim, levels);
    for (int i = 1; i < levels; i++)
        if (dim[i] != dim[0])
            jsonfile_fail(f, "cross_attention_dim differs between levels (%d and %d)", dim[0],
                          dim[i]);
    return dim[0];
}

/* Copies of SD 1.x from before version 0.9 say 32 or less, and the reference pipeline then means 64. */
static int read_sample_size(struct jsonfile *f)
{
    int size =
        jsonfile_has(f, "sample_size") ? jsonfile_int(f, "sample_size", 64, 1, SIDE_MOST) : 64;
    const char *version = jsonfile_text(f, "_diffusers_version", "");
    int is_old = !strncmp(version, "0.", 2) && strtol(version + 2, NULL, 10) < 9;
    return is_old && size < 64 ? 64 : size;
}

static void check_unet(struct jsonfile *f, const struct unet_config *c)
{
    if (f->rc) return;
    if (c->in_channels != c->out_channels) {
        jsonfile_fail(f,
                      "in_channels is %d and out_channels %d: an inpainting or editing model; "
                      "Engram needs a plain "
                      "text-to-image UNet",
                      c->in_channels, c->out_channels);
        return;
    }
    for (int i = 0; i < c->levels; i++) {
        int is_up = c->up_attention[c->levels - 1 - i], is_mid = i == c->levels - 1;
        if (c->channels[i] % c->norm_groups)
            jsonfile_fail(f, "%d channels do not divide into %d norm_num_groups", c->channels[i],
                          c->norm_groups);
        if ((c->down_attention[i] || is_up || is_mid) && c->channels[i] % c->heads[i])
            jsonfile_fail(f,
                          "%d channels do not divide into %d heads (attention_head_dim is the "
                          "number of heads)",
                          c->channels[i], c->heads[i]);
    }
}

enum code config_read_unet(const char *path, struct unet_config *out, struct err *e)
{
    static const int channels[] = {320, 640, 1280, 1280}, down[] = {1, 1, 1, 0},
                     up[] = {0, 1, 1, 1};
    struct unet_config c = {0};
    struct jsonfile f;
    jsonfile_open(&f, path, e);
    refuse_other_unets(&f);
    c.sample_size = read_sample_size(&f);
    c.in_channels = jsonfile_int(&f, "in_channels", 4, 1, WIDTH_MOST);
    c.out_channels = jsonfile_int(&f, "out_channels", 4, 1, WIDTH_MOST);
    c.levels = read_levels(&f, c.channels, channels, 4);
    jsonfile_ints(&f, "layers_per_block", 2, 1, LAYERS_MOST, c.layers, c.levels);
    jsonfile_ints(&f, "attention_head_dim", 8, 1, WIDTH_MOST, c.heads, c.levels);
    jsonfile_ints(&f, "transformer_layers_per_block", 1, 1, LAYERS_MOST, c.depth, c.levels);
    read_blocks(&f, "down_block_types", c.levels, "CrossAttnDownBlock2D", "DownBlock2D", down, 4,
                c.down_attention);
    read_blocks(&f, "up_block_types", c.levels, "CrossAttnUpBlock2D", "UpBlock2D", up, 4,
                c.up_attention);
    c.cross_attention_dim = read_cross_dim(&f, c.levels);
    c.norm_groups = jsonfile_int(&f, "norm_num_groups", 32, 1, WIDTH_MOST);
    c.norm_eps = (float)jsonfile_real(&f, "norm_eps", 1e-5);
    c.linear_projection = jsonfile_flag(&f, "use_linear_projection", 0);
    c.flip_sin_to_cos = jsonfile_flag(&f, "flip_sin_to_cos", 1);
    c.freq_shift = (float)jsonfile_real(&f, "freq_shift", 0);
    c.downsample_padding = jsonfile_int(&f, "downsample_padding", 1, 0, 1);
    check_unet(&f, &c);
    if (!f.rc) *out = c;
    return jsonfile_close(&f);
}

int vae_factor(const struct vae_config *c)
{
    return 1 << (c->levels - 1);
}

enum code config_read_vae(const char *path, struct vae_config *out, struct err *e)
{
    static const int channels[] = {64}, none[] = {0};
    int ignored[CONFIG_LEVELS] = {0};
    struct vae_config c = {0};
    struct jsonfile f;
    jsonfile_open(&f, path, e);
    jsonfile_refuse_not(&f, "act_fn", "silu");
    jsonfile_refuse_set(&f, "latents_mean");
    jsonfile_refuse_set(&f, "latents_std");
    c.in_channels = jsonfile_int(&f, "in_channels", 3, 3, 3);
    c.out_channels = jsonfile_int(&f, "out_channels", 3, 3, 3);
    c.latent_channels = jsonfile_int(&f, "latent_channels", 4, 1, WIDTH_MOST);
    c.levels = read_levels(&f, c.channels, channels, 1);
    read_blocks(&f, "down_block_types", c.levels, NULL, "DownEncoderBlock2D", none, 1, ignored);
    read_blocks(&f, "up_block_types", c.levels, NULL, "UpDecoderBlock2D", none, 1, ignored);
    c.layers = jsonfile_int(&f, "layers_per_block", 1, 1, LAYERS_MOST);
    c.norm_groups = jsonfile_int(&f, "norm_num_groups", 32, 1, WIDTH_MOST);
    c.mid_attention = jsonfile_flag(&f, "mid_block_add_attention", 1);
    c.quant_conv = jsonfile_flag(&f, "use_quant_conv", 1);
    c.post_quant_conv = jsonfile_flag(&f, "use_post_quant_conv", 1);
    c.scaling_factor = (float)jsonfile_real(&f, "scaling_factor", 0.18215);
    c.shift_factor =
        jsonfile_has(&f, "shift_factor") ? (float)jsonfile_real(&f, "shift_factor", 0) : 0;
    for (int i = 0; i < c.levels && !f.rc; i++)
        if (c.channels[i] % c.norm_groups)
            jsonfile_fail(&f, "%d channels do not divide into %d norm_num_groups", c.channels[i],
                          c.norm_groups);
    if (!f.rc && !(c.scaling_factor > 0)) jsonfile_fail(&f, "scaling_factor must be above 0");
    if (!f.rc) *out = c;
    return jsonfile_close(&f);
}

/* A file of another class than these says nothing that matters: SCHEDULER_OTHER. */
static enum scheduler read_class(struct jsonfile *f)
{
    static const char *const name[] = {
        [SCHEDULER_DDIM] = "DDIMScheduler",
        [SCHEDULER_PNDM] = "PNDMScheduler",
        [SCHEDULER_DPM] = "DPMSolverMultistepScheduler",
        [SCHEDULER_EULER] = "EulerDiscreteScheduler",
        [SCHEDULER_EULER_A] = "EulerAncestralDiscreteScheduler",
    };
    const char *text = jsonfile_text(f, "_class_name", "");
    for (size_t i = SCHEDULER_DDIM; i < COUNT(name); i++)
        if (!strcmp(text, name[i])) return (enum scheduler)i;
    return SCHEDULER_OTHER;
}

const char *config_spacing(enum spacing how)
{
    static const char *const name[] = {[SPACING_UNSAID] = "",
                                       [SPACING_LEADING] = "leading",
                                       [SPACING_LINSPACE] = "linspace",
                                       [SPACING_TRAILING] = "trailing"};
    return name[how];
}

static enum spacing read_spacing(struct jsonfile *f)
{
    const char *text = jsonfile_text(f, "timestep_spacing", "");
    for (enum spacing i = SPACING_UNSAID; i <= SPACING_TRAILING; i++)
        if (!strcmp(text, config_spacing(i))) return i;
    jsonfile_fail(f, "timestep_spacing is \"%.60s\"; Engram knows leading, linspace and trailing",
                  text);
    return SPACING_UNSAID;
}

/* steps_offset and clip_sample are not read: the reference pipeline overrides them (1, and nothing is clipped). What makes
 * a class another sampler (skip_prk_steps, solver_order, use_karras_sigmas, ...) is the setting sample.sampler's to say. */
enum code config_read_schedule(const char *path, struct schedule_config *out, struct err *e)
{
    struct schedule_config c = {.steps_offset = 1};
    struct jsonfile f;
    const char *text;
    jsonfile_open(&f, path, e);
    jsonfile_refuse_set(&f, "trained_betas");
    jsonfile_refuse_true(&f, "rescale_betas_zero_snr");
    jsonfile_refuse_true(&f, "thresholding");
    c.train_steps = jsonfile_int(&f, "num_train_timesteps", 1000, 2, 100000);
    c.beta_start = jsonfile_real(&f, "beta_start", 0.0001);
    c.beta_end = jsonfile_real(&f, "beta_end", 0.02);
    text = jsonfile_text(&f, "beta_schedule", "linear");
    c.scaled_linear = !strcmp(text, "scaled_linear");
    if (!c.scaled_linear) jsonfile_refuse_not(&f, "beta_schedule", "linear");
    c.set_alpha_to_one = jsonfile_flag(&f, "set_alpha_to_one", 1);
    c.alpha_unsaid = !jsonfile_has(&f, "set_alpha_to_one");
    c.offset_unsaid = !jsonfile_has(&f, "steps_offset");
    text = jsonfile_text(&f, "prediction_type", "epsilon");
    c.prediction = strcmp(text, "v_prediction") ? PREDICT_EPSILON : PREDICT_V;
    if (c.prediction == PREDICT_EPSILON) jsonfile_refuse_not(&f, "prediction_type", "epsilon");
    c.file_class = read_class(&f);
    c.spacing = read_spacing(&f);
    text = jsonfile_text(&f, "final_sigmas_type", "zero");
    c.ends_at_sigma_min = !strcmp(text, "sigma_min");
    if (!c.ends_at_sigma_min) jsonfile_refuse_not(&f, "final_sigmas_type", "zero");
    if (!f.rc && !(c.beta_start > 0 && c.beta_start <= c.beta_end && c.beta_end < 1))
        jsonfile_fail(&f, "beta_start and beta_end must satisfy 0 < start <= end < 1");
    if (!f.rc) *out = c;
    return jsonfile_close(&f);
}
