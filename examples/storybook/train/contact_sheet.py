"""Draws a sheet of scenes by lot, to look at: python contact_sheet.py OUT.png [columns rows seed]"""
import random
import sys

from PIL import Image

from world.captions import caption
from world.scene import draw, random_scene

out = sys.argv[1]
columns, rows, seed = (int(a) for a in (sys.argv[2:5] or (12, 8, 1)))
rng = random.Random(seed)
sheet = Image.new("RGB", (columns * 66, rows * 66))
for i in range(columns * rows):
    scene = random_scene(rng)
    sheet.paste(Image.fromarray(draw(scene)), (i % columns * 66, i // columns * 66))
    if i < 24:
        print(caption(rng, scene))
sheet.save(out)
