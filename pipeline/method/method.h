/* method.h - how a concept is learned: one table per method, one file each.
 *
 *     const struct method *m = method_find("cns");
 *     m->score(&task, &masks, &e);                   // which neurons (stage score)
 *     m->train(&task, &masks, &commit, &e);          // their new values and the token's row (stage train)
 *
 * Every rank of a worker group calls the same functions with the same task; work is split by sample index and gathered
 * (base/collectives.h), every rank ends with the same bytes. Rank 0 alone reports and keeps checkpoints. A task says
 * nothing about jobs, leases or sockets.
 */
#ifndef METHOD_METHOD_H
#define METHOD_METHOD_H

#include "base/collectives.h"
#include "base/err.h"
#include "base/hash.h"
#include "pipeline/method/settings.h"
#include "pipeline/model/base_model.h"
#include "pipeline/neurons/commit.h"
#include "pipeline/neurons/lineage.h"
#include "pipeline/neurons/mask.h"
#include "pipeline/tensor/tensor.h"

/* Square RGB images, all of one side. */
struct picture_set { const uint8_t *rgb; int n, side; };          /* borrowed, [n][side][side][3] */

struct task {
    const struct base_model *model;
    const struct kernels *kernels;
    const float *w0;                       /* the base model's K/V vector */
    const struct lineage *lineage;         /* W_{m-1}, U_{m-1}, token rows of earlier concepts */
    struct settings settings;
    char token[COMMIT_TOKEN], class_word[COMMIT_CLASS], kind[COMMIT_KIND];
    const char *const *caption;            /* [n_captions], one per instance image */
    int n_captions;
    const char *const *calibration;        /* prompts for M_general */
    int n_calibration;
    struct picture_set instance, prior;    /* for train; prior.n may be 0 */
    uint64_t seed;
    size_t memory;                         /* for train.recompute = auto: bytes that the loop may take; 0: this rank's part of ... */
    int ranks_here;                        /* ... what is free when the loss is built, shared by so many; 0: memory is not looked at */
    const char *inputs_json;               /* recorded in the commit as "inputs": hashes of images, captions ...; may be NULL */
    struct collectives *ranks;
    /* Called on rank 0 between steps; may be NULL. Nonzero: stop with ERR_CANCELLED (all ranks learn of it). */
    int (*progress)(void *self, int64_t step, int64_t of, const char *line);
    void *progress_self;
    const char *checkpoint_path;           /* rank 0 saves and resumes here; NULL: none */
};

struct masks {                             /* all over the flat K/V vector; masks_fini frees */
    struct mask base, general, concept, reg;
};
void masks_fini(struct masks *m);
enum code masks_encode(const struct masks *m, struct bytes *out, struct err *e);       /* docs/formats.md "Masks" */
enum code masks_decode(const void *data, size_t bytes, struct masks *out, struct err *e);

struct method {
    const char *name, *what;               /* "cns", one line for --help */
    enum code (*score)(const struct task *t, struct masks *out, struct err *e);
    enum code (*train)(const struct task *t, const struct masks *m, struct commit *out, struct err *e);
};
const struct method *method_find(const char *name);               /* NULL: unknown */
const struct method *const *method_list(void);                    /* NULL-terminated */

/* The class images of prior preservation: settings.prior_count pictures of the class made with W0. Picture i is a
 * function of (model, prompt, settings, seed, i) only. Does not look at the lineage. rgb [count][side][side][3] on every
 * rank (malloc'ed, the caller's). */
enum code prior_make(const struct task *t, uint8_t **rgb, int *side, struct err *e);
/* Names what prior_make would give: SHA-256 over a canonical text of all that it depends on (docs/formats.md "Class images"). */
struct hash prior_key(struct hash base, const struct settings *s, const char *class_word, const char *kind, uint64_t seed);

/* "{class}" and "{token}" filled in, cut to bytes - 1. bytes >= 1. */
void prompt_fill(const char *pattern, const char *token, const char *class_word, char *out, size_t bytes);

#endif
