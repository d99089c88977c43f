"""make.py - draws the photos of the cluster and command line tests: three creatures of flat shapes. Needs Python alone.

    python3 tests/cluster/photos/make.py        # writes rex/ mug/ owl/ beside itself; the same bytes every time
"""
import os
import struct
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))


def png(path, side, pixel):
    rows = b"".join(b"\0" + b"".join(bytes(pixel(x / side, y / side)) for x in range(side)) for y in range(side))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
                + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def rex(ground, dx):
    def pixel(x, y):
        if (x - 0.5 - dx) ** 2 + (y - 0.55) ** 2 < 0.05:
            return (190, 60, 40) if int(x * 16) % 2 else (240, 200, 60)
        return ground if y < 0.75 else (60, 120, 50)
    return pixel


def mug(ground, dx):
    def pixel(x, y):
        if abs(x - 0.5 - dx) < 0.18 and 0.3 < y < 0.7:
            return (30, 70, 160) if int(y * 20) % 3 else (230, 230, 240)
        if (x - 0.7 - dx) ** 2 + (y - 0.5) ** 2 < 0.012:
            return (30, 70, 160)
        return ground
    return pixel


def owl(ground, dx):
    def pixel(x, y):
        if min((x - 0.42 - dx) ** 2, (x - 0.58 - dx) ** 2) + (y - 0.4) ** 2 < 0.003:
            return (250, 240, 90)
        if ((x - 0.5 - dx) / 0.22) ** 2 + ((y - 0.5) / 0.32) ** 2 < 1:
            return (90, 60, 30)
        return ground
    return pixel


SETS = {
    "rex": ("<rex>", "dog", "animal", rex, [((150, 200, 240), 0.0, "a dog on grass"), ((230, 220, 200), 0.1, "a dog by a wall")]),
    "mug": ("<mug>", "cup", "object", mug, [((200, 170, 120), 0.0, "a cup on a table"), ((90, 90, 90), -0.1, "a cup on a stone")]),
    "owl": ("<owl>", "bird", "animal", owl, [((40, 40, 90), 0.0, "a bird at night"), ((240, 190, 150), 0.05, "a bird at dawn")]),
}

for name, (token, word, kind, draw, photos) in SETS.items():
    folder = os.path.join(HERE, name)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "concept.yaml"), "w") as f:
        f.write(f'token: "{token}"\nclass: {word}\nkind: {kind}\n')
    for i, (ground, dx, caption) in enumerate(photos, 1):
        png(os.path.join(folder, f"{i}.png"), 64, draw(ground, dx))
        with open(os.path.join(folder, f"{i}.txt"), "w") as f:
            f.write(caption + "\n")
