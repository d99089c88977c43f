"""Draws one round of samples for the evaluation: one drawing for each of the unseen captions.

    python sample_captions.py ROUND [--folder F] [--solver dpm] [--steps 12] [--guidance 4] [--captions 200]

Rounds are independent, so that two can be drawn side by side. evaluate.py judges all rounds it finds.
"""
import argparse
import random

import torch

from data import load
from paths import EXPORT, WORK, save_atomically
from sampler import Sampler
from world.captions import caption

SAMPLES = WORK / "samples"


def unseen_captions(count):
    """(scene, caption) pairs from combinations held out of training, three of one subject to one of two; the captions
    say colour, place and style for certain."""
    scenes = load("unseen")[0]
    single = [s for s in scenes if len(s.subjects) == 1]
    double = [s for s in scenes if len(s.subjects) == 2]
    rng = random.Random("captions of the evaluation")
    chosen = [(double if i % 4 == 3 else single)[i] for i in range(count)]
    return [(s, caption(rng, s, full=True)) for s in chosen]


def main():
    a = argparse.ArgumentParser()
    a.add_argument("round", type=int)
    a.add_argument("--folder", default=EXPORT)
    a.add_argument("--solver", choices=("dpm", "ddim"), default="dpm")
    a.add_argument("--steps", type=int, default=12)
    a.add_argument("--guidance", type=float, default=4.0)
    a.add_argument("--captions", type=int, default=200)
    a = a.parse_args()
    torch.set_num_threads(1)
    pairs = unseen_captions(a.captions)
    drawn = Sampler(a.folder, a.solver).images([c for _, c in pairs], a.steps, a.guidance, seed=11 + a.round, batch=50)
    how = {"sampler": a.solver, "steps": a.steps, "guidance": a.guidance, "captions": a.captions}
    save_atomically(lambda p: torch.save({"images": drawn.to(torch.float16), "how": how}, p), SAMPLES / f"{a.round}.pt")


if __name__ == "__main__":
    main()
