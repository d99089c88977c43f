/* original_names.c - one table of both spellings, read in either direction.
 *
 * A row pairs the beginnings of two names; '#' stands for a number and what follows the row is spelt alike, or translated
 * by the row's leaves. The training code numbers the UNet's blocks in one sequence, diffusers by level and layer; the VAE
 * counts its decoder's levels from the picture there and from the latent here. Those sums are the numberings.
 */
#include "pipeline/model/original_names.h"

#include <stdio.h>
#include <string.h>

#define NUMBER_MOST 9999

enum numbering {
    SAME,
    DOWN,         /* 1 + level * (layers + 1) + layer */
    DOWN_END,     /* ... layer = layers: the downsampler */
    UP,           /* level * (layers + 1) + layer */
    UP_END,       /* ... the last of its level, after an attention */
    UP_END_PLAIN, /* ... of the deepest level, which has none in SD 1.x and 2.x */
    LEVEL,        /* of the VAE, from the picture on */
    LEVEL_BACK    /* there from the picture, here from the latent */
};

struct spelling {
    const char *original, *inside;
};

struct row {
    struct spelling name;
    enum numbering numbering;
    const struct spelling *leaf; /* ends with an empty one; NULL: spelt alike */
};

/* ---- the tables ----------------------------------------------------------------------------------------------------- */

static const struct spelling unet_resnet[] = {{"in_layers.0", "norm1"},
                                              {"in_layers.2", "conv1"},
                                              {"emb_layers.1", "time_emb_proj"},
                                              {"out_layers.0", "norm2"},
                                              {"out_layers.3", "conv2"},
                                              {"skip_connection", "conv_shortcut"},
                                              {NULL, NULL}};
static const struct row unet_rows[] = {
    {{"time_embed.0", "time_embedding.linear_1"}, SAME, NULL},
    {{"time_embed.2", "time_embedding.linear_2"}, SAME, NULL},
    {{"input_blocks.0.0", "conv_in"}, SAME, NULL},
    {{"out.0", "conv_norm_out"}, SAME, NULL},
    {{"out.2", "conv_out"}, SAME, NULL},
    {{"input_blocks.#.0.op", "down_blocks.#.downsamplers.0.conv"}, DOWN_END, NULL},
    {{"input_blocks.#.0", "down_blocks.#.resnets.#"}, DOWN, unet_resnet},
    {{"input_blocks.#.1", "down_blocks.#.attentions.#"}, DOWN, NULL},
    {{"middle_block.0", "mid_block.resnets.0"}, SAME, unet_resnet},
    {{"middle_block.1", "mid_block.attentions.0"}, SAME, NULL},
    {{"middle_block.2", "mid_block.resnets.1"}, SAME, unet_resnet},
    {{"output_blocks.#.1.conv", "up_blocks.#.upsamplers.0.conv"}, UP_END_PLAIN, NULL},
    {{"output_blocks.#.2.conv", "up_blocks.#.upsamplers.0.conv"}, UP_END, NULL},
    {{"output_blocks.#.0", "up_blocks.#.resnets.#"}, UP, unet_resnet},
    {{"output_blocks.#.1", "up_blocks.#.attentions.#"}, UP, NULL},
    {{NULL, NULL}, SAME, NULL}};

static const struct spelling vae_resnet[] = {{"norm1", "norm1"},
                                             {"conv1", "conv1"},
                                             {"norm2", "norm2"},
                                             {"conv2", "conv2"},
                                             {"nin_shortcut", "conv_shortcut"},
                                             {NULL, NULL}};
static const struct spelling vae_attention[] = {
    {"norm", "group_norm"},   {"q", "to_q"}, {"k", "to_k"}, {"v", "to_v"},
    {"proj_out", "to_out.0"}, {NULL, NULL}};
static const struct row vae_rows[] = {
    {{"quant_conv", "quant_conv"}, SAME, NULL},
    {{"post_quant_conv", "post_quant_conv"}, SAME, NULL},
    {{"encoder.conv_in", "encoder.conv_in"}, SAME, NULL},
    {{"encoder.norm_out", "encoder.conv_norm_out"}, SAME, NULL},
    {{"encoder.conv_out", "encoder.conv_out"}, SAME, NULL},
    {{"encoder.down.#.block.#", "encoder.down_blocks.#.resnets.#"}, LEVEL, vae_resnet},
    {{"encoder.down.#.downsample.conv", "encoder.down_blocks.#.downsamplers.0.conv"}, LEVEL, NULL},
    {{"encoder.mid.block_1", "encoder.mid_block.resnets.0"}, SAME, vae_resnet},
    {{"encoder.mid.attn_1", "encoder.mid_block.attentions.0"}, SAME, vae_attention},
    {{"encoder.mid.block_2", "encoder.mid_block.resnets.1"}, SAME, vae_resnet},
    {{"decoder.conv_in", "decoder.conv_in"}, SAME, NULL},
    {{"decoder.norm_out", "decoder.conv_norm_out"}, SAME, NULL},
    {{"decoder.conv_out", "decoder.conv_out"}, SAME, NULL},
    {{"decoder.mid.block_1", "decoder.mid_block.resnets.0"}, SAME, vae_resnet},
    {{"decoder.mid.attn_1", "decoder.mid_block.attentions.0"}, SAME, vae_attention},
    {{"decoder.mid.block_2", "decoder.mid_block.resnets.1"}, SAME, vae_resnet},
    {{"decoder.up.#.block.#", "decoder.up_blocks.#.resnets.#"}, LEVEL_BACK, vae_resnet},
    {{"decoder.up.#.upsample.conv", "decoder.up_blocks.#.upsamplers.0.conv"}, LEVEL_BACK, NULL},
    {{NULL, NULL}, SAME, NULL}};

