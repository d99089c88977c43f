"""The places. Coordinates are pixels; the ground, on which subjects stand, begins near y = 46."""
from .pen import box, curve, dome, ellipse, mix, polygon

DAY = ((120, 190, 245), (200, 230, 250))
DUSK = ((250, 160, 120), (253, 214, 160))
HAZE = ((150, 170, 220), (225, 220, 240))
SKIES = (DAY, DUSK, HAZE)


def ground(pen, rgb, y=45, bend=0):
    pen.scenery(curve((-2, y), ((20, y - bend), (44, y + bend), (66, y)), (66, 66), (-2, 66)), rgb)


def meadow(pen, s):
    pen.sky(*SKIES[s.hour])
    x = 10 + 44 * s.layout
    pen.scenery(ellipse(x, 11, 6.5, 6.5), (252, 220, 70))
    pen.scenery(dome(12 + 20 * s.layout, 50, 26, 16 + 3 * s.skyline), (120, 196, 96))
    pen.scenery(dome(56 - 14 * s.layout, 50, 24, 12), (104, 182, 84))
    ground(pen, (88, 168, 68), 46, 2)
    for fx in (8, 30, 53):
        pen.scenery(ellipse((fx + 24 * s.layout) % 64, 58, 2.2, 2.2), (250, 240, 120))


def beach(pen, s):
    pen.sky(*SKIES[s.hour])
    pen.scenery(box(-2, 28, 66, 50), (40, 120, 200))
    pen.scenery(curve((-2, 36), ((12, 32), (20, 40), (32, 36)), ((44, 32), (52, 40), (66, 36)), (66, 50), (-2, 50)),
                (70, 160, 220))
    ground(pen, (244, 218, 150), 46, 3)
    left = s.layout < 0.5
    x, lean = (9, 4) if left else (55, -4)
    pen.scenery(polygon((x - 1.5, 50), (x + lean - 1, 18), (x + lean + 1.5, 18), (x + 2, 50)), (140, 96, 54))
    for dx, dy in ((-9, 3), (9, 3), (-7, -4), (7, -4)):
        pen.scenery(ellipse(x + lean + dx * 0.6, 17 + dy * 0.5, 6, 2.2 + 0.4 * s.skyline, 0.5 if dx * dy > 0 else -0.5),
                    (50, 150, 76))


def tree(pen, x, base, h, w, rgb, rounded):
    pen.scenery(box(x - 1.5, base - 8, x + 1.5, base), (110, 74, 44))
    if rounded:
        pen.scenery(ellipse(x, base - h * 0.62, w, h * 0.42), rgb)
    else:
        pen.scenery(polygon((x - w, base - 6), (x, base - h), (x + w, base - 6)), rgb)


def forest(pen, s):
    pen.sky(mix(SKIES[s.hour][0], (150, 200, 150), 0.5), mix(SKIES[s.hour][1], (190, 220, 180), 0.5))
    ground(pen, (70, 116, 58), 44, 1)
    shift = 8 * s.layout
    for i, x in enumerate((-2, 12, 25, 39, 52, 65)):
        tree(pen, x - 4 + shift, 46, 34 + (i * 7 + s.skyline * 5) % 11, 7.5, ((34, 96, 56), (48, 118, 62))[i % 2],
             s.skyline == 2 and i % 2 == 0)


def city(pen, s):
    pen.sky(*SKIES[s.hour])
    tones = ((110, 112, 140), (140, 130, 150), (92, 100, 128))
    widths = (13, 11, 14, 12, 16)
    x = -6 + 6 * s.layout
    for i, w in enumerate(widths):
        top = 10 + ((i * 13 + int(s.layout * 4) * 7 + s.skyline * 5) % 20)
        pen.scenery(box(x, top, x + w, 48), tones[i % 3])
        if s.skyline == 1 and i % 2:
            pen.scenery(polygon((x, top), (x + w / 2, top - 7), (x + w, top)), tones[i % 3])
        if s.skyline == 2 and i == 2:
            pen.scenery(dome(x + w / 2, top, w / 2, 7), tones[i % 3])
        for wy in range(int(top) + 4, 42, 8):
            pen.scenery(box(x + 2.5, wy, x + w - 2.5, wy + 3), (250, 226, 130), line=False)
        x += w
    ground(pen, (104, 104, 110), 46, 0)


