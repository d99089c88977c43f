"""What animals wear. Each animal says where its head's top, eyes and neck are and how wide its neck is."""
from .look import COLOURS
from .pen import box, ellipse, polygon


def hat(pen, c, top, eyes, neck, w):
    x, y = top
    pen.part(box(x - 0.26, y - 0.46, x + 0.26, y + 0.04), c)
    pen.part(box(x - 0.44, y - 0.02, x + 0.44, y + 0.13, 0.04), c)


def glasses(pen, c, top, eyes, neck, w):
    x, y = eyes
    for s in (-1, 1):
        pen.stroke(ellipse(x + s * 0.23, y, 0.19, 0.19), c, 1.5)


def scarf(pen, c, top, eyes, neck, w):
    x, y = neck
    pen.part(box(x - w, y - 0.1, x + w, y + 0.12, 0.08), c)
    pen.part(box(x + w * 0.3, y, x + w * 0.3 + 0.24, y + 0.5, 0.05), c)


def bow(pen, c, top, eyes, neck, w):
    x, y = neck
    pen.part(polygon((x, y), (x - 0.36, y - 0.2), (x - 0.36, y + 0.2)), c)
    pen.part(polygon((x, y), (x + 0.36, y - 0.2), (x + 0.36, y + 0.2)), c)
    pen.part(ellipse(x, y, 0.11, 0.11), c)


def wear(pen, look, where):
    f = {"hat": hat, "glasses": glasses, "scarf": scarf, "bow": bow}[look.accessory]
    f(pen, COLOURS[look.accessory_colour], *where)
