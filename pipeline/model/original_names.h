/* original_names.h - the names that tensors have in single-file checkpoints, and the names Engram knows them by.
 *
 *     struct original_layout l = {.unet_levels = 4, .unet_layers = 2, .vae_levels = 4, .open_clip = 0};
 *     struct original_name n;
 *     original_name_read(&l, "model.diffusion_model.input_blocks.1.0.in_layers.0.weight", &n);
 *         // n.component = ORIGINAL_UNET, n.name = "down_blocks.0.resnets.0.norm1.weight", n.third = -1
 *     original_name_write(&l, ORIGINAL_VAE, "encoder.conv_in.weight", text);
 *         // "first_stage_model.encoder.conv_in.weight"
 *
 * "Original" are the names of the training code that Stable Diffusion 1.x and 2.x were published with; "inside" are those
 * of diffusers and transformers, which every other file of Engram uses. Pure text in both directions, no shapes: the
 * VAE's attention is [C,C,1,1] there and [C,C] here, which is the caller's to see. Source: docs/formats.md,
 * "Single-file checkpoints".
 */
#ifndef MODEL_ORIGINAL_NAMES_H
#define MODEL_ORIGINAL_NAMES_H

#include "pipeline/model/weights_names.h"

enum original_component { ORIGINAL_UNET, ORIGINAL_VAE, ORIGINAL_TEXT, ORIGINAL_COMPONENTS };

struct original_layout {
    int unet_levels, unet_layers;      /* layers_per_block: one number for all levels */
    int vae_levels;
    int open_clip;                     /* 1: the text encoder is OpenCLIP's (SD 2.x) */
};

struct original_name {
    enum original_component component;
    char name[WEIGHTS_NAME_MOST];      /* inside */
    int third;                         /* -1: the whole tensor. 0: rows are q, k, v, one third each, and name is that of
                                        * q; k and v have k_proj and v_proj in place of q_proj (OpenCLIP) */
};

/* 1: *out is filled. 0: a tensor that inference does not need (EMA copies, schedule buffers, position_ids) or that nobody
 * knows. Block indices are read as numbers. */
int original_name_read(const struct original_layout *l, const char *original, struct original_name *out);

/* The other way. For OpenCLIP q_proj, k_proj and v_proj all give the one fused name. 0: inside is no name of this component. */
int original_name_write(const struct original_layout *l, enum original_component c, const char *inside,
                        char out[WEIGHTS_NAME_MOST]);

#endif
