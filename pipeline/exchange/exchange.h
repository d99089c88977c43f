/* exchange.h - a lineage as files that other programs open. What each file holds is docs/formats.md, "Exports".
 *
 *     struct output *out;
 *     output_open(&out, "out/pets", &e);               // output.h: a folder that appears whole or not at all
 *     diffusers_plan(&x, out, &e);                     // plan what is wanted: nothing is read or written yet
 *     single_file_plan(&x, out, &e);
 *     embeddings_plan(&x, out, &e);
 *     delta_plan(&x, out, &e);
 *     card_plan(&x, out, &e);                          // last: it tells what else is in the folder
 *     output_write(out, &progress, &e);                // looks for room, writes, syncs, renames
 *     output_close(out);
 *
 * Everything is a function of the base model and of commits 1..m, so the same export has the same bytes, wherever and
 * whenever it is made. The base is only read. Weights are those of W_m exactly; a type that cannot hold them is used where
 * it was asked for and nowhere else.
 *
 * Types. STORED_OTHER, the default, keeps every tensor's own type, but for those that the lineage changed, which become
 * F32: so an export of W_0 has the base's name (base_model_hash), and one of W_m computes what Engram computes.
 * STORED_F32 widens everything, exactly. STORED_F16 rounds everything to nearest even; a value beyond 65504 is refused.
 */
#ifndef EXCHANGE_EXCHANGE_H
#define EXCHANGE_EXCHANGE_H

#include "base/err.h"
#include "base/hash.h"
#include "base/objects.h"
#include "pipeline/exchange/output.h"
#include "pipeline/model/base_model.h"
#include "pipeline/neurons/lineage.h"

struct exchange_concept {                 /* one commit; everything borrowed */
    struct hash commit, parent;
    const char *token, *class_word, *kind;
    const char *made;                     /* the commit's record, as it is stored */
    size_t n_neurons;
    const struct hash *image;             /* what it was taught from */
    size_t n_images;
    int is_measured;                      /* by an evaluation of W_m: the next five */
    double clip_i, before_i, clip_t, before_t, drift;
};

struct exchange {                         /* everything borrowed */
    const char *lineage;                  /* its name */
    const char *base_path;                /* folder or file that model was opened from */
    const struct base_model *model;
    const struct lineage *state;          /* W_m */
    const struct exchange_concept *concept;   /* [state->n], oldest first */
    const char *only;                     /* one token: embeddings and delta hold this concept alone. NULL: all */
    struct objects *store;                /* the commits */
    enum stored_dtype dtype;              /* STORED_OTHER, STORED_F32, STORED_F16; embeddings and deltas are F32 always */
    int64_t date_ms;                      /* of the newest commit; 0: none */
};

/* diffusers/: a pipeline as StableDiffusionPipeline.from_pretrained takes it, with the lineage's tokens in its vocabulary. */
enum code diffusers_plan(const struct exchange *x, struct output *out, struct err *e);
/* <lineage>.safetensors: a checkpoint in original names. It cannot hold new words; those are the embeddings' part.
 * ERR_INPUT: a UNet whose levels differ in depth has no such names. */
enum code single_file_plan(const struct exchange *x, struct output *out, struct err *e);
/* embeddings/comfyui-a1111/<word>.safetensors and embeddings/diffusers/<word>.safetensors: one row each. */
enum code embeddings_plan(const struct exchange *x, struct output *out, struct err *e);
/* <lineage>.engram.safetensors: the commits themselves. */
enum code delta_plan(const struct exchange *x, struct output *out, struct err *e);
/* README.md, and the base's licence where it has one; the same in diffusers/ if that is planned. */
enum code card_plan(const struct exchange *x, struct output *out, struct err *e);

/* A token or a lineage's name as that of a file on every system: no brackets, no name that a system keeps for itself (con,
 * nul, ...), no dot at an end. Returns out. */
#define EXCHANGE_NAME 80
char *exchange_file_name(const char *name, char out[EXCHANGE_NAME]);
/* 0: concept i is not the `only` one. */
int exchange_is_wanted(const struct exchange *x, int i);

#endif
