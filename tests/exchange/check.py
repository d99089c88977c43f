"""Opens an export in the programs that it is for. See README.md; slow_programs.sh makes what this looks at.

    check.py --base MODEL --export DIR [--strings tokenize.txt] [--pictures DIR --prompt TEXT --seed N --steps N --guidance G]

Speaks TAP. DIR holds all four forms; --pictures are those of `engram sample` with the same commit, first prompt, DDIM.
"""
import argparse
import json
import struct
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from diffusers import DDIMScheduler, StableDiffusionPipeline
from safetensors.torch import load_file
from transformers import AddedToken, CLIPTokenizer, CLIPTokenizerFast

points = failed = 0


def point(held, sentence, figure=""):
    global points, failed
    points += 1
    failed += not held
    print(f"{'' if held else 'not '}ok {points} - {sentence}")
    if figure.strip("[]"):
        print(f"#   {figure}")
    sys.stdout.flush()


def header(path):
    with open(path, "rb") as f:
        return json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))["__metadata__"]


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("--base", type=Path, required=True)
    p.add_argument("--export", type=Path, required=True)
    p.add_argument("--strings", type=Path)
    p.add_argument("--pictures", type=Path)
    p.add_argument("--prompt")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--steps", type=int, default=50)
    p.add_argument("--guidance", type=float, default=7.5)
    return p.parse_args()


# ---- the delta, applied here ------------------------------------------------------------------------------------------


def applied(delta, unet):
    """K and V of W_m by docs/formats.md, "Sparse delta": name -> matrix."""
    meta, tensors = header(delta), load_file(delta)
    matrices = json.loads(meta["engram.matrices"])
    flat = torch.cat([unet[name].float().flatten() for name, _, _ in matrices])
    for concept in json.loads(meta["engram.concepts"]):
        i = concept["number"]
        bits = np.unpackbits(tensors[f"commit.{i}.mask"].numpy(), bitorder="little")[: flat.numel()]
        flat[torch.from_numpy(bits.astype(bool))] = tensors[f"commit.{i}.values"]
    out, at = {}, 0
    for name, rows, columns in matrices:
        out[name] = flat[at : at + rows * columns].reshape(rows, columns)
        at += rows * columns
    return out


def same_state(got, want):
    return sorted(got) == sorted(want) and all(torch.equal(got[k].float(), want[k].float()) for k in want)


# ---- tokenizers -------------------------------------------------------------------------------------------------------

GLUED = ["a photo of a {} dog", "a{}dog", "{}", "{}{}", "the{}s, and {}!", "A{}B", "x {}\n{} y", "({})", "{}'s house",
         "\u00e9{}\u732b", "dog{}", "<{}>", "{}<|endoftext|>{}"]


def tokenizers(base, export, tokens, strings):
    slow, fast = CLIPTokenizer.from_pretrained(export), CLIPTokenizerFast.from_pretrained(export)
    plain = CLIPTokenizer.from_pretrained(base)
    ids = {t: len(plain) + i for i, t in enumerate(tokens)}
    point(all(slow.convert_tokens_to_ids(t) == i and fast.convert_tokens_to_ids(t) == i for t, i in ids.items()),
          "both tokenizers know the tokens under their ids")
    plain.add_tokens(list(tokens))
    texts = [g.format(*[t] * g.count("{}")) for g in GLUED for t in tokens] + [t.upper() for t in tokens]
    want = [plain(t).input_ids for t in texts]
    wrong = [t for t, w in zip(texts, want) if slow(t).input_ids != w]
    point(not wrong, "the slow one reads them glued to words as one that was given them", str(wrong[:3]))
    wrong = [t for t, w in zip(texts, want) if fast(t).input_ids != w]
    point(not wrong, "the fast one too", str(wrong[:3]))
    if not strings:
        return
    lines = [json.loads(line) for line in strings.read_text().splitlines()]
    full = lambda t, s: t(s, padding="max_length", truncation=True, max_length=t.model_max_length).input_ids
    wrong = [x["text"] for x in lines if full(slow, x["text"]) != x["ids"]]
    point(not wrong, f"the slow one gives Engram's ids on {len(lines)} strings", ascii(wrong[:3]))
    plain = CLIPTokenizerFast.from_pretrained(base)
    plain.add_tokens([AddedToken(t, normalized=False) for t in tokens])
    wrong = [x["text"] for x in lines if full(fast, x["text"]) != full(plain, x["text"])]
    other = sum(full(fast, x["text"]) != x["ids"] for x in lines)  # the classes clean rare characters differently
    point(not wrong, "the fast one gives the ids that the base's fast one gives",
          f"{other} are not the slow one's; apart: {ascii(wrong[:3])}")


# ---- pipelines --------------------------------------------------------------------------------------------------------


def pipelines(args):
    load = dict(safety_checker=None, local_files_only=True)
    folder = StableDiffusionPipeline.from_pretrained(args.export / "diffusers", local_files_only=True)
    point(folder.safety_checker is None and folder.unet.dtype == torch.float32, "from_pretrained opens the folder")
    file = next(p for p in args.export.glob("*.safetensors") if ".engram." not in p.name)
    single = StableDiffusionPipeline.from_single_file(str(file), config=str(args.base), **load)
    point(True, "from_single_file opens the checkpoint")
    base = StableDiffusionPipeline.from_pretrained(args.base, **load)
    return base, folder, single