def desert(pen, s):
    pen.sky(*((250, 200, 130), (253, 230, 180)) if s.hour != 2 else ((240, 150, 110), (250, 205, 150)))
    pen.scenery(ellipse(52 - 40 * s.layout, 11, 5.5, 5.5), (255, 246, 190))
    pen.scenery(curve((-2, 44), ((10, 26 + 3 * s.skyline), (24, 30), (34, 44))), (226, 170, 92))
    pen.scenery(curve((24, 46), ((40, 24), (52, 28 + 2 * s.skyline), (68, 46))), (216, 158, 84))
    ground(pen, (236, 184, 104), 45, 3)
    x = 8 if s.layout < 0.5 else 56
    pen.scenery(box(x - 2.5, 26, x + 2.5, 52, 2.4), (64, 140, 80))
    pen.scenery(box(x + 2, 36, x + 8, 39.5, 1.5), (64, 140, 80))
    pen.scenery(box(x - 8, 32, x - 2, 35.5, 1.5), (64, 140, 80))


def mountains(pen, s):
    pen.sky(*SKIES[s.hour])
    a, b = 16 + 8 * s.layout, 46 + 8 * s.layout
    for x, top, w in ((b, 14 + 2 * s.skyline, 24), (a, 6 + 3 * s.skyline, 26)):
        pen.scenery(polygon((x - w, 50), (x, top), (x + w, 50)), (120, 128, 160))
        k = 0.34
        h = (50 - top) * k
        pen.scenery(polygon((x - w * k, top + h), (x, top), (x + w * k, top + h), (x + w * 0.12, top + h * 0.75),
                            (x - w * 0.1, top + h * 1.15)), (250, 252, 255))
    ground(pen, (216, 228, 240), 46, 2)


def room(pen, s):
    walls = ((238, 206, 176), (206, 222, 196), (222, 196, 216))
    pen.sky(walls[s.hour], walls[s.hour])
    x = 6 + 30 * s.layout
    pen.scenery(box(x, 6, x + 20, 26), (255, 255, 255))
    pen.scenery(box(x + 2, 8, x + 18, 24), (140, 200, 240))
    if s.skyline == 1:
        pen.scenery(box(x + 9, 8, x + 11, 24), (255, 255, 255))
    if s.skyline == 2:
        pen.scenery(polygon((x - 3, 4), (x + 7, 4), (x - 3, 28)), (196, 70, 80))
    pen.scenery(box(-2, 45, 66, 66), (176, 120, 76))
    pen.scenery(ellipse(32, 58, 26, 5), (206, 92, 84))


def moon(pen, s):
    pen.sky((12, 14, 34), (30, 32, 64))
    for x, y in ((8, 8), (24, 16), (40, 6), (56, 20), (12, 28)):
        pen.scenery(ellipse((x + 20 * s.layout) % 64, y, 1.2, 1.2), (255, 255, 240), line=False)
    px = 50 - 36 * s.layout
    planet = ((90, 150, 220), (220, 140, 90), (170, 120, 200))[s.hour]
    pen.scenery(ellipse(px, 14, 8, 8), planet)
    if s.skyline == 1:
        pen.scenery(ellipse(px, 14, 12, 2.2, -0.3), (240, 220, 180))
    ground(pen, (186, 186, 196), 44, 3)
    for x, y, r in ((8, 52, 6), (50, 50, 7), (32, 60, 8)):
        pen.scenery(ellipse(x + 4 * s.layout, y, r, r * 0.35), (140, 140, 152))


PLACES = {f.__name__: f for f in (meadow, beach, forest, city, desert, mountains, room, moon)}
