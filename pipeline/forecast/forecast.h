/* forecast.h - what learning one concept would take, stage by stage, before any of it is spent: memory, time, disk.
 *
 *     base_model_sketch(model, 1);                            // nothing is read: graphs are planned, not run
 *     forecast_make(&f, &(struct forecast_task){.task = &task, .neurons = n, ...}, &pace, &e);
 *     forecast_fits(&f, limit)                                // ranks of one host together
 *
 * Memory is arithmetic: arenas are what the planner gives the stage's own graphs (equal to the byte), weights what graphs of a sketch
 * would convert, the rest the sizes of the arrays that a stage holds at its peak, as the code of the stages allocates them.
 * The stages of a job are taken in their order, as one group runs them: what is converted for one stays for the next, and for the next
 * job.
 * Time is an estimate from the pace of single nodes (tensor/cost.h). docs/plan.md has both beside what was measured.
 */
#ifndef FORECAST_FORECAST_H
#define FORECAST_FORECAST_H

#include "pipeline/evaluate/evaluate.h"
#include "pipeline/method/method.h"
#include "pipeline/tensor/cost.h"

/* A rank before it holds a model: its heap and MPI's own buffers; program and libraries, which all ranks of a host share. Measured
 * (docs/plan.md); the two numbers here that another machine may change. */
#define FORECAST_RANK_BYTES ((size_t)4 << 20)
#define FORECAST_PROGRAM_BYTES ((size_t)19 << 20)

enum forecast_stages { FORECAST_PRIOR, FORECAST_SCORE, FORECAST_TRAIN, FORECAST_SAMPLE, FORECAST_EVALUATE, FORECAST_STAGES };
struct forecast_stage {
    int wanted;
    const char *name;                  /* "prior": as watch and queue say it */
    int64_t count;                     /* 200 ... */
    const char *what;                  /* ... "class images", of all ranks */
    size_t arena;                      /* bytes of one rank's arenas, the most that are there at once */
    size_t own;                        /* bytes that each rank has alone: arenas, arrays, FORECAST_RANK_BYTES */
    size_t shared;                     /* once for all ranks of a host: mapped files, converted weights, W0, FORECAST_PROGRAM_BYTES.
                                        * They stay until another base model comes */
    int busy;                          /* ranks that get something to do; the others never touch their arenas */
    double seconds;                    /* 0 without a pace */
};
struct forecast_disk {                 /* bytes */
    size_t class_images, masks, commit;
    size_t pictures;                   /* at most: as if no picture could be compressed */
    size_t checkpoint;                 /* while it trains */
};
struct forecast {
    struct forecast_stage stage[FORECAST_STAGES];
    struct forecast_disk disk;
    int ranks;
    int recompute;                     /* what train.recompute comes to */
    size_t shared;                     /* after the last stage: what the next job's first stage finds */
};

struct forecast_task {
    const struct task *task;           /* model a sketch; of the pictures only n and side are looked at, of the ranks the size */
    const struct evaluate_task *evaluate;      /* as the stage would get it, the new concept last; NULL: no evaluation */
    int previews;                      /* pictures after learning; 0: none */
    size_t neurons;                    /* of the concept */
    size_t opened;                     /* bytes of heap that opening the models took */
    size_t memory;                     /* of the host, for train.recompute = auto; 0: not looked at */
    double score_seconds;              /* as measured by who scored; 0: not known */
};
/* pace: NULL, or seconds are estimated. Milliseconds without a pace, a second or two with one. */
enum code forecast_make(struct forecast *f, const struct forecast_task *t, struct pace *pace, struct err *e);

/* Bytes of one rank in a stage, what it shares included, when its group has run a job before; of all ranks of one host; and the stage
 * that needs most. A group's first job has own + shared, which is less in all stages but the last. */
size_t forecast_rank(const struct forecast *f, const struct forecast_stage *s);
size_t forecast_host(const struct forecast *f, const struct forecast_stage *s);
const struct forecast_stage *forecast_widest(const struct forecast *f);

#endif
