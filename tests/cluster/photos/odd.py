"""odd.py - a JPEG that lies on its side (EXIF orientation 6) and a PNG with a transparent half, for the test that both are accepted.

    python3 tests/cluster/photos/odd.py         # writes odd/ beside itself; needs Pillow
"""
import os

from PIL import Image

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "odd")
os.makedirs(HERE, exist_ok=True)
side = Image.new("RGB", (48, 64), (200, 60, 60))
side.paste((240, 220, 200), (0, 0, 48, 8))  # one colour alone would be refused
exif = Image.Exif()
exif[0x0112] = 6
side.save(os.path.join(HERE, "1.jpg"), exif=exif, quality=60)
glass = Image.new("RGBA", (64, 64), (60, 60, 200, 255))
glass.paste((0, 0, 0, 0), (0, 0, 32, 64))
glass.save(os.path.join(HERE, "2.png"))
with open(os.path.join(HERE, "concept.yaml"), "w") as f:
    f.write('token: "<odd>"\nclass: tile\nkind: object\n')
for i, caption in ((1, "a red tile"), (2, "half a blue tile")):
    with open(os.path.join(HERE, f"{i}.txt"), "w") as f:
        f.write(caption + "\n")
