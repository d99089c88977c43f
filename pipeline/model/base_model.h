/* base_model.h - a pretrained model, opened: configurations, mapped weights, tokenizer, schedule.
 *
 *     struct base_model *m;
 *     base_model_open(&m, "examples/storybook/model", &e);      // refuses with one line what it cannot run
 *     base_model_open(&m, "v1-5-pruned-emaonly.safetensors", &e);
 *     ... base_model_hash(m) names it for ever ...
 *     base_model_close(m);
 *
 * A path is a diffusers directory or one original checkpoint of SD 1.x or 2.x (docs/formats.md). Read-only after opening;
 * processes that open the same files share their pages. Its K/V weights are W0.
 */
#ifndef MODEL_BASE_MODEL_H
#define MODEL_BASE_MODEL_H

#include "base/hash.h"
#include "pipeline/model/config.h"
#include "pipeline/model/kv.h"
#include "pipeline/model/schedule.h"
#include "pipeline/model/tokenizer.h"
#include "pipeline/model/weights.h"

struct single_file;

struct base_model {
    struct unet_config unet;
    struct vae_config vae;
    struct clip_text_config text;
    struct schedule schedule;
    struct tokenizer *tokenizer;          /* without added tokens; clone before adding */
    struct weights *unet_weights, *vae_weights, *text_weights;
    struct kv_layout kv;
    struct hash hash;                     /* of the three components' weights and the configurations that matter */
    const char *layout;                   /* for people: "diffusers folder", "single file" */
    const char *prediction_by;            /* what says which of schedule.prediction it is */
    struct single_file *file;             /* owned, where the weights lie; NULL: a directory */
};
enum code base_model_open(struct base_model **m, const char *path, struct err *e);
/* Opened, but not named: the hash is zero, and no weight is read. For plans. */
enum code base_model_peek(struct base_model **m, const char *path, struct err *e);
void base_model_close(struct base_model *m);
/* Converted weights lie on *s from now on (weights_shelve), each component under numbers of its own. Before the first graph;
 * *s must outlive m. Others may use numbers from SHELF_W0 on. */
enum { SHELF_PART = 1 << 12, SHELF_UNET = 0, SHELF_VAE = SHELF_PART, SHELF_TEXT = 2 * SHELF_PART, SHELF_CLIP = 3 * SHELF_PART,
       SHELF_W0 = 4 * SHELF_PART, SHELF_NUMBERS };
void base_model_shelve(struct base_model *m, struct shelf *s);
/* weights_sketch and weights_use (weights.h) of all three components. */
void base_model_sketch(struct base_model *m, int on);
struct weights_use base_model_use(const struct base_model *m);
/* Every tensor that inference asks for is there in its shape, and every value is a finite number. Reads the files once,
 * O(their size), keeps nothing. (base_model_check.c) */
enum code base_model_check(struct base_model *m, struct err *e);

/* What belongs to a base model and lies beside a single file (model.safetensors: model.tokenizer/ ..., model.clip/) or in
 * the directory (tokenizer/, clip/). ENGRAM_CLIP names another CLIP, whatever lies there; ENGRAM_TOKENIZER a tokenizer for a
 * single file without one. */
enum code base_model_tokenizer_open(struct tokenizer **t, const char *path, struct err *e);
enum code base_model_tokenizer_path(const char *path, char *out, size_t room, struct err *e);
enum code base_model_clip_path(const char *path, char *out, size_t room, struct err *e);

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
void clip_model_shelve(struct clip_model *m, struct shelf *s);         /* as base_model_shelve */
enum code clip_model_check(struct clip_model *m, struct err *e);       /* as base_model_check */

#endif
