/* config: the defaults of the classes, what the files of SD 1.5 and the golden models say, and refusals by name. */
#include "pipeline/model/config.h"
#include "tests/unit/model/support/files.h"

static struct err e;

static void unet_defaults_are_sd15(void)
{
    struct unet_config c;
    static const int channels[] = {320, 640, 1280, 1280}, down[] = {1, 1, 1, 0},
                     up[] = {0, 1, 1, 1};
    is_code(config_read_unet(text_file("u.json", "{}"), &c, &e), OK, &e,
            "an empty UNet config is the class with its defaults");
    is_int(c.levels, 4, "four levels");
    for (int i = 0; i < 4; i++)
        ok(c.channels[i] == channels[i] && c.layers[i] == 2 && c.heads[i] == 8 && c.depth[i] == 1 &&
               c.down_attention[i] == down[i] && c.up_attention[i] == up[i],
           "level %d", i);
    is_int(c.cross_attention_dim, 1280,
           "cross_attention_dim is 1280 unless said (SD 1.5 says 768)");
    is_int(c.norm_groups, 32, "32 groups");
    near(c.norm_eps, 1e-5, 1e-12, "eps 1e-5");
    is_int(c.in_channels + c.out_channels, 8, "4 in, 4 out");
    ok(c.flip_sin_to_cos && c.freq_shift == 0 && c.downsample_padding == 1 && !c.linear_projection,
       "the rest");
    is_int(c.sample_size, 64, "sample_size 64");
}

static void unet_lists_and_numbers(void)
{
    struct unet_config c;
    const char *text =
        "{\"block_out_channels\":[8,16,24],\"attention_head_dim\":[2,4,3],\"layers_per_block\":1,"
        "\"transformer_layers_per_block\":[1,2,3],\"norm_num_groups\":4,\"cross_attention_dim\":["
        "20,20,20],"
        "\"down_block_types\":[\"CrossAttnDownBlock2D\",\"DownBlock2D\",\"DownBlock2D\"],"
        "\"up_block_types\":[\"UpBlock2D\",\"UpBlock2D\",\"CrossAttnUpBlock2D\"],\"unknown_key\":{}"
        "}";
    is_code(config_read_unet(text_file("u.json", text), &c, &e), OK, &e,
            "lists per level, unknown keys ignored");
    ok(c.heads[2] == 3 && c.layers[2] == 1 && c.depth[1] == 2 && c.cross_attention_dim == 20,
       "are read");
    ok(c.down_attention[0] && !c.down_attention[1] && c.up_attention[2] && !c.up_attention[0],
       "block types are read");
    is_code(
        config_read_unet(
            text_file("u.json", "{\"sample_size\":32,\"_diffusers_version\":\"0.6.0\"}"), &c, &e),
        OK, &e, "old");
    is_int(c.sample_size, 64, "a copy from before 0.9 that says 32 means 64");
    is_code(
        config_read_unet(
            text_file("u.json", "{\"sample_size\":32,\"_diffusers_version\":\"0.35.2\"}"), &c, &e),
        OK, &e, "new");
    is_int(c.sample_size, 32, "a newer one means what it says");
}

