/* single_file.h - an original Stable Diffusion checkpoint: one file, all three networks, no configuration. Private to
 * base_model.c.
 *
 *     struct single_file *f;
 *     single_file_open(&f, "v1-5-pruned-emaonly.safetensors", &e);      // another family is refused by its name
 *     weights_view(&w, "unet", f->part[ORIGINAL_UNET].tensor, f->part[ORIGINAL_UNET].n, &e);
 *     weights_close(w);  single_file_close(f);                          // in this order: views point into the map
 *
 * Nothing is copied: a part lists where its tensors lie in the map, under inside names and in inside shapes. What the file
 * cannot say (heads, norms, noise) are constants of the family; docs/formats.md, "Single-file checkpoints", has them all,
 * and the folder <file minus .safetensors>.config/ can say otherwise.
 */
#ifndef MODEL_SINGLE_FILE_H
#define MODEL_SINGLE_FILE_H

#include "base/arena.h"
#include "pipeline/model/config.h"
#include "pipeline/model/original_names.h"
#include "pipeline/model/safetensors.h"

struct single_file_shape {
    struct original_layout layout;
    struct unet_config unet;
    struct vae_config vae;
    struct clip_text_config text;         /* layers: those that are read */
};

struct single_file_part {
    struct stored *tensor;                /* owned; names in the arena, data in the map */
    size_t n, room;
};

struct single_file {
    struct safetensors *file;             /* owned */
    struct arena arena;                   /* of all texts below */
    const char *path;
    struct single_file_shape shape;
    struct schedule_config schedule;
    const char *prediction_by;            /* how it is known what the UNet predicts */
    struct single_file_part part[ORIGINAL_COMPONENTS];
};

int single_file_is(const char *path);     /* a file, not a folder */
/* The pad token that the family was trained with: "!" for SD 2.x, the end token for SD 1.x. Looks at the header only. */
enum code single_file_pad(const char *path, const char **pad, struct err *e);
enum code single_file_open(struct single_file **f, const char *path, struct err *e);
void single_file_close(struct single_file *f);

/* <path minus .safetensors><tail> */
enum code single_file_beside(const char *path, const char *tail, char *out, size_t room, struct err *e);

/* Refuses what is no SD 1.x or 2.x text-to-image model, by name. (single_file_family.c) */
enum code single_file_family_check(const struct safetensors *s, const char *path, struct err *e);
/* Levels, widths, layers from names and shapes, the rest from the family. (single_file_shape.c) */
enum code single_file_shape_read(const struct safetensors *s, const char *path, struct single_file_shape *out, struct err *e);
/* What the UNet predicts and how it was trained; sets schedule, prediction_by. (single_file_schedule.c) */
enum code single_file_schedule_read(struct single_file *f, struct err *e);

#endif
