/* group.h - one worker group: what it holds in memory, and the stage it is running.
 *
 *     group_open(&g, &options, &ranks, &e);
 *     group_run(&g, &stage, &outcome, &e);           // every rank, same stage message
 *     group_close(&g);
 *
 * Stage runners (stage.h) read a stage message, call the pipeline and put objects. They know nothing of sockets: progress goes
 * through group->progress, which on rank 0 is the lease's heartbeat.
 */
#ifndef WORKERS_GROUP_H
#define WORKERS_GROUP_H

#include "base/arena.h"
#include "base/collectives.h"
#include "base/objects.h"
#include "base/shelf.h"
#include "base/text.h"
#include "pipeline/data/concept.h"
#include "pipeline/method/method.h"
#include "pipeline/model/base_model.h"
#include "pipeline/model/runner.h"
#include "proto/proto.h"

/* A base model that lies elsewhere here: paths that are `from`, or begin with it and a slash, begin with `to`. */
struct base_place { const char *from, *to; };

struct group {
    struct collectives *ranks;             /* borrowed */
    const char *home;                      /* borrowed */
    struct objects *objects;
    const struct base_place *place;        /* borrowed; the first that fits counts */
    int n_places;
    int ranks_here;                        /* that share this host's memory; 0: nobody said, and memory is not looked at */
    int lowest_here;                       /* of them */
    const struct kernels *kernels;
    struct base_model *model;              /* the one base model it holds; NULL: none yet */
    char *model_path;                      /* where it lies here */
    struct shelf shelf;                    /* where what was made of its weights lies: once for all ranks here */
    const float *w0;                       /* on it: the K/V vector */
    struct prompts calibration;            /* of that model */
    struct clip_model *clip;               /* for evaluate; NULL: none yet */
    /* Rank 0's heartbeat; NULL elsewhere. Nonzero: stop. */
    int (*progress)(void *self, int64_t step, int64_t of, const char *line);
    void *progress_self;
};

/* What a stage produced. outputs and report live in the arena of the call. */
struct outcome {
    struct hash *output;
    size_t n;
    struct text report;                    /* JSON; owned, text_fini. Ends with "memory": arenas and resident bytes, see group_run */
};

enum code group_open(struct group *g, const char *home, struct collectives *ranks, struct err *e);
void group_close(struct group *g);

/* Loads the stage's base model unless it is held already, then runs the stage. Same code on every rank. The report gets what it took:
 * "memory": {"arena": bytes of all arenas at once, "rank": bytes resident, both of the rank that took most, "host": of all ranks of the
 * host that took most, what they share counted once}. */
enum code group_run(struct group *g, const struct msg_stage *s, struct arena *a, struct outcome *out, struct err *e);

/* ---- for stage runners ---- */

/* W_m of the stage's chain. */
enum code group_lineage(struct group *g, const struct msg_stage *s, struct lineage *out, struct err *e);
/* The evaluation CLIP: <base>/clip (of a single file: <stem>.clip), or the directory that ENGRAM_CLIP names. */
enum code group_clip(struct group *g, struct err *e);
/* n image objects as squares of one side: rgb [n][side][side][3], malloc'ed, the caller's. */
enum code group_pictures(struct group *g, const struct hash *image, size_t n, int side, uint8_t **rgb, struct err *e);
int group_side(const struct group *g, const struct settings *s);       /* picture side: sample.side or the model's own */

#endif
