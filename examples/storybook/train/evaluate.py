"""Measures an exported model against the bar and writes results.json.

    python evaluate.py [folder] [--steps 25] [--guidance 5] [--captions 200] [--samples 4] [--write]

The judge is classifier.py's, trained on real drawings. Captions come from combinations held out of training and say
colour, place and style in full; three in four are of one subject, the others of two.
"""
import argparse
import json
import random
import time

import torch

from classifier import COLOUR_NAMES, PATH as JUDGE, Judge, judge
from data import load, to_tensor
from paths import EXPORT, HERE
from sampler import Sampler
from world.captions import caption
from world.look import PLACES, STYLES

RESULTS = HERE / "results.json"
BAR = {"noun": 0.90, "colour": 0.90, "place": 0.90, "style": 0.90, "both nouns": 0.75}


def unseen_captions(scenes, count):
    """(scene, caption) pairs: three of one subject to one of two."""
    single = [s for s in scenes if len(s.subjects) == 1]
    double = [s for s in scenes if len(s.subjects) == 2]
    rng = random.Random("captions of the evaluation")
    chosen = [(double if i % 4 == 3 else single)[i] for i in range(count)]
    return [(s, caption(rng, s, full=True)) for s in chosen]


def score(model, pairs, images, samples):
    right = {k: [0, 0] for k in BAR}
    counts = [len(s.subjects) for s, _ in pairs for _ in range(samples)]
    tops, colour, place, style = judge(model, images, counts)
    for i, top in enumerate(tops):
        scene = pairs[i // samples][0]
        truth = frozenset(a.noun for a in scene.subjects)
        checks = [("place", PLACES[place[i]] == scene.place), ("style", STYLES[style[i]] == scene.style)]
        if len(truth) == 1:
            checks += [("noun", top == truth), ("colour", COLOUR_NAMES[colour[i]] == scene.subjects[0].colour)]
        else:
            checks += [("both nouns", top == truth)]
        for name, ok in checks:
            right[name][0] += ok
            right[name][1] += 1
    return {k: round(a / max(b, 1), 4) for k, (a, b) in right.items()}


def vae_psnr(vae, images):
    """Mean over drawings of 10 log10(255^2 / MSE), after rounding to bytes, with the exported half-precision weights."""
    values = []
    with torch.no_grad():
        for i in range(0, len(images), 100):
            x = to_tensor(images[i:i + 100])
            y = vae.decode(vae.encode(x).latent_dist.mean).sample.clamp(-1, 1)
            mse = ((x + 1) * 127.5 - ((y + 1) * 127.5).round()).square().mean((1, 2, 3)).clamp_min(1e-3)
            values.append(10 * torch.log10(255.0 ** 2 / mse))
    return round(torch.cat(values).mean().item(), 2)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("folder", nargs="?", default=EXPORT)
    a.add_argument("--steps", type=int, default=25)
    a.add_argument("--guidance", type=float, default=5.0)
    a.add_argument("--captions", type=int, default=200)
    a.add_argument("--samples", type=int, default=4)
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--write", action="store_true")
    a = a.parse_args()
    torch.set_num_threads(a.threads)
    scenes, images, _ = load("unseen")
    state = torch.load(JUDGE)
    model = Judge()
    model.load_state_dict(state["model"])
    model.eval()
    sampler = Sampler(a.folder)
    pairs = unseen_captions(scenes, a.captions)
    start = time.time()
    drawn = sampler.images([c for _, c in pairs for _ in range(a.samples)], a.steps, a.guidance, seed=11)
    figures = score(model, pairs, drawn, a.samples)
    print(f"guidance {a.guidance} steps {a.steps}: {figures} in {time.time() - start:.0f} s", flush=True)
    if a.write:
        results = {
            "captions": a.captions, "samples_each": a.samples, "sampler": "ddim", "steps": a.steps,
            "guidance": a.guidance, "share_right": figures, "bar": BAR,
            "bar_met": {k: figures[k] >= v for k, v in BAR.items()},
            "judge_on_unseen_drawings": state["accuracy"], "vae_psnr_db": vae_psnr(sampler.vae, images[:1000]),
            "vae_psnr_bar_db": 28.0}
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
