/* layers.c - named layers, and the blocks that several networks share.
 * N batch, H W space, T tokens, C channels, D head width. */
#include "pipeline/model/layers.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct net net_at(struct net n, const char *fmt, ...)
{
    struct net inner = n;
    size_t used = strlen(n.at);
    va_list args;
    va_start(args, fmt);
    int wrote = vsnprintf(inner.at + used, sizeof inner.at - used, fmt, args);
    va_end(args);
    if (wrote < 0 || used + (size_t)wrote + 2 > sizeof inner.at) {
        graph_fail(n.g, ERR_INTERNAL, "a tensor name that begins with %s is too long", n.at);
        return n;
    }
    strcat(inner.at, ".");
    return inner;
}

int64_t channels_of(struct net n, struct value x)
{
    return value_is(x) ? graph_dim(n.g, x, graph_shape(n.g, x).rank - 1) : 0;
}

static struct value bias(struct net n, const char *name, int64_t out)
{
    return weights_param(n.w, n.g, SHAPE(out), "%s%s.bias", n.at, name);
}

struct value layer_linear_plain(struct net n, const char *name, struct value x, int64_t out)
{
    if (!value_is(x)) return VALUE_NONE;
    struct value w = weights_linear(n.w, n.g, channels_of(n, x), out, "%s%s.weight", n.at, name);
    return op_linear(n.g, x, w, VALUE_NONE);
}

struct value layer_linear(struct net n, const char *name, struct value x, int64_t out)
{
    if (!value_is(x)) return VALUE_NONE;
    struct value w = weights_linear(n.w, n.g, channels_of(n, x), out, "%s%s.weight", n.at, name);
    return op_linear(n.g, x, w, bias(n, name, out));
}

static struct value conv3(struct net n, const char *name, struct value x, int64_t out,
                          struct conv_attr a)
{
    if (!value_is(x)) return VALUE_NONE;
    struct value w = weights_conv(n.w, n.g, channels_of(n, x), out, 3, "%s%s.weight", n.at, name);
    return op_conv(n.g, x, w, bias(n, name, out), a);
}

struct value layer_conv(struct net n, const char *name, struct value x, int64_t out, int stride)
{
    return conv3(n, name, x, out, (struct conv_attr){.stride = stride, .pad = {1, 1, 1, 1}});
}

struct value layer_downsample(struct net n, struct value x, int pad)
{
    struct conv_attr a = {.stride = 2, .pad = {pad, pad, 1, 1}}; /* top, left, bottom, right */
    return conv3(net_at(n, "downsamplers.0"), "conv", x, channels_of(n, x), a);
}

struct value layer_upsample(struct net n, struct value x, int64_t h, int64_t w)
{
    x = op_upsample(n.g, x, h, w);
    return layer_conv(net_at(n, "upsamplers.0"), "conv", x, channels_of(n, x), 1);
}

struct value layer_group_norm(struct net n, const char *name, struct value x, int groups, float eps,
                              int silu)
{
    if (!value_is(x)) return VALUE_NONE;
    int64_t C = channels_of(n, x);
    struct value gamma = weights_param(n.w, n.g, SHAPE(C), "%s%s.weight", n.at, name);
    return op_group_norm(n.g, x, gamma, bias(n, name, C), groups, eps, silu);
}

struct value layer_layer_norm(struct net n, const char *name, struct value x, float eps)
{
    if (!value_is(x)) return VALUE_NONE;
    int64_t C = channels_of(n, x);
    struct value gamma = weights_param(n.w, n.g, SHAPE(C), "%s%s.weight", n.at, name);
    return op_layer_norm(n.g, x, gamma, bias(n, name, C), eps);
}

struct value tokens_of(struct net n, struct value image)
{
    if (!value_is(image)) return VALUE_NONE;
    struct shape s = graph_shape(n.g, image);
    return op_reshape(n.g, image, SHAPE(s.dim[0], s.dim[1] * s.dim[2], s.dim[3]));
}

struct value image_of(struct net n, struct value tokens, struct value like)
{
    if (!value_is(tokens)) return VALUE_NONE;
    struct shape s = graph_shape(n.g, like);
    return op_reshape(n.g, tokens, SHAPE(s.dim[0], s.dim[1], s.dim[2], channels_of(n, tokens)));
}

/* h = conv1(silu(norm1(x))); h += time_emb_proj(time), before norm2; h = conv2(silu(norm2(h))); out = shortcut(x) + h.
 * The 1x1 shortcut exists only where the width changes. */
struct value layer_resnet(struct net n, struct resnet r, struct value x, struct value time)
{
    struct value h = layer_group_norm(n, "norm1", x, r.groups, r.eps, 1);
    h = layer_conv(n, "conv1", h, r.out, 1);
    if (value_is(time)) {
        struct value t = layer_linear(n, "time_emb_proj", time, r.out);
        h = op_add(n.g, h, op_reshape(n.g, t, SHAPE(graph_dim(n.g, time, 0), 1, 1, r.out)));
    }
    h = layer_group_norm(n, "norm2", h, r.groups, r.eps, 1);
    h = layer_conv(n, "conv2", h, r.out, 1);
    if (channels_of(n, x) != r.out) x = layer_linear(n, "conv_shortcut", x, r.out);
    return op_add(n.g, x, h);
}

struct value layer_attention(struct net n, struct value q, struct value k, struct value v,
                             int heads, int causal)
{
    if (!value_is(q)) return VALUE_NONE;
    float D = (float)channels_of(n, q) / (float)heads;
    return op_attention(n.g, q, k, v, heads, causal, 1.0f / sqrtf(D));
}

struct value layer_clip(struct net n, struct clip_layers c, struct value x)
{
    enum unary_kind act = c.act == CLIP_QUICK_GELU ? UNARY_QUICK_GELU : UNARY_GELU;
    int64_t C = channels_of(n, x);
    for (int i = 0; i < c.layers; i++) {
        struct net l = net_at(n, "encoder.layers.%d", i), a = net_at(l, "self_attn"),
                   mlp = net_at(l, "mlp");
        struct value h = layer_layer_norm(l, "layer_norm1", x, c.eps);
        struct value q = layer_linear(a, "q_proj", h, C);
        struct value k = layer_linear(a, "k_proj", h, C);
        struct value v = layer_linear(a, "v_proj", h, C);
        h = layer_attention(n, q, k, v, c.heads, c.causal);
        x = op_add(n.g, x, layer_linear(a, "out_proj", h, C));

        h = layer_layer_norm(l, "layer_norm2", x, c.eps);
        h = op_unary(n.g, layer_linear(mlp, "fc1", h, c.intermediate), act);
        x = graph_boundary(n.g, op_add(n.g, x, layer_linear(mlp, "fc2", h, C)));
    }
    return x;
}
