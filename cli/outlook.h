/* outlook.h - what a learn job would take on this machine, for `plan` (all of it) and `learn` (whether it fits).
 *
 *     outlook_make(&o, &options, &e);         // opens the model without reading it, plans every stage
 *     outlook_fits(&o, &e);                   // ERR_NOMEM: the figure, and what would fit
 *     outlook_close(&o);
 *
 * Nothing is sent and nothing is written. The process takes on the threads of a rank: scratch depends on their number.
 */
#ifndef CLI_OUTLOOK_H
#define CLI_OUTLOOK_H

#include "base/memory.h"
#include "cli/cli.h"
#include "pipeline/data/concept.h"
#include "pipeline/forecast/forecast.h"

struct outlook_options {
    const char *base;                  /* the base model */
    struct hash base_hash;             /* as its lineage knows it; zero: there is no lineage */
    const char *home;                  /* whose worker groups may give back what they hold; NULL: none */
    struct commit_rows commits;        /* of the lineage, oldest first */
    struct objects *store;             /* where they lie; needed for score only */
    const struct concept *concept;
    const struct settings *settings;
    int ranks;
    size_t memory;                     /* --memory; 0: what this machine and its control groups leave */
    int previews, evaluate;
    int score;                         /* 1: masks are made by the real scoring (seconds at SD 1.5's size), else their size is supposed */
    int clock;                         /* 1: times are estimated */
};
struct outlook {
    const struct outlook_options *options;
    struct base_model *model;
    struct clip_model *clip;           /* NULL: no evaluation, or no CLIP was found: then no_clip says why */
    struct err no_clip;
    struct prompts calibration, patterns;
    float *w0;
    struct lineage lineage;
    struct collectives ranks;          /* of the group that would do it, for its size only */
    struct task task;
    struct evaluate_task evaluation;
    struct masks masks;                /* if scored */
    struct forecast_task wish;
    struct forecast forecast;
    struct pace pace;
    struct memory_limit limit;
    size_t images;                     /* bytes of the concept's files */
    size_t disk_free;                  /* bytes where home is; SIZE_MAX: not known */
    int threads;                       /* of a rank */
    double seconds;                    /* that making this took */
    struct arena arena;
};
enum code outlook_make(struct outlook *o, const struct outlook_options *options, struct err *e);
void outlook_close(struct outlook *o);
/* ERR_NOMEM or ERR_FULL: stage, figures, and what would fit. */
enum code outlook_fits(struct outlook *o, struct err *e);
size_t outlook_disk(const struct outlook *o);                  /* bytes that the job leaves behind or needs while it runs, at most */
/* The same job with another train.recompute (enum recompute), ranks or side; without times. */
enum code outlook_again(struct outlook *o, int recompute, int ranks, int side, struct forecast *out, struct err *e);

/* "8G", "512M", "1500K", "2GiB" or bytes. */
enum code outlook_bytes(const char *text, size_t *out, struct err *e);

#endif
