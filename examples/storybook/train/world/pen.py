"""Paths and the pen. A drawing asks for shapes in natural colours; the style decides how they come out."""
import math
from dataclasses import dataclass

import cairo
import numpy as np
from PIL import Image, ImageFilter

SIDE = 64


@dataclass(frozen=True)
class Style:
    """A way of drawing. Named styles and the styles of the concepts are points in this space."""
    paper: tuple               # what scenery colours are mixed towards
    place_mix: float           # 0 natural, 1 all paper
    place_grey: float          # how far scenery colours lose their hue first
    place_line: tuple = None
    place_width: float = 1.0
    subject_mix: float = 0.0
    subject_line: tuple = None # None: no line; "own": a lighter tone of the fill
    subject_width: float = 1.4
    blur: float = 0.0


STYLES = {
    "flat": Style((255, 255, 255), 0.0, 0.0, None, 1.0, 0.0, (38, 34, 44), 1.5),
    "neon": Style((18, 8, 46), 0.80, 0.0, (214, 60, 200), 1.2, 0.38, "own", 1.9),
    "sketch": Style((246, 243, 234), 0.72, 1.0, (140, 138, 136), 1.2, 0.22, (84, 82, 84), 1.8),
    "watercolor": Style((255, 252, 246), 0.42, 0.0, None, 1.0, 0.20, None, 1.0, 0.7),
    "blueprint": Style((24, 66, 150), 0.82, 1.0, (150, 190, 240), 1.2, 0.15, (240, 246, 255), 1.7),
}


def mix(a, b, t):
    return tuple(x + (y - x) * t for x, y in zip(a, b))


def ellipse(cx, cy, rx, ry, turn=0.0):
    def path(ctx):
        ctx.save()
        ctx.translate(cx, cy)
        ctx.rotate(turn)
        ctx.scale(rx, ry)
        ctx.new_sub_path()
        ctx.arc(0, 0, 1, 0, 2 * math.pi)
        ctx.restore()
    return path


def polygon(*points):
    def path(ctx):
        ctx.move_to(*points[0])
        for p in points[1:]:
            ctx.line_to(*p)
        ctx.close_path()
    return path


def box(x0, y0, x1, y1, r=0.0):
    def path(ctx):
        if r <= 0:
            ctx.rectangle(x0, y0, x1 - x0, y1 - y0)
            return
        ctx.new_sub_path()
        ctx.arc(x1 - r, y0 + r, r, -math.pi / 2, 0)
        ctx.arc(x1 - r, y1 - r, r, 0, math.pi / 2)
        ctx.arc(x0 + r, y1 - r, r, math.pi / 2, math.pi)
        ctx.arc(x0 + r, y0 + r, r, math.pi, 1.5 * math.pi)
        ctx.close_path()
    return path


def curve(start, *segments, close=True):
    """A path of cubic segments (three points each) or lines (one point each)."""
    def path(ctx):
        ctx.move_to(*start)
        for s in segments:
            if len(s) == 3:
                ctx.curve_to(*s[0], *s[1], *s[2])
            else:
                ctx.line_to(*s)
        if close:
            ctx.close_path()
    return path


def dome(cx, base, rx, ry):
    """The upper half of an ellipse that stands on `base`."""
    def path(ctx):
        ctx.save()
        ctx.translate(cx, base)
        ctx.scale(rx, ry)
        ctx.new_sub_path()
        ctx.arc(0, 0, 1, math.pi, 2 * math.pi)
        ctx.close_path()
        ctx.restore()
    return path


def star(cx, cy, r, points=5, inner=0.45, turn=0.0):
    pts = []
    for i in range(2 * points):
        a = turn - math.pi / 2 + i * math.pi / points
        k = r if i % 2 == 0 else r * inner
        pts.append((cx + k * math.cos(a), cy + k * math.sin(a)))
    return polygon(*pts)


