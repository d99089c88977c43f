/* single_file_family.c - whose checkpoint a file is, by tensors that only one family has. */
#include "pipeline/model/single_file.h"

#include <string.h>

#define UNET "model.diffusion_model."

/* A name of which some tensor begins so. In order: the first that fits is said. */
static const struct {
    const char *prefix, *what;
} others[] = {
    {"conditioner.embedders.", "a Stable Diffusion XL checkpoint"},
    {UNET "joint_blocks.", "a Stable Diffusion 3 checkpoint"},
    {"joint_blocks.", "a Stable Diffusion 3 checkpoint"},
    {UNET "double_blocks.", "a Flux checkpoint"},
    {"double_blocks.", "a Flux checkpoint"},
    {UNET "double_layers.", "an AuraFlow checkpoint"},
    {UNET "down_blocks.", "a Stable Cascade checkpoint"},
    {"control_model.", "a ControlNet"},
    {"controlnet_cond_embedding.", "a ControlNet"},
    {"lora_unet_", "a LoRA, which changes a model and is none"},
    {"lora_te_", "a LoRA, which changes a model and is none"},
    {"unet.down_blocks.", "a LoRA or a part of a diffusers folder"},
    {UNET "label_emb.", "a model conditioned on images or sizes"},
    {"down_blocks.", "the UNet of a diffusers folder; name the folder that holds model_index.json"},
    {"encoder.down_blocks.",
     "the VAE of a diffusers folder; name the folder that holds model_index.json"},
    {"vision_model.", "a CLIP; name it by ENGRAM_CLIP"},
    {"text_model.", "a text encoder; name the folder that holds model_index.json"},
};

static const char *const parts[ORIGINAL_COMPONENTS][2] = {
    [ORIGINAL_UNET] = {UNET "input_blocks.", "UNet"},
    [ORIGINAL_VAE] = {"first_stage_model.decoder.", "VAE"},
    [ORIGINAL_TEXT] = {"cond_stage_model.", "text encoder"},
};

static int begins(const char *s, const char *with)
{
    return !strncmp(s, with, strlen(with));
}

static const char *find_beginning(const struct safetensors *s, const char *prefix)
{
    for (size_t i = 0; i < safetensors_count(s); i++)
        if (begins(safetensors_at(s, i)->name, prefix)) return safetensors_at(s, i)->name;
    return NULL;
}

static enum code refuse(const char *path, const char *what, struct err *e)
{
    return err_set(e, ERR_INPUT, "%s: %s; Engram runs Stable Diffusion 1.x and 2.x", path, what);
}

/* The channels that the first convolution reads tell what was done with the rest of them. */
static enum code check_channels(const struct safetensors *s, const char *path, struct err *e)
{
    const struct stored *in = safetensors_find(s, UNET "input_blocks.0.0.weight"),
                        *out = safetensors_find(s, UNET "out.2.weight");
    if (!in || !out || in->rank != 4 || out->rank != 4)
        return err_set(e, ERR_INPUT, "%s: %s is missing or no convolution", path,
                       in && in->rank == 4 ? UNET "out.2.weight" : UNET "input_blocks.0.0.weight");
    if (in->dim[1] == out->dim[0]) return OK;
    if (in->dim[1] == 2 * out->dim[0] + 1)
        return refuse(path, "an inpainting model (9 input channels)", e);
    if (in->dim[1] == 2 * out->dim[0])
        return refuse(path, "an instruct-pix2pix model (8 input channels)", e);
    if (in->dim[1] == out->dim[0] + 1)
        return refuse(path, "a depth-to-image model (5 input channels)", e);
    return refuse(path, "a UNet that does not put out as many channels as it reads", e);
}

enum code single_file_family_check(const struct safetensors *s, const char *path, struct err *e)
{
    if (!find_beginning(s, parts[ORIGINAL_UNET][0]) ||
        find_beginning(s, "conditioner.embedders.") || find_beginning(s, UNET "label_emb."))
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            if (find_beginning(s, others[i].prefix)) return refuse(path, others[i].what, e);
    for (int c = 0; c < ORIGINAL_COMPONENTS; c++)
        if (!find_beginning(s, parts[c][0]) &&
            !(c == ORIGINAL_VAE && find_beginning(s, "vae.decoder.")))
            return err_set(e, ERR_INPUT,
                           "%s: no %s (%s*): not a whole Stable Diffusion checkpoint in its "
                           "original names",
                           path, parts[c][1], parts[c][0]);
    return check_channels(s, path, e);
}
