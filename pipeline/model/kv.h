/* kv.h - the weights that concepts live in: every cross-attention K and V projection of the UNet.
 *
 * All of them, one after another, form one flat vector of n floats: for each layer (down blocks, mid, up blocks, in
 * order of use) the K matrix, then the V matrix, each [rows = out, cols = in] row-major as in the file. A *neuron* is one
 * index into that vector; masks, scores, commits and optimiser state all speak of it in this order.
 */
#ifndef MODEL_KV_H
#define MODEL_KV_H

#include "base/err.h"
#include "pipeline/model/config.h"
#include "pipeline/model/weights.h"

#include <stddef.h>

struct kv_matrix {
    char name[120];            /* "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight" */
    int layer;                 /* 0.. in order of use */
    int is_v;
    int64_t rows, cols;
    size_t offset;             /* of its first weight in the flat vector */
};

struct kv_layout {
    struct kv_matrix *matrix;  /* owned; matrix[2 * layer + is_v] */
    int n;                     /* 2 * layers */
    size_t n_weights;
};

enum code kv_layout_make(struct kv_layout *l, const struct unet_config *c, struct err *e);
void kv_layout_free(struct kv_layout *l);
/* W0: copies every matrix of the checkpoint into out[n_weights]. */
enum code kv_read(const struct kv_layout *l, struct weights *unet, float *out, struct err *e);

#endif
