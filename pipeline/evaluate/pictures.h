/* pictures.h - the pictures of an evaluation, made or looked up, and what CLIP sees in them. Internal to evaluate/.
 *
 *     gallery_open(&g, task, &e);
 *     gallery_draw(&g, k, &view, &e);        // this rank's pictures of concept k: hashes and features
 *     gallery_close(&g);
 *
 * Rank r makes picture r, r + size, r + 2 size ... of every concept, so that the now, before and own pictures of one
 * index lie on one rank, whose store holds them when pixels are compared.
 */
#ifndef EVALUATE_PICTURES_H
#define EVALUATE_PICTURES_H

#include "pipeline/evaluate/evaluate.h"
#include "pipeline/evaluate/patterns.h"
#include "pipeline/model/runner.h"

struct portrait {                              /* what one concept is asked */
    const char *pattern[EVALUATE_PICTURES];    /* borrowed */
    int n_patterns, n_pictures;                /* pictures: n_patterns * per_prompt, of all ranks */
};
struct gallery {
    const struct evaluate_task *t;             /* borrowed */
    struct portrait *portrait;                 /* owned, [t->n] */
    struct tokenizer *tokenizer;               /* owned; knows every token of the chain */
    struct sampler *sampler;                   /* owned; made at the first picture, for cached ones need none */
    float *rows;                               /* owned, [t->n][dim]: token rows; zero until their commit is applied */
    int32_t *ids;                              /* owned, [2][length]: prompt, negative */
    uint8_t *rgb;                              /* owned, one picture */
    uint8_t *seen;                             /* owned, [slots][S][S][3]: what CLIP is shown */
    int side, slots;                           /* slots: pictures of one concept on one rank, at most */
    int64_t drawn, of;                         /* progress of this rank */
};

enum code gallery_open(struct gallery *g, const struct evaluate_task *t, struct err *e);
void gallery_close(struct gallery *g);
/* How many pictures of concept k this rank makes. */
int gallery_share(const struct gallery *g, int k);

struct view {
    const float *kv;                           /* the state to draw with */
    int plain;                                 /* 1: the class word, 0: with the token */
    const struct hash *known;                  /* NULL, or the pictures [n_pictures] made earlier: read, not drawn */
    const char *what;                          /* for progress: "now", "before", "when committed" */
    struct hash *picture;                      /* out, [share] */
    float *feature;                            /* out, [share][P] */
};
enum code gallery_draw(struct gallery *g, int k, const struct view *v, struct err *e);

/* Features of image objects, hash by hash: out [n][P]. */
enum code gallery_features(const struct gallery *g, const struct hash *image, int n, float *out, struct err *e);
/* Mean |a - b| / 255 of two pictures of one size. */
enum code gallery_apart(const struct gallery *g, struct hash a, struct hash b, double *out, struct err *e);

#endif