def weights(args, base, folder, single):
    delta = next(args.export.glob("*.engram.safetensors"))
    want = {k: v.float() for k, v in base.unet.state_dict().items()}
    kv = applied(delta, want)
    moved = sum(not torch.equal(kv[k], want[k]) for k in kv)
    want.update(kv)
    point(moved > 0 and same_state(folder.unet.state_dict(), want), "the folder's UNet is the base with the delta applied",
          f"{moved} of {len(kv)} matrices moved")
    point(same_state(single.unet.state_dict(), want), "so is the single file's")
    for part in "vae", "text_encoder":
        got = getattr(single, part).state_dict()
        point(same_state(got, getattr(base, part).state_dict()), f"the single file's {part} is the base's")
    point(same_state(folder.vae.state_dict(), base.vae.state_dict()), "the folder's vae is the base's")
    old = base.text_encoder.get_input_embeddings().weight
    new = folder.text_encoder.get_input_embeddings().weight
    rows = [load_file(delta)[f"commit.{c['number']}.row"] for c in json.loads(header(delta)["engram.concepts"])]
    point(torch.equal(new[: len(old)].float(), old.float()) and torch.equal(new[len(old) :].float(), torch.stack(rows)),
          "the folder's table is the base's and the delta's rows")


def embeddings(args, tokens, folder, single):
    for path in sorted((args.export / "embeddings/diffusers").glob("*.safetensors")):
        single.load_textual_inversion(str(path))
    point(all(t in single.tokenizer.get_vocab() for t in tokens), "load_textual_inversion takes every word")
    prompts = [g.format(*[t] * g.count("{}")) for g in GLUED for t in tokens]
    ask = dict(device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)
    with torch.no_grad():
        apart = max((folder.encode_prompt(p, **ask)[0] - single.encode_prompt(p, **ask)[0]).abs().max().item()
                    for p in prompts)
    point(apart == 0, "prompts mean the same in both pipelines, to the bit", f"{len(prompts)} prompts, apart {apart:g}")
    rows = folder.text_encoder.get_input_embeddings().weight
    wrong = []
    for path in (args.export / "embeddings/comfyui-a1111").glob("*.safetensors"):
        tensors = load_file(path)  # as both do: the one tensor there is, [n, width]; the word is the file's name
        token = f"<{path.stem}>"
        if list(tensors) != ["emb_params"] or not torch.equal(
                tensors["emb_params"], rows[folder.tokenizer.convert_tokens_to_ids(token)].float().unsqueeze(0)):
            wrong.append(path.name)
    point(not wrong, "ComfyUI's and A1111's files hold the same rows", str(wrong))


# ---- a picture from the same noise --------------------------------------------------------------------------------------


def philox_normal(seed, purpose, sample, n):
    """base/philox.h, written again: n normals of step 0."""
    mask = np.uint64(0xFFFFFFFF)
    blocks = (n + 3) // 4
    c = [np.arange(blocks, dtype=np.uint64), np.full(blocks, sample, np.uint64), np.zeros(blocks, np.uint64),
         np.full(blocks, purpose, np.uint64)]
    k = [np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32)]
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> np.uint64(32)) ^ c[1] ^ k[0], p1 & mask, (p0 >> np.uint64(32)) ^ c[3] ^ k[1], p0 & mask]
        k = [(k[0] + np.uint64(0x9E3779B9)) & mask, (k[1] + np.uint64(0xBB67AE85)) & mask]
    words = np.stack(c, axis=1).reshape(-1, 2).astype(np.float64)
    r = np.sqrt(-2 * np.log((words[:, 0] + 0.5) * 2.0**-32))
    angle = 2 * np.pi * words[:, 1] * 2.0**-32
    return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1).reshape(-1)[:n].astype(np.float32)


def picture_of(pipe, args, index, side):
    channels, factor = pipe.unet.config.in_channels, pipe.vae_scale_factor
    edge = side // factor
    noise = philox_normal(args.seed, 1, index, edge * edge * channels).reshape(1, edge, edge, channels)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    latents = torch.from_numpy(noise).permute(0, 3, 1, 2).contiguous()
    return np.asarray(pipe(args.prompt, latents=latents, height=side, width=side, num_inference_steps=args.steps,
                           guidance_scale=args.guidance).images[0], dtype=np.float64)


def pictures(args, base, folder, single):
    for index, path in enumerate(sorted(p for p in args.pictures.glob("0*.png"))):
        ours = np.asarray(Image.open(path).convert("RGB"), dtype=np.float64)
        for name, pipe in ("folder", folder), ("single file with embeddings", single):
            apart = np.abs(picture_of(pipe, args, index, ours.shape[0]) - ours)
            point(apart.mean() <= 1, f"picture {index} of the {name} is Engram's",
                  f"mean difference {apart.mean():.4f} of 255, largest {apart.max():.0f}")
        if index == 0:
            words = args.prompt
            args.prompt = words.replace("<", "").replace(">", "")
            apart = np.abs(picture_of(base, args, index, ours.shape[0]) - ours)
            args.prompt = words
            point(apart.mean() > 1, "the base draws another one", f"mean difference {apart.mean():.2f} of 255")


def main():
    args = arguments()
    torch.set_num_threads(1)
    delta = next(args.export.glob("*.engram.safetensors"))
    tokens = [c["token"] for c in json.loads(header(delta)["engram.concepts"])]
    tokenizers(args.base / "tokenizer", args.export / "diffusers/tokenizer", tokens, args.strings)
    base, folder, single = pipelines(args)
    weights(args, base, folder, single)
    embeddings(args, tokens, folder, single)
    if args.pictures:
        pictures(args, base, folder, single)
    print(f"1..{points}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
