"""make_pictures.py - small files of every kind that people have, and what Pillow makes of them, for pillow.c.

    python3 tests/unit/data/make_pictures.py         # needs Pillow and numpy; the committed files came from Pillow 13.0

pictures/ gets the files and pictures/list.txt, a line "file side" each; pictures/expected.rgb holds, in that order, the
squares side x side x 3 as CLIP preprocessing makes them: upright, on white, RGB, shorter side to `side` by bicubic, cropped.

Where Pillow's answer is no picture or depends on its version, this file says what is meant instead: of 16 bits of grey the
upper 8 are taken, as Pillow does for colours (it turns nearly all grey of 16 bits white), animations are not here because Engram refuses them. Squares are no wider
and lower than their picture, or the reverse, for there Pillow 13 filters columns first and older ones rows first.
"""
import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

OUT = Path(__file__).resolve().parent / "pictures"
SIDE = 12


def picture(w, h, seed=0):
    """Smooth colours with an edge and some noise: what a codec is made for, and every corner differs."""
    r = np.random.default_rng(seed + 1000 * w + h)
    y, x = np.mgrid[0:h, 0:w].astype(float)
    rgb = np.stack([255 * x / max(w - 1, 1), 255 * y / max(h - 1, 1), 128 + 100 * np.sin(x / 3 + y / 5 + seed)], -1)
    rgb[(x > w / 2) & (y < h / 3)] = [240, 30, 60]
    return Image.fromarray((rgb + r.normal(0, 6, rgb.shape)).clip(0, 255).astype(np.uint8))


def upright_rgb(image):
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def square(image, side):
    w, h = image.size
    short = min(w, h)
    image = image.resize((int(side * w / short), int(side * h / short)), Image.BICUBIC)
    x, y = (int(round((n - side) / 2.0)) for n in image.size)
    return image.crop((x, y, x + side, y + side))


files, expected = [], bytearray()


def keep(name, data, side=SIDE, like=None):
    """like: the file whose pixels are meant, where Pillow cannot say them itself."""
    (OUT / name).write_bytes(data)
    image = upright_rgb(Image.open(io.BytesIO(data if like is None else like)))
    files.append(f"{name} {side}")
    expected.extend(square(image, side).tobytes())


def save(name, image, kind, side=SIDE, **options):
    b = io.BytesIO()
    image.save(b, kind, **options)
    keep(name, b.getvalue(), side)
    return b.getvalue()


def exif(orientation):
    e = Image.Exif()
    e[0x112] = orientation
    return e


# ---- PNG by hand, for what Pillow does not write

def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def packed(rows, depth):
    """Samples of less than 8 bits side by side, rows padded to bytes."""
    out = []
    for row in rows.reshape(rows.shape[0], -1):
        bits = "".join(f"{int(v):0{depth}b}" for v in row)
        bits += "0" * (-len(bits) % 8)
        out.append(int(bits, 2).to_bytes(len(bits) // 8, "big"))
    return out


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(samples, color, depth, interlaced=False, chunks=()):
    """samples [h, w, channels]"""
    passes = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlaced else [samples]
    raw = b"".join(b"\0" + row for p in passes if p.size for row in packed(p, depth))
    h, w = samples.shape[:2]
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, color, 0, 0, int(interlaced))) +
            b"".join(chunk(*c) for c in chunks) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


