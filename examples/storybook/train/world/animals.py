"""The animals, in a box from (-1, -1) to (1, 1) that stands on y = 1. `form` is the ears' shape or the like."""
from .coat import coat, eye, part_colour
from .look import COLOURS
from .pen import box, curve, dome, ellipse, mix, polygon

NOSE = (40, 30, 34)


def pair(look):
    """Colours of a left and a right ear (or fin, or eye bump)."""
    own, second = COLOURS[look.colour], COLOURS[look.second]
    if look.two_tone == "ears":
        return second, second
    return (second, own) if look.two_tone == "odd" else (own, own)


def belly(pen, look, x, y, rx, ry):
    if look.two_tone == "belly":
        pen.spot(ellipse(x, y, rx, ry), COLOURS[look.second])


def dog(pen, look):
    own, b = COLOURS[look.colour], 0.05 * look.build
    tail = (curve((-0.7, 0.15), ((-1.0, 0.0), (-1.0, -0.35), (-0.85, -0.55)), close=False),
            curve((-0.7, 0.15), ((-1.25, 0.1), (-1.1, -0.5), (-0.75, -0.3)), close=False),
            curve((-0.7, 0.15), (-1.0, -0.1), (-0.72, -0.45), close=False))[look.tail]
    pen.stroke(tail, part_colour(look, "tail"), 3.2)
    feet = part_colour(look, "feet")
    for x in (-0.62, -0.3, 0.22, 0.5):
        pen.part(box(x - 0.13, 0.4, x + 0.13, 1.0, 0.08), feet)

    def inside():
        belly(pen, look, -0.1, 0.62, 0.6, 0.25)
        coat(pen, look, (0.1, 0.3), 0.24)
    pen.part(box(-0.82, -0.05 - b, 0.68, 0.66 + b, 0.3), own, inside)
    left, right = pair(look)
    if look.form == 1:
        pen.part(polygon((0.18, -0.55), (0.22, -1.08), (0.48, -0.72)), left)
        pen.part(polygon((0.52, -0.72), (0.72, -1.08), (0.8, -0.55)), right)
    pen.part(ellipse(0.48, -0.4, 0.4, 0.38), own)
    pen.part(ellipse(0.84, -0.26, 0.23, 0.18), own)
    pen.spot(ellipse(1.0, -0.33, 0.09, 0.08), NOSE)
    if look.form == 0:
        pen.part(ellipse(0.14, -0.3, 0.15, 0.38, 0.25), left)
        pen.part(ellipse(0.62, -0.66, 0.13, 0.22, -0.9), right)
    elif look.form == 2:
        pen.part(ellipse(0.2, -0.72, 0.2, 0.2), left)
        pen.part(ellipse(0.66, -0.76, 0.2, 0.2), right)
    eye(pen, 0.58, -0.44)
    return (0.48, -0.74), (0.62, -0.44), (0.42, -0.02), 0.4


def seated(pen, look, ears, wide, muzzle):
    """The body that cat, rabbit and bear share, seen from the front."""
    own, w = COLOURS[look.colour], wide * (1 + 0.08 * look.build)

    def inside():
        belly(pen, look, 0, 0.6, w * 0.6, 0.4)
        coat(pen, look, (0, 0.48), 0.25)
    pen.part(ellipse(0, 0.46, w, 0.54), own, inside)
    feet = part_colour(look, "feet")
    for x in (-1, 1):
        pen.part(ellipse(x * w * 0.62, 0.9, 0.24, 0.14), feet)
    ears()
    pen.part(ellipse(0, -0.3, 0.5, 0.44), own)
    if muzzle:
        pen.spot(ellipse(0, -0.16, 0.24, 0.17), mix(own, (255, 255, 255), 0.55))
    eye(pen, -0.2, -0.38)
    eye(pen, 0.2, -0.38)
    pen.spot(ellipse(0, -0.19, 0.09, 0.07), NOSE)
    return (0, -0.66), (0, -0.38), (0, 0.08), 0.5


