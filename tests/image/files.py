"""Tiny image data sets in their real formats."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
from PIL import Image

from nasp_lightning.image.imagenet16 import TEST_FILES, TRAIN_FILES

PER_FILE = 5


def write_columns(folder: Path, count: int = 20, seed: int = 0, order: object = None) -> Path:
    """A tiny data set in the format of image columns: each class ``count / 10`` times."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(count) % 10
    if order is not None:
        pixels, labels = pixels[order], labels[order]
    for part in ("train", "test"):
        for number in range(0, count, PER_FILE):
            column = pixels[number : number + PER_FILE].reshape(-1, 32, 3)
            file = folder / f"{part}_{number // PER_FILE:03}.webp"
            Image.fromarray(column).save(file, lossless=True)
        np.save(folder / f"{part}_labels.npy", labels)
    return folder


CLASSES = ("n01", "n02", "n03")


def write_folder(root: Path, each: int = 4, side: int = 40, seed: int = 0) -> Path:
    """Tiny ``train`` and ``val`` in ImageNet's layout, with a greyscale and a CMYK image each.

    An image's brightness tells its class.
    """
    rng = np.random.default_rng(seed)
    for part in ("train", "val"):
        for label, name in enumerate(CLASSES):
            (root / part / name).mkdir(parents=True)
            for number in range(each):
                level = 40 + 80 * label
                pixels = rng.integers(level, level + 40, (side, side + 8, 3), dtype=np.uint8)
                image = Image.fromarray(pixels)
                if (label, number) == (0, 0):
                    image = image.convert("L")
                elif (label, number) == (1, 0):
                    image = image.convert("CMYK")
                image.save(root / part / name / f"{name}_{number}.JPEG", quality=95)
    return root


def damage(root: Path, file: str) -> None:
    content = (root / file).read_bytes()
    (root / file).write_bytes(content[: len(content) // 2])


def write_batches(folder: Path, classes: int = 130, each: int = 1) -> Path:
    """Tiny files in the official format: two training batches and the validation set."""
    for number, name in enumerate((*TRAIN_FILES[:2], *TEST_FILES)):
        rng = np.random.default_rng(number)
        labels = [1 + place % classes for place in range(classes * each)]
        data = rng.integers(0, 256, (len(labels), 768), dtype=np.uint8)
        content = {"data": data, "labels": labels, "mean": data.mean(0)}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return folder
