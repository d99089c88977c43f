"""What covers a body: patterns (which captions may name), markings (which they never do) and eyes."""
from .look import COLOURS
from .pen import box, curve, ellipse, heart, mix, star


def shade(rgb):
    """The colour of a pattern: clearly lighter or darker than the coat."""
    return mix(rgb, (0, 0, 0), 0.5) if sum(rgb) > 380 else mix(rgb, (255, 255, 255), 0.55)


def coat(pen, look, mark_at=(0, 0.2), mark_size=0.24):
    """Draws inside a body (unit coordinates): pattern first, then the marking."""
    rgb = COLOURS[look.colour]
    if look.pattern == "striped":
        for i in range(-3, 4):
            pen.spot(box(i * 0.36 - 0.09, -1.6, i * 0.36 + 0.09, 1.6), shade(rgb))
    elif look.pattern == "spotted":
        for i in range(-3, 4):
            for j in range(-3, 4):
                pen.spot(ellipse(i * 0.42 + 0.21 * (j % 2), j * 0.36, 0.12, 0.12), shade(rgb))
    x, y = mark_at
    r = mark_size
    c = COLOURS[look.mark_colour]
    if look.marking == "star":
        pen.spot(star(x, y, r * 1.25), c)
    elif look.marking == "heart":
        pen.spot(heart(x, y, r), c)
    elif look.marking == "patch":
        pen.spot(ellipse(x - 0.1, y, r * 1.15, r * 0.95, 0.4), c)
    elif look.marking == "band":
        pen.spot(box(-2, y - r * 0.55, 2, y + r * 0.55), c)
    elif look.marking == "zigzag":
        n, step = 9, r * 1.1
        xs = [(i - n / 2) * step for i in range(n + 1)]
        up = [(px, y - r * (0.95 if i % 2 else 0.1)) for i, px in enumerate(xs)]
        down = [(px, py + r * 0.85) for px, py in reversed(up)]
        pen.spot(curve(up[0], *up[1:], *down), c)


def eye(pen, x, y, r=0.1):
    pen.spot(ellipse(x, y, r * 1.5, r * 1.5), (255, 255, 255))
    pen.spot(ellipse(x, y, r * 0.85, r * 0.95), (10, 10, 14))


def part_colour(look, part):
    """A part takes the second colour if this is what is two-toned. "odd" is for one of a pair only."""
    return COLOURS[look.second if look.two_tone == part else look.colour]
