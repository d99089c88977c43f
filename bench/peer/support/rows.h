/* rows.h - the work of one row of the peer table, made ready once and run many times.
 *
 *     const struct row_kind *kind = row_find("unet");
 *     row_open(&row, kind, "build/parity/models/sd15", "unet.in.safetensors", NULL, &e);
 *     kind->run(&row, &e);                             // what is timed
 *     kind->give(&row, &e);                            // row.part.out, as the PyTorch side names it
 *     row_close(&row);
 *
 * Inputs and outputs are those of the parts of `engram debug` (pipeline/model/parts.h), laid out as there; the difference
 * is that a row keeps its graph, and a training row its optimiser, from one run to the next.
 */
#ifndef BENCH_PEER_ROWS_H
#define BENCH_PEER_ROWS_H

#include "pipeline/model/parts.h"

struct row {
    struct part_run part;              /* inputs, options, arena, results */
    struct base_model *m;              /* owned */
    double flops;                      /* of one run, if known */
    size_t planned;                    /* bytes of activations known before the first run; 0: not known */
    void *state;                       /* the kind's own, in the arena */
};

struct row_kind {
    struct part part;                  /* name and options; its run is not used */
    enum code (*open)(struct row *r, struct err *e);
    enum code (*run)(struct row *r, struct err *e);
    enum code (*give)(struct row *r, struct err *e);
    void (*close)(struct row *r);      /* of what `state` owns; also after an open that failed */
};
extern const struct row_kind row_unet, row_decode, row_sample, row_score, row_step;

const struct row_kind *row_find(const char *name);                  /* NULL: unknown */
/* options: a JSON file as for engram debug, or NULL. On failure nothing is left open. */
enum code row_open(struct row *r, const struct row_kind *kind, const char *model, const char *in, const char *options,
                   struct err *e);
void row_close(struct row *r, const struct row_kind *kind);

/* ---- for the kinds ---- */

void *row_alloc(struct row *r, size_t n, size_t size, struct err *e);       /* zeroed, in the arena; NULL: e is set */
float *row_kv(struct row *r, struct err *e);                                /* W0, in the arena; NULL: e is set */

#endif
