"""Trains the CLIP that evaluation uses. Two things must be near: a drawing and its caption, and two drawings of the
same subject. The second makes it tell one creature from another of its class, which captions alone cannot teach.

    python train_clip.py [minutes of processor time]
"""
import copy
import random
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

from clock import Clock, rate
from data import to_tensor
from latents import TOKENIZER, token_ids
from models import new_clip
from optimiser import Both
from paths import WORK, save_atomically
from world.captions import caption
from world.look import NOUNS, PLACES, STYLES
from world.scene import draw, held_out, random_scene, random_subject

PATH = WORK / "eval-clip.pt"
BATCH = 64           # pairs of drawings
GROUP = 8            # drawings of a batch that share a noun: near misses to tell apart
PEAK = 1.5e-3
CONTRAST = 12.0      # inverse temperature between drawings


def sibling(rng, scene):
    """The same subjects elsewhere; half of the time in another style."""
    other = copy.copy(random_scene(rng, 0))
    other.subjects = scene.subjects
    if rng.random() < 0.5:
        other.style = scene.style
    return other


def batch(rng):
    scenes = []
    while len(scenes) < BATCH:
        noun = rng.choice(NOUNS)
        for _ in range(GROUP):
            scene = random_scene(rng, rng.choices((0, 1, 2), (0.05, 0.8, 0.15))[0])
            if len(scene.subjects) == 1:
                scene.subjects = [random_subject(rng, noun)]
            if not held_out(scene):
                scenes.append(scene)
    scenes = scenes[:BATCH]
    others = [sibling(rng, s) for s in scenes]
    images = np.stack([draw(s) for s in scenes + others])
    texts = [caption(rng, s) for s in scenes + others]
    bare = torch.tensor([not s.subjects for s in scenes])
    ids = token_ids(texts)
    # Captions end long before the last position, and what follows the end token does not reach it.
    longest = int((ids != ids[0, -1]).sum(1).max()) + 1
    return to_tensor(images), ids[:, :longest], bare


def clip_loss(model, x, ids, bare):
    image = F.normalize(model.visual_projection(model.vision_model(x).pooler_output), dim=-1)
    text = F.normalize(model.text_projection(model.text_model(ids).pooler_output), dim=-1)
    logits = model.logit_scale.clamp(max=4.0).exp() * image @ text.T
    where = torch.arange(len(x))
    said = 0.5 * (F.cross_entropy(logits, where) + F.cross_entropy(logits.T, where))
    n = len(x) // 2
    keep = ~bare
    same = CONTRAST * image[:n][keep] @ image[n:][keep].T
    target = torch.arange(len(same))
    seen = 0.5 * (F.cross_entropy(same, target) + F.cross_entropy(same.T, target))
    found = (same.argmax(1) == target).float().mean().item()
    matched = (logits.argmax(1) == where).float().mean().item()
    return said + 0.5 * seen, matched, found


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 4
    torch.manual_seed(4)
    torch.set_num_threads(1)
    model = new_clip(len((TOKENIZER / "merges.txt").read_text().splitlines()) - 1 + 514)
    optimiser = Both(model, PEAK, ("embedding", "projection"))
    clock, step, share = Clock(minutes, timer=time.process_time), 0, 0.0
    if PATH.exists():
        state = torch.load(PATH)
        model.load_state_dict(state["clip"])
        optimiser.load_state_dict(state["optimiser"])
        step, clock = state["step"], Clock(minutes, state["spent"], time.process_time)
    rng = random.Random(f"clip {step}")
    while share < 1.0:
        share = clock.tick()
        optimiser.set_rate(rate(PEAK, share, step, warm_up=50))
        loss, matched, found = clip_loss(model, *batch(rng))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
        if step % 25 == 0:
            print(f"step {step} share {share:.2f} loss {loss.item():.3f} captions {matched:.2f} twins {found:.2f}", flush=True)
        if step % 50 == 0 or share >= 1.0:
            save_atomically(lambda f: torch.save({"clip": model.state_dict(), "optimiser": optimiser.state_dict(),
                                                  "step": step, "spent": clock.spent}, f), PATH)


if __name__ == "__main__":
    main()
