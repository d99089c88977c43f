/* evaluate.h - what a lineage can still do after a commit: CLIP-I, CLIP-T, forgetting, overlap.
 *
 *     evaluate_run(&task, &result, &e);             // pictures and scores of this and every earlier concept
 *     evaluation_write(&result, &text);             // one JSON document; report_write (report.h) draws it
 *
 *     CLIP-I = mean over generated g and references r of cos(f_g, f_r)
 *     CLIP-T = mean over g of cos(f_g, t_g)         scaled: mean of 2.5 * max(cos, 0), as Custom Diffusion's evaluation
 *     drift  = 1 - mean cos(f_g now, f_g when the concept was committed), same prompt and noise
 *
 * t_g is the prompt with the class word alone in the concept's place. "before" is that prompt drawn by the base model from
 * the same noise. Picture i of every concept starts from noise (seed, i).
 *
 * Prompt patterns hold {concept}: "a photo of a {concept}" is "a photo of a <rex> dog" now and "a photo of a dog" before and
 * for CLIP-T. For a style it is the token alone: "a house in {concept} style" is "a house in <ink> style", before "a house in
 * watercolor style". A pattern that begins with a kind and a colon ("style: a house in {concept} style") is for that kind
 * only; a kind with patterns of its own uses only those.
 *
 * Costs m P pictures now, P before for each class word, (m - 1) P for drift: 3 concepts of 8 pictures, 64 at most. An
 * evaluation of each earlier commit under the same conditions, handed in as `previous`, leaves (m + 1) P.
 */
#ifndef EVALUATE_EVALUATE_H
#define EVALUATE_EVALUATE_H

#include "base/collectives.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/objects.h"
#include "base/text.h"
#include "pipeline/method/method.h"
#include "pipeline/model/base_model.h"
#include "pipeline/tensor/cost.h"

#define EVALUATE_PICTURES 64

struct concept_score {
    char token[COMMIT_TOKEN], class_word[COMMIT_CLASS], kind[COMMIT_KIND];
    double clip_i, clip_t, clip_t_scaled;              /* with W_m */
    double before_i, before_t, before_t_scaled;        /* with W_0 and the class word */
    double drift, pixel_drift;                         /* against the pictures of its own commit; 0 for the newest.
                                                          pixel_drift: mean |difference| of all bytes / 255 */
    double owned, regularised;                         /* share of K/V in its mask; share of its mask that overlaps earlier ones */
    struct hash picture[EVALUATE_PICTURES], before[EVALUATE_PICTURES];    /* PNG objects */
    int n_pictures;
};
struct evaluation {
    struct hash commit;                                /* W_m */
    struct hash conditions;                            /* of model, CLIP, prompts, sampling, seed: only equals compare */
    int n;                                             /* concepts 1..m */
    struct concept_score *concept;                     /* owned */
    double *iou;                                       /* owned, [n][n] of masks */
    double seconds;                                    /* not written: the document is a function of its inputs */
};

struct evaluate_concept {                              /* one per commit of the chain, oldest first */
    const char *token, *class_word, *kind;
    const struct hash *reference;                      /* image objects */
    int n_references;
    struct hash commit;
};
struct evaluate_task {
    const struct base_model *model;
    const struct clip_model *clip;
    const struct kernels *kernels;
    const float *w0;
    struct objects *store;
    const struct evaluate_concept *concept;
    int n;                                             /* the chain's length: evaluates W_n */
    const char *const *pattern;                        /* as above; n_patterns 0: evaluate_patterns */
    int n_patterns;
    struct settings settings;                          /* evaluate.per_prompt pictures a pattern, EVALUATE_PICTURES in all */
    uint64_t seed;
    const struct evaluation *previous;                 /* of earlier commits, any order; others are passed over */
    int n_previous;
    struct collectives *ranks;
    int (*progress)(void *self, int64_t step, int64_t of, const char *line);
    void *progress_self;
};
/* Same result on every rank and for any number of ranks (but for seconds). Pictures are put into the store by the rank
 * that made them; each rank reads commits and references from it. */
enum code evaluate_run(const struct evaluate_task *t, struct evaluation *out, struct err *e);
void evaluation_fini(struct evaluation *v);
void evaluation_write(const struct evaluation *v, struct text *json);      /* canonical; out of memory: text_ok is 0 */
/* Strict: an unknown or missing key, a wrong length or type is ERR_CORRUPT. */
enum code evaluation_read(const char *json, size_t bytes, struct evaluation *out, struct err *e);

/* What an evaluation takes, for plans: models may be sketches, of the ranks only the size is looked at, nothing is read from the
 * store. */
struct evaluate_cost {
    int pictures, busy;                                /* drawn by all ranks; ranks that draw any */
    size_t arena, own;                                 /* bytes of one rank: arenas at once; arrays beside them and the lineage */
    double seconds;                                    /* of the rank that draws most */
};
enum code evaluate_cost(const struct evaluate_task *t, struct pace *pace, struct evaluate_cost *out, struct err *e);

/* The patterns used where none are given. NULL-terminated. */
const char *const *evaluate_patterns(void);

#endif
