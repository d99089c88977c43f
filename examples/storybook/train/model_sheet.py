"""Draws the sheet of captions and samples: python model_sheet.py [folder] OUT.png"""
import sys
import textwrap

import torch
from PIL import Image, ImageDraw

from paths import EXPORT
from sampler import Sampler

GUIDANCE, STEPS = 4.0, 15
CAPTIONS = (
    "a brown dog in a meadow in flat style", "a blue cat on the moon in neon style",
    "a pink rabbit wearing a red hat in a forest in flat style", "in watercolor style, a yellow bird on a beach",
    "a blueprint style drawing of a red car in a city", "a green frog in a room in sketch style",
    "an orange fish in the desert, in flat style", "a striped purple balloon in the mountains in flat style",
    "a white house in the mountains in watercolor style", "a black bear wearing a yellow scarf in a city in flat style",
    "a cyan umbrella on the beach in flat style", "a spotted red mug in a room in flat style",
    "a green turtle and a red boat on a beach in flat style", "a gray cat next to a blue chair in a room in sketch style",
    "an orange lamp and a purple vase in a room in flat style", "a neon style picture of the city",
)


def main():
    folder, out = (sys.argv[1:3] if len(sys.argv) > 2 else (EXPORT, sys.argv[1]))
    torch.set_num_threads(1)
    each, cell, text = 2, 128, 40
    drawn = Sampler(folder).images([c for c in CAPTIONS for _ in range(each)], STEPS, GUIDANCE, seed=5)
    drawn = ((drawn + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    columns = 2
    rows = (len(CAPTIONS) + columns - 1) // columns
    sheet = Image.new("RGB", (columns * (each * cell + 12), rows * (cell + text)), "white")
    pen = ImageDraw.Draw(sheet)
    for i, caption in enumerate(CAPTIONS):
        x, y = i % columns * (each * cell + 12), i // columns * (cell + text)
        for k in range(each):
            picture = Image.fromarray(drawn[i * each + k]).resize((cell - 2, cell - 2), Image.BICUBIC)
            sheet.paste(picture, (x + k * cell, y + text))
        pen.text((x + 2, y + 10), "\n".join(textwrap.wrap(caption, 64)), fill="black")
    sheet.quantize(128).save(out, optimize=True)


if __name__ == "__main__":
    main()
