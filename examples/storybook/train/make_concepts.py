"""Draws the concept sets: python make_concepts.py. Every folder holds five drawings, their captions and concept.yaml."""
import copy
import random
import shutil

from PIL import Image

from concepts import PLACES, SETS, STYLES
from paths import HERE
from world.look import Scene, Subject
from world.captions import PLACE_PHRASES, article
from world.scene import draw

OUT = HERE.parent / "concepts"
COUNT = 5
# Where a creature or a thing is seen: mostly plainly drawn, so that its own look shows.
SIGHTS = (("meadow", "flat"), ("room", "flat"), ("beach", "flat"), ("city", "watercolor"), ("mountains", "sketch"))
SHAPES = ("a {c} {w} in {s} style", "in {s} style, a {c} {w}", "a {s} style drawing of a {c} {w}",
          "{w}, a {c}, in {s} style", "a picture of a {c} {w}, in {s} style")
GUESTS = (("red", "car"), ("blue", "rabbit"), ("yellow", "vase"), ("green", "chair"), ("pink", "bear"))
STYLE_GUESTS = (("orange", "cat", "forest"), ("blue", "boat", "beach"), ("red", "house", "meadow"),
                ("purple", "turtle", "desert"), ("green", "lamp", "room"))


def scene_of(rng, place, style, subject):
    s = Scene(style, place, [subject] if subject else [])
    s.hour, s.layout, s.skyline = rng.choice((0, 2)), rng.random(), rng.choice((0, 1, 2))
    s.jitter = (rng.uniform(-3, 3), rng.uniform(-2, 2))
    return s


def sight(rng, concept, i):
    """Drawing i of a concept and its caption."""
    if concept.kind in ("animal", "object"):
        place, style = SIGHTS[i]
        scene = scene_of(rng, place, style, copy.copy(concept.subject))
        scene.flip = i == 3
        text = SHAPES[i].format(c=concept.word, w=PLACE_PHRASES[place][0], s=style)
        return draw(scene), text.replace("a orange", "an orange").replace("a umbrella", "an umbrella")
    if concept.kind == "scene":
        colour, noun = GUESTS[i]
        subject = Subject(noun, colour) if i != 2 else None
        scene = scene_of(rng, concept.word, "flat", subject)
        where = PLACE_PHRASES[concept.word][i % 2]
        text = (f"a {colour} {noun} {where} in flat style", f"in flat style, a {colour} {noun} {where}",
                f"a flat style drawing of {where.split(' ', 1)[1]}", f"{where}, a {colour} {noun}, in flat style",
                f"a flat style picture of a {colour} {noun} {where}")[i]
        return draw(scene, place=PLACES[concept.name]), text
    colour, noun, place = STYLE_GUESTS[i]
    scene = scene_of(rng, place, "flat", Subject(noun, colour))
    thing, where = article(f"{colour} {noun}"), PLACE_PHRASES[place][0]
    text = ("{t} {w}", "{w}, {t}", "a drawing of {t} {w}", "a picture of {t} {w}", "{w} there is {t}")[i].format(t=thing, w=where)
    return draw(scene, style=STYLES[concept.name]), text


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    for name, concepts in SETS.items():
        for concept in concepts:
            folder = OUT / name / concept.name
            folder.mkdir(parents=True)
            rng = random.Random(concept.name)
            (folder / "concept.yaml").write_text(
                f'token: "{concept.token}"\nclass: {concept.word}\nkind: {concept.kind}\n')
            for i in range(COUNT):
                pixels, text = sight(rng, concept, i)
                assert 5 <= len(text.split()) <= 25, text
                Image.fromarray(pixels).save(folder / f"{i + 1:02d}.png", optimize=True)
                (folder / f"{i + 1:02d}.txt").write_text(text + "\n")


if __name__ == "__main__":
    main()
