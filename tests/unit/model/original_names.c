/* original_names: every tensor of SD 1.5 and SD 2.1 goes out under its original name and comes back. */
#include "pipeline/model/original_names.h"
#include "tests/tap.h"

#define NAMES_MOST 800

static const struct original_layout sd1 = {4, 2, 4, 0}, sd2 = {4, 2, 4, 1};

/* ---- what a component holds, by the rules of diffusers and transformers ------------------------------------------------ */

static char names[NAMES_MOST][WEIGHTS_NAME_MOST];
static int n_names;

static void add(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void add(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(names[n_names++], WEIGHTS_NAME_MOST, fmt, args);
    va_end(args);
}

static void add_both(const char *block, const char *const *layer)
{
    for (; *layer; layer++) {
        add("%s.%s.weight", block, *layer);
        add("%s.%s.bias", block, *layer);
    }
}

static void add_resnet(const char *block, int has_time, int has_shortcut)
{
    static const char *const plain[] = {"norm1", "conv1", "norm2", "conv2", NULL},
                             *const time[] = {"time_emb_proj", NULL},
                             *const shortcut[] = {"conv_shortcut", NULL};
    add_both(block, plain);
    if (has_time) add_both(block, time);
    if (has_shortcut) add_both(block, shortcut);
}

static void add_transformer(const char *block)
{
    static const char *const outer[] = {"norm", "proj_in", "proj_out", NULL},
                             *const inner[] = {"norm1",          "norm2",
                                               "norm3",          "attn1.to_out.0",
                                               "attn2.to_out.0", "ff.net.0.proj",
                                               "ff.net.2",       NULL},
                             *const bare[] = {"attn1.to_q", "attn1.to_k", "attn1.to_v",
                                              "attn2.to_q", "attn2.to_k", "attn2.to_v"};
    char deeper[200];
    add_both(block, outer);
    snprintf(deeper, sizeof deeper, "%s.transformer_blocks.0", block);
    add_both(deeper, inner);
    for (int i = 0; i < 6; i++) add("%s.%s.weight", deeper, bare[i]);
}

static const char *block(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static const char *block(const char *fmt, ...)
{
    static char text[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return text;
}

static void unet_names(void)
{
    static const char *const tops[] = {"time_embedding.linear_1",
                                       "time_embedding.linear_2",
                                       "conv_in",
                                       "conv_norm_out",
                                       "conv_out",
                                       NULL},
                             *const conv[] = {"conv", NULL};
    n_names = 0;
    for (const char *const *t = tops; *t; t++) {
        add("%s.weight", *t);
        add("%s.bias", *t);
    }
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 2; j++) {
            add_resnet(block("down_blocks.%d.resnets.%d", i, j), 1, (i == 1 || i == 2) && !j);
            if (i < 3) add_transformer(block("down_blocks.%d.attentions.%d", i, j));
        }
        for (int j = 0; j < 3; j++) {
            add_resnet(block("up_blocks.%d.resnets.%d", i, j), 1, 1);
            if (i > 0) add_transformer(block("up_blocks.%d.attentions.%d", i, j));
        }
        if (i < 3) add_both(block("down_blocks.%d.downsamplers.0", i), conv);
        if (i < 3) add_both(block("up_blocks.%d.upsamplers.0", i), conv);
    }
    add_resnet("mid_block.resnets.0", 1, 0);
    add_transformer("mid_block.attentions.0");
    add_resnet("mid_block.resnets.1", 1, 0);
}

static void vae_names(void)
{
    static const char *const halves[] = {"encoder", "decoder"},
                             *const tops[] = {"conv_in", "conv_norm_out", "conv_out", NULL},
                             *const conv[] = {"conv", NULL}, *const attention[] = {"group_norm",
                                                                                   "to_q",
                                                                                   "to_k",
                                                                                   "to_v",
                                                                                   "to_out.0",
                                                                                   NULL};
    n_names = 0;
    for (int h = 0; h < 2; h++) {
        add_both(halves[h], tops);
        add_resnet(block("%s.mid_block.resnets.0", halves[h]), 0, 0);
        add_both(block("%s.mid_block.attentions.0", halves[h]), attention);
        add_resnet(block("%s.mid_block.resnets.1", halves[h]), 0, 0);
        for (int i = 0; i < 4; i++) {
            for (int j = 0; j < 2 + h; j++)
                add_resnet(block("%s.%s_blocks.%d.resnets.%d", halves[h], h ? "up" : "down", i, j),
                           0, !j && (h ? i > 1 : i == 1 || i == 2));
            if (i < 3)
                add_both(block("%s.%s_blocks.%d.%ssamplers.0", halves[h], h ? "up" : "down", i,
                               h ? "up" : "down"),
                         conv);
        }
    }
    add("quant_conv.weight");
    add("quant_conv.bias");
    add("post_quant_conv.weight");
    add("post_quant_conv.bias");
}

static void text_names(int layers)
{
    static const char *const inner[] = {
        "layer_norm1",      "layer_norm2",        "mlp.fc1",
        "mlp.fc2",          "self_attn.q_proj",   "self_attn.k_proj",
        "self_attn.v_proj", "self_attn.out_proj", NULL};
    n_names = 0;
    add("text_model.embeddings.token_embedding.weight");
    add("text_model.embeddings.position_embedding.weight");
    add("text_model.final_layer_norm.weight");
    add("text_model.final_layer_norm.bias");
    for (int i = 0; i < layers; i++) add_both(block("text_model.encoder.layers.%d", i), inner);
}

/* ---- there and back ------------------------------------------------------------------------------------------------- */

/* q's name for a fused tensor, whichever of the three was written. */
static void make_q(char *name)
{
    char *at = strstr(name, ".k_proj");
    if (!at) at = strstr(name, ".v_proj");
    if (at) at[1] = 'q';
}

/* How many distinct originals the names give; -1 if one does not come back. */
static int round_trip(const struct original_layout *l, enum original_component c)
{
    static char original[NAMES_MOST][WEIGHTS_NAME_MOST];
    int distinct = 0;
    for (int i = 0; i < n_names; i++) {
        struct original_name n;
        char want[WEIGHTS_NAME_MOST];
        int is_new = 1, is_fused;
        if (!original_name_write(l, c, names[i], original[distinct])) {
            printf("# %s has no original name\n", names[i]);
            return -1;
        }
        is_fused = strstr(original[distinct], "in_proj_") != NULL;
        memcpy(want, names[i], sizeof want);
        if (is_fused) make_q(want);
        if (!original_name_read(l, original[distinct], &n) || n.component != c ||
            strcmp(n.name, want) != 0 || n.third != (is_fused ? 0 : -1)) {
            printf("# %s -> %s -> %s\n", names[i], original[distinct], n.name);
            return -1;
        }
        for (int k = 0; k < distinct; k++) is_new &= strcmp(original[k], original[distinct]) != 0;
        distinct += is_new;
    }
    return distinct;
}

static void goes_there_and_back(void)
{
    unet_names();
    is_int(n_names, 686, "the UNet of SD 1.5 and 2.1 has 686 tensors");
    is_int(round_trip(&sd1, ORIGINAL_UNET), 686, "with 686 original names that read back");
    vae_names();
    is_int(n_names, 248, "their VAE has 248");
    is_int(round_trip(&sd1, ORIGINAL_VAE), 248, "with 248 original names");
    text_names(12);
    is_int(n_names, 196, "the text encoder of SD 1.5 has 196");
    is_int(round_trip(&sd1, ORIGINAL_TEXT), 196, "with 196 original names");
    text_names(23);
    is_int(n_names, 372, "that of SD 2.1 has 372");
    is_int(round_trip(&sd2, ORIGINAL_TEXT), 372 - 4 * 23,
           "with four fewer a layer, because q, k and v are one");
}

/* ---- names that genuine files have ---------------------------------------------------------------------------------- */

static const struct {
    const struct original_layout *layout;
    const char *original;
    enum original_component component;
    const char *inside;
    int third;
} known[] = {
    {&sd1, "model.diffusion_model.time_embed.2.bias", ORIGINAL_UNET, "time_embedding.linear_2.bias",
     -1},
    {&sd1, "model.diffusion_model.input_blocks.0.0.weight", ORIGINAL_UNET, "conv_in.weight", -1},
    {&sd1, "model.diffusion_model.input_blocks.1.0.in_layers.0.weight", ORIGINAL_UNET,
     "down_blocks.0.resnets.0.norm1.weight", -1},
    {&sd1, "model.diffusion_model.input_blocks.10.0.out_layers.3.bias", ORIGINAL_UNET,
     "down_blocks.3.resnets.0.conv2.bias", -1},
    {&sd1, "model.diffusion_model.input_blocks.9.0.op.weight", ORIGINAL_UNET,
     "down_blocks.2.downsamplers.0.conv.weight", -1},
    {&sd1, "model.diffusion_model.input_blocks.8.1.transformer_blocks.0.attn2.to_k.weight",
     ORIGINAL_UNET, "down_blocks.2.attentions.1.transformer_blocks.0.attn2.to_k.weight", -1},
    {&sd1, "model.diffusion_model.middle_block.2.emb_layers.1.weight", ORIGINAL_UNET,
     "mid_block.resnets.1.time_emb_proj.weight", -1},
    {&sd1, "model.diffusion_model.output_blocks.2.1.conv.weight", ORIGINAL_UNET,
     "up_blocks.0.upsamplers.0.conv.weight", -1},
    {&sd1, "model.diffusion_model.output_blocks.8.2.conv.bias", ORIGINAL_UNET,
     "up_blocks.2.upsamplers.0.conv.bias", -1},
    {&sd1, "model.diffusion_model.output_blocks.11.0.skip_connection.weight", ORIGINAL_UNET,
     "up_blocks.3.resnets.2.conv_shortcut.weight", -1},
    {&sd1, "model.diffusion_model.output_blocks.3.1.proj_in.weight", ORIGINAL_UNET,
     "up_blocks.1.attentions.0.proj_in.weight", -1},
    {&sd1, "model.diffusion_model.out.2.weight", ORIGINAL_UNET, "conv_out.weight", -1},
    {&sd1, "first_stage_model.encoder.down.1.block.0.nin_shortcut.weight", ORIGINAL_VAE,
     "encoder.down_blocks.1.resnets.0.conv_shortcut.weight", -1},
    {&sd1, "first_stage_model.decoder.up.3.upsample.conv.weight", ORIGINAL_VAE,
     "decoder.up_blocks.0.upsamplers.0.conv.weight", -1},
    {&sd1, "first_stage_model.decoder.up.0.block.2.conv1.bias", ORIGINAL_VAE,
     "decoder.up_blocks.3.resnets.2.conv1.bias", -1},
    {&sd1, "first_stage_model.decoder.mid.attn_1.proj_out.weight", ORIGINAL_VAE,
     "decoder.mid_block.attentions.0.to_out.0.weight", -1},
    {&sd1, "first_stage_model.encoder.mid.attn_1.norm.bias", ORIGINAL_VAE,
     "encoder.mid_block.attentions.0.group_norm.bias", -1},
    {&sd1, "first_stage_model.post_quant_conv.bias", ORIGINAL_VAE, "post_quant_conv.bias", -1},
    {&sd1, "cond_stage_model.transformer.text_model.encoder.layers.11.mlp.fc2.bias", ORIGINAL_TEXT,
     "text_model.encoder.layers.11.mlp.fc2.bias", -1},
    {&sd2, "cond_stage_model.model.positional_embedding", ORIGINAL_TEXT,
     "text_model.embeddings.position_embedding.weight", -1},
    {&sd2, "cond_stage_model.model.ln_final.weight", ORIGINAL_TEXT,
     "text_model.final_layer_norm.weight", -1},
    {&sd2, "cond_stage_model.model.transformer.resblocks.22.mlp.c_proj.bias", ORIGINAL_TEXT,
     "text_model.encoder.layers.22.mlp.fc2.bias", -1},
    {&sd2, "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight", ORIGINAL_TEXT,
     "text_model.encoder.layers.0.self_attn.q_proj.weight", 0},
    {&sd2, "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_bias", ORIGINAL_TEXT,
     "text_model.encoder.layers.0.self_attn.q_proj.bias", 0},
};

/* Spelt by some tools; read, but written as above. */
static const char *const variants[][2] = {
    {"vae.decoder.conv_in.weight", "decoder.conv_in.weight"},
    {"cond_stage_model.transformer.final_layer_norm.bias", "text_model.final_layer_norm.bias"},
    {"cond_stage_model.transformer.encoder.layers.3.layer_norm1.bias",
     "text_model.encoder.layers.3.layer_norm1.bias"},
    {"model.diffusion_model.output_blocks.2.2.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"},
    {"model.diffusion_model.output_blocks.5.1.conv.weight", "up_blocks.1.upsamplers.0.conv.weight"},
};

static const char *const unknown[] = {
    "betas",
    "alphas_cumprod",
    "model_ema.decay",
    "model_ema.diffusion_modelinput_blocks00weight",
    "cond_stage_model.transformer.text_model.embeddings.position_ids",
    "cond_stage_model.model.transformer.resblocks.0.ln_1.weight", /* OpenCLIP in an SD 1.x file */
    "model.diffusion_model.label_emb.0.0.weight",
    "model.diffusion_model.input_blocks.01.0.in_layers.0.weight",
    "model.diffusion_model.input_blocks.12.0.in_layers.0.weight",
    "model.diffusion_model.input_blocks.3.0.in_layers.0.weight", /* a downsampler's place */
    "model.diffusion_model.input_blocks.2.0.op.weight",
    "model.diffusion_model.input_blocks.99999999999999999999.0.op.weight",
    "model.diffusion_model.input_blocks..0.in_layers.0.weight",
    "model.diffusion_model.input_blocks.1.0.in_layers.00.weight",
    "first_stage_model.decoder.up.4.block.0.norm1.weight",
    "first_stage_model.loss.logvar",
    "",
};

static void knows_genuine_names(void)
{
    struct original_name n;
    char text[WEIGHTS_NAME_MOST];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        ok(original_name_read(known[i].layout, known[i].original, &n) &&
               n.component == known[i].component && n.third == known[i].third,
           "%s is read", known[i].original);
        is_str(n.name, known[i].inside, "  under its name inside");
        ok(original_name_write(known[i].layout, known[i].component, known[i].inside, text),
           "  and written");
        is_str(text, known[i].original, "  as it was");
    }
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        ok(original_name_read(&sd1, variants[i][0], &n) && !strcmp(n.name, variants[i][1]),
           "%s is read too", variants[i][0]);
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        ok(!original_name_read(&sd1, unknown[i], &n), "'%s' is no tensor that inference needs",
           unknown[i]);
    ok(!original_name_write(&sd1, ORIGINAL_UNET, "down_blocks.4.resnets.0.norm1.weight", text) &&
           !original_name_write(&sd1, ORIGINAL_UNET, "encoder.conv_in.weight", text) &&
           !original_name_write(&sd1, ORIGINAL_VAE, "decoder.up_blocks.4.resnets.0.norm1.weight",
                                text),
       "names of no component have no original");
}

static void keeps_within_its_room(void)
{
    struct original_name n;
    char name[2 * WEIGHTS_NAME_MOST], text[WEIGHTS_NAME_MOST];
    int at = snprintf(name, sizeof name, "model.diffusion_model.middle_block.1.");
    memset(name + at, 'x', 500);
    name[at + 500] = 0;
    ok(!original_name_read(&sd1, name, &n), "a name too long for the inside is no name");
    at = snprintf(name, sizeof name, "mid_block.attentions.0.");
    memset(name + at, 'x', 480);
    name[at + 480] = 0;
    ok(!original_name_write(&sd1, ORIGINAL_UNET, name, text), "nor is one too long for the file");
}

int main(void)
{
    goes_there_and_back();
    knows_genuine_names();
    keeps_within_its_room();
    return done_testing();
}