def pngs():
    rgb = np.asarray(picture(23, 17)).astype(int)
    grey = rgb.mean(-1, keepdims=True).astype(int)
    alpha = (np.mgrid[0:17, 0:23].sum(0) * 7 % 256)[..., None]
    wide = rgb * 257 + np.arange(17)[:, None, None] * 11 % 200 - 100
    wide = wide.clip(0, 65535)
    for interlaced in (False, True):
        i = "-interlaced" if interlaced else ""
        keep(f"rgb{i}.png", png(rgb, 2, 8, interlaced))
        keep(f"rgba{i}.png", png(np.concatenate([rgb, alpha], -1), 6, 8, interlaced))
        keep(f"grey-alpha{i}.png", png(np.concatenate([grey, alpha], -1), 4, 8, interlaced))
        keep(f"rgb-16{i}.png", png(wide, 2, 16, interlaced))
        for depth in (1, 2, 4, 8):
            n = 2 ** depth
            colours = np.random.default_rng(depth).integers(0, 256, (n, 3))
            index = np.random.default_rng(9).integers(0, n, (17, 23, 1))
            palette = (b"PLTE", colours.astype(np.uint8).tobytes())
            keep(f"palette-{depth}{i}.png", png(index, 3, depth, interlaced, [palette]))
            clear = (b"tRNS", bytes(40 * k % 256 for k in range(min(n, 9))))
            if not interlaced:
                keep(f"palette-{depth}-clear.png", png(index, 3, depth, False, [palette, clear]))
                keep(f"grey-{depth}.png", png(grey * (n - 1) // 255, 0, depth))
    keep("grey-16.png", png(wide[..., :1], 0, 16))
    keep("rgba-16.png", png(np.concatenate([wide, alpha * 257], -1), 6, 16))
    keep("rgb-key.png", png(rgb // 64 * 64, 2, 8, False, [(b"tRNS", struct.pack(">3H", 64, 64, 128))]))
    keep("grey-key.png", png(grey // 64 * 64, 0, 8, False, [(b"tRNS", struct.pack(">H", 128))]))
    for o in range(1, 9):
        save(f"turned-{o}.png", picture(14, 9), "PNG", side=9, exif=exif(o))


# ---- JPEG

def without(data, marker):
    """The file without its segments of one kind."""
    out, at = bytearray(data[:2]), 2
    while data[at + 1] != 0xDA:
        n = 2 + struct.unpack(">H", data[at + 2:at + 4])[0]
        if data[at + 1] != marker:
            out += data[at:at + n]
        at += n
    return bytes(out + data[at:])


def jpegs():
    for o in range(1, 9):
        save(f"turned-{o}.jpg", picture(30, 19), "JPEG", exif=exif(o), quality=85, optimize=True)
    for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
        save(f"{name}.jpg", picture(37, 21), "JPEG", subsampling=subsampling, quality=80, optimize=True)
    save("progressive.jpg", picture(37, 21), "JPEG", progressive=True, quality=80)
    save("grey.jpg", picture(21, 33).convert("L"), "JPEG", quality=80, optimize=True)
    save("restart.jpg", picture(37, 21), "JPEG", quality=80, restart_marker_blocks=1, optimize=True)
    cmyk = np.concatenate([np.asarray(picture(25, 19)), np.asarray(picture(25, 19, 5))[..., :1] // 2], -1)
    data = save("cmyk.jpg", Image.fromarray(cmyk, "CMYK"), "JPEG", quality=85, optimize=True)
    keep("cmyk-without-adobe.jpg", without(data, 0xEE))
    at = data.index(b"Adobe") + 11
    keep("ycck.jpg", data[:at] + b"\x02" + data[at + 1:])
    save("two.mpo", picture(26, 20), "MPO", save_all=True, append_images=[picture(26, 20, 3)], quality=80)


def webps():
    for o in range(1, 9):
        save(f"turned-{o}.webp", picture(16, 11), "WEBP", side=10, exif=exif(o), quality=80)
    image = picture(27, 18)
    save("lossless.webp", image, "WEBP", lossless=True)
    image.putalpha(picture(27, 18, 2).convert("L"))
    save("alpha.webp", image, "WEBP", quality=80)
    save("alpha-lossless.webp", image, "WEBP", lossless=True, exact=True)


def shapes():
    for w, h, side in ((1, 1, 1), (1, 9, 1), (9, 1, 1), (2, 3, 2), (3, 200, 3), (200, 3, 2), (5, 31, 4), (63, 64, 31), (97, 13, 7),
                       (13, 97, 13), (101, 67, 33)):
        save(f"{w}x{h}.png", picture(w, h), "PNG", side=side, optimize=True)


if __name__ == "__main__":
    random.seed(0)
    OUT.mkdir(exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    pngs()
    jpegs()
    webps()
    shapes()
    (OUT / "list.txt").write_text("\n".join(files) + "\n")
    (OUT / "expected.rgb").write_bytes(bytes(expected))
