/* single_file_shape.c - the architecture of a checkpoint without a configuration.
 *
 * Counted: blocks, levels, layers, depth. Measured: widths. Known of the family: heads, groups, epsilons, activation, the
 * VAE's scale. A shape that contradicts any of this is refused, here or when the tensor is first asked for.
 */
#include "base/file.h"
#include "pipeline/model/single_file.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NAME_MOST 256
#define UNET "model.diffusion_model."
#define VAE "first_stage_model."
#define CLIP "cond_stage_model.transformer."
#define OPEN_CLIP "cond_stage_model.model."
/* After what contradicts a constant of the family. */
#define OWN "; what is unusual can be said in <file>.config/ (docs/formats.md)"

enum { GROUPS = 32, SD1_HEADS = 8, HEAD_WIDTH = 64, LAYERS_MOST = 64, WIDTH_MOST = 1 << 16 };
/* OpenCLIP ViT-H has 24 layers; SD 2.x was trained on what the last but one puts out. */
enum { OPEN_CLIP_LAYERS = 24 };

struct look {
    const struct safetensors *file;
    const char *path;
    struct err *e;
    enum code rc; /* sticky */
};

/* ---- looking -------------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void fail(struct look *l, const char *fmt, ...)
{
    char line[400];
    va_list args;
    if (l->rc) return;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    l->rc = err_set(l->e, ERR_INPUT, "%s: %s", l->path, line);
}

static const struct stored *find_v(const struct look *l, const char *fmt, va_list args,
                                   char name[NAME_MOST])
{
    vsnprintf(name, NAME_MOST, fmt, args);
    return safetensors_find(l->file, name);
}

__attribute__((format(printf, 2, 3))) static int has(const struct look *l, const char *fmt, ...)
{
    char name[NAME_MOST];
    va_list args;
    va_start(args, fmt);
    const struct stored *t = find_v(l, fmt, args, name);
    va_end(args);
    return t != NULL;
}

/* One dimension of a tensor that must be there. 1 after a failure, so that sums go on. */
__attribute__((format(printf, 3, 4))) static int size_of(struct look *l, int axis, const char *fmt,
                                                         ...)
{
    char name[NAME_MOST];
    va_list args;
    va_start(args, fmt);
    const struct stored *t = find_v(l, fmt, args, name);
    va_end(args);
    if (!t) fail(l, "%s is missing", name);
    else if (t->rank <= axis || t->dim[axis] < 1 || t->dim[axis] > WIDTH_MOST)
        fail(l, "%s has a shape that no Stable Diffusion 1.x or 2.x has", name);
    return l->rc ? 1 : (int)t->dim[axis];
}

/* One more than the largest number that follows prefix in any name; 0: none does. */
static int count(const struct look *l, const char *prefix)
{
    size_t n = strlen(prefix);
    int most = 0;
    for (size_t i = 0; i < safetensors_count(l->file); i++) {
        const char *s = safetensors_at(l->file, i)->name;
        int number = 0, digits = 0;
        if (strncmp(s, prefix, n) != 0) continue;
        for (s += n; *s >= '0' && *s <= '9' && digits < 5; s++, digits++)
            number = number * 10 + (*s - '0');
        if (digits && *s == '.' && number >= most) most = number + 1;
    }
    return most;
}

/* ---- UNet ----------------------------------------------------------------------------------------------------------- */

/* Blocks are one sequence: the first convolution, then for each level its layers and, but for the last, a downsampler. */
static void look_layout(struct look *l, struct single_file_shape *s)
{
    int blocks = count(l, UNET "input_blocks."), B = 1;
    while (B < blocks && !has(l, UNET "input_blocks.%d.0.op.weight", B)) B++;
    s->layout.unet_levels = blocks / B;
    s->layout.unet_layers = B - 1;
    if (blocks < 2 || B < 2 || blocks % B || blocks / B > CONFIG_LEVELS || B > LAYERS_MOST)
        fail(l, UNET "input_blocks has %d blocks, and no levels of equal length divide them",
             blocks);
    else if (count(l, UNET "output_blocks.") != blocks)
        fail(l, UNET "output_blocks has %d blocks, expected %d as in input_blocks",
             count(l, UNET "output_blocks."), blocks);
}

static int depth_of(const struct look *l, const char *block)
{
    char prefix[NAME_MOST];
    snprintf(prefix, sizeof prefix, UNET "%s.transformer_blocks.", block);
    return count(l, prefix);
}

