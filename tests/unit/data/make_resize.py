"""make_resize.py - golden values of Pillow's bicubic for resize.c. Needs Pillow, nothing else.

    python3 tests/unit/data/make_resize.py > tests/unit/data/resize_golden.h

Source pixels come from a linear congruential generator that the test repeats, so only results are stored: whole for
small images, as SHA-256 for large ones. No image grows in width and shrinks in height: there Pillow 13 filters
columns first, older versions (all that published CLIP figures used) rows first. Squares are resized and cropped as torchvision's CLIP preprocessing does.
"""
import hashlib
import PIL
from PIL import Image

RESIZES = [(7, 5, 3, 4), (5, 7, 11, 9), (16, 16, 5, 9), (1, 9, 4, 3), (13, 2, 13, 5), (640, 427, 64, 43),
           (64, 64, 512, 512), (511, 333, 224, 146)]
SQUARES = [(9, 13, 4), (21, 10, 7), (640, 480, 224), (333, 500, 64), (100, 101, 64), (64, 115, 64), (300, 40, 97)]
WHOLE = 400  # bytes; larger results are hashed


def source(w, h):
    s, out = (w * 65537 + h) & 0xFFFFFFFF, bytearray()
    for _ in range(w * h * 3):
        s = (s * 1664525 + 1013904223) & 0xFFFFFFFF
        out.append(s >> 24)
    return Image.frombytes("RGB", (w, h), bytes(out))


def square(image, side):
    w, h = image.size
    short = min(w, h)
    image = image.resize((int(side * w / short), int(side * h / short)), Image.BICUBIC)
    w, h = image.size
    x, y = int(round((w - side) / 2.0)), int(round((h - side) / 2.0))
    return image.crop((x, y, x + side, y + side))


def row(w, h, to_w, to_h, image):
    data = image.tobytes()
    digest = hashlib.sha256(data).hexdigest()
    pixels = data if len(data) <= WHOLE else b""
    lines, text = [], ",".join(str(b) for b in pixels)
    while len(text) > 100:
        cut = text.rindex(",", 0, 100) + 1
        lines.append(text[:cut])
        text = text[cut:]
    body = "\n      ".join(lines + [text]) if pixels else "0"
    return f'    {{{w}, {h}, {to_w}, {to_h}, {len(pixels)}, "{digest}",\n     {{{body}}}}},'


print(f"/* resize_golden.h - made by make_resize.py with Pillow {PIL.__version__}; do not edit. */")
print("static const struct golden {\n    int w, h, to_w, to_h, n;\n    const char *hash;")
print(f"    unsigned char pixel[{WHOLE}];\n}} resizes[] = {{")
for w, h, a, b in RESIZES:
    print(row(w, h, a, b, source(w, h).resize((a, b), Image.BICUBIC)))
print("}, squares[] = {")
for w, h, side in SQUARES:
    print(row(w, h, side, side, square(source(w, h), side)))
print("};")
