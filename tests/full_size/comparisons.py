"""The comparisons, one line each: a part of a model at one size, what it is held against, how far it may be off.

part and options are those of `engram debug` (tests/golden/README.md); figures names the function of figures.py that turns
two sets of tensors into rows of the table.
"""
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Comparison:
    name: str
    title: str                     # for people
    model: str                     # of shapes.py
    part: str
    size: tuple = ()               # of the picture: height, width
    batch: int = 1
    options: dict = field(default_factory=dict)
    figures: str = "plain"
    allowed: float = 1e-4          # of relative L2
    dtype: str = "float32"         # what the reference computes in
    same_as: str = ""              # not beside PyTorch: beside Engram's own answer in the comparison of this name

    def key(self):
        """What a stored reference was made for."""
        return {k: v for k, v in asdict(self).items() if k not in ("title", "figures", "allowed")}


STEP = dict(lr_token=5e-4, lr_neuron=3e-5, betas=[0.9, 0.999], eps=1e-8, clip=1.0, detach_bos=1)

COMPARISONS = [
    Comparison("unet-256", "SD 1.5 UNet", "sd15", "unet", (256, 256), dtype="float64"),
    Comparison("unet-512", "SD 1.5 UNet", "sd15", "unet", (512, 512)),
    Comparison("unet-448x576", "SD 1.5 UNet", "sd15", "unet", (448, 576)),
    Comparison("unet-360x424", "SD 1.5 UNet, sides that do not halve three times", "sd15", "unet", (360, 424)),
    Comparison("unet-batch", "SD 1.5 UNet, batch of 2", "sd15", "unet", (128, 192), batch=2, dtype="float64"),
    Comparison("vae-encode-512", "VAE encoder", "sd15", "vae-encode", (512, 512)),
    Comparison("vae-decode-256", "VAE decoder", "sd15", "vae-decode", (256, 256)),
    Comparison("vae-decode-512", "VAE decoder", "sd15", "vae-decode", (512, 512)),
    Comparison("tokenizer", "tokenizer, ten thousand texts", "sd15", "tokenizer", allowed=0, dtype="ids"),
    Comparison("text-sd15", "SD 1.5 text encoder", "sd15", "text", batch=3, dtype="float64"),
    Comparison("text-sd21", "SD 2.1 text encoder (OpenCLIP-H)", "sd21", "text", batch=3),
    Comparison("clip-b32-text", "CLIP ViT-B/32, text", "clip-b32", "clip-text", batch=2, dtype="float64"),
    Comparison("clip-b32-image", "CLIP ViT-B/32, image", "clip-b32", "clip-image", (224, 224), batch=2, dtype="float64"),
    Comparison("clip-l14-text", "CLIP ViT-L/14, text", "clip-l14", "clip-text", batch=2, dtype="float64"),
    Comparison("clip-l14-image", "CLIP ViT-L/14, image", "clip-l14", "clip-image", (224, 224), batch=2, dtype="float64"),
    Comparison("guided-256", "noise prediction with guidance 7.5", "sd15", "sample", (256, 256),
               options=dict(sampler="ddim", steps=2, guidance=7.5), figures="guided"),
    Comparison("v-unet-256", "SD 2.1 UNet (v prediction, head list, linear projection)", "sd21", "unet", (256, 256),
               dtype="float64"),
    Comparison("v-unet-512", "SD 2.1 UNet", "sd21", "unet", (512, 512)),
    Comparison("loss-256", "loss and gradients", "sd15", "loss", (256, 256), options=dict(detach_bos=0),
               figures="gradients", allowed=1e-3),
    Comparison("loss-detach-256", "loss and gradients, start token detached", "sd15", "loss_detach", (256, 256),
               options=dict(detach_bos=1), figures="gradients", allowed=1e-3),
    Comparison("v-loss-256", "SD 2.1, loss and gradients", "sd21", "loss", (256, 256), options=dict(detach_bos=0),
               figures="gradients", allowed=1e-3),
    Comparison("loss-512", "loss and gradients", "sd15", "loss", (512, 512), options=dict(detach_bos=0),
               figures="gradients", allowed=1e-3),
    Comparison("score", "neurons of 4 prompts", "sd15", "score", batch=4, figures="masks", allowed=2e-5, dtype="float64"),
    Comparison("step-256", "one personalization step, batch 2", "sd15", "step", (256, 256), batch=2, options=STEP,
               figures="step", allowed=1e-3),
    *(Comparison(f"{sampler}-{size[0]}", f"{title}, 20 steps, guidance 7.5", "sd15", "sample", size,
                 options=dict(sampler=sampler, steps=20, guidance=7.5), figures="trajectory", allowed=1e-3)
      for sampler, title, size in (("ddim", "DDIM", (128, 128)), ("pndm", "PNDM", (64, 64)),
                                   ("dpm++2m", "DPM-Solver++ 2M", (64, 64)),
                                   ("dpm++2m-karras", "DPM-Solver++ 2M, Karras", (64, 64)),
                                   ("euler", "Euler", (64, 64)), ("euler-a", "Euler ancestral, noise given", (64, 64)))),
    Comparison("v-ddim-64", "SD 2.1, DDIM, 20 steps, guidance 7.5", "sd21", "sample", (64, 64),
               options=dict(sampler="ddim", steps=20, guidance=7.5), figures="trajectory", allowed=1e-3),
    Comparison("unet-fp16-256", "SD 1.5 UNet from .fp16.safetensors", "sd15-fp16", "unet", (256, 256)),
    Comparison("text-fp16", "SD 1.5 text encoder from .fp16.safetensors", "sd15-fp16", "text", batch=3, dtype="float64"),
    *(Comparison(f"{model}-{part}", f"{title}, {part}, beside the folder", model, part, same_as=other, allowed=0)
      for model, title, others in (
          ("sd15-single", "SD 1.5 as one file", {"text": "text-sd15", "unet": "unet-256", "vae-decode": "vae-decode-256"}),
          ("sd15-single-fp16", "SD 1.5 as one fp16 file", {"text": "text-fp16", "unet": "unet-fp16-256"}),
          ("sd21-single", "SD 2.1 as one file", {"text": "text-sd21", "unet": "v-unet-256"}))
      for part, other in others.items()),
    Comparison("export", "a commit on SD 1.5, exported and drawn by diffusers", "sd15-64", "export", (64, 64), allowed=1 / 255),
]


def find(name):
    for c in COMPARISONS:
        if c.name == name:
            return c
    raise SystemExit(f"no comparison \"{name}\"; there are {' '.join(c.name for c in COMPARISONS)}")
