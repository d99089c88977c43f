/* picture_text.h - what a drawn picture says about itself: the texts of its PNG (docs/formats.md, "Sampled pictures").
 *
 *     struct picture_facts f = {.prompt = "a <rex> dog", .sampler = "Euler a", ...};
 *     picture_text_parameters(&f, &t);        // keyword "parameters": as A1111 writes it and many programs read it
 *     picture_text_json(&f, &j);              // keyword "engram": JSON, all there is
 *
 * Texts are UTF-8; image_encode_png puts them into the chunk that readers expect. A growing text keeps its own failure (text_ok).
 */
#ifndef DATA_PICTURE_TEXT_H
#define DATA_PICTURE_TEXT_H

#include "base/err.h"
#include "base/text.h"

#include <stdint.h>

struct picture_facts {
    const char *prompt, *negative;             /* negative: "" if none */
    const char *setting, *sampler;             /* of sample.sampler ("euler-a"), and as others call it ("Euler a") */
    int64_t steps;
    double guidance, eta;                      /* eta: 0 where the sampler has none */
    uint64_t seed;
    uint32_t index;                            /* with the seed it names the picture's noise */
    int w, h;
    const char *model;                         /* name of the base model for people */
    const char *base, *commit;                 /* hashes in hex, the commit's its first digits; commit "": the base itself */
    const char *lineage;
    const char *const *token;                  /* [n_tokens] that the lineage had */
    int n_tokens;
};

/* "<prompt>\nNegative prompt: ...\nSteps: 20, Sampler: Euler a, CFG scale: 7.5, Seed: 7, Size: 64x64, Model hash: <10 hex>,
 * Model: ..., Version: Engram 0.1.0". The second line is left out if there is no negative prompt. */
void picture_text_parameters(const struct picture_facts *f, struct text *out);
/* ERR_INPUT: one of the texts is not UTF-8. */
enum code picture_text_json(const struct picture_facts *f, struct text *out, struct err *e);

#endif
