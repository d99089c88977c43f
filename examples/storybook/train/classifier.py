"""The judge: a small network that says which nouns, colour, place and style a drawing shows.

    python classifier.py [minutes of processor time]

Started again, it learns on from where it ended. It learns from real drawings only and is measured on unseen ones; evaluate.py then lets it judge samples.
"""
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

from clock import Clock, rate
from data import load, to_tensor
from optimiser import Both
from paths import WORK, save_atomically
from world.look import COLOURS, NOUNS, PLACES, STYLES

PATH = WORK / "classifier.pt"
COLOUR_NAMES = list(COLOURS)
BATCH = 64
PEAK = 1.5e-3


class Judge(nn.Module):
    def __init__(self):
        super().__init__()
        layers, before = [], 3
        for width, stride in ((32, 2), (64, 2), (96, 2), (128, 1), (128, 2)):
            layers += [nn.Conv2d(before, width, 3, stride, 1), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2), nn.Linear(128 * 16, 256), nn.ReLU())
        self.nouns = nn.Linear(256, len(NOUNS))
        self.colour = nn.Linear(256, len(COLOURS))
        self.place = nn.Linear(256, len(PLACES))
        self.style = nn.Linear(256, len(STYLES))

    def forward(self, x):
        h = self.body(x)
        return self.nouns(h), self.colour(h), self.place(h), self.style(h)


def labels(scenes):
    """Nouns as a row of bits; colour -1 (no matter) unless there is exactly one subject."""
    nouns = torch.zeros(len(scenes), len(NOUNS))
    rest = torch.full((len(scenes), 3), -1, dtype=torch.long)
    for i, s in enumerate(scenes):
        for subject in s.subjects:
            nouns[i, NOUNS.index(subject.noun)] = 1
        if len(s.subjects) == 1:
            rest[i, 0] = COLOUR_NAMES.index(s.subjects[0].colour)
        rest[i, 1], rest[i, 2] = PLACES.index(s.place), STYLES.index(s.style)
    return nouns, rest


def judge(model, x, counts):
    """Per image: the set of its `counts[i]` likeliest nouns, and the likeliest colour, place and style."""
    with torch.no_grad():
        n, c, p, s = model(x)
    tops = [frozenset(NOUNS[j] for j in row.topk(k).indices.tolist()) for row, k in zip(n, counts)]
    return tops, c.argmax(1), p.argmax(1), s.argmax(1)


def accuracy(model, scenes, images):
    model.eval()
    right = {k: [0, 0] for k in ("noun", "both nouns", "colour", "place", "style")}
    rest = labels(scenes)[1]
    for i in range(0, len(scenes), 200):
        part = scenes[i:i + 200]
        tops, c, p, s = judge(model, to_tensor(images[i:i + 200]), [len(a.subjects) for a in part])
        for k, scene in enumerate(part):
            row = rest[i + k]
            truth = frozenset(a.noun for a in scene.subjects)
            checks = [("place", p[k] == row[1]), ("style", s[k] == row[2])]
            if len(truth) == 1:
                checks += [("noun", tops[k] == truth), ("colour", c[k] == row[0])]
            if len(truth) == 2:
                checks += [("both nouns", tops[k] == truth)]
            for name, ok in checks:
                right[name][0] += bool(ok)
                right[name][1] += 1
    model.train()
    return {k: round(a / max(b, 1), 4) for k, (a, b) in right.items()}


def augmented(x, generator):
    """Blur and grain, such as a decoder may leave, must not sway the judge."""
    if torch.rand((), generator=generator) < 0.5:
        x = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear") * 0.5 + x * 0.5
    return x + 0.06 * torch.rand((), generator=generator) * torch.randn(x.shape, generator=generator)


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 4
    torch.manual_seed(3)
    torch.set_num_threads(1)
    scenes, images, _ = load("train")
    unseen = load("unseen")
    nouns, rest = labels(scenes)
    model, step, share, clock = Judge(), 0, 0.0, Clock(minutes, timer=time.process_time)
    if PATH.exists():
        model.load_state_dict(torch.load(PATH)["model"])
    optimiser = Both(model, PEAK, ("nouns", "colour", "place", "style", "body.0."))
    generator = torch.Generator().manual_seed(300 + int(PATH.exists()))
    while share < 1.0:
        share = clock.tick()
        optimiser.set_rate(rate(PEAK, share, step, warm_up=50))
        pick = torch.randint(len(images), (BATCH,), generator=generator)
        n, c, p, s = model(augmented(to_tensor(images[pick.numpy()]), generator))
        loss = 8 * F.binary_cross_entropy_with_logits(n, nouns[pick]) + sum(
            F.cross_entropy(out, rest[pick, k], ignore_index=-1) for k, out in enumerate((c, p, s)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
        if step % 100 == 0:
            print(f"step {step} share {share:.2f} loss {loss.item():.4f}", flush=True)
    figures = accuracy(model, unseen[0], unseen[1])
    save_atomically(lambda f: torch.save({"model": model.state_dict(), "accuracy": figures}, f), PATH)
    print(figures)


if __name__ == "__main__":
    main()
