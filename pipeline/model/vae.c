/* vae.c - AutoencoderKL: images to the moments of latents, latents to images.
 *
 * N batch, H W image, h w latent, C channels, L latent channels. Every group norm has eps 1e-6. The encoder's downsampler
 * pads right and below only; padding all sides, as the UNet does, shifts the picture by a pixel per level. The decoder
 * has one resnet more per level than the encoder. Nothing is clamped here, and 1x1 convolutions are linear layers. */
#include "pipeline/model/layers.h"
#include "pipeline/model/networks.h"

#define VAE_EPS 1e-6f

static struct value resnet(struct net n, const struct vae_config *c, struct value x, int64_t out)
{
    return layer_resnet(n, (struct resnet){.out = out, .groups = c->norm_groups, .eps = VAE_EPS}, x,
                        VALUE_NONE);
}

/* y = x + to_out(softmax(q k^T / sqrt(C)) v) on the group norm of x: one head as wide as the block. */
static struct value attention(struct net n, const struct vae_config *c, struct value x)
{
    int64_t C = channels_of(n, x);
    struct value h = tokens_of(n, layer_group_norm(n, "group_norm", x, c->norm_groups, VAE_EPS, 0));
    struct value q = layer_linear(n, "to_q", h, C);
    struct value k = layer_linear(n, "to_k", h, C);
    struct value v = layer_linear(n, "to_v", h, C);
    h = layer_linear(n, "to_out.0", layer_attention(n, q, k, v, 1, 0), C);
    return op_add(n.g, x, image_of(n, h, x));
}

static struct value mid_block(struct net n, const struct vae_config *c, struct value x)
{
    int64_t C = channels_of(n, x);
    x = resnet(net_at(n, "resnets.0"), c, x, C);
    if (c->mid_attention) x = attention(net_at(n, "attentions.0"), c, x);
    return resnet(net_at(n, "resnets.1"), c, x, C);
}

static struct value tail(struct net n, const struct vae_config *c, struct value x, int64_t out)
{
    x = layer_group_norm(n, "conv_norm_out", x, c->norm_groups, VAE_EPS, 1);
    return layer_conv(n, "conv_out", x, out, 1);
}

struct value vae_encode_build(struct graph *g, const struct vae_config *c, struct weights *w,
                              struct value image)
{
    struct net top = {.g = g, .w = w}, n = net_at(top, "encoder");
    struct value x = layer_conv(n, "conv_in", image, c->channels[0], 1);
    for (int i = 0; i < c->levels; i++) {
        struct net level = net_at(n, "down_blocks.%d", i);
        for (int j = 0; j < c->layers; j++)
            x = resnet(net_at(level, "resnets.%d", j), c, x, c->channels[i]);
        if (i < c->levels - 1) x = layer_downsample(level, x, 0);
    }
    x = mid_block(net_at(n, "mid_block"), c, x);
    x = tail(n, c, x, 2 * c->latent_channels);
    return c->quant_conv ? layer_linear(top, "quant_conv", x, 2 * c->latent_channels) : x;
}

struct value vae_decode_build(struct graph *g, const struct vae_config *c, struct weights *w,
                              struct value latent)
{
    struct net top = {.g = g, .w = w}, n = net_at(top, "decoder");
    struct value x = latent;
    if (c->post_quant_conv) x = layer_linear(top, "post_quant_conv", x, c->latent_channels);
    x = layer_conv(n, "conv_in", x, c->channels[c->levels - 1], 1);
    x = mid_block(net_at(n, "mid_block"), c, x);
    for (int i = 0; i < c->levels; i++) {
        struct net level = net_at(n, "up_blocks.%d", i);
        int64_t C = c->channels[c->levels - 1 - i];
        for (int j = 0; j < c->layers + 1; j++) x = resnet(net_at(level, "resnets.%d", j), c, x, C);
        if (i < c->levels - 1)
            x = layer_upsample(level, x, 2 * graph_dim(g, x, 1), 2 * graph_dim(g, x, 2));
    }
    return tail(n, c, x, c->out_channels);
}