static void look_level(struct look *l, const struct original_layout *o, int i,
                       struct unet_config *c)
{
    int B = o->unet_layers + 1, back = c->levels - 1 - i;
    char down[64], up[64];
    snprintf(down, sizeof down, "input_blocks.%d.1", 1 + i * B);
    snprintf(up, sizeof up, "output_blocks.%d.1", back * B);
    c->channels[i] = size_of(l, 0, UNET "input_blocks.%d.0.in_layers.2.weight", 1 + i * B);
    c->layers[i] = o->unet_layers;
    c->heads[i] = o->open_clip ? c->channels[i] / HEAD_WIDTH : SD1_HEADS;
    c->down_attention[i] = has(l, UNET "%s.norm.weight", down);
    c->up_attention[back] = has(l, UNET "%s.norm.weight", up);
    c->depth[i] = depth_of(l, c->down_attention[i] ? down : up);
    if (i == c->levels - 1) c->depth[i] = depth_of(l, "middle_block.1");
    if (!c->depth[i]) c->depth[i] = 1;
    if (c->depth[i] > LAYERS_MOST || (c->down_attention[i] && depth_of(l, down) != c->depth[i]) ||
        (c->up_attention[back] && depth_of(l, up) != c->depth[i]))
        fail(l, "the transformers of level %d differ in depth", i);
}

static void check_level(struct look *l, const struct unet_config *c, int i)
{
    int has_heads =
        c->down_attention[i] || c->up_attention[c->levels - 1 - i] || i == c->levels - 1;
    if (c->channels[i] % c->norm_groups)
        fail(l, "level %d of the UNet is %d wide, which does not divide into %d groups" OWN, i,
             c->channels[i], c->norm_groups);
    if (has_heads && (c->heads[i] < 1 || c->channels[i] % c->heads[i]))
        fail(l,
             "level %d of the UNet is %d wide, which does not divide into heads as in its "
             "family" OWN,
             i, c->channels[i]);
}

static void look_unet(struct look *l, struct single_file_shape *s)
{
    struct unet_config *c = &s->unet;
    const char *mid = UNET "middle_block.1.proj_in.weight";
    const struct stored *proj = safetensors_find(l->file, mid);
    *c = (struct unet_config){.sample_size = 0, /* depends on what it predicts */
                              .levels = s->layout.unet_levels,
                              .norm_groups = GROUPS,
                              .norm_eps = 1e-5f,
                              .flip_sin_to_cos = 1,
                              .downsample_padding = 1};
    c->in_channels = size_of(l, 1, UNET "input_blocks.0.0.weight");
    c->out_channels = size_of(l, 0, UNET "out.2.weight");
    c->cross_attention_dim =
        size_of(l, 1, UNET "middle_block.1.transformer_blocks.0.attn2.to_k.weight");
    if (!proj) fail(l, "%s is missing", mid);
    c->linear_projection = proj && proj->rank == 2;
    for (int i = 0; i < c->levels && !l->rc; i++) {
        look_level(l, &s->layout, i, c);
        check_level(l, c, i);
    }
}

/* ---- VAE and text encoder ------------------------------------------------------------------------------------------- */

/* Some tools say "vae." for "first_stage_model.". */
static const char *vae_prefix(const struct look *l)
{
    return has(l, "vae.decoder.conv_in.weight") ? "vae." : VAE;
}

static void look_vae(struct look *l, struct single_file_shape *s)
{
    struct vae_config *c = &s->vae;
    const char *p = vae_prefix(l);
    char prefix[NAME_MOST];
    *c = (struct vae_config){.norm_groups = GROUPS, .scaling_factor = 0.18215f};
    snprintf(prefix, sizeof prefix, "%sencoder.down.0.block.", p);
    c->layers = count(l, prefix);
    c->levels = s->layout.vae_levels;
    c->in_channels = size_of(l, 1, "%sencoder.conv_in.weight", p);
    c->out_channels = size_of(l, 0, "%sdecoder.conv_out.weight", p);
    c->latent_channels = size_of(l, 1, "%sdecoder.conv_in.weight", p);
    c->mid_attention = has(l, "%sencoder.mid.attn_1.norm.weight", p);
    c->quant_conv = has(l, "%squant_conv.weight", p);
    c->post_quant_conv = has(l, "%spost_quant_conv.weight", p);
    if (c->layers < 1 || c->layers > LAYERS_MOST || c->in_channels != 3 || c->out_channels != 3)
        fail(l, "%s* is no VAE of Stable Diffusion 1.x or 2.x", p);
    for (int i = 0; i < c->levels && !l->rc; i++) {
        c->channels[i] = size_of(l, 0, "%sencoder.down.%d.block.0.conv2.weight", p, i);
        if (c->channels[i] % c->norm_groups)
            fail(l, "level %d of the VAE is %d wide, which does not divide into %d groups" OWN, i,
                 c->channels[i], c->norm_groups);
    }
}

