"""The objects, in the same box as the animals. `form` and `tail` vary what captions never name."""
from .coat import coat, part_colour, shade
from .look import COLOURS
from .pen import box, curve, dome, ellipse, heart, mix, polygon, star

DARK = (60, 54, 62)


def second(look):
    """Objects show their second colour on one set of parts if they are two-toned at all."""
    return COLOURS[look.second if look.two_tone else look.colour]


def mug(pen, look):
    own, s = COLOURS[look.colour], (1, -1, 1)[look.tail]
    h = 0.06 * look.build
    handle = (curve((s * 0.4, -0.3), ((s * 1.1, -0.4), (s * 1.1, 0.65), (s * 0.4, 0.5)), close=False),
              curve((s * 0.4, -0.3), (s * 0.88, -0.3), (s * 0.88, 0.5), (s * 0.4, 0.5), close=False),
              curve((s * 0.4, -0.35), (s * 0.95, 0.1), (s * 0.4, 0.55), close=False))[look.form]
    pen.stroke(handle, second(look), 3.2)
    pen.part(box(-0.62, -0.6 - h, 0.5, 0.96, 0.1), own, lambda: coat(pen, look, (-0.06, 0.25), 0.28))
    pen.part(ellipse(-0.06, -0.6 - h, 0.56, 0.14), mix(own, (0, 0, 0), 0.45))


def car(pen, look):
    own = COLOURS[look.colour]
    roof = (curve((-0.6, 0.1), ((-0.5, -0.55), (0.4, -0.55), (0.6, 0.1))),
            box(-0.75, -0.5, 0.5, 0.2, 0.08),
            polygon((-0.2, 0.1), (-0.1, -0.5), (0.35, -0.5), (0.65, 0.1)))[look.form]
    pen.part(roof, second(look))
    pen.spot(box(-0.12, -0.3, 0.28, 0.02, 0.05), (214, 236, 250))
    pen.part(box(-1.0, 0.05, 1.0, 0.72, 0.16), own, lambda: coat(pen, look, (-0.1, 0.38), 0.2))
    r = (0.26, 0.32, 0.22)[look.tail]
    for x in (-0.55, 0.55):
        pen.part(ellipse(x, 1.0 - r, r, r), DARK)
        pen.spot(ellipse(x, 1.0 - r, r * 0.4, r * 0.4), (230, 230, 230))


def boat(pen, look):
    own = COLOURS[look.colour]
    pen.stroke(curve((0, 0.4), (0, -0.95), close=False), (120, 84, 50), 1.6)
    sail = second(look) if look.two_tone else (250, 248, 240)
    if look.form != 1:
        pen.part(polygon((0.1, -0.9), (0.8, 0.25), (0.1, 0.25)), sail)
    if look.form == 1:
        pen.part(box(-0.6, -0.8, 0.6, 0.1, 0.05), sail)
    if look.form == 2:
        pen.part(polygon((-0.1, -0.7), (-0.65, 0.25), (-0.1, 0.25)), sail)
    d = (0.3, 0.1, 0.5)[look.tail]
    pen.part(polygon((-1.0, 0.4), (1.0, 0.4), (1.0 - d, 1.0), (-1.0 + d, 1.0)), own,
             lambda: coat(pen, look, (0, 0.68), 0.22))


def house(pen, look):
    own = COLOURS[look.colour]
    roof = second(look) if look.two_tone else mix(own, (0, 0, 0), 0.45)
    if look.tail != 1:
        x = 0.42 if look.tail else -0.5
        pen.part(box(x - 0.11, -0.95, x + 0.11, -0.2), roof)
    pen.part(box(-0.74, -0.15, 0.74, 1.0), own, lambda: coat(pen, look, (0.0, 0.1), 0.2))
    top = (polygon((-0.98, -0.12), (0, -0.95), (0.98, -0.12)),
           polygon((-0.95, -0.12), (-0.55, -0.7), (0.55, -0.7), (0.95, -0.12)),
           dome(0, -0.12, 0.92, 0.78))[look.form]
    pen.part(top, roof)
    pen.part(box(-0.52, 0.32, -0.08, 1.0), DARK)
    pen.part(box(0.18, 0.36, 0.56, 0.68), (250, 230, 140))


def umbrella(pen, look):
    own = COLOURS[look.colour]
    hook = (curve((0, -0.3), (0, 0.8), ((0.0, 1.05), (0.32, 1.05), (0.32, 0.8)), close=False),
            curve((0, -0.3), (0, 0.98), close=False),
            curve((0, -0.3), (0, 0.8), ((0.0, 1.05), (-0.32, 1.05), (-0.32, 0.8)), close=False))[look.tail]
    pen.stroke(hook, (110, 78, 50), 2.0)

    def inside():
        if look.two_tone:
            for x in (-0.72, 0.0, 0.72):
                pen.spot(polygon((0, -0.95), (x - 0.2, 0.2), (x + 0.2, 0.2)), COLOURS[look.second])
        coat(pen, look, (0, -0.35), 0.24)
    if look.form == 0:
        pen.part(dome(0, 0.1, 1.0, 1.0), own, inside)
    elif look.form == 1:
        pen.part(polygon((-1.0, 0.1), (0, -0.95), (1.0, 0.1)), own, inside)
    else:
        pen.part(curve((-1.0, 0.1), ((-0.95, -1.25), (0.95, -1.25), (1.0, 0.1)), ((0.8, -0.15), (0.5, -0.15), (0.34, 0.1)),
                       ((0.2, -0.15), (-0.2, -0.15), (-0.34, 0.1)), ((-0.5, -0.15), (-0.8, -0.15), (-1.0, 0.1))), own, inside)