def cat(pen, look):
    left, right = pair(look)
    tail = (curve((0.35, 0.8), ((1.1, 0.9), (0.9, 0.2), (0.85, -0.1)), close=False),
            curve((0.35, 0.8), ((1.2, 0.8), (0.7, 0.1), (1.0, 0.0)), close=False),
            curve((0.35, 0.8), (0.95, 0.75), (0.8, 0.1), close=False))[look.tail]
    pen.stroke(tail, part_colour(look, "tail"), 3.2)
    lean, tall = ((0.0, 0.0), (0.14, 0.05), (0.0, 0.2))[look.form]

    def ears():
        pen.part(polygon((-0.5, -0.36), (-0.46 - lean, -0.96 - tall), (-0.08, -0.64)), left)
        pen.part(polygon((0.5, -0.36), (0.46 + lean, -0.96 - tall), (0.08, -0.64)), right)
    where = seated(pen, look, ears, 0.46, False)
    for s in (-1, 1):
        pen.spot(polygon((s * 0.18, -0.17), (s * 0.68, -0.28), (s * 0.68, -0.22)), NOSE)
        pen.spot(polygon((s * 0.18, -0.12), (s * 0.66, -0.06), (s * 0.66, 0.0)), NOSE)
    return where


def rabbit(pen, look):
    left, right = pair(look)
    pen.part(ellipse(0.5, 0.72, 0.18, 0.18), part_colour(look, "tail"))
    turn = ((0.06, 0.06), (0.4, 0.4), (0.06, 0.9))[look.form]

    def ears():
        pen.part(ellipse(-0.2 - turn[0] * 0.35, -0.86 + turn[0] * 0.1, 0.15, 0.42, -turn[0]), left)
        pen.part(ellipse(0.2 + turn[1] * 0.35, -0.86 + turn[1] * 0.22, 0.15, 0.42, turn[1]), right)
    top, eyes, neck, w = seated(pen, look, ears, 0.42, False)
    pen.spot(box(-0.08, -0.1, 0.08, 0.06), (255, 255, 255))
    return top, eyes, neck, w


def bear(pen, look):
    left, right = pair(look)
    own = COLOURS[look.colour]
    r = (0.2, 0.26, 0.16)[look.form]
    for s in (-1, 1):
        pen.part(ellipse(s * 0.62, 0.32, 0.2, 0.36, s * -0.5), own)

    def ears():
        pen.part(ellipse(-0.4, -0.68, r, r), left)
        pen.part(ellipse(0.4, -0.68, r, r), right)
    return seated(pen, look, ears, 0.6, True)


def bird(pen, look):
    own = COLOURS[look.colour]
    for x in (-0.12, 0.2):
        pen.stroke(curve((x, 0.5), (x, 0.96), (x + 0.18, 0.96), close=False), (236, 150, 40), 1.6)
    tail = (polygon((-0.5, 0.15), (-1.05, -0.15), (-0.98, 0.35)),
            polygon((-0.5, 0.1), (-0.95, -0.5), (-0.75, -0.55), (-0.4, 0.3)),
            polygon((-0.5, 0.05), (-1.05, 0.1), (-0.85, 0.28), (-1.0, 0.48), (-0.4, 0.4)))[look.tail]
    pen.part(tail, part_colour(look, "tail"))
    if look.form:
        crest = polygon((0.2, -0.6), (0.1, -1.05), (0.42, -0.8), (0.62, -1.05), (0.62, -0.6)) if look.form == 1 else \
            curve((0.3, -0.6), ((0.2, -1.1), (-0.1, -1.0), (-0.1, -0.8)), ((0.0, -0.7), (0.1, -0.6), (0.2, -0.5)))
        pen.part(crest, pair(look)[0])
    pen.part(polygon((0.75, -0.5), (1.12, -0.32), (0.72, -0.2)), (244, 160, 40))

    def inside():
        belly(pen, look, 0.12, 0.48, 0.45, 0.25)
        coat(pen, look, (0.25, 0.2), 0.22)
    body = curve((-0.68, 0.1), ((-0.4, -0.1), (0.0, -0.2), (0.1, -0.45)),
                 ((0.25, -0.95), (0.95, -0.8), (0.82, -0.25)), ((0.75, 0.5), (0.1, 0.85), (-0.35, 0.58)),
                 ((-0.5, 0.5), (-0.65, 0.3), (-0.68, 0.1)))
    pen.part(body, own, inside)
    wing = part_colour(look, "ears") if look.two_tone != "odd" else own
    pen.part(ellipse(-0.14, 0.18, 0.36, 0.2 + 0.04 * look.build, 0.35), wing)
    eye(pen, 0.52, -0.42)
    return (0.48, -0.74), (0.52, -0.42), (0.4, -0.1), 0.36