/* The later rows are how some tools write the same encoder; read, never written. */
static const struct row clip_rows[] = {
    {{"transformer.text_model", "text_model"}, SAME, NULL},
    {{"transformer.embeddings", "text_model.embeddings"}, SAME, NULL},
    {{"transformer.encoder", "text_model.encoder"}, SAME, NULL},
    {{"transformer.final_layer_norm", "text_model.final_layer_norm"}, SAME, NULL},
    {{NULL, NULL}, SAME, NULL}};

#define RESBLOCK "model.transformer.resblocks.#."
#define LAYER "text_model.encoder.layers.#."
#define FUSED ".attn.in_proj_"
static const struct row open_clip_rows[] = {
    {{"model.positional_embedding", "text_model.embeddings.position_embedding.weight"}, SAME, NULL},
    {{"model.token_embedding", "text_model.embeddings.token_embedding"}, SAME, NULL},
    {{"model.ln_final", "text_model.final_layer_norm"}, SAME, NULL},
    {{RESBLOCK "ln_1", LAYER "layer_norm1"}, SAME, NULL},
    {{RESBLOCK "ln_2", LAYER "layer_norm2"}, SAME, NULL},
    {{RESBLOCK "mlp.c_fc", LAYER "mlp.fc1"}, SAME, NULL},
    {{RESBLOCK "mlp.c_proj", LAYER "mlp.fc2"}, SAME, NULL},
    {{RESBLOCK "attn.out_proj", LAYER "self_attn.out_proj"}, SAME, NULL},
    {{RESBLOCK "attn.in_proj_weight", LAYER "self_attn.q_proj.weight"}, SAME, NULL},
    {{RESBLOCK "attn.in_proj_weight", LAYER "self_attn.k_proj.weight"}, SAME, NULL},
    {{RESBLOCK "attn.in_proj_weight", LAYER "self_attn.v_proj.weight"}, SAME, NULL},
    {{RESBLOCK "attn.in_proj_bias", LAYER "self_attn.q_proj.bias"}, SAME, NULL},
    {{RESBLOCK "attn.in_proj_bias", LAYER "self_attn.k_proj.bias"}, SAME, NULL},
    {{RESBLOCK "attn.in_proj_bias", LAYER "self_attn.v_proj.bias"}, SAME, NULL},
    {{NULL, NULL}, SAME, NULL}};

static const struct {
    enum original_component component;
    const char *text;
} prefixes[] = {{ORIGINAL_UNET, "model.diffusion_model."},
                {ORIGINAL_VAE, "first_stage_model."},
                {ORIGINAL_TEXT, "cond_stage_model."},
                {ORIGINAL_VAE, "vae."}}; /* read, never written */
#define PREFIXES (sizeof prefixes / sizeof *prefixes)

static const struct row *rows_of(const struct original_layout *l, enum original_component c)
{
    if (c == ORIGINAL_UNET) return unet_rows;
    if (c == ORIGINAL_VAE) return vae_rows;
    return l->open_clip ? open_clip_rows : clip_rows;
}

/* ---- numbers -------------------------------------------------------------------------------------------------------- */

/* out[0], out[1]: level and layer, or what the original has. 0: no such block in this layout. */
static int number_read(const struct original_layout *l, enum numbering n, const int in[2],
                       int out[2])
{
    int B = l->unet_layers + 1, at = in[0] - (n == DOWN || n == DOWN_END);
    if (n == SAME || n == LEVEL || n == LEVEL_BACK) {
        out[0] = n == LEVEL_BACK ? l->vae_levels - 1 - in[0] : in[0];
        out[1] = in[1];
        return n == SAME || (in[0] < l->vae_levels && out[0] >= 0);
    }
    if (at < 0 || at / B >= l->unet_levels) return 0;
    out[0] = at / B;
    out[1] = at % B;
    if (n == DOWN) return out[1] < l->unet_layers;
    return n == UP || out[1] == l->unet_layers;
}

