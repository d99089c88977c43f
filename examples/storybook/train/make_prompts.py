"""Writes the prompts of the experiments: python make_prompts.py

setN.txt: lines of `id | concepts | text`, five for each concept, four of two concepts and three of three.
calibration.txt: a hundred prompts of the world, the first twenty as unlike each other as the grammar allows.
"""
import random

from concepts import SETS
from paths import HERE
from world.captions import BARE_PLACES, PLACE_PHRASES, caption
from world.look import NOUNS, PLACES, STYLES
from world.scene import random_scene

OUT = HERE.parent / "prompts"

CREATURE = ("a {t} {c} in a forest in flat style", "a neon style drawing of a {t} {c} on the moon",
            "in watercolor style, a {t} {c} in the desert", "a {t} {c} next to a red chair in a room",
            "in a city, a {t} {c}, in blueprint style")
SCENE = ("a green cat {w} in flat style", "a neon style drawing of {b}", "{w}, a red umbrella, in watercolor style",
         "a purple bird next to a yellow mug {w}", "a flat style picture of {b}")
STYLE = ("a brown bear in a meadow in {t} style", "a {t} style drawing of a pink vase in a room",
         "in {t} style, a blue car in the mountains", "a {t} style picture of the city",
         "a white rabbit next to a red flower on a beach in {t} style")


def where(concept):
    """(in the place, the bare place) with the concept's token before its class word."""
    named = f"{concept.token} {concept.word}"
    preposition = PLACE_PHRASES[concept.word][0].split()[0]
    return f"{preposition} the {named}", f"the {named}"


def singles(concept):
    t, c = concept.token, concept.word
    if concept.kind == "style":
        return [p.format(t=t) for p in STYLE]
    if concept.kind == "scene":
        w, b = where(concept)
        return [p.format(w=w, b=b) for p in SCENE]
    return [p.format(t=t, c=c) for p in CREATURE]


def together(concepts):
    """One sentence for several concepts: at most two things, one scene and one style."""
    things = [f"a {c.token} {c.word}" for c in concepts if c.kind in ("animal", "object")]
    scenes = [c for c in concepts if c.kind == "scene"]
    styles = [c for c in concepts if c.kind == "style"]
    text = " next to ".join(things[:1] + [" and ".join(things[1:])] if len(things) > 2 else things)
    text += " " + (where(scenes[0])[0] if scenes else "in a meadow")
    return text + (f" in {styles[0].token} style" if styles else " in flat style")


GROUPS = {
    "set1": (("rex", "mia"), ("puff", "zig"), ("mia", "inky"), ("nook", "rosy"),
             ("rex", "puff", "inky"), ("mia", "zig", "rosy"), ("puff", "nook", "inky")),
    "set2": (("bruno", "shelly"), ("finn", "harbour"), ("beetle", "bazaar"), ("shelly", "chalk"),
             ("bruno", "beetle", "bazaar"), ("finn", "shelly", "harbour"), ("bruno", "finn", "chalk")),
    "set3": (("hop", "pip"), ("skiff", "volcano"), ("parry", "gilded"), ("pip", "loft"),
             ("hop", "parry", "volcano"), ("pip", "skiff", "gilded"), ("hop", "loft", "volcano")),
}


def write_sets():
    for name, concepts in SETS.items():
        known = {c.name: c for c in concepts}
        lines = [(f"{c.name}-{i + 1}", c.name, text) for c in concepts for i, text in enumerate(singles(c))]
        for group in GROUPS[name]:
            lines.append(("-".join(group), ",".join(group), together([known[g] for g in group])))
        assert len(lines) == 42
        text = "".join(" | ".join(line) + "\n" for line in lines)
        (OUT / f"{name}.txt").write_text(text)


def calibration():
    rng = random.Random("calibration")
    pool = []
    while len(pool) < 3000:
        scene = random_scene(rng)
        text = caption(rng, scene, full=rng.random() < 0.5)
        if not scene.subjects:
            text = rng.choice(("a {s} style drawing of {p} with nothing in it", "in {s} style, a picture of {p}",
                               "a picture of {p}, drawn in {s} style")).format(s=scene.style, p=BARE_PLACES[scene.place])
        if 8 <= len(text.split()) <= 20:
            pool.append((text, set(text.replace(",", "").split())))
    # Greedy: each prompt brings the most words (twice over for nouns, places and styles) not used often before.
    heavy, used, chosen = {*NOUNS, *PLACES, *STYLES}, {}, []
    while len(chosen) < 100:
        best = max(pool, key=lambda p: sum((3 if w in heavy else 1) / (1 + used.get(w, 0)) ** 2 for w in p[1]) / len(p[1]) ** 0.5)
        pool.remove(best)
        chosen.append(best[0])
        for w in best[1]:
            used[w] = used.get(w, 0) + 1
    (OUT / "calibration.txt").write_text("\n".join(chosen) + "\n")


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    write_sets()
    calibration()
