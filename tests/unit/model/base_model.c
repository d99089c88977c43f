/* base_model: golden folders open, one edit at a time is refused with one line, and the name follows the content. */
#include "pipeline/model/base_model.h"
#include "tests/unit/model/support/files.h"

static struct err e;

static struct hash name_of(const char *dir)
{
    struct base_model *m;
    struct hash h = {{0}};
    if (is_code(base_model_open(&m, dir, &e), OK, &e, "%s opens", strrchr(dir, '/') + 1))
        h = m->hash;
    base_model_close(m);
    return h;
}

static void opens(void)
{
    struct base_model *m;
    struct clip_model *c;
    if (is_code(base_model_open(&m, "tests/golden/ragged/model", &e), OK, &e,
                "a base model opens")) {
        ok(m->unet.levels == 3 && m->vae.levels == 3 && m->text.hidden == 20 &&
               m->schedule.config.prediction == PREDICT_V,
           "with its configurations");
        ok(m->kv.n == 14 && tokenizer_vocab(m->tokenizer) == 814, "its K/V layout and tokenizer");
        ok(!hash_is_zero(m->hash), "and its name");
        base_model_close(m);
    }
    if (is_code(clip_model_open(&c, "tests/golden/storybook/model/clip", &e), OK, &e,
                "a CLIP for evaluation opens")) {
        ok(c->vision.patch == 16 && tokenizer_length(c->tokenizer) == 32 && !hash_is_zero(c->hash),
           "with its parts");
        clip_model_close(c);
    }
    base_model_close(NULL);
    clip_model_close(NULL);
}

static const struct {
    const char *file, *key, *value, *says;
} edits[] = {
    {"model_index.json", "_class_name", "\"StableDiffusionXLPipeline\"",
     "a Stable Diffusion XL model"},
    {"model_index.json", "text_encoder_2", "[\"transformers\",\"CLIPTextModelWithProjection\"]",
     "a Stable Diffusion XL model"},
    {"model_index.json", "_class_name", "\"StableDiffusionInpaintPipeline\"",
     "StableDiffusionInpaintPipeline"},
    {"model_index.json", "_class_name", NULL, "_class_name is \"\""},
    {"model_index.json", "vae", "[null,null]", "the pipeline has no vae"},
    {"model_index.json", "unet", NULL, "the pipeline has no unet"},
    {"text_encoder/config.json", "hidden_size", "32",
     "the text encoder is 32 wide (hidden_size) but the UNet expects 24"},
    {"text_encoder/config.json", "vocab_size", "900",
     "814 entries but the text encoder embeds 900"},
    {"text_encoder/config.json", "max_position_embeddings", "32",
     "77 ids but the text encoder has 32 positions"},
    {"vae/config.json", "latent_channels", "16", "the VAE has 16 latent_channels but the UNet 4"},
    {"unet/config.json", "act_fn", "\"mish\"", "unet/config.json: act_fn is \"mish\""},
    {"scheduler/scheduler_config.json", "prediction_type", "\"sample\"",
     "scheduler_config.json: prediction_type"},
};

static void refuses_edited(void)
{
    struct base_model *m;
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        char path[1200];
        char *dir = folder_copy("classic", "edited");
        snprintf(path, sizeof path, "%s/%s", dir, edits[i].file);
        set_key(path, edits[i].key, edits[i].value);
        is_code(base_model_open(&m, dir, &e), ERR_INPUT, &e, "%s with %s %s is refused",
                edits[i].file, edits[i].key, edits[i].value ? edits[i].value : "removed");
        says(e, edits[i].says, "  with its reason");
    }
}

static void refuses_incomplete(void)
{
    struct base_model *m;
    struct clip_model *c;
    char *dir = folder_copy("classic", "incomplete");
    run_shell("cd '%s' && rm -r vae/config.json tokenizer/merges.txt scheduler", dir);
    is_code(base_model_open(&m, dir, &e), ERR_NOT_FOUND, &e, "missing files are refused");
    says(
        e,
        "vae/config.json, scheduler/scheduler_config.json, tokenizer/merges.txt, which are missing",
        "all in one line");
    dir = folder_copy("classic", "incomplete");
    run_shell("rm '%s/unet/diffusion_pytorch_model.safetensors'", dir);
    is_code(base_model_open(&m, dir, &e), ERR_NOT_FOUND, &e, "missing weights are refused");
    says(e, "unet: no weights; expected diffusion_pytorch_model.safetensors",
         "with what is expected where");
    run_shell("rm '%s/model_index.json'", dir);
    is_code(base_model_open(&m, dir, &e), ERR_NOT_FOUND, &e,
            "a folder without model_index.json is refused");
    says(e, "no model_index.json; expected a diffusers folder", "with what a folder should hold");
    is_code(base_model_open(&m, inside("nowhere"), &e), ERR_NOT_FOUND, &e,
            "so is no folder at all");
    dir = folder_copy("classic", "incomplete");
    run_shell("rm '%s/clip/config.json'", dir);
    snprintf(dir + strlen(dir), 8, "/clip");
    is_code(clip_model_open(&c, dir, &e), ERR_NOT_FOUND, &e,
            "a CLIP without its config is refused");
    says(e, "config.json, which is missing", "by name");
    text_file("incomplete/clip/config.json", "{\"model_type\":\"siglip\"}");
    is_code(clip_model_open(&c, inside("incomplete/clip"), &e), ERR_INPUT, &e,
            "another kind of model is refused");
    says(e, "model_type is \"siglip\"", "by name");
}

static void names_content(void)
{
    struct hash first = name_of("tests/golden/classic/model"),
                other = name_of("tests/golden/micro/model");
    char path[1200];
    char text[HASH_TEXT];
    /* Computed by another program from docs/formats.md alone. Lineages are bound to names: if this fails and the golden
     * files are as they were, every lineage on earth has lost its base model. */
    is_str(hash_text(first, text),
           "b4e891d29c394d3735eb77fedee1512b02063284d3a7dbd9a97379a7409b1ddb",
           "the name is the one that docs/formats.md gives");
    ok(!hash_equal(first, other), "two models have two names");
    char *dir = folder_copy("classic", "again");
    snprintf(path, sizeof path, "%s/unet/config.json", dir);
    set_key(path, "sample_size", "16");
    set_key(path, "_name_or_path", "\"somewhere\"");
    snprintf(path, sizeof path, "%s/unet/diffusion_pytorch_model", dir);
    run_shell("mv '%s.safetensors' '%s.fp16.safetensors'", path, path);
    ok(hash_equal(name_of(dir), first), "what does not change a result does not change the name");
    snprintf(path, sizeof path, "%s/unet/config.json", dir);
    set_key(path, "norm_eps", "1e-6");
    ok(!hash_equal(name_of(dir), first), "what does, does");
}

static void survives_no_memory(void)
{
    enum code rc = ERR_NOMEM;
    long n, tried = 0;
    for (n = 1; n < 20000 && rc == ERR_NOMEM; n += 1 + n / 50) {
        struct base_model *m = NULL;
        arena_fail_after(n);
        rc = base_model_open(&m, "tests/golden/micro/model", &e);
        arena_fail_after(0);
        base_model_close(m);
        tried++;
    }
    is_code(rc, OK, &e, "%ld of %ld allocations failed: out of memory, nothing lost", tried, n);
}

int main(void)
{
    opens();
    refuses_edited();
    refuses_incomplete();
    names_content();
    survives_no_memory();
    return done_testing();
}