static const struct {
    const char *text, *says;
} unets[] = {
    {"{\"addition_embed_type\":\"text_time\"}", "addition_embed_type is \"text_time\""},
    {"{\"class_embed_type\":\"timestep\"}", "class_embed_type"},
    {"{\"num_class_embeds\":10}", "num_class_embeds is 10"},
    {"{\"time_cond_proj_dim\":256}", "time_cond_proj_dim is 256"},
    {"{\"num_attention_heads\":8}", "num_attention_heads"},
    {"{\"only_cross_attention\":true}", "only_cross_attention is true"},
    {"{\"only_cross_attention\":[true,true,false,false]}", "only_cross_attention"},
    {"{\"dual_cross_attention\":true}", "dual_cross_attention"},
    {"{\"center_input_sample\":true}", "center_input_sample"},
    {"{\"resnet_time_scale_shift\":\"scale_shift\"}", "resnet_time_scale_shift is \"scale_shift\""},
    {"{\"act_fn\":\"gelu\"}", "act_fn is \"gelu\", which Engram does not compute (it needs silu)"},
    {"{\"mid_block_type\":null}", "mid_block_type is null"},
    {"{\"conv_in_kernel\":1}", "conv_in_kernel"},
    {"{\"mid_block_scale_factor\":1.41}", "mid_block_scale_factor"},
    {"{\"in_channels\":9}", "in_channels is 9 and out_channels 4: an inpainting or editing model"},
    {"{\"down_block_types\":[\"SimpleCrossAttnDownBlock2D\",\"DownBlock2D\",\"DownBlock2D\","
     "\"DownBlock2D\"]}",
     "SimpleCrossAttnDownBlock2D"},
    {"{\"up_block_types\":[\"UpBlock2D\"]}", "up_block_types lists 1 blocks for 4 levels"},
    {"{\"block_out_channels\":[32,64]}", "down_block_types lists 4 blocks for 2 levels"},
    {"{\"block_out_channels\":[]}", "1 to 8 levels"},
    {"{\"block_out_channels\":320}", "1 to 8 levels"},
    {"{\"attention_head_dim\":[8,8]}", "attention_head_dim lists 2 numbers for 4 levels"},
    {"{\"attention_head_dim\":7}", "do not divide into 7 heads"},
    {"{\"norm_num_groups\":48}", "do not divide into 48 norm_num_groups"},
    {"{\"norm_num_groups\":0}", "whole number from 1"},
    {"{\"cross_attention_dim\":[768,1024,768,768]}", "differs between levels (768 and 1024)"},
    {"{\"norm_eps\":\"small\"}", "norm_eps must be a number"},
    {"{\"use_linear_projection\":1}", "use_linear_projection must be true or false"},
    {"[1]", "not a JSON object"},
    {"{\n  \"in_channels\": 4,,\n}", "u.json:2:"},
    {"{\"in_channels\":4,\"in_channels\":4}", "duplicate"},
    {"", "u.json:1:"},
};

static void refuses_unets_by_name(void)
{
    for (size_t i = 0; i < sizeof unets / sizeof *unets; i++) {
        struct unet_config c = {.levels = 77};
        is_code(config_read_unet(text_file("u.json", unets[i].text), &c, &e), ERR_INPUT, &e,
                "refused: %.60s", unets[i].text);
        says(e, unets[i].says, "  with its reason");
        says(e, "u.json", "  and its file");
        is_int(c.levels, 77, "  and nothing is changed");
    }
    ok(config_read_unet(inside("none.json"), &(struct unet_config){0}, &e) == ERR_NOT_FOUND,
       "a missing file is not found");
    is_code(config_read_unet(
                text_file("u.json",
                          "{\"encoder_hid_dim\":null,\"only_cross_attention\":[false,false]}"),
                &(struct unet_config){0}, &e),
            OK, &e, "null and false ask for nothing");
}

static void vae(void)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"{\"act_fn\":\"relu\"}", "act_fn is \"relu\""},
        {"{\"latents_mean\":[0,0,0,0]}", "latents_mean"},
        {"{\"down_block_types\":[\"AttnDownEncoderBlock2D\"]}", "AttnDownEncoderBlock2D"},
        {"{\"in_channels\":4}", "in_channels"},
        {"{\"scaling_factor\":0}", "scaling_factor must be above 0"},
        {"{\"layers_per_block\":[1,2]}", "layers_per_block"},
    };
    struct vae_config c;
    is_code(config_read_vae(text_file("v.json", "{}"), &c, &e), OK, &e, "an empty VAE config");
    near(c.scaling_factor, 0.18215, 1e-8, "scaling_factor is 0.18215 when absent, as in SD 1.5");
    ok(c.levels == 1 && c.channels[0] == 64 && c.layers == 1 && c.mid_attention && c.quant_conv &&
           c.post_quant_conv && c.shift_factor == 0 && c.latent_channels == 4,
       "and the other defaults");
    is_int(vae_factor(&(struct vae_config){.levels = 4}), 8,
           "four levels make an image 8 times its latent");
    is_code(config_read_vae("tests/golden/storybook/model/vae/config.json", &c, &e), OK, &e,
            "storybook's VAE");
    ok(c.levels == 4 && c.latent_channels == 16 && !c.mid_attention, "is read");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        is_code(config_read_vae(text_file("v.json", bad[i].text), &c, &e), ERR_INPUT, &e,
                "refused: %s", bad[i].text);
        says(e, bad[i].says, "  with its reason");
    }
}