def heart(cx, cy, r):
    return curve((cx, cy + r),
                 ((cx - 1.9 * r, cy - 0.2 * r), (cx - 0.8 * r, cy - 1.6 * r), (cx, cy - 0.4 * r)),
                 ((cx + 0.8 * r, cy - 1.6 * r), (cx + 1.9 * r, cy - 0.2 * r), (cx, cy + r)))


class Pen:
    def __init__(self, style, line=1.0):
        self.style = style
        self.line = line
        self.surface = cairo.ImageSurface(cairo.FORMAT_RGB24, SIDE, SIDE)
        self.ctx = cairo.Context(self.surface)
        self.ctx.set_antialias(cairo.ANTIALIAS_BEST)
        self.ctx.set_line_join(cairo.LINE_JOIN_ROUND)
        self.ctx.set_line_cap(cairo.LINE_CAP_ROUND)

    def _source(self, rgb):
        self.ctx.set_source_rgb(*(min(max(c / 255.0, 0), 1) for c in rgb))

    def _stroke(self, width):
        # Line widths are in pixels however the drawing is scaled.
        self.ctx.save()
        self.ctx.identity_matrix()
        self.ctx.set_line_width(width)
        self.ctx.stroke()
        self.ctx.restore()

    def place_colour(self, rgb):
        s = self.style
        grey = 0.3 * rgb[0] + 0.59 * rgb[1] + 0.11 * rgb[2]
        return mix(mix(rgb, (grey, grey, grey), s.place_grey), s.paper, s.place_mix)

    def scenery(self, path, rgb, line=True):
        path(self.ctx)
        self._source(self.place_colour(rgb))
        if line and self.style.place_line:
            self.ctx.fill_preserve()
            self._source(self.style.place_line)
            self._stroke(self.style.place_width * self.line)
        else:
            self.ctx.fill()

    def sky(self, top, bottom):
        g = cairo.LinearGradient(0, 0, 0, SIDE)
        for at, c in ((0, top), (0.75, bottom)):
            g.add_color_stop_rgb(at, *(v / 255.0 for v in self.place_colour(c)))
        self.ctx.set_source(g)
        self.ctx.paint()

    def fill_colour(self, rgb):
        return mix(rgb, self.style.paper, self.style.subject_mix)

    def line_colour(self, rgb):
        if self.style.subject_line == "own":
            return mix(rgb, (255, 255, 255), 0.30)
        return self.style.subject_line

    def part(self, path, rgb, inside=None):
        """A part of a subject; `inside` draws on it before its outline is drawn."""
        path(self.ctx)
        self._source(self.fill_colour(rgb))
        self.ctx.fill()
        if inside:
            self.ctx.save()
            path(self.ctx)
            self.ctx.clip()
            inside()
            self.ctx.restore()
        line = self.line_colour(rgb)
        if line:
            path(self.ctx)
            self._source(line)
            self._stroke(self.style.subject_width * self.line)

    def spot(self, path, rgb):
        """A marking: no outline."""
        path(self.ctx)
        self._source(self.fill_colour(rgb))
        self.ctx.fill()

    def stroke(self, path, rgb, width):
        """A limb or a rim of `width` pixels, lined like a part."""
        line = self.line_colour(rgb)
        if line:
            path(self.ctx)
            self._source(line)
            self._stroke(width + 2 * 0.6 * self.style.subject_width * self.line)
        path(self.ctx)
        self._source(self.fill_colour(rgb))
        self._stroke(width)

    def pixels(self):
        self.surface.flush()
        a = np.ndarray((SIDE, SIDE, 4), np.uint8, self.surface.get_data(), strides=(self.surface.get_stride(), 4, 1))
        rgb = a[:, :, 2::-1].copy()
        if self.style.blur:
            rgb = np.asarray(Image.fromarray(rgb).filter(ImageFilter.GaussianBlur(self.style.blur)))
        return rgb