static int number_write(const struct original_layout *l, enum numbering n, const int in[2],
                        int out[2])
{
    int B = l->unet_layers + 1, is_down = n == DOWN || n == DOWN_END;
    int layer = n == DOWN || n == UP ? in[1] : l->unet_layers;
    out[0] = n == LEVEL_BACK ? l->vae_levels - 1 - in[0] : in[0];
    out[1] = in[1];
    if (n == SAME) return 1;
    if (n == LEVEL || n == LEVEL_BACK) return in[0] < l->vae_levels;
    if (in[0] >= l->unet_levels || layer > l->unet_layers - (n == DOWN)) return 0;
    if (n == UP_END_PLAIN && in[0] > 0) return 0;
    out[0] = is_down + in[0] * B + layer;
    return 1;
}

/* ---- patterns ------------------------------------------------------------------------------------------------------- */

/* The rest of s after the pattern, "" or from a dot on; NULL: another name. Fills a number for each '#'. */
static const char *match(const char *s, const char *pattern, int number[2])
{
    int n = 0;
    for (; *pattern; pattern++) {
        if (*pattern != '#') {
            if (*s++ != *pattern) return NULL;
            continue;
        }
        if (*s < '0' || *s > '9' || (*s == '0' && s[1] >= '0' && s[1] <= '9')) return NULL;
        for (number[n] = 0; *s >= '0' && *s <= '9'; s++)
            if ((number[n] = number[n] * 10 + (*s - '0')) > NUMBER_MOST) return NULL;
        n++;
    }
    return *s == '.' || !*s ? s : NULL;
}

/* Writes prefix, the pattern with its numbers, a leaf with a dot before it, the rest. 0: does not fit. */
static int fill(const char *prefix, const char *pattern, const int number[2], const char *leaf,
                const char *rest, char out[WEIGHTS_NAME_MOST])
{
    int n = snprintf(out, WEIGHTS_NAME_MOST, "%s", prefix);
    for (int k = 0; *pattern && n < WEIGHTS_NAME_MOST; pattern++)
        n += *pattern == '#' ? snprintf(out + n, (size_t)(WEIGHTS_NAME_MOST - n), "%d", number[k++])
                             : snprintf(out + n, (size_t)(WEIGHTS_NAME_MOST - n), "%c", *pattern);
    if (n >= WEIGHTS_NAME_MOST) return 0;
    n += snprintf(out + n, (size_t)(WEIGHTS_NAME_MOST - n), "%s%s%s", leaf ? "." : "",
                  leaf ? leaf : "", rest);
    return n < WEIGHTS_NAME_MOST;
}

/* Finds the leaf that rest (from its dot on) begins with, by either spelling, and moves rest past it. */
static const struct spelling *find_leaf(const struct spelling *leaf, int by_inside,
                                        const char **rest)
{
    int none[2];
    if (**rest != '.') return NULL;
    for (; leaf->original; leaf++) {
        const char *after = match(*rest + 1, by_inside ? leaf->inside : leaf->original, none);
        if (!after) continue;
        *rest = after;
        return leaf;
    }
    return NULL;
}

/* ---- both directions ------------------------------------------------------------------------------------------------ */

static int read_row(const struct original_layout *l, const struct row *r, const char *name,
                    char out[WEIGHTS_NAME_MOST])
{
    int there[2] = {0}, here[2] = {0};
    const struct spelling *leaf = NULL;
    const char *rest = match(name, r->name.original, there);
    if (!rest || !number_read(l, r->numbering, there, here)) return 0;
    if (r->leaf && !(leaf = find_leaf(r->leaf, 0, &rest))) return 0;
    return fill("", r->name.inside, here, leaf ? leaf->inside : NULL, rest, out);
}

int original_name_read(const struct original_layout *l, const char *original,
                       struct original_name *out)
{
    size_t p = 0, n = 0;
    while (p < PREFIXES && strncmp(original, prefixes[p].text, n = strlen(prefixes[p].text)) != 0)
        p++;
    if (p == PREFIXES || weights_names_is_left_out(original)) return 0;
    out->component = prefixes[p].component;
    out->third = strstr(original, FUSED) ? 0 : -1;
    for (const struct row *r = rows_of(l, out->component); r->name.original; r++)
        if (read_row(l, r, original + n, out->name)) return 1;
    return 0;
}

static int write_row(const struct original_layout *l, const char *prefix, const struct row *r,
                     const char *inside, char out[WEIGHTS_NAME_MOST])
{
    int here[2] = {0}, there[2] = {0};
    const struct spelling *leaf = NULL;
    const char *rest = match(inside, r->name.inside, here);
    if (!rest || !number_write(l, r->numbering, here, there)) return 0;
    if (r->leaf && !(leaf = find_leaf(r->leaf, 1, &rest))) return 0;
    return fill(prefix, r->name.original, there, leaf ? leaf->original : NULL, rest, out);
}

int original_name_write(const struct original_layout *l, enum original_component c,
                        const char *inside, char out[WEIGHTS_NAME_MOST])
{
    size_t p = 0;
    while (prefixes[p].component != c) p++;
    for (const struct row *r = rows_of(l, c); r->name.original; r++)
        if (write_row(l, prefixes[p].text, r, inside, out)) return 1;
    return 0;
}