static void clip(void)
{
    struct clip_text_config t;
    struct clip_vision_config v;
    is_code(config_read_clip_text("tests/golden/classic/model/text_encoder/config.json", &t, &e),
            OK, &e, "a text encoder");
    ok(t.hidden == 24 && t.layers == 3 && t.intermediate == 37 && t.eos_id == 2 &&
           t.act == CLIP_QUICK_GELU,
       "is read");
    is_code(config_read_clip("tests/golden/storybook/model/clip/config.json", &t, &v, &e), OK, &e,
            "a whole CLIP");
    ok(t.hidden == 24 && t.eos_id == 813 && t.act == CLIP_GELU && v.act == CLIP_GELU &&
           v.patch == 16,
       "both halves are read");
    ok(t.projection == 16 && v.projection == 16, "the projection is the model's");
    near(v.mean[0], 0.48145466, 1e-7, "mean of preprocessor_config.json");
    is_code(
        config_read_clip(
            text_file("c.json", "{\"projection_dim\":9,\"text_config\":{},\"vision_config\":{}}"),
            &t, &v, &e),
        OK, &e, "a CLIP without details");
    ok(t.vocab == 49408 && t.hidden == 512 && t.heads == 8 && t.positions == 77 &&
           v.hidden == 768 && v.patch == 32 && v.image_size == 224 && v.projection == 9,
       "has the classes' defaults");
    near(v.std[2], 0.27577711, 1e-7, "without preprocessor_config.json: OpenAI's constants");
    is_code(
        config_read_clip(text_file("c.json", "{\"text_config\":{\"hidden_size\":10}}"), &t, &v, &e),
        ERR_INPUT, &e, "10 in 8");
    says(e, "text_config.hidden_size 10 does not divide into 8 heads", "names the half");
    is_code(config_read_clip(text_file("c.json",
                                       "{\"vision_config\":{\"patch_size\":14,\"hidden_size\":1024,"
                                       "\"num_attention_heads\":16},\"text_config\":null}"),
                             &t, &v, &e),
            OK, &e, "one half alone");
    ok(v.patch == 14 && v.hidden == 1024 && t.hidden == 512 && t.layers == 12 && t.heads == 8,
       "leaves the other at its defaults");
    is_code(
        config_read_clip(
            text_file("c.json",
                      "{\"architectures\":[\"CLIPModel\"],\"initializer_factor\":1.0,"
                      "\"logit_scale_init_value\":2.6592,\"model_type\":\"clip\","
                      "\"projection_dim\":768,\"text_config_dict\":{\"hidden_size\":768},"
                      "\"text_config\":{\"model_type\":\"clip_text_model\",\"hidden_size\":768,"
                      "\"intermediate_size\":3072,\"num_attention_heads\":12,\"eos_token_id\":2,"
                      "\"projection_dim\":512},\"vision_config_dict\":null,\"vision_config\":{"
                      "\"model_type\":\"clip_vision_model\",\"hidden_size\":1024,"
                      "\"intermediate_size\":4096,\"num_attention_heads\":16,"
                      "\"num_hidden_layers\":24,\"patch_size\":14,\"projection_dim\":512}}"),
            &t, &v, &e),
        OK, &e, "ViT-L/14 as it is published");
    ok(t.hidden == 768 && t.layers == 12 && t.heads == 12 && t.intermediate == 3072 &&
           v.hidden == 1024 && v.layers == 24 && v.heads == 16 && v.intermediate == 4096 &&
           v.patch == 14 && v.image_size == 224 && t.projection == 768 && v.projection == 768,
       "is read, with the projection of the whole");
    is_code(config_read_clip(text_file("c.json", "{}"), &t, &v, &e), ERR_INPUT, &e, "no halves");
    says(e, "text_config is missing", "named");
    is_code(config_read_clip_text(text_file("c.json", "{\"model_type\":\"t5\"}"), &t, &e),
            ERR_INPUT, &e, "another text model");
    says(e, "model_type is t5", "named");
    is_code(config_read_clip_text(text_file("c.json", "{\"hidden_act\":\"gelu_new\"}"), &t, &e),
            ERR_INPUT, &e, "another act");
    says(e, "hidden_act is \"gelu_new\"", "named");
    text_file("preprocessor_config.json", "{\"image_mean\":[0.5,0.5]}");
    is_code(config_read_clip(text_file("c.json", "{\"text_config\":{},\"vision_config\":{}}"), &t,
                             &v, &e),
            ERR_INPUT, &e, "2 means");
    says(e, "image_mean must list three numbers", "named");
}

