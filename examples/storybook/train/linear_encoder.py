"""Sets the encoder's weights by principal components instead of training them.

On two cores an encoder trained from nothing needs hours to reach what the principal components of 8 x 8 patches give
at once, and a UNet can start to learn from such latents a minute after the drawings are made. The layout stays that of
AutoencoderKL: residual branches are silent, each downsampling gathers 2 x 2 neighbours and keeps the directions of
largest variance, and the last SiLU is undone by pairs of channels, because silu(x) - silu(-x) = x. Constant channels
dominate the last group norm's variance, which makes it (nearly) a constant factor.
"""
import torch
import torch.nn.functional as F

from models import LATENT_CHANNELS as Z

CONSTANT = 30.0      # of the constant channels, against signals of deviation 1
GROUPS, GROUP = 8, 16
PER_GROUP = Z // GROUPS
LOG_VARIANCE = -6.0
SAMPLE = 3000        # drawings whose patches the components come from


def gather(x):
    """2 x 2 neighbours into channels: 4c + 2 dy + dx."""
    return F.pixel_unshuffle(x, 2)


def components(x, keep):
    """(matrix keep x channels, mean) of the principal directions of the pixels of x, largest variance first."""
    rows = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).double()
    mean = rows.mean(0)
    covariance = (rows - mean).T @ (rows - mean) / len(rows)
    values, vectors = torch.linalg.eigh(covariance)
    order = values.argsort(descending=True)[:keep]
    return vectors[:, order].T.float(), mean.float()


def set_gathering(conv, matrix, mean):
    """Makes a 3 x 3 stride-2 convolution (padded right and below) the map matrix (gather(x) - mean)."""
    channels = matrix.shape[1] // 4
    conv.weight.zero_()
    conv.bias.zero_()
    taps = matrix.view(len(matrix), channels, 2, 2)
    conv.weight[:len(matrix), :channels, :2, :2] = taps
    conv.bias[:len(matrix)] = -matrix @ mean


def set_pass(resnet, width):
    """A silent residual branch; a shortcut, where there is one, hands on the first `width` channels."""
    resnet.conv2.weight.zero_()
    resnet.conv2.bias.zero_()
    if resnet.conv_shortcut is not None:
        resnet.conv_shortcut.weight.zero_()
        resnet.conv_shortcut.bias.zero_()
        resnet.conv_shortcut.weight[:width, :width, 0, 0] = torch.eye(width)


@torch.no_grad()
def set_encoder(vae, x):
    """x: drawings in [-1, 1]. Latent k gets the square root of its component's deviation: half whitened."""
    e = vae.encoder
    x = x[:SAMPLE]
    e.conv_in.weight.zero_()
    e.conv_in.bias.zero_()
    e.conv_in.weight[:3, :3, 1, 1] = torch.eye(3)
    width, h, stages = 3, x, []
    for level, keep in enumerate((12, 32, 64)):
        set_pass(e.down_blocks[level].resnets[0], width)
        h = gather(h)
        matrix, mean = components(h, keep)
        set_gathering(e.down_blocks[level].downsamplers[0].conv, matrix, mean)
        h = torch.einsum("kc,bchw->bkhw", matrix, h - mean.view(1, -1, 1, 1))
        width = keep
        stages.append((matrix, mean))
    deviation = h[:, :Z].std((0, 2, 3))
    last = e.down_blocks[3].resnets[0]
    set_pass(last, 0)
    for k in range(Z):
        at = (k // PER_GROUP) * GROUP + 2 * (k % PER_GROUP)
        last.conv_shortcut.weight[at, k, 0, 0] = 1.0 / deviation[k]
        last.conv_shortcut.weight[at + 1, k, 0, 0] = -1.0 / deviation[k]
    for g in range(GROUPS):
        for i in range(4):
            last.conv_shortcut.bias[g * GROUP + GROUP - 1 - i] = CONSTANT * (1 if i % 2 else -1)
    for resnet in e.mid_block.resnets:
        set_pass(resnet, 0)
    # A group's variance: the four constants among its channels, and the unit signals with their negatives.
    norm = ((4 * CONSTANT ** 2 + 2 * PER_GROUP) / GROUP) ** 0.5
    e.conv_out.weight.zero_()
    e.conv_out.bias.zero_()
    e.conv_out.bias[Z:] = LOG_VARIANCE
    for k in range(Z):
        at = (k // PER_GROUP) * GROUP + 2 * (k % PER_GROUP)
        e.conv_out.weight[k, at, 1, 1] = norm * deviation[k] ** 0.5
        e.conv_out.weight[k, at + 1, 1, 1] = -norm * deviation[k] ** 0.5
    vae.quant_conv.weight.zero_()
    vae.quant_conv.bias.zero_()
    vae.quant_conv.weight[:, :, 0, 0] = torch.eye(2 * Z)
    return {"stages": stages, "deviation": deviation}


@torch.no_grad()
def encode_fast(fit, x):
    """What the encoder computes, but for the last norm (which is off by less than one per cent), much faster."""
    for matrix, mean in fit["stages"]:
        x = torch.einsum("kc,bchw->bkhw", matrix, gather(x) - mean.view(1, -1, 1, 1))
    return x[:, :Z] / fit["deviation"].sqrt().view(1, -1, 1, 1)
