/* layers.h - one named layer of a checkpoint in one word: its weights are fetched and its operator is added.
 *
 *     struct net r = net_at(n, "down_blocks.%d.resnets.%d", i, j);           // a place in the checkpoint
 *     h = layer_group_norm(r, "norm1", x, groups, eps, 1);                   // ...resnets.0.norm1.weight and .bias
 *     h = layer_conv(r, "conv1", h, out, 1);
 *
 * The width going in is that of the value; the width coming out is said; both are held against the shape in the
 * file, so a wrong channel count ends as "conv1.weight is [..], expected [..]". For the network files of this folder only.
 */
#ifndef MODEL_LAYERS_H
#define MODEL_LAYERS_H

#include "pipeline/model/config.h"
#include "pipeline/model/weights.h"
#include "pipeline/tensor/ops.h"

struct net {
    struct graph *g;
    struct weights *w;
    char at[112];              /* "" or a path that ends with a dot */
};
struct net net_at(struct net n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

int64_t channels_of(struct net n, struct value x);                  /* the last dimension; 0 for VALUE_NONE */

struct value layer_linear(struct net n, const char *name, struct value x, int64_t out);
struct value layer_linear_plain(struct net n, const char *name, struct value x, int64_t out);     /* without bias */
struct value layer_conv(struct net n, const char *name, struct value x, int64_t out, int stride); /* 3x3, pad 1 */
/* 3x3, stride 2. pad 1: one zero on every side (UNet). pad 0: one zero right and below only (VAE). */
struct value layer_downsample(struct net n, struct value x, int pad);
struct value layer_upsample(struct net n, struct value x, int64_t h, int64_t w);                  /* nearest, 3x3 */
struct value layer_group_norm(struct net n, const char *name, struct value x, int groups, float eps, int silu);
struct value layer_layer_norm(struct net n, const char *name, struct value x, float eps);

/* [N,H,W,C] -> [N,H*W,C], token = y*W + x; and back to the space of `like`. */
struct value tokens_of(struct net n, struct value image);
struct value image_of(struct net n, struct value tokens, struct value like);

/* ResnetBlock2D. time: silu of the time embedding, or VALUE_NONE where there is none (VAE). */
struct resnet { int64_t out; int groups; float eps; };
struct value layer_resnet(struct net n, struct resnet r, struct value x, struct value time);

/* softmax(q k^T / sqrt(D)) v with D = C / heads. */
struct value layer_attention(struct net n, struct value q, struct value k, struct value v, int heads, int causal);

/* The pre-LN transformer of both halves of CLIP, at "<n>encoder.layers.{i}". x [N,T,C]. */
struct clip_layers { int layers, heads, intermediate, causal; enum clip_act act; float eps; };
struct value layer_clip(struct net n, struct clip_layers c, struct value x);

#endif
