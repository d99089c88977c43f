/* clip_text.c - the CLIP text model: token ids to hidden states, and the feature used for evaluation.
 *
 * x = token_embedding[id] + position_embedding[pos]; pre-LN layers with a causal mask; final layer norm on all
 * positions. No padding mask: Stable Diffusion attends to its pads. The added tokens' rows stand behind the table.
 * N batch, T tokens, C channels, P projection. */
#include "pipeline/model/layers.h"
#include "pipeline/model/networks.h"

struct value clip_text_build(struct graph *g, const struct clip_text_config *c, struct weights *w,
                             struct value ids, struct value extra)
{
    struct net n = net_at((struct net){.g = g, .w = w}, "text_model");
    int64_t T = graph_dim(g, ids, 1), C = c->hidden;
    if (T > c->positions)
        return graph_fail(g, ERR_INPUT, "text of %lld tokens; the model has %d positions",
                          (long long)T, c->positions);

    struct value table =
        weights_param(w, g, SHAPE(c->vocab, C), "%sembeddings.token_embedding.weight", n.at);
    struct value positions =
        weights_param(w, g, SHAPE(c->positions, C), "%sembeddings.position_embedding.weight", n.at);
    positions = op_reshape(g, op_slice(g, positions, 0, 0, T), SHAPE(1, T, C));
    struct value x = op_add(g, op_embed(g, ids, table, extra), positions);

    x = layer_clip(n,
                   (struct clip_layers){.layers = c->layers,
                                        .heads = c->heads,
                                        .intermediate = c->intermediate,
                                        .causal = 1,
                                        .act = c->act,
                                        .eps = c->eps},
                   x);
    return layer_layer_norm(n, "final_layer_norm", x, c->eps);
}

struct value clip_text_feature(struct graph *g, const struct clip_text_config *c, struct weights *w,
                               struct value hidden, struct value end)
{
    struct net n = {.g = g, .w = w};
    return layer_linear_plain(n, "text_projection", op_pick(g, hidden, end), c->projection);
}