def fish(pen, look):
    own = COLOURS[look.colour]
    tail = (polygon((-0.45, 0.1), (-1.05, -0.4), (-1.05, 0.6)),
            polygon((-0.45, 0.1), (-1.1, -0.45), (-0.82, 0.1), (-1.1, 0.65)),
            curve((-0.45, 0.1), ((-0.8, -0.5), (-1.1, -0.3), (-1.05, 0.1)), ((-1.1, 0.5), (-0.8, 0.7), (-0.45, 0.1))))
    pen.part(tail[look.tail], part_colour(look, "tail"))
    left, right = pair(look)
    top = (polygon((-0.3, -0.3), (0.0, -0.8), (0.35, -0.35)),
           curve((-0.4, -0.2), ((-0.4, -0.8), (0.3, -0.8), (0.4, -0.3))),
           polygon((-0.4, -0.2), (-0.45, -0.75), (-0.1, -0.5), (0.05, -0.8), (0.3, -0.3)))[look.form]
    pen.part(top, left)
    pen.part(polygon((-0.2, 0.5), (-0.1, 0.9), (0.25, 0.5)), right)

    def inside():
        belly(pen, look, 0.1, 0.55, 0.6, 0.3)
        coat(pen, look, (0.0, 0.1), 0.25)
    pen.part(ellipse(0.16, 0.1, 0.78, 0.5 + 0.08 * look.build), own, inside)
    eye(pen, 0.58, -0.04, 0.12)
    pen.spot(polygon((0.7, 0.24), (0.95, 0.18), (0.9, 0.3)), NOSE)
    return (0.45, -0.32), (0.58, -0.04), (0.3, 0.42), 0.3


def frog(pen, look):
    own = COLOURS[look.colour]
    left, right = pair(look)
    feet = part_colour(look, "feet")
    for s in (-1, 1):
        pen.part(ellipse(s * 0.72, 0.62, 0.3, 0.32, s * 0.3), own)
        pen.part(ellipse(s * 0.74, 0.93, 0.34, 0.11), feet)

    def inside():
        belly(pen, look, 0, 0.75, 0.42, 0.3)
        coat(pen, look, (0, 0.66), 0.2)
    pen.part(ellipse(0, 0.4, 0.66, 0.56 + 0.06 * look.build), own, inside)
    r = (0.24, 0.3, 0.2)[look.form]
    x = (0.36, 0.36, 0.5)[look.form]
    for s, c in ((-1, left), (1, right)):
        pen.part(ellipse(s * x, -0.16, r, r), c)
        eye(pen, s * x, -0.18, 0.12)
    mouth = curve((-0.4, 0.2), ((-0.2, 0.42), (0.2, 0.42), (0.4, 0.2)), ((0.2, 0.52), (-0.2, 0.52), (-0.4, 0.2)))
    pen.spot(mouth, NOSE)
    return (0, -0.12), (0, -0.18), (0, 0.5), 0.5


def turtle(pen, look):
    own = COLOURS[look.colour]
    skin = mix(part_colour(look, "feet"), (255, 255, 255), 0.35)
    pen.part(polygon((-0.75, 0.6), (-1.05, 0.78), (-0.7, 0.8)), part_colour(look, "tail"))
    for x in (-0.5, 0.36):
        pen.part(box(x - 0.17, 0.55, x + 0.17, 1.0, 0.1), skin)
    pen.part(box(0.5, 0.1, 0.82, 0.7, 0.12), skin)
    pen.part(ellipse(0.8, 0.06, 0.26, 0.24), mix(pair(look)[0], (255, 255, 255), 0.35))
    eye(pen, 0.86, 0.0, 0.09)

    def inside():
        coat(pen, look, (-0.12, 0.3), 0.26)
        belly(pen, look, -0.1, 0.7, 0.9, 0.2)
    h = (0.85, 1.05, 0.7)[look.form] + 0.06 * look.build
    pen.part(dome(-0.1, 0.72, 0.78, h), own, inside)
    return (0.8, -0.1), (0.84, 0.0), (0.66, 0.36), 0.2


ANIMALS = {f.__name__: f for f in (dog, cat, rabbit, bear, bird, fish, frog, turtle)}
