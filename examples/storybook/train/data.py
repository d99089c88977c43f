"""Draws the training set and the unseen set once: images as bytes, six captions for each, the scenes themselves.

    python data.py [count]

Drawing i depends on its number only, so a broken run is continued where it stopped. The training set holds no scene
for which world.scene.held_out is true; the unseen set holds nothing else.
"""
import pickle
import random
import sys
from multiprocessing import Pool

import numpy as np
import torch

from paths import DATA
from world.captions import caption
from world.scene import draw, held_out, random_scene

CAPTIONS = 6
CHUNK = 2000
UNSEEN = 4000


def make(split, i):
    rng = random.Random(f"{split} {i}")
    while True:
        scene = random_scene(rng)
        if held_out(scene) == (split == "unseen"):
            return scene, draw(scene), [caption(rng, scene) for _ in range(CAPTIONS)]


def make_chunk(job):
    split, first = job
    path = DATA / split / f"{first:07d}.pickle"
    if not path.exists():
        scenes, images, captions = zip(*(make(split, first + k) for k in range(CHUNK)))
        part = path.with_suffix(".part")
        part.write_bytes(pickle.dumps((scenes, np.stack(images), captions)))
        part.rename(path)
    return path


def load(split, limit=None):
    """(scenes, images uint8 N x 64 x 64 x 3, captions) of all chunks."""
    scenes, images, captions = [], [], []
    for path in sorted((DATA / split).glob("*.pickle")):
        s, x, c = pickle.loads(path.read_bytes())
        scenes += s
        images.append(x)
        captions += c
        if limit and len(scenes) >= limit:
            break
    return scenes, np.concatenate(images), captions


def to_tensor(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div(127.5).sub(1.0).contiguous()


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60000
    for split in ("train", "unseen"):
        (DATA / split).mkdir(parents=True, exist_ok=True)
    jobs = [("unseen", i) for i in range(0, UNSEEN, CHUNK)] + [("train", i) for i in range(0, count, CHUNK)]
    with Pool(2) as pool:
        for path in pool.imap(make_chunk, jobs):
            print(path.name, flush=True)
