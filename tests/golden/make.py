"""Make the golden vectors: python make.py [CASE ...]. See README.md."""
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from diffusers import PNDMScheduler
from safetensors.torch import save_file
from transformers import CLIPTokenizer

import bpe
import models
import parts
import strings
from cases import CASES, SD_SCHEDULER

HERE = Path(__file__).resolve().parent
TOKEN = "<rex>"
CAPTIONS = ["a photo of a <rex> dog on the beach, at sunset", "<rex><rex> in the snow", "a drawing of <rex>"]
PROMPTS = bpe.SENTENCES.strip().split("\n")


def encode(tokenizer, texts):
    return tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids


def inputs(case, model, tokenizer, g):
    """{part: {name: tensor}} and {part: options}; everything a part is told."""
    unet, vae, encoder = model.pipe.unet.config, model.pipe.vae.config, model.pipe.text_encoder.config
    batch, (h, w) = case["batch"], case["latent"]
    length, width, vocab = encoder.max_position_embeddings, encoder.hidden_size, encoder.vocab_size
    factor = 2 ** (len(vae.block_out_channels) - 1)

    def normal(*shape):
        return torch.randn(shape, generator=g)

    def whole(low, high, *shape):
        return torch.randint(low, high, shape, generator=g)

    latent = batch, unet.in_channels, h, w
    ids = encode(tokenizer, PROMPTS[:2])
    ids = torch.cat([ids, whole(0, vocab, 1, length)])  # any ids must do, not only well-formed prompts
    train = dict(latent=normal(*latent), noise=normal(*latent), timestep=whole(1, 1000, batch),
                 input_ids=encode(tokenizer, CAPTIONS[:batch]), token_row=normal(width) * case.get("quiet", 1.0),
                 token_id=torch.tensor([vocab]), weight=torch.tensor([1.0, 0.5, 2.0])[:batch])
    prompts = clear_prompts(model, tokenizer, g)
    masks = parts.run("score", model, dict(input_ids=prompts), {})
    concept = {n: m[0] & ~masks["general" + n[4:]] & 1 for n, m in masks.items() if n.startswith("mask.")}
    concept[next(reversed(concept))].zero_()  # a projection may have no neuron selected at all
    tensors = {
        "text": dict(input_ids=ids),
        "unet": dict(sample=normal(*latent), timestep=torch.tensor([981.0, 37.5, 1.0])[:batch],
                     encoder_hidden_states=normal(batch, length, width)),
        "vae-encode": dict(image=torch.rand(batch, 3, h * factor, w * factor, generator=g) * 2 - 1),
        "vae-decode": dict(latent=normal(batch, vae.latent_channels, h, w)),
        "sample_ddim": dict(noise=normal(*latent), cond_ids=encode(tokenizer, PROMPTS[2:2 + batch]),
                     uncond_ids=encode(tokenizer, [""] * batch)),
        "loss": train, "loss_detach": train,
        "score": dict(input_ids=prompts),
        "step": train | concept,
    }
    if model.clip is not None:
        size = model.clip.config.vision_config.image_size
        tensors["clip-text"] = dict(input_ids=encode(tokenizer, PROMPTS[4:6]))
        tensors["clip-image"] = dict(pixel_values=normal(2, 3, size, size))
    options = {"sample_ddim": dict(steps=10, guidance=7.5), "loss": dict(detach_bos=0), "loss_detach": dict(detach_bos=1),
               "step": case["step"]}
    return tensors, options


# Which case runs which sampler in how many steps. micro: epsilon, DDIM's file, ends at alpha 1; ragged: v prediction;
# storybook: epsilon, a file that asks for leading timesteps.
TRAJECTORIES = {"micro": 7, "ragged": 20, "storybook": 9}


