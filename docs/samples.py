"""Draws docs/samples.png from what the last `make repro` shipped: `.venv/bin/python docs/samples.py`."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from genfoundry import Artifact
from genfoundry.pictures import GAP, beside, from_bytes, grid, to_bytes

GENERATORS = ("vae", "flow", "gan", "dcgan", "stylegan", "diffusion", "conditional_vae")
TRANSLATORS = {"pix2pix": "emoji/test_source.npy", "cyclegan": "apples_oranges/test_a.npy"}
COLUMNS, SIDE, MARGIN = 10, 64, 110


def samples(run: str) -> np.ndarray:
    """The first of seed 0."""
    return to_bytes(Artifact.load(Path("dist") / run).generate(COLUMNS, seed=0))


def translations(run: str, images: str) -> np.ndarray:
    """Held-out images from all over the set, each beside its translation."""
    held_out = np.load(Path("data/prepared") / images, mmap_mode="r")
    chosen = held_out[:: len(held_out) // (COLUMNS // 2)][: COLUMNS // 2]
    return beside(chosen, Artifact.load(Path("dist") / run).translate(from_bytes(chosen)))


def strip(name: str, images: np.ndarray) -> Image.Image:
    """A row of images of one size, under the run's name."""
    tiles = [Image.fromarray(grid(image[None]).squeeze()).resize((SIDE, SIDE)).convert("RGB") for image in images]
    canvas = Image.new("RGB", (MARGIN + COLUMNS * (SIDE + GAP), SIDE + GAP), "white")
    ImageDraw.Draw(canvas).text((4, SIDE // 2 - 8), name, "black", ImageFont.load_default(13))
    for column, tile in enumerate(tiles):
        canvas.paste(tile, (MARGIN + column * (SIDE + GAP), 0))
    return canvas


if __name__ == "__main__":
    rows = [(name, samples(name)) for name in GENERATORS]
    rows += [(name, translations(name, images)) for name, images in TRANSLATORS.items()]
    strips = [strip(*row) for row in rows]
    sheet = Image.new("RGB", (strips[0].width, len(strips) * strips[0].height), "white")
    for index, row in enumerate(strips):
        sheet.paste(row, (0, index * row.height))
    sheet.save("docs/samples.png", optimize=True)
