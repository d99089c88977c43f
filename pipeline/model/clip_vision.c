/* clip_vision.c - the CLIP vision model: pixels to the projected feature of the class token.
 *
 * N batch, S image side, G = S / patch, C channels. Patches are a convolution whose kernel is its stride, in row-major
 * order behind the class token. "pre_layrnorm" is spelt so in every file. */
#include "pipeline/model/layers.h"
#include "pipeline/model/networks.h"

/* [N,S,S,3] -> [N, 1 + G*G, C]: class token first. */
static struct value embeddings(struct net n, const struct clip_vision_config *c,
                               struct value pixels)
{
    struct graph *g = n.g;
    int64_t N = graph_dim(g, pixels, 0), C = c->hidden, G = c->image_size / c->patch;
    struct value kernel = weights_conv(n.w, g, 3, C, c->patch, "%spatch_embedding.weight", n.at);
    struct value patches = tokens_of(
        n, op_conv(g, pixels, kernel, VALUE_NONE, (struct conv_attr){.stride = c->patch}));

    struct value class_token = weights_param(n.w, g, SHAPE(C), "%sclass_embedding", n.at);
    class_token = op_repeat(g, op_reshape(g, class_token, SHAPE(1, 1, C)), N);

    struct value positions =
        weights_param(n.w, g, SHAPE(1 + G * G, C), "%sposition_embedding.weight", n.at);
    return op_add(g, op_concat(g, class_token, patches, 1),
                  op_reshape(g, positions, SHAPE(1, 1 + G * G, C)));
}

struct value clip_vision_build(struct graph *g, const struct clip_vision_config *c,
                               struct weights *w, struct value pixels)
{
    struct net top = {.g = g, .w = w}, n = net_at(top, "vision_model");
    struct value x = embeddings(net_at(n, "embeddings"), c, pixels);
    x = layer_layer_norm(n, "pre_layrnorm", x, c->eps);
    x = layer_clip(n,
                   (struct clip_layers){.layers = c->layers,
                                        .heads = c->heads,
                                        .intermediate = c->intermediate,
                                        .causal = 0,
                                        .act = c->act,
                                        .eps = c->eps},
                   x);

    struct value pooled =
        op_reshape(g, op_slice(g, x, 1, 0, 1), SHAPE(graph_dim(g, pixels, 0), c->hidden));
    pooled = layer_layer_norm(n, "post_layernorm", pooled, c->eps);
    return layer_linear_plain(top, "visual_projection", pooled, c->projection);
}