/* A whole OpenCLIP encoder (it holds text_projection) is read but for its last layer. Converters that start from diffusers
 * files write the 23 layers that SD 2.x has there, some with a text_projection made up. */
static int open_clip_layers(const struct look *l)
{
    int n = count(l, OPEN_CLIP "transformer.resblocks.");
    int is_whole =
        n == OPEN_CLIP_LAYERS || (n != OPEN_CLIP_LAYERS - 1 && has(l, OPEN_CLIP "text_projection"));
    return n - is_whole;
}

/* The level text_model. between prefix and name, where the file has it. */
static void look_clip(struct look *l, struct clip_text_config *c)
{
    const char *level =
        has(l, CLIP "text_model.embeddings.token_embedding.weight") ? "text_model." : "";
    char prefix[NAME_MOST];
    snprintf(prefix, sizeof prefix, CLIP "%sencoder.layers.", level);
    c->act = CLIP_QUICK_GELU;
    c->layers = count(l, prefix);
    c->vocab = size_of(l, 0, CLIP "%sembeddings.token_embedding.weight", level);
    c->hidden = size_of(l, 1, CLIP "%sembeddings.token_embedding.weight", level);
    c->positions = size_of(l, 0, CLIP "%sembeddings.position_embedding.weight", level);
    c->intermediate = size_of(l, 0, CLIP "%sencoder.layers.0.mlp.fc1.weight", level);
}

static void look_open_clip(struct look *l, struct clip_text_config *c)
{
    c->act = CLIP_GELU;
    c->layers = open_clip_layers(l);
    c->vocab = size_of(l, 0, OPEN_CLIP "token_embedding.weight");
    c->hidden = size_of(l, 1, OPEN_CLIP "token_embedding.weight");
    c->positions = size_of(l, 0, OPEN_CLIP "positional_embedding");
    c->intermediate = size_of(l, 0, OPEN_CLIP "transformer.resblocks.0.mlp.c_fc.weight");
}

static void look_text(struct look *l, struct single_file_shape *s)
{
    struct clip_text_config *c = &s->text;
    *c = (struct clip_text_config){.eps = 1e-5f, .eos_id = 2};
    if (s->layout.open_clip) look_open_clip(l, c);
    else look_clip(l, c);
    c->projection = c->hidden;
    c->heads = c->hidden / HEAD_WIDTH;
    if (l->rc) return;
    if (c->layers < 1 || c->layers > LAYERS_MOST)
        fail(l, "the text encoder has %d layers", c->layers);
    if (c->heads < 1 || c->hidden % HEAD_WIDTH)
        fail(l, "the text encoder is %d wide, which does not divide into heads of %d" OWN,
             c->hidden, HEAD_WIDTH);
}

/* ---- all three ------------------------------------------------------------------------------------------------------ */

/* A configuration in <stem>.config/ takes the place of what is known of the family. */
static const char *own_config(struct look *l, const char *part, char out[4096])
{
    char tail[64];
    snprintf(tail, sizeof tail, ".config/%s/config.json", part);
    if (!l->rc) l->rc = single_file_beside(l->path, tail, out, 4096, l->e);
    return !l->rc && file_exists(out) ? out : NULL;
}

enum code single_file_shape_read(const struct safetensors *file, const char *path,
                                 struct single_file_shape *out, struct err *e)
{
    struct look l = {.file = file, .path = path, .e = e};
    struct single_file_shape s = {0};
    char levels[64], config[4096];
    s.layout.open_clip = has(&l, OPEN_CLIP "token_embedding.weight");
    look_layout(&l, &s);
    snprintf(levels, sizeof levels, "%sencoder.down.", vae_prefix(&l));
    s.layout.vae_levels = count(&l, levels);
    if (s.layout.vae_levels < 1 || s.layout.vae_levels > CONFIG_LEVELS)
        fail(&l, "%s* has %d levels", levels, s.layout.vae_levels);
    if (!own_config(&l, "unet", config)) look_unet(&l, &s);
    else l.rc = config_read_unet(config, &s.unet, e);
    if (!own_config(&l, "vae", config)) look_vae(&l, &s);
    else l.rc = config_read_vae(config, &s.vae, e);
    if (!own_config(&l, "text_encoder", config)) look_text(&l, &s);
    else l.rc = config_read_clip_text(config, &s.text, e);
    if (!l.rc) *out = s;
    return l.rc;
}
