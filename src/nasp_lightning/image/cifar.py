"""CIFAR-10 and CIFAR-100 as tensors that stay on one device: pixels as bytes, no files, no workers.

Three kinds of folders are read: torchvision's (``cifar-10-batches-py``; it can be downloaded, and
its files are used only if their official checksums hold), columns of images, 500 under one
another in each of ``train_000.webp``, ``train_001.webp``, … beside ``train_labels.npy``, and image
files in ``train/<class>/``, the classes in the order of their names (which is the official one).

The images come in an order of their own content, so that both folders give the same tensors, the
same hash, and the same random subset for a seed.

Example:
    >>> images = load_cifar("cifar10", train=True)  # doctest: +SKIP
    >>> small = images.subset(5000, seed=0)  # doctest: +SKIP
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nasp_lightning.error import NaspError
from nasp_lightning.storage import cache_dir, data_dir

SIDE = 32
# Data set to its classes, its images for each class (train, test), and torchvision's folder.
DATASETS = {
    "cifar10": (10, (5000, 1000), "cifar-10-batches-py"),
    "cifar100": (100, (500, 100), "cifar-100-python"),
}
SUBSET_STREAM = 1  # so that other draws from the same seed are independent

Bytes = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Images:
    """Labelled images on one device.

    Attributes:
        pixels: ``[N, 3, S, S]`` uint8; S is 32, in ImageNet16-120 it is 16.
        labels: ``[N]`` int64, 0 to classes - 1.
        classes: number of classes.
        data_hash: of all pixels and labels, whatever folder they came from.
        name: such as ``cifar10``.
    """

    pixels: Tensor
    labels: Tensor
    classes: int
    data_hash: str
    name: str

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def to(self, device: torch.device | str) -> Images:
        """The same images on another device."""
        return replace(self, pixels=self.pixels.to(device), labels=self.labels.to(device))

    def subset(self, count: int, seed: int) -> Images:
        """``count`` images drawn at random without replacement; the hash stays the whole's.

        Raises:
            NaspError: if there are fewer.
        """
        if not 1 <= count <= len(self):
            raise NaspError(
                f"{count} images were asked for, but {self.name} has {len(self)} here: ask for "
                "fewer, or give the folder of the whole data set"
            )
        drawn = np.random.default_rng([seed, SUBSET_STREAM]).permutation(len(self))[:count]
        rows = torch.from_numpy(drawn).to(self.labels.device)
        return replace(self, pixels=self.pixels[rows], labels=self.labels[rows])


def load_cifar(
    name: str = "cifar10",
    path: str | Path | None = None,
    train: bool = True,
    download: bool = False,
    partial: bool = False,
) -> Images:
    """CIFAR-10 or CIFAR-100, its class counts checked.

    Args:
        name: ``cifar10`` or ``cifar100``.
        path: folder of image columns or image files, or torchvision's root; None looks for any
            of them in ``NASP_DATA``, its folder ``name``, and the cache's ``downloads``.
        train: the 50,000 training images, or the 10,000 test images.
        download: let torchvision download it where it is not found.
        partial: accept a part of the data set that holds every class.

    Raises:
        NaspError: if it is not found, damaged, or not the whole data set.
    """
    if name not in DATASETS:
        raise NaspError(f"there is no data set {name!r} here: choose " + " or ".join(DATASETS))
    folder = _find(name, path, download)
    if (folder / f"{_part(train)}_labels.npy").is_file():
        pixels, labels = _read_columns(folder, _part(train))
    elif (folder / _part(train)).is_dir():
        pixels, labels = _read_files(folder / _part(train))
    else:
        pixels, labels = _read_torchvision(folder, name, train, download)
    _check_classes(labels, name, train, folder, partial)
    order, data_hash = content_order(pixels, labels)
    return Images(
        pixels=torch.from_numpy(pixels[order]).permute(0, 3, 1, 2).contiguous(),
        labels=torch.from_numpy(labels[order]),
        classes=DATASETS[name][0],
        data_hash=data_hash,
        name=name,
    )


def _part(train: bool) -> str:
    return "train" if train else "test"


def _is_source(folder: Path, name: str) -> bool:
    parts = ("train", "test")
    columns = any((folder / f"{part}_labels.npy").is_file() for part in parts)
    # All classes, so that the ImageNet beside it is not taken for it.
    files = all(
        sum(item.is_dir() for item in _listed(folder / part)) == DATASETS[name][0] for part in parts
    )
    return columns or files or (folder / DATASETS[name][2]).is_dir()


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _find(name: str, path: str | Path | None, download: bool) -> Path:
    downloads = cache_dir() / "downloads"
    if path is not None:
        folder = Path(path).expanduser()
        if _is_source(folder, name) or download:
            return folder
        raise NaspError(
            f"{folder} holds no {name}: expected train_labels.npy beside train_000.webp, …, or "
            f"image files in train/<class>/ and test/<class>/ of {DATASETS[name][0]} classes, or "
            f"torchvision's folder {DATASETS[name][2]} (download=true gets it)"
        )
    root = data_dir()
    places = [*([root / name, root] if root is not None else []), downloads / name, downloads]
    for place in places:
        if _is_source(place, name):
            return place
    if download:
        return downloads
    raise NaspError(
        f"{name} is not found (searched: {', '.join(map(str, places))}): set its path or NASP_DATA "
        "to its folder, or download=true"
    )


def _read_columns(folder: Path, part: str) -> tuple[Bytes, Labels]:
    files = sorted(folder.glob(f"{part}_[0-9]*.webp"))
    columns = []
    for file in files:
        column = _read_image(file)
        if column.shape[1] != SIDE or column.shape[0] % SIDE:
            raise NaspError(
                f"{file} is {column.shape[1]} pixels wide and {column.shape[0]} high: expected "
                f"images of {SIDE} by {SIDE} under one another"
            )
        columns.append(column.reshape(-1, SIDE, SIDE, 3))
    pixels = np.concatenate(columns) if columns else np.empty((0, SIDE, SIDE, 3), np.uint8)
    labels_file = folder / f"{part}_labels.npy"
    try:
        labels = np.load(labels_file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise NaspError(f"{labels_file} is damaged ({error}): get it again") from error
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) != len(pixels):
        raise NaspError(
            f"{folder} holds {len(pixels)} images in {len(files)} files of {part}_NNN.webp, but "
            f"{labels_file.name} is {labels.dtype} of shape {labels.shape}: get them again"
        )
    return pixels, labels.astype(np.int64)


def _read_image(file: Path) -> Bytes:
    from PIL import Image, UnidentifiedImageError

    try:
        return np.asarray(Image.open(io.BytesIO(file.read_bytes())).convert("RGB"))
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise NaspError(f"{file} is damaged or cut short ({error}): get it again") from error


def _read_files(folder: Path) -> tuple[Bytes, Labels]:
    images, labels = [], []
    for label, place in enumerate(item for item in _listed(folder) if item.is_dir()):
        for file in _listed(place):
            if file.name.startswith("."):
                continue
            image = _read_image(file)
            if image.shape != (SIDE, SIDE, 3):
                raise NaspError(
                    f"{file} is {image.shape[1]} pixels wide and {image.shape[0]} high: expected "
                    f"{SIDE} by {SIDE}"
                )
            images.append(image)
            labels.append(label)
    pixels = np.stack(images) if images else np.empty((0, SIDE, SIDE, 3), np.uint8)
    return pixels, np.array(labels, dtype=np.int64)


def _read_torchvision(root: Path, name: str, train: bool, download: bool) -> tuple[Bytes, Labels]:
    try:
        from torchvision.datasets import CIFAR10, CIFAR100  # type: ignore[import-untyped]
    except ImportError as error:
        raise NaspError(
            f"{root} holds torchvision's files of {name}: install torchvision to read them"
        ) from error
    kind = CIFAR10 if name == "cifar10" else CIFAR100
    try:  # it unpickles nothing whose MD5 is not the official file's
        with contextlib.redirect_stdout(io.StringIO()):
            found = kind(str(root), train=train, download=download)
    except (RuntimeError, OSError) as error:
        told = " ".join(str(error).split())
        raise NaspError(
            f"torchvision cannot read {name} in {root} ({told}): set download=true, or path to a "
            "folder that holds it"
        ) from error
    return np.asarray(found.data, np.uint8), np.asarray(found.targets, np.int64)


def _check_classes(labels: Labels, name: str, train: bool, folder: Path, partial: bool) -> None:
    """Refuse labels out of range, absent classes, and parts of the data set taken for the whole."""
    classes, per_class, _ = DATASETS[name]
    expected = per_class[0 if train else 1]
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= classes:
        raise NaspError(
            f"{folder}: labels of {name} go from 0 to {classes - 1}, here "
            + (f"from {labels.min()} to {labels.max()}" if len(labels) else "are none")
        )
    counts = np.bincount(labels, minlength=classes)
    if partial and counts.min() > 0:
        return
    if (counts != expected).any():
        wrong = int(np.flatnonzero(counts != expected)[0])
        remedy = "get it again" if partial else "get it again, or accept a part with partial=true"
        raise NaspError(
            f"{folder} is not the whole {_part(train)} set of {name}: class {wrong} has "
            f"{counts[wrong]} images, expected {expected}: {remedy}"
        )


def content_order(pixels: Bytes, labels: Labels) -> tuple[npt.NDArray[np.int64], str]:
    """Order by content, and the hash of all of it: the same for any order that it came in."""
    digests = [
        hashlib.blake2b(image.tobytes(), digest_size=12).digest() + int(label).to_bytes(4, "little")
        for image, label in zip(pixels, labels, strict=True)
    ]
    order = np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.int64)
    content = b"".join(digests[place] for place in order)
    return order, hashlib.sha256(content).hexdigest()[:16]