static void schedule(void)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"{\"trained_betas\":[0.1]}", "trained_betas"},
        {"{\"rescale_betas_zero_snr\":true}", "rescale_betas_zero_snr"},
        {"{\"beta_schedule\":\"squaredcos_cap_v2\"}", "beta_schedule is \"squaredcos_cap_v2\""},
        {"{\"prediction_type\":\"sample\"}", "prediction_type is \"sample\""},
        {"{\"beta_start\":0.5,\"beta_end\":0.1}", "0 < start <= end < 1"},
        {"{\"num_train_timesteps\":1}", "num_train_timesteps"},
        {"{\"timestep_spacing\":\"random\"}", "timestep_spacing is \"random\""},
        {"{\"final_sigmas_type\":\"one\"}", "final_sigmas_type is \"one\""},
    };
    struct schedule_config c;
    is_code(
        config_read_schedule("tests/golden/classic/model/scheduler/scheduler_config.json", &c, &e),
        OK, &e, "SD 1.5's file");
    ok(c.train_steps == 1000 && c.scaled_linear && c.steps_offset == 1 && !c.set_alpha_to_one &&
           c.prediction == PREDICT_EPSILON,
       "is read");
    is_code(
        config_read_schedule("tests/golden/ragged/model/scheduler/scheduler_config.json", &c, &e),
        OK, &e, "a v model's file");
    is_int(c.prediction, PREDICT_V, "predicts v");
    is_code(
        config_read_schedule("tests/golden/micro/model/scheduler/scheduler_config.json", &c, &e),
        OK, &e, "a bare DDIM file");
    ok(c.set_alpha_to_one && c.steps_offset == 1,
       "ends at 1 by DDIM's default; the offset is 1 whatever it says");
    ok(c.file_class == SCHEDULER_DDIM && c.spacing == SPACING_UNSAID && c.alpha_unsaid &&
           !c.offset_unsaid && !c.ends_at_sigma_min,
       "and what it leaves out is known");
    const char *path = text_file("s.json", "{\"_class_name\":\"EulerDiscreteScheduler\","
                                           "\"timestep_spacing\":\"trailing\","
                                           "\"final_sigmas_type\":\"sigma_min\"}");
    is_code(config_read_schedule(path, &c, &e), OK, &e, "an Euler file");
    ok(c.file_class == SCHEDULER_EULER && c.spacing == SPACING_TRAILING && c.offset_unsaid &&
           c.ends_at_sigma_min,
       "says how it is spaced and where it ends");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        is_code(config_read_schedule(text_file("s.json", bad[i].text), &c, &e), ERR_INPUT, &e,
                "refused: %s", bad[i].text);
        says(e, bad[i].says, "  with its reason");
    }
}

int main(void)
{
    unet_defaults_are_sd15();
    unet_lists_and_numbers();
    refuses_unets_by_name();
    vae();
    clip();
    schedule();
    return done_testing();
}
