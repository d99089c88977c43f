/* stage.h - the stages a worker group can run, one file each: stage_prior.c, stage_score.c, ...
 *
 * A stage is a function of its message, the objects that it names and its seed (invariant 4): run twice, also on another number of
 * ranks, it gives the same objects. Every rank calls it; every rank returns the same code and, where OK, the same outputs.
 */
#ifndef WORKERS_STAGE_H
#define WORKERS_STAGE_H

#include "workers/group.h"

typedef enum code stage_fn(struct group *g, const struct msg_stage *s, const struct message *request, struct arena *a,
                           struct outcome *out, struct err *e);

stage_fn stage_prior, stage_score, stage_train, stage_sample, stage_evaluate;

/* ---- shared by the runners ---- */

/* A task of pipeline/method from a learn request: settings, texts, calibration; lineage may be NULL (prior). */
enum code task_from_learn(struct group *g, const struct msg_learn *m, const struct lineage *l, struct arena *a, struct task *out,
                          struct err *e);

/* The class images of the prior stage: one object, safetensors with "images" U8 [n, side, side, 3]. */
enum code prior_images_put(struct group *g, const uint8_t *rgb, int n, int side, struct hash *out, struct err *e);
enum code prior_images_get(struct group *g, struct hash h, struct picture_set *out, uint8_t **owned, struct err *e);

/* Copies n hashes into the arena as the outcome's outputs. */
enum code outcome_set(struct outcome *out, struct arena *a, const struct hash *h, size_t n, struct err *e);

#endif
