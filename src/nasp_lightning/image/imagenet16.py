"""ImageNet16-120: the first 120 classes of ImageNet at 16 by 16 pixels, as NAS-Bench-201 uses it.

Chrabaszcz et al. (arXiv 1707.08819) made the images; Dong and Yang (ICLR 2020), section 2.2, took
the classes 1 to 120. Read are the official pickles, ``train_data_batch_1`` to ``_10`` and
``val_data``, by an unpickler that runs nothing. Its 6,000 test images are the benchmark's
validation and test sets together.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from nasp_lightning.benchmark.format.unpickle import as_mapping, restricted_load
from nasp_lightning.error import NaspError
from nasp_lightning.image.cifar import Images, content_order
from nasp_lightning.storage import cache_dir, data_dir

CLASSES = 120
SIDE = 16
TRAIN_FILES = tuple(f"train_data_batch_{number}" for number in range(1, 11))
TEST_FILES = ("val_data",)
WHOLE = (151_700, 6_000)  # images, train and test
FOLDERS = ("imagenet16", "ImageNet16")


def load_imagenet16(
    path: str | Path | None = None, train: bool = True, partial: bool = False
) -> Images:
    """The training or test images.

    Args:
        path: folder of the official pickles; None looks in ``NASP_DATA`` and the cache's
            ``downloads``, and their folders ``imagenet16`` and ``ImageNet16``.
        train: the 151,700 training images, or the 6,000 of the test.
        partial: accept a part of them that holds every class.

    Raises:
        NaspError: if they are not found, damaged, or not whole.
    """
    folder = _find(path)
    pixels, labels = [], []
    for name in TRAIN_FILES if train else TEST_FILES:
        if partial and not (folder / name).is_file():
            continue
        images, classes = _read(folder / name)
        pixels.append(images)
        labels.append(classes)
    every = np.concatenate(labels) if labels else np.empty(0, np.int64)
    _check(every, folder, train, partial)
    whole = np.concatenate(pixels)
    order, data_hash = content_order(whole, every)
    return Images(
        pixels=torch.from_numpy(whole[order]).permute(0, 3, 1, 2).contiguous(),
        labels=torch.from_numpy(every[order]),
        classes=CLASSES,
        data_hash=data_hash,
        name="imagenet16",
    )


def _find(path: str | Path | None) -> Path:
    if path is not None:
        places = [Path(path).expanduser()]
    else:
        roots = [root for root in (data_dir(), cache_dir() / "downloads") if root is not None]
        places = [root / name for root in roots for name in (*FOLDERS, "")]
    for place in places:
        if (place / TEST_FILES[0]).is_file():
            return place
    raise NaspError(
        f"ImageNet16-120 is not found (searched: {', '.join(map(str, places))}): set data.path to "
        f"the folder of {TRAIN_FILES[0]}, … and {TEST_FILES[0]}, which image-net.org hands out as "
        "the downsampled ImageNet 16x16"
    )


def _read(file: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        content = as_mapping(restricted_load(file))
        data = np.asarray(content["data"])
        labels = np.asarray(content["labels"], dtype=np.int64)
        fits = data.dtype == np.uint8 and data.shape == (len(labels), 3 * SIDE * SIDE)
    except (TypeError, KeyError, ValueError):
        fits = False
    if not fits:
        raise NaspError(f"{file} is no file of the downsampled ImageNet 16x16: get it again")
    chosen = (labels >= 1) & (labels <= CLASSES)
    images = data[chosen].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return images, labels[chosen] - 1


def _check(labels: np.ndarray, folder: Path, train: bool, partial: bool) -> None:
    counts = np.bincount(labels, minlength=CLASSES)
    expected = WHOLE[0 if train else 1]
    if counts.min() == 0:
        absent = int(np.flatnonzero(counts == 0)[0]) + 1
        raise NaspError(f"{folder}: class {absent} of ImageNet16-120 has no images: get it again")
    if not partial and len(labels) != expected:
        raise NaspError(
            f"{folder} holds {len(labels)} {'training' if train else 'test'} images of "
            f"ImageNet16-120, expected {expected}: get it again, or accept a part with "
            "data.partial=true"
        )
