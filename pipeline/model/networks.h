/* networks.h - the networks as plain functions that add nodes to a graph.
 *
 *     struct value hidden = clip_text_build(g, &m->text, m->text_weights, ids, extra);      // [N,T,D]
 *     struct value kv[KV_MAX];
 *     unet_project(g, &m->kv, hidden, kv_weights, VALUE_NONE, 1, kv);                        // K and V of the prompt
 *     struct value out = unet_build(g, &m->unet, m->unet_weights, latent, time, kv);         // [N,H,W,C]
 *
 * Images and latents are NHWC, token sequences [N,T,C]. Every function is sticky like the ops: a missing weight shows at
 * graph_finish. Names and shapes of tensors: docs/formats.md.
 */
#ifndef MODEL_NETWORKS_H
#define MODEL_NETWORKS_H

#include "pipeline/model/config.h"
#include "pipeline/model/kv.h"
#include "pipeline/model/weights.h"
#include "pipeline/tensor/ops.h"

/* CLIP text: ids int32 [N,T], T <= positions; extra [R,D] rows of added tokens or VALUE_NONE.
 * -> hidden states after the final layer norm [N,T,D]. Accepts names with and without "text_model.". */
struct value clip_text_build(struct graph *g, const struct clip_text_config *c, struct weights *w,
                             struct value ids, struct value extra);
/* The evaluation text feature: the hidden state at position end[n] (int32 [N]), projected. Not normalised. [N,P] */
struct value clip_text_feature(struct graph *g, const struct clip_text_config *c, struct weights *w,
                               struct value hidden, struct value end);
/* CLIP vision: pixels [N,S,S,3], normalised already -> projected feature, not normalised [N,P]. */
struct value clip_vision_build(struct graph *g, const struct clip_vision_config *c, struct weights *w,
                               struct value pixels);

/* K and V of every cross-attention layer from text states: kv[i] = hidden W_i^T, [N,T,C_layer].
 * weight[i]: [O,I], or [V,O,I] with a per-sample index (int32 [N]) when `index` is a value.
 * detach_first: 1 stops the gradient at token 0's rows of K and V. */
void unet_project(struct graph *g, const struct kv_layout *l, struct value hidden, const struct value *weight,
                  struct value index, int detach_first, struct value *kv);

/* The UNet's prediction. latent [N,h,w,in_channels], time [N, channels[0]] from unet_time, kv as above (projected in this
 * graph, or inputs computed once per prompt). -> [N,h,w,out_channels] */
struct value unet_build(struct graph *g, const struct unet_config *c, struct weights *w,
                        struct value latent, struct value time, const struct value *kv);
/* The sinusoid of timestep t (may be fractional) into out[channels[0]]. Host side: computed once per step. */
void unet_time(const struct unet_config *c, double t, float *out);

/* VAE. encode: image [N,H,W,3] in [-1,1] -> moments [N,h,w,2L] (mean, log-variance not yet clamped).
 * decode: latent already divided by the scaling factor [N,h,w,L] -> image [N,H,W,3], not clamped. */
struct value vae_encode_build(struct graph *g, const struct vae_config *c, struct weights *w, struct value image);
struct value vae_decode_build(struct graph *g, const struct vae_config *c, struct weights *w, struct value latent);

#endif
