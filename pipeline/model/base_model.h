/* base_model.h - a pretrained diffusers directory, opened: configurations, mapped weights, tokenizer, schedule.
 *
 *     struct base_model *m;
 *     base_model_open(&m, "examples/storybook/model", &e);      // refuses with one line what it cannot run
 *     ... base_model_hash(m) names it for ever ...
 *     base_model_close(m);
 *
 * Read-only after opening; processes that open the same directory share its pages. Its K/V weights are W0.
 */
#ifndef MODEL_BASE_MODEL_H
#define MODEL_BASE_MODEL_H

#include "base/hash.h"
#include "pipeline/model/config.h"
#include "pipeline/model/kv.h"
#include "pipeline/model/schedule.h"
#include "pipeline/model/tokenizer.h"
#include "pipeline/model/weights.h"

struct base_model {
    struct unet_config unet;
    struct vae_config vae;
    struct clip_text_config text;
    struct schedule schedule;
    struct tokenizer *tokenizer;          /* without added tokens; clone before adding */
    struct weights *unet_weights, *vae_weights, *text_weights;
    struct kv_layout kv;
    struct hash hash;                     /* of the three components' weights and the configurations that matter */
};
enum code base_model_open(struct base_model **m, const char *dir, struct err *e);
void base_model_close(struct base_model *m);
/* weights_sketch and weights_use (weights.h) of all three components. */
void base_model_sketch(struct base_model *m, int on);
struct weights_use base_model_use(const struct base_model *m);

/* A separate CLIP for evaluation: directory with config.json, model.safetensors, tokenizer files. */
struct clip_model {
    struct clip_text_config text;
    struct clip_vision_config vision;
    struct tokenizer *tokenizer;
    struct weights *weights;
    struct hash hash;
};
enum code clip_model_open(struct clip_model **m, const char *dir, struct err *e);
void clip_model_close(struct clip_model *m);

#endif
