/* unet.c - UNet2DConditionModel: the noise (or v) in a latent, told the time and the text.
 *
 * N batch, H W space, C channels, T tokens, D text width. Level i of the way up is level levels-1-i of the way down.
 *
 *     conv_in -+-> down 0 -+-> down 1 -+-> ... -> mid -> ... up 0 -> up 1 -> conv_norm_out, conv_out
 *              +-- skips: a stack, last in first out, joined on channels behind the current feature --^
 *
 * K and V of the text come from outside, in order of use (kv.h), so this file knows no K/V weight. Easy to get wrong:
 * the transformer's group norm has eps 1e-6 and all others norm_eps; a level with transformers pushes the
 * transformer's output; sides that do not halve are met again by upsampling to the size of the next skip.
 *
 * What is alive across blocks (results of resnets, of transformer blocks, skips) is a graph_boundary: a training that is short
 * of memory keeps these and makes the rest again. */
#include "base/arena.h"
#include "pipeline/model/layers.h"
#include "pipeline/model/networks.h"

#include <math.h>
#include <stdlib.h>

#define TRANSFORMER_EPS 1e-6f /* fixed in the reference, whatever norm_eps says */
#define LAYER_NORM_EPS 1e-5f

struct unet {
    struct graph *g;
    const struct unet_config *c;
    struct value time;      /* silu of the time embedding [N, 4*C0]: every resnet wants it */
    const struct value *kv; /* K of the next cross-attention, then its V */
    struct value *skip;     /* owned stack */
    int n_skips;
};

/* x += attn1(LN x); x += attn2(LN x, text); x += ff(LN x). No bias on q, k, v. x [N,H*W,C] */
static struct value block(struct unet *u, struct net n, struct value x, int heads)
{
    struct net a1 = net_at(n, "attn1"), a2 = net_at(n, "attn2"), ff = net_at(n, "ff.net");
    int64_t C = channels_of(n, x);
    struct value h = layer_layer_norm(n, "norm1", x, LAYER_NORM_EPS);
    struct value q = layer_linear_plain(a1, "to_q", h, C);
    struct value k = layer_linear_plain(a1, "to_k", h, C);
    struct value v = layer_linear_plain(a1, "to_v", h, C);
    x = op_add(n.g, x, layer_linear(a1, "to_out.0", layer_attention(n, q, k, v, heads, 0), C));

    h = layer_layer_norm(n, "norm2", x, LAYER_NORM_EPS);
    q = layer_linear_plain(a2, "to_q", h, C);
    k = *u->kv++;
    v = *u->kv++;
    x = op_add(n.g, x, layer_linear(a2, "to_out.0", layer_attention(n, q, k, v, heads, 0), C));

    h = layer_layer_norm(n, "norm3", x, LAYER_NORM_EPS);
    h = op_geglu(n.g, layer_linear(ff, "0.proj", h, 8 * C));
    return graph_boundary(n.g, op_add(n.g, x, layer_linear(ff, "2", h, C)));
}

/* proj_in and proj_out are 1x1 convolutions in SD 1 and linear layers in SD 2: on [N,H*W,C] the same thing. */
static struct value transformer(struct unet *u, struct net n, struct value x, int level)
{
    struct value h = layer_group_norm(n, "norm", x, u->c->norm_groups, TRANSFORMER_EPS, 0);
    h = layer_linear(n, "proj_in", tokens_of(n, h), channels_of(n, x));
    for (int i = 0; i < u->c->depth[level]; i++)
        h = block(u, net_at(n, "transformer_blocks.%d", i), h, u->c->heads[level]);
    h = layer_linear(n, "proj_out", h, channels_of(n, x));
    return graph_boundary(n.g, op_add(n.g, x, image_of(n, h, x)));
}

static struct value resnet(const struct unet *u, struct net n, struct value x, int level)
{
    struct resnet r = {
        .out = u->c->channels[level], .groups = u->c->norm_groups, .eps = u->c->norm_eps};
    return graph_boundary(n.g, layer_resnet(n, r, x, u->time));
}

static struct value push(struct unet *u, struct value x)
{
    return u->skip[u->n_skips++] = graph_boundary(u->g, x);
}
static struct value pop(struct unet *u)
{
    return u->skip[--u->n_skips];
}

