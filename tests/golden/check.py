"""Recompute every committed vector in float32 and compare: python check.py. Says how much of each tolerance is used."""
import json
import sys
from types import SimpleNamespace

import torch
from safetensors.torch import load_file

import models
import parts
from cases import CASES
from make import HERE


def error_of(got, want, part, name, options):
    """Relative to the largest value wanted; after a step, to the learning rate, lest the change hide behind the weight."""
    if not want.is_floating_point():
        return float(not torch.equal(got, want))
    rate = {"t": "lr_token", "w": "lr_neuron"}.get(name[0]) if part == "step" else None
    return ((got - want).abs().max() / (options[rate] if rate else want.abs().max())).item()


def tolerance(part, name):
    if part == "step" and name[0] in "tw":
        return 1e-3
    if name.startswith("grad"):
        return 1e-3
    if name == "latents":
        return 2e-4
    return 0 if part == "score" else 1e-4


def main():
    bad = 0
    for case in CASES:
        pipe, clip = models.load(HERE / case / "model", torch.float32)
        model = SimpleNamespace(pipe=pipe, clip=clip, dtype=torch.float32)
        for path in sorted((HERE / case).glob("*.in.safetensors")):
            part = path.name.removesuffix(".in.safetensors")
            options = path.with_name(f"{part}.json")
            options = json.loads(options.read_text()) if options.exists() else {}
            got = parts.run(part, model, load_file(path), options)
            want = load_file(path.with_name(f"{part}.out.safetensors"))
            assert got.keys() == want.keys()
            worst = 0.0, 0.0, ""
            for name, w in want.items():
                error = error_of(got[name], w, part, name, options)
                limit = tolerance(part, name)
                worst = max(worst, (error / limit if limit else error, error, name))
            ok = worst[0] <= 0.2
            bad += not ok
            print(f"{'ok' if ok else 'BAD':3} {case:9} {part:11} {worst[1]:.1e} {worst[2]}")
    return bad


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main() != 0)
