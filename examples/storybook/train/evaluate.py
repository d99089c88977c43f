"""Judges the rounds of samples that sample_captions.py drew and writes results.json.

    python evaluate.py [folder]

The judge is classifier.py's, which was trained on real drawings. `folder` is the model whose autoencoder is measured.
"""
import json
import sys

import torch
from diffusers import AutoencoderKL

from classifier import COLOUR_NAMES, PATH as JUDGE, Judge, judge
from data import load, to_tensor
from paths import EXPORT, HERE
from sample_captions import SAMPLES, unseen_captions
from world.look import PLACES, STYLES

RESULTS = HERE / "results.json"
BAR = {"noun": 0.90, "colour": 0.90, "place": 0.90, "style": 0.90, "both nouns": 0.75}
JUDGE_BAR, PSNR_BAR = 0.98, 28.0


def score(model, pairs, images):
    """How often each attribute was right and how often it was asked for, one image for each pair."""
    right = {k: [0, 0] for k in BAR}
    tops, colour, place, style = judge(model, images, [len(s.subjects) for s, _ in pairs])
    for i, (top, (scene, _)) in enumerate(zip(tops, pairs)):
        truth = frozenset(a.noun for a in scene.subjects)
        checks = [("place", PLACES[place[i]] == scene.place), ("style", STYLES[style[i]] == scene.style)]
        if len(truth) == 1:
            checks += [("noun", top == truth), ("colour", COLOUR_NAMES[colour[i]] == scene.subjects[0].colour)]
        else:
            checks += [("both nouns", top == truth)]
        for name, ok in checks:
            right[name][0] += bool(ok)
            right[name][1] += 1
    return right


def psnr(vae, images):
    """Mean over drawings of 10 log10(255^2 / MSE), after rounding to bytes."""
    values = []
    with torch.no_grad():
        for i in range(0, len(images), 100):
            x = to_tensor(images[i:i + 100])
            y = vae.decode(vae.encode(x).latent_dist.mean).sample.clamp(-1, 1)
            mse = ((x + 1) * 127.5 - ((y + 1) * 127.5).round()).square().mean((1, 2, 3)).clamp_min(1e-3)
            values.append(10 * torch.log10(255.0 ** 2 / mse))
    return round(torch.cat(values).mean().item(), 2)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else str(EXPORT)
    torch.set_num_threads(2)
    state = torch.load(JUDGE)
    model = Judge()
    model.load_state_dict(state["model"])
    model.eval()
    rounds = [torch.load(p) for p in sorted(SAMPLES.glob("*.pt"))]
    how = rounds[0]["how"]
    assert all(r["how"] == how for r in rounds), "the rounds were not drawn alike"
    pairs = unseen_captions(how["captions"])
    counts = [score(model, pairs, r["images"].float()) for r in rounds]
    share = {k: round(sum(c[k][0] for c in counts) / sum(c[k][1] for c in counts), 4) for k in BAR}
    vae = AutoencoderKL.from_pretrained(folder + "/vae", torch_dtype=torch.float32).eval()
    quality = psnr(vae, load("unseen")[1][:400])
    seen = state["accuracy"]
    RESULTS.write_text(json.dumps({
        **how, "samples_each": len(rounds), "share_right": share, "bar": BAR,
        "bar_met": {k: share[k] >= v for k, v in BAR.items()},
        "judge_on_unseen_drawings": seen, "judge_bar": JUDGE_BAR,
        "judge_bar_met": {k: v >= JUDGE_BAR for k, v in seen.items()},
        "vae_psnr_db": quality, "vae_psnr_bar_db": PSNR_BAR, "vae_bar_met": quality >= PSNR_BAR}, indent=2) + "\n")
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