static struct value down_level(struct unet *u, struct net n, struct value x, int level)
{
    for (int j = 0; j < u->c->layers[level]; j++) {
        x = resnet(u, net_at(n, "resnets.%d", j), x, level);
        if (u->c->down_attention[level])
            x = transformer(u, net_at(n, "attentions.%d", j), x, level);
        push(u, x);
    }
    if (level < u->c->levels - 1) x = push(u, layer_downsample(n, x, u->c->downsample_padding));
    return x;
}

static struct value mid_block(struct unet *u, struct net n, struct value x)
{
    int level = u->c->levels - 1;
    x = resnet(u, net_at(n, "resnets.0"), x, level);
    x = transformer(u, net_at(n, "attentions.0"), x, level);
    return resnet(u, net_at(n, "resnets.1"), x, level);
}

static struct value up_level(struct unet *u, struct net n, struct value x, int i)
{
    int level = u->c->levels - 1 - i;
    for (int j = 0; j < u->c->layers[level] + 1; j++) {
        x = op_concat(n.g, x, pop(u), 3); /* current first, skip second */
        x = resnet(u, net_at(n, "resnets.%d", j), x, level);
        if (u->c->up_attention[i]) x = transformer(u, net_at(n, "attentions.%d", j), x, level);
    }
    if (i == u->c->levels - 1) return x;
    struct value next = u->skip[u->n_skips - 1];
    x = layer_upsample(n, x, graph_dim(n.g, next, 1), graph_dim(n.g, next, 2));
    return graph_boundary(n.g, x);
}

/* linear_1, silu, linear_2; then the silu that every resnet begins with, once for all. */
static struct value time_embedding(struct net n, struct value time, int64_t width)
{
    struct value h = op_unary(n.g, layer_linear(n, "linear_1", time, width), UNARY_SILU);
    return op_unary(n.g, layer_linear(n, "linear_2", h, width), UNARY_SILU);
}

struct value unet_build(struct graph *g, const struct unet_config *c, struct weights *w,
                        struct value latent, struct value time, const struct value *kv)
{
    struct net n = {.g = g, .w = w};
    int n_skips = 1;
    for (int i = 0; i < c->levels; i++) n_skips += c->layers[i] + 1;
    struct unet u = {.g = g, .c = c, .kv = kv, .skip = mem_alloc((size_t)n_skips, sizeof *u.skip)};
    if (!u.skip) return graph_fail(g, ERR_NOMEM, "no memory to build the UNet");

    u.time = time_embedding(net_at(n, "time_embedding"), time, 4 * (int64_t)c->channels[0]);
    struct value x = push(&u, layer_conv(n, "conv_in", latent, c->channels[0], 1));
    for (int i = 0; i < c->levels; i++) x = down_level(&u, net_at(n, "down_blocks.%d", i), x, i);
    x = mid_block(&u, net_at(n, "mid_block"), x);
    for (int i = 0; i < c->levels; i++) x = up_level(&u, net_at(n, "up_blocks.%d", i), x, i);
    free(u.skip);

    x = layer_group_norm(n, "conv_norm_out", x, c->norm_groups, c->norm_eps, 1);
    return layer_conv(n, "conv_out", x, c->out_channels, 1);
}

void unet_project(struct graph *g, const struct kv_layout *l, struct value hidden,
                  const struct value *weight, struct value index, int detach_first,
                  struct value *kv)
{
    for (int i = 0; i < l->n; i++) {
        kv[i] = value_is(index) ? op_linear_indexed(g, hidden, weight[i], index)
                                : op_linear(g, hidden, weight[i], VALUE_NONE);
        if (detach_first) kv[i] = op_detach_first(g, kv[i]);
    }
}

/* Frequencies f_i = exp(-ln(10000) i / (half - freq_shift)), angles t f_i; [sin, cos], or [cos, sin] when flipped; an odd
 * width ends with a zero. In float32 throughout, as the reference: near t = 1000 its angles are off by 3e-5, and
 * computing them better would be computing something else. */
void unet_time(const struct unet_config *c, double t, float *out)
{
    int width = c->channels[0], half = width / 2;
    float *sines = c->flip_sin_to_cos ? out + half : out;
    float *cosines = c->flip_sin_to_cos ? out : out + half;
    for (int i = 0; i < half; i++) {
        float exponent = -9.210340371976184f * (float)i / ((float)half - c->freq_shift);
        float angle = (float)t * expf(exponent);
        sines[i] = sinf(angle);
        cosines[i] = cosf(angle);
    }
    if (width % 2) out[width - 1] = 0.0f;
}
