"""One comparison's inputs, and what PyTorch answers to them: python reference.py NAME FOLDER.

Writes in.safetensors, want.safetensors and options.json there. A program of its own, so that PyTorch's memory is gone
before Engram starts.
"""
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import diffusers
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

import golden  # noqa: F401
import checkpoints
import parts
from comparisons import find
from shapes import MODELS, VARIANTS

TOKEN = "<rex>"
PROMPTS = ["a photo of a cat", "a painting of an old lighthouse by the sea, in the style of a child's drawing",
           "two white rabbits sleeping in the snow next to a wooden house with a round window, 4k", "it's 2024; don't go"]
CAPTIONS = [f"a photo of a {TOKEN} dog on the beach, at sunset", f"{TOKEN}{TOKEN} in the snow"]

COMPONENTS = {"text": "text", "unet": "unet", "vae-encode": "vae", "vae-decode": "vae", "clip-text": "clip",
              "clip-image": "clip"}  # all other parts: UNet and text encoder


def base(c):
    return VARIANTS.get(c.model, {}).get("of", c.model)


def load(c, folder):
    """The components that the comparison needs, in its type."""
    def ready(model):
        return model.to(getattr(torch, c.dtype)).eval().requires_grad_(False)

    variant = dict(variant="fp16", torch_dtype=torch.float32) if VARIANTS.get(c.model, {}).get("form") == "fp16" else {}
    needed = COMPONENTS.get(c.part, "unet text").split()
    pipe = SimpleNamespace()
    if "unet" in needed:
        pipe.unet = ready(UNet2DConditionModel.from_pretrained(folder / "unet", **variant))
    if "text" in needed:
        pipe.text_encoder = ready(CLIPTextModel.from_pretrained(folder / "text_encoder", **variant))
    if "vae" in needed:
        pipe.vae = ready(AutoencoderKL.from_pretrained(folder / "vae", **variant))
    if "clip" not in needed:
        kind = getattr(diffusers, MODELS[base(c)]["scheduler"]["_class_name"])
        pipe.scheduler = kind.from_pretrained(folder / "scheduler")
    clip = ready(CLIPModel.from_pretrained(folder / "clip")) if "clip" in needed else None
    return SimpleNamespace(pipe=pipe, clip=clip, dtype=getattr(torch, c.dtype))


def training_inputs(c, model, normal, whole, encode):
    width, vocab = model.pipe.text_encoder.config.hidden_size, model.pipe.text_encoder.config.vocab_size
    h, w = (side // 8 for side in c.size)
    given = dict(latent=normal(c.batch, 4, h, w), noise=normal(c.batch, 4, h, w), timestep=whole(1, 1000, c.batch),
                 input_ids=encode(CAPTIONS[:c.batch]), token_row=normal(width) * MODELS[base(c)]["quiet"],
                 token_id=torch.tensor([vocab]), weight=torch.tensor([1.0, 0.5])[:c.batch])
    if c.part == "step":  # 6 % of the neurons, and one projection without any
        kv = parts.kv_weights(model.pipe.unet)
        given |= {f"mask.{n}": (torch.rand(p.shape, generator=normal.generator) < 0.06).to(torch.uint8)
                  for n, p in kv.items()}
        given[f"mask.{next(reversed(kv))}"].zero_()
    return given


def inputs(c, model, folder):
    g = torch.Generator().manual_seed(sum(c.name.encode()))

    def normal(*shape):
        return torch.randn(shape, generator=g)

    def whole(low, high, *shape):
        return torch.randint(low, high, shape, generator=g)

    normal.generator = g
    tokenizer = CLIPTokenizer.from_pretrained(folder / ("clip" if model.clip else "tokenizer"))
    tokenizer.add_tokens(TOKEN)

    def encode(texts):
        return tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids

    h, w = (side // 8 for side in c.size) if c.size else (0, 0)
    if c.part == "text":
        return dict(input_ids=torch.cat([encode(PROMPTS[:c.batch - 1]), whole(0, 49408, 1, 77)]))
    if c.part == "unet":
        width = model.pipe.unet.config.cross_attention_dim
        return dict(sample=normal(c.batch, 4, h, w), timestep=torch.tensor([981.0, 37.5])[:c.batch],
                    encoder_hidden_states=normal(c.batch, 77, width))
    if c.part == "vae-encode":
        return dict(image=torch.rand(c.batch, 3, *c.size, generator=g) * 2 - 1)
    if c.part == "vae-decode":
        return dict(latent=normal(c.batch, 4, h, w))
    if c.part == "clip-image":
        return dict(pixel_values=normal(c.batch, 3, *c.size))
    if c.part in ("clip-text", "score"):
        return dict(input_ids=encode(PROMPTS[:c.batch]))
    if c.part == "sample":
        given = dict(noise=normal(c.batch, 4, h, w), cond_ids=encode(PROMPTS[1:1 + c.batch]),
                     uncond_ids=encode([""] * c.batch))
        added = dict(step_noise=normal(c.options["steps"], c.batch, 4, h, w)) if c.options["sampler"] == "euler-a" else {}
        return given | added
    return training_inputs(c, model, normal, whole, encode)


def extra(c, model, given):
    """What the figures need beside the answer."""
    if c.part == "step":
        return {f"old.{n}": p.detach().clone() for n, p in parts.kv_weights(model.pipe.unet).items()} | {
            "old.token_row": given["token_row"].clone()}
    return {}


def narrow(tensors):
    return {n: (t.detach().float() if t.is_floating_point() else t).contiguous() for n, t in tensors.items()}


def main(name, out):
    c = find(name)
    folder = checkpoints.ensure(c.model)
    model = load(c, folder)
    given = inputs(c, model, folder)
    beside = extra(c, model, given)
    out.mkdir(parents=True, exist_ok=True)
    answer = parts.run(c.part, model, given, c.options)
    save_file(narrow(given), out / "in.safetensors")
    (out / "options.json").write_text(json.dumps(c.options))
    save_file(narrow(answer | beside), out / "want.safetensors", metadata={"key": json.dumps(c.key(), sort_keys=True)})


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
