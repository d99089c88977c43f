/* parts.h - the pieces of a model that can be run alone on tensors from a file, as one table: what `engram debug` offers
 * and what the golden vectors are held against.
 *
 *     struct part_run r;
 *     part_open(&r, part, "model", kernels_cpu(), "unet.in.safetensors", NULL, &e);
 *     part->run(&r, &e);                       // fills r.out[0 .. r.n_out)
 *     safetensors_write(path, r.out, r.n_out, NULL, &e);
 *     part_close(&r);
 *
 * Tensors are named and laid out as in diffusers (NCHW); this is the only place that knows both layouts. The contract of
 * names, shapes and options is tests/golden/README.md. Parts of methods have a table of their own, next to the method.
 */
#ifndef MODEL_PARTS_H
#define MODEL_PARTS_H

#include "base/arena.h"
#include "pipeline/model/base_model.h"
#include "pipeline/model/safetensors.h"
#include "pipeline/tensor/tensor.h"

#define PART_TENSORS 8
#define PART_OPTIONS 8
#define PART_NUMBERS 2                     /* of one option: betas are two */

struct part_tensor { const char *name, *shape, *what; };
struct part_option {
    const char *name;
    int n;                                 /* numbers; 0: a text */
    double v[PART_NUMBERS];                /* default, then as asked */
    const char *what, *text;               /* text: of n = 0 */
};

struct part_run;
struct part {
    const char *name, *what;
    struct part_tensor in[PART_TENSORS], out[PART_TENSORS];      /* for people; a NULL name ends the list */
    struct part_option option[PART_OPTIONS];                     /* all there are; a NULL name ends the list */
    enum code (*run)(struct part_run *r, struct err *e);
};
struct part_table { const struct part *part; size_t n; };
extern const struct part_table parts_model;                      /* text, unet, vae-encode, ..., loss */
extern const struct part_table parts_sample;                     /* sample */
const struct part *part_find(const struct part_table *const *tables, size_t n, const char *name);   /* NULL: unknown */

struct part_run {
    const char *model, *in_path;           /* directory and file; borrowed */
    const struct kernels *kernels;
    struct safetensors *in;                /* owned */
    struct part_option option[PART_OPTIONS];
    struct arena arena;                    /* everything that is read, computed and given out */
    struct stored_entry *out;              /* results, in the arena */
    size_t n_out, room_out;
};
/* options: a JSON object of numbers, lists of numbers and texts, or NULL for the defaults. An option that the part does not have is
 * an error. On failure nothing is left open. */
enum code part_open(struct part_run *r, const struct part *p, const char *model, const struct kernels *k, const char *in,
                    const char *options, struct err *e);
void part_close(struct part_run *r);

/* ---- for those who write parts ---- */

/* Option `name`, number i of it. Asserts that the part has it. */
double part_number(const struct part_run *r, const char *name, int i);
const char *part_text(const struct part_run *r, const char *name);      /* borrowed from the run */

/* An input by name. dim says the size wanted per dimension, -1: any; the sizes found are put there. *out is in the arena. */
enum code part_floats(struct part_run *r, const char *name, int rank, int64_t *dim, float **out, struct err *e);
enum code part_ints(struct part_run *r, const char *name, int rank, int64_t *dim, int64_t least, int64_t most,
                    int32_t **out, struct err *e);
/* Images: dim in file order [N,C,H,W], *out [N,H,W,C]. */
enum code part_image(struct part_run *r, const char *name, int64_t dim[4], float **out, struct err *e);

/* A result; data is copied into the arena. name takes printf arguments. */
enum code part_give(struct part_run *r, enum stored_dtype dtype, int rank, const int64_t *dim, const void *data,
                    struct err *e, const char *name, ...) __attribute__((format(printf, 7, 8)));
/* [N,H,W,C] given as [N,C,H,W]; dim in file order. */
enum code part_give_image(struct part_run *r, const int64_t dim[4], const float *data, struct err *e, const char *name);

/* The inputs and the computation of `loss`, for parts that go on from its gradients. All memory is the run's arena. */
struct part_loss {
    int64_t B;
    float loss, *per_sample;               /* [B]; loss = sum_b weight_b per_sample_b / B */
    float *row;                            /* the token's row as given [D] */
    float *d_kv, *d_row;                   /* [kv.n_weights], [D]; sums over samples, in their order */
};
enum code part_loss(struct part_run *r, const struct base_model *m, const float *kv, struct part_loss *out, struct err *e);

#endif