def trajectories(name, case, model, tokenizer):
    """The same as inputs, of the samplers; one picture is enough. Numbers of their own: the older ones stay as they are."""
    unet, steps, (h, w) = model.pipe.unet.config, TRAJECTORIES.get(name), case["latent"]
    tensors, options = {}, {}
    for sampler in parts.SAMPLERS if steps else ():
        g = torch.Generator().manual_seed(2000 + case["seed"])
        stem = "sample_" + (sampler if sampler != "ddim" else "ddim-eta")
        tensors[stem] = dict(noise=torch.randn(1, unet.in_channels, h, w, generator=g),
                             cond_ids=encode(tokenizer, PROMPTS[7:8]), uncond_ids=encode(tokenizer, PROMPTS[8:9]))
        options[stem] = dict(sampler=sampler, steps=steps, guidance=5.0)
        if sampler == "ddim":
            options[stem]["eta"] = 0.6
        if sampler in ("ddim", "euler-a"):
            tensors[stem]["step_noise"] = torch.randn(steps, 1, unet.in_channels, h, w, generator=g)
    return tensors, options


def write_schedules(path):
    """Timesteps and levels of every sampler and spacing, from SD 1.5's scheduler file: "sampler spacing steps what"."""
    out = {}
    for sampler, (cls, told) in parts.SAMPLERS.items():
        for spacing in (None, "leading", "linspace", "trailing"):
            for steps in (1, 2, 3, 7, 20, 21, 48, 50):
                said = {"timestep_spacing": spacing} if spacing else {}
                pndm = PNDMScheduler.from_config(SD_SCHEDULER | said)
                scheduler = cls.from_config(pndm.config, **told)
                scheduler.set_timesteps(steps)
                key = f"{sampler} {spacing or 'unsaid'} {steps}"
                out[f"{key} timesteps"] = scheduler.timesteps.float()
                out[f"{key} start"] = torch.tensor([float(scheduler.init_noise_sigma)])
                if cls not in (parts.DDIMScheduler, PNDMScheduler):
                    out[f"{key} sigmas"] = scheduler.sigmas.float()
    save_file(out, path)


def clear_prompts(model, tokenizer, g, count=4, margin=3e-6):
    """Prompts whose masks float32 cannot get wrong: in every row the last score that counts is clear of the next."""
    best = -1.0, None
    for _ in range(400):
        ids = encode(tokenizer, [PROMPTS[i] for i in torch.randperm(len(PROMPTS), generator=g)[:count]])
        clear = 1.0
        for s in parts.run("scores", model, dict(input_ids=ids), {}).values():
            s = s.sort(dim=-1, descending=True).values
            k = int(0.30 * s.shape[-1])
            gap = (s[..., k - 1] - s[..., k]) / s[..., 0]
            clear = min(clear, gap[s[..., 0] > 0].min().item())  # all zeros tie exactly, on purpose
        best = max(best, (clear, ids), key=lambda b: b[0])
    assert best[0] > margin, f"no prompts with a margin of {margin}; the best has {best[0]:.1e}"
    print(f"  score margin {best[0]:.1e}")
    return best[1]


def write_tokens(tokenizer, path):
    tokenizer.add_tokens(TOKEN)
    with open(path, "w", encoding="ascii") as f:
        for text in strings.STRINGS:
            ids = tokenizer(text, padding="max_length", truncation=True).input_ids
            f.write(json.dumps({"text": text, "ids": ids}, separators=(",", ":")) + "\n")


def make(name):
    print(name)
    case, folder = CASES[name], HERE / name
    models.build(case, folder / "model")
    pipe, clip = models.load(folder / "model", torch.float64)
    model = SimpleNamespace(pipe=pipe, clip=clip, dtype=torch.float64)
    write_tokens(CLIPTokenizer.from_pretrained(folder / "model/tokenizer"), folder / "tokenize.txt")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "model/tokenizer")
    tokenizer.add_tokens(TOKEN)
    g = torch.Generator().manual_seed(1000 + case["seed"])
    tensors, options = inputs(case, model, tokenizer, g)
    more = trajectories(name, case, model, tokenizer)
    tensors, options = tensors | more[0], options | more[1]
    for part, given in tensors.items():
        result = parts.run(part, model, given, options.get(part, {}))
        result = {n: t.detach().float() if t.is_floating_point() else t for n, t in result.items()}
        for end, content in (("in", given), ("out", result)):
            save_file({n: t.contiguous() for n, t in content.items()}, folder / f"{part}.{end}.safetensors")
        if part in options:
            bpe.write_json(folder / f"{part}.json", options[part])


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    write_schedules(HERE / "schedules.safetensors")
    for name in sys.argv[1:] or CASES:
        make(name)
