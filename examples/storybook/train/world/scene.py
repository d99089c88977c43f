"""Scenes: how one is drawn, and how one is drawn by lot."""
import random

from . import look as words
from .accessories import wear
from .animals import ANIMALS
from .look import Scene, Subject
from .objects import OBJECTS
from .pen import STYLES, Pen
from .places import PLACES

DRAW = {**ANIMALS, **OBJECTS}


def draw_subject(pen, subject, x, base, size, flip):
    pen.ctx.save()
    pen.ctx.translate(x, base - size)
    pen.ctx.scale(-size if flip else size, size)
    where = DRAW[subject.noun](pen, subject)
    if subject.accessory and where:
        wear(pen, subject, where)
    pen.ctx.restore()


def draw(scene, style=None, place=None):
    """Pixels, 64 x 64 x 3 bytes. `style` and `place` replace the named ones: concepts bring their own."""
    pen = Pen(style or STYLES[scene.style], scene.line)
    (place or PLACES[scene.place])(pen, scene)
    dx, dy = scene.jitter
    if len(scene.subjects) == 1:
        draw_subject(pen, scene.subjects[0], 32 + dx, 58 + dy, 20, scene.flip)
    elif len(scene.subjects) == 2:
        draw_subject(pen, scene.subjects[0], 17 + dx * 0.5, 58 + dy, 14.5, scene.flip)
        draw_subject(pen, scene.subjects[1], 47 + dx * 0.5, 58 + dy, 14.5, not scene.flip)
    return pen.pixels()


def random_subject(rng, noun=None, plain=False):
    names = list(words.COLOURS)
    s = Subject(noun or rng.choice(words.NOUNS), rng.choice(names))
    if rng.random() < 0.36:
        s.pattern = rng.choice(words.PATTERNS)
    elif rng.random() < 0.45:
        s.marking = rng.choice(words.MARKINGS)
    if s.noun in words.ANIMALS and rng.random() < 0.36:
        s.accessory = rng.choice(words.ACCESSORIES)
        s.accessory_colour = rng.choice([c for c in names if c != s.colour])
    if rng.random() < 0.5:
        s.two_tone = rng.choice(words.TWO_TONE)
    others = [c for c in names if c != s.colour]
    s.second, s.mark_colour = rng.choice(others), rng.choice(others)
    s.form = rng.choice((0, 0, 1, 2))
    s.tail = rng.choice((0, 0, 1, 2))
    s.build = rng.uniform(-1, 1)
    return s


def random_scene(rng, subjects=None):
    n = subjects if subjects is not None else rng.choices((0, 1, 2), (0.08, 0.64, 0.28))[0]
    s = Scene(rng.choice(words.STYLES), rng.choice(words.PLACES))
    nouns = rng.sample(words.NOUNS, n)
    s.subjects = [random_subject(rng, noun) for noun in nouns]
    s.hour, s.layout, s.skyline = rng.choice((0, 0, 1, 2)), rng.random(), rng.choice((0, 1, 2))
    s.flip = rng.random() < 0.3
    s.jitter = (rng.uniform(-3, 3), rng.uniform(-2, 2))
    s.line = rng.uniform(0.8, 1.25)
    return s


def held_out(scene):
    """True for scenes whose said combination training never sees: about one in ten."""
    if not scene.subjects:
        return False
    keys = [f"{s.noun} {s.colour}" for s in scene.subjects] + [scene.place, scene.style]
    return random.Random(" ".join(keys)).random() < 0.1
