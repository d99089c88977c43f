"""Pictures by diffusers from what Engram exported, beside Engram's: python pictures.py FOLDER REQUEST. Rows as JSON.

FOLDER has pets/ and base/ (PNG by engram sample) and export/. Noise is Engram's (base/philox.c), written again here.
"""
import json
import sys
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from PIL import Image

MASK = np.uint64(0xFFFFFFFF)
SAMPLE_NOISE = 1  # enum philox_purpose


def philox_words(seed, purpose, sample, n):
    """n words of step 0: Philox4x32-10 with counter {block, sample, 0, purpose} and the seed as key."""
    blocks = -(-n // 4)
    c = [np.arange(blocks, dtype=np.uint64), *(np.full(blocks, v, np.uint64) for v in (sample, 0, purpose))]
    k = [np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32)]
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> np.uint64(32)) ^ c[1] ^ k[0], p1 & MASK, (p0 >> np.uint64(32)) ^ c[3] ^ k[1], p0 & MASK]
        k = [(k[0] + np.uint64(0x9E3779B9)) & MASK, (k[1] + np.uint64(0xBB67AE85)) & MASK]
    return np.stack(c, axis=1).reshape(-1)[:n]


def normals(seed, sample, n):
    w = philox_words(seed, SAMPLE_NOISE, sample, n).astype(np.float64).reshape(-1, 2)
    r, a = np.sqrt(-2 * np.log((w[:, 0] + 0.5) * 2.0 ** -32)), 2 * np.pi * w[:, 1] * 2.0 ** -32
    return np.stack([r * np.cos(a), r * np.sin(a)], axis=1).reshape(-1).astype(np.float32)


def draw(pipe, asked, side):
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    shape = side // 8, side // 8, pipe.unet.config.in_channels
    latent = normals(asked["seed"], 0, shape[0] * shape[1] * shape[2]).reshape(shape)
    picture = pipe(asked["prompt"], latents=torch.from_numpy(latent.transpose(2, 0, 1)[None].copy()), height=side, width=side,
                   num_inference_steps=asked["steps"], guidance_scale=asked["guidance"], output_type="pil").images[0]
    return np.asarray(picture, np.float64)


def picture_in(folder):
    return np.asarray(Image.open(next(folder.glob("001-*.png"))).convert("RGB"), np.float64)


def row(what, a, b):
    difference = np.abs(a - b)
    return {"what": what, "mean": difference.mean() / 255, "most": difference.max() / 255}


def main(folder, asked):
    ours, base = picture_in(folder / "pets"), picture_in(folder / "base")
    export, side = folder / "export", len(ours)
    pipe = StableDiffusionPipeline.from_pretrained(export / "diffusers", safety_checker=None)
    found = [row("mean difference, diffusers folder", draw(pipe, asked, side), ours)]
    del pipe
    single = next(p for p in export.glob("*.safetensors"))
    pipe = StableDiffusionPipeline.from_single_file(str(single), config=asked["base"], local_files_only=True)
    for path in sorted((export / "embeddings" / "diffusers").iterdir()):
        pipe.load_textual_inversion(str(path))
    found.append(row("mean difference, single file and load_textual_inversion", draw(pipe, asked, side), ours))
    concept = row("", base, ours)["mean"]
    for r in found:
        r["what"] += f" (the base's picture: {concept:.2f})"
    if concept < 0.02:
        raise SystemExit(f"the concept moved the picture by {concept:.4f} only: equal pictures would say nothing")
    print(json.dumps(found))


if __name__ == "__main__":
    diffusers.utils.logging.disable_progress_bar()
    torch.set_grad_enabled(False)
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
