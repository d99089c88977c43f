"""The rows of the peer table. kind is the work (engram_side.c and torch_side.py know it), bar the ratio that is asked for,
allowed how far the two results may be apart (relative L2; of neurons the share of bits), budget how many seconds the timed
rounds may take before fewer than ROUNDS count as enough."""

SD15 = "build/parity/models/sd15"
STORYBOOK = "examples/storybook/model"
TRAIN = dict(lr_token=5e-4, lr_neuron=3e-5, betas=[0.9, 0.999], eps=1e-8, clip=1.0)

ROUNDS, FEWEST = 7, 3


def row(name, title, kind, model, size, bar, allowed, budget=60, batch=1, options=None):
    return dict(name=name, title=title, kind=kind, model=model, size=size, batch=batch, bar=bar, allowed=allowed,
                budget=budget, options=options or {})


ROWS = [
    row("storybook-step-1", "Storybook training step, B = 1", "step", STORYBOOK, (64, 64), 3.0, 1e-3, options=TRAIN),
    row("storybook-step-4", "Storybook training step, B = 4", "step", STORYBOOK, (64, 64), None, 1e-3, batch=4, options=TRAIN),
    row("storybook-sample", "Storybook picture, 20 DDIM steps with guidance", "sample", STORYBOOK, (64, 64), None, 1e-3,
        options=dict(sampler="ddim", steps=20, guidance=5.0)),
    row("unet-256", "SD 1.5 UNet, 256x256", "unet", SD15, (256, 256), 1.5, 1e-4),
    row("unet-512", "SD 1.5 UNet, 512x512", "unet", SD15, (512, 512), 1.5, 1e-4, budget=90),
    row("step-256", "SD 1.5 training step, 256x256, B = 1", "step", SD15, (256, 256), 1.5, 1e-3, budget=90, options=TRAIN),
    row("decode-256", "SD 1.5 VAE decode, 256x256", "vae-decode", SD15, (256, 256), 1.5, 1e-4),
    row("decode-512", "SD 1.5 VAE decode, 512x512", "vae-decode", SD15, (512, 512), 1.5, 1e-4, budget=90),
    row("score", "neurons of 20 prompts, all 19.17 M weights", "score", SD15, (), 40.0, 2e-5, budget=60, batch=20),
]
