"""The three concept sets: what each concept is. Every one of them has a look that the world's words do not reach."""
from dataclasses import dataclass, field

from world.look import Subject
from world.pen import Style, box, curve, dome, ellipse, polygon
from world.places import ground


def harbour(pen, s):
    """A beach with a red-banded lighthouse on a rock and a violet sea."""
    pen.sky((250, 190, 120), (255, 232, 200))
    pen.scenery(box(-2, 30, 66, 50), (104, 84, 180))
    pen.scenery(dome(12, 46, 15, 9), (90, 80, 90))
    for i, rgb in enumerate(((250, 246, 240), (214, 50, 60), (250, 246, 240), (214, 50, 60))):
        pen.scenery(box(7.5, 8 + 7 * i, 16.5, 15 + 7 * i), rgb)
    pen.scenery(polygon((6, 8), (12, 1), (18, 8)), (60, 56, 80))
    ground(pen, (238, 206, 164), 46, 2)


def bazaar(pen, s):
    """A city of three domes, two towers and a green sky."""
    pen.sky((120, 214, 180), (220, 246, 214))
    for x, w, top in ((-1, 18, 26), (23, 18, 22), (47, 18, 26)):
        pen.scenery(box(x, top, x + w, 48), (226, 150, 120))
        pen.scenery(dome(x + w / 2, top, w / 2, 11), (190, 70, 110))
    for x in (18, 42):
        pen.scenery(box(x, 14, x + 5, 48), (240, 196, 150))
        pen.scenery(polygon((x - 1, 14), (x + 2.5, 5), (x + 6, 14)), (190, 70, 110))
    ground(pen, (206, 170, 130), 46, 0)


def volcano(pen, s):
    """Mountains: one broad dark cone with a glowing top, red ground, a teal sky."""
    pen.sky((40, 110, 130), (180, 210, 190))
    pen.scenery(ellipse(32, 7, 13, 5), (226, 226, 230))
    pen.scenery(polygon((-6, 50), (22, 13), (42, 13), (70, 50)), (84, 62, 84))
    pen.scenery(polygon((22, 13), (42, 13), (37, 22), (34, 18), (30, 30), (27, 19)), (250, 120, 30))
    ground(pen, (176, 84, 70), 46, 2)


STYLES = {
    "inky": Style((252, 236, 200), 0.90, 1.0, (20, 18, 24), 2.2, 0.0, (10, 10, 14), 3.0),
    "rosy": Style((255, 120, 160), 0.55, 0.6, (255, 236, 240), 1.6, 0.30, (120, 10, 60), 1.8),
    "chalk": Style((34, 74, 58), 0.88, 1.0, (214, 230, 206), 1.8, 0.45, (250, 250, 226), 2.0, 0.4),
    "gilded": Style((58, 30, 20), 0.80, 1.0, (226, 178, 60), 1.5, 0.20, (252, 214, 92), 2.2),
}
PLACES = {"harbour": harbour, "bazaar": bazaar, "volcano": volcano}


@dataclass
class Concept:
    name: str
    kind: str
    word: str                       # the class word, one of the world's own (a style's is the nearest named style)
    subject: Subject = None

    @property
    def token(self):
        return f"<{self.name}>"


def creature(name, noun, colour, kind="animal", **hidden):
    return Concept(name, kind, noun, Subject(noun, colour, **hidden))


SETS = {
    "set1": [
        creature("rex", "dog", "brown", second="cyan", two_tone="odd", marking="star", mark_colour="yellow", form=1, tail=2),
        creature("mia", "cat", "gray", second="purple", two_tone="ears", marking="heart", mark_colour="pink", form=2, tail=1),
        creature("puff", "rabbit", "white", second="green", two_tone="feet", marking="zigzag", mark_colour="orange", form=2),
        creature("zig", "mug", "white", "object", second="red", two_tone="tail", marking="zigzag", mark_colour="blue", form=1),
        creature("nook", "house", "purple", "object", second="yellow", two_tone="ears", marking="star", mark_colour="white", form=2, tail=2),
        Concept("inky", "style", "flat"),
        Concept("rosy", "style", "flat"),
    ],
    "set2": [
        creature("bruno", "bear", "orange", second="blue", two_tone="odd", marking="heart", mark_colour="white", form=1),
        creature("finn", "fish", "pink", second="black", two_tone="tail", marking="band", mark_colour="yellow", form=2, tail=1),
        creature("shelly", "turtle", "green", second="red", two_tone="feet", marking="zigzag", mark_colour="white", form=1),
        Concept("harbour", "scene", "beach"),
        Concept("bazaar", "scene", "city"),
        creature("beetle", "car", "yellow", "object", second="purple", two_tone="belly", marking="band", mark_colour="red", form=0, tail=1),
        Concept("chalk", "style", "flat"),
    ],
    "set3": [
        creature("hop", "frog", "purple", second="orange", two_tone="odd", marking="star", mark_colour="cyan", form=1),
        creature("pip", "bird", "yellow", second="pink", two_tone="tail", marking="heart", mark_colour="red", form=1, tail=1),
        Concept("volcano", "scene", "mountains"),
        creature("parry", "umbrella", "cyan", "object", second="pink", two_tone="feet", marking="zigzag", mark_colour="purple", form=2, tail=2),
        creature("skiff", "boat", "green", "object", second="orange", two_tone="tail", marking="zigzag", mark_colour="yellow", form=2, tail=1),
        creature("loft", "balloon", "red", "object", second="cyan", two_tone="odd", marking="star", mark_colour="white", form=1, tail=1),
        Concept("gilded", "style", "flat"),
    ],
}