def lamp(pen, look):
    own = COLOURS[look.colour]
    metal = second(look) if look.two_tone else (120, 110, 110)
    pen.stroke(curve((0, 0.0), (0, 0.85), close=False), metal, 2.6)
    base = (dome(0, 1.0, 0.5, 0.26), box(-0.5, 0.82, 0.5, 1.0), ellipse(0, 0.72, 0.3, 0.28))[look.tail]
    pen.part(base, metal)
    shade_path = (polygon((-0.35, -0.9), (0.35, -0.9), (0.8, 0.15), (-0.8, 0.15)),
                  dome(0, 0.15, 0.78, 0.95), box(-0.62, -0.85, 0.62, 0.15, 0.05))[look.form]
    pen.part(shade_path, own, lambda: coat(pen, look, (0, -0.3), 0.24))


def vase(pen, look):
    own, w = COLOURS[look.colour], 0.08 * look.build
    body = (curve((-0.25, -0.75), ((-0.3, -0.3), (-0.95 - w, 0.1), (-0.4, 1.0)), (0.4, 1.0),
                  ((0.95 + w, 0.1), (0.3, -0.3), (0.25, -0.75))),
            curve((-0.5, -0.75), ((-0.1, -0.2), (-0.1, 0.1), (-0.58 - w, 1.0)), (0.58 + w, 1.0),
                  ((0.1, 0.1), (0.1, -0.2), (0.5, -0.75))),
            curve((-0.3, -0.75), ((-0.9 - w, -0.5), (-0.5, 0.5), (-0.26, 1.0)), (0.26, 1.0),
                  ((0.5, 0.5), (0.9 + w, -0.5), (0.3, -0.75))))[look.form]
    rim = (0.34, 0.5, 0.4)[look.tail]
    pen.part(body, own, lambda: coat(pen, look, (0, 0.25), 0.26))
    pen.part(box(-rim, -0.92, rim, -0.7, 0.05), second(look))


def flower(pen, look):
    own = COLOURS[look.colour]
    pen.stroke(curve((0, -0.2), (0, 1.0), close=False), (60, 140, 70), 2.4)
    if look.tail != 1:
        pen.part(ellipse(0.3, 0.62, 0.3, 0.13, -0.5), (70, 160, 80))
    if look.tail != 2:
        pen.part(ellipse(-0.3, 0.72, 0.3, 0.13, 0.5), (70, 160, 80))
    inside = lambda: coat(pen, look, (0, -0.66), 0.18)
    if look.form == 0:
        pen.part(star(0, -0.3, 0.72, 6, 0.62), own, inside)
    elif look.form == 1:
        for x, y in ((-0.38, -0.3), (0.38, -0.3), (0, -0.68), (0, 0.08)):
            pen.part(ellipse(x, y, 0.34, 0.34), own, inside)
    else:
        pen.part(ellipse(0, -0.3, 0.68, 0.66), own, inside)
    centre = COLOURS[look.second] if look.two_tone else (250, 214, 70)
    pen.part(ellipse(0, -0.3, 0.23, 0.23), centre if look.colour != "yellow" or look.two_tone else (120, 76, 40))


def chair(pen, look):
    own = COLOURS[look.colour]
    legs = second(look) if look.two_tone else own
    for x in (-0.5, 0.5):
        pen.part(box(x - 0.1, 0.35, x + 0.1, 1.0), legs)
    back = (box(-0.6, -0.95, 0.6, 0.2, 0.12), dome(0, 0.2, 0.62, 1.15),
            polygon((-0.6, 0.2), (-0.4, -0.95), (0.4, -0.95), (0.6, 0.2)))[look.form]
    pen.part(back, own, lambda: coat(pen, look, (0, -0.4), 0.26))
    pen.part(box(-0.76, 0.16, 0.76, 0.46, (0.02, 0.1, 0.14)[look.tail]), mix(own, (0, 0, 0), 0.18))


def balloon(pen, look):
    own, w = COLOURS[look.colour], 0.06 * look.build
    string = (curve((0, 0.4), (0, 1.0), close=False),
              curve((0, 0.4), ((0.3, 0.6), (-0.3, 0.8), (0.1, 1.0)), close=False),
              curve((0, 0.4), ((-0.3, 0.6), (0.3, 0.8), (-0.1, 1.0)), close=False))[look.tail]
    pen.stroke(string, DARK, 1.2)
    pen.part(polygon((-0.14, 0.52), (0, 0.3), (0.14, 0.52)), second(look))
    form = (ellipse(0, -0.3, 0.62 + w, 0.7), heart(0, -0.3, 0.68), ellipse(0, -0.3, 0.5 + w, 0.7))[look.form]
    pen.part(form, own, lambda: coat(pen, look, (0, -0.35), 0.26))
    pen.spot(ellipse(-0.22, -0.55, 0.1, 0.15, 0.5), mix(own, (255, 255, 255), 0.7))


OBJECTS = {f.__name__: f for f in (mug, car, boat, house, umbrella, lamp, vase, flower, chair, balloon)}
