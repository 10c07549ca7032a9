"""Images in ImageNet's folder layout: one folder for each class, whose images are its files.

Every image is read once, to find those that are broken, greyscale or in another colour space, and
to hash the whole; what was found is remembered in the cache until a file changes.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nasp_lightning.error import NaspError
from nasp_lightning.record.progress import progress_bar
from nasp_lightning.storage import cache_dir, locked, read_checked, write_checked

log = logging.getLogger(__name__)

ENDINGS = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".ppm")
BROKEN = ("leave_out", "refuse")
GREY = ("1", "L", "LA", "La", "I", "I;16", "F")  # Pillow's names of what has no colour
SMALL = (32, 32)  # a JPEG is decoded so coarsely, which reads the whole file all the same


@dataclass(frozen=True)
class ImageFolder:
    """Image files and their classes.

    Attributes:
        root: folder of the class folders.
        classes: names, in the order of their labels.
        files: ``[N]`` paths under the root, sorted.
        labels: ``[N]`` int64.
    """

    root: Path
    classes: tuple[str, ...]
    files: tuple[str, ...]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.files)

    def rows(self, rows: npt.NDArray[np.int64]) -> ImageFolder:
        """Some of the images."""
        files = tuple(self.files[row] for row in rows)
        return replace(self, files=files, labels=self.labels[rows])


@dataclass(frozen=True)
class Scan:
    """What reading all images of a folder found.

    Attributes:
        broken: files that cannot be read.
        greyscale: number of images without colour.
        other: number of images that are neither greyscale nor RGB.
        data_hash: of all contents.
    """

    broken: tuple[str, ...]
    greyscale: int
    other: int
    data_hash: str


def list_folder(root: Path) -> ImageFolder:
    """The images of a folder, none of them read.

    Raises:
        NaspError: if there are no class folders, or one of them holds no image.
    """
    if not root.is_dir():
        raise NaspError(
            f"{root}: there is no such folder; expected train/<class>/ and val/<class>/ with "
            "images, as ImageNet has them (data.path)"
        )
    classes = sorted(item.name for item in os.scandir(root) if item.is_dir())
    if not classes:
        raise NaspError(
            f"{root} holds no class folders: sort its images into one folder for each class, as "
            "ImageNet's training set is"
        )
    files: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = sorted(
            item.name for item in os.scandir(root / name) if item.name.lower().endswith(ENDINGS)
        )
        if not found:
            raise NaspError(
                f"{root / name} holds no images ({', '.join(ENDINGS)}): fill the class, or remove "
                "its folder from train and val"
            )
        files += [f"{name}/{file}" for file in found]
        labels += [label] * len(found)
    return ImageFolder(root, tuple(classes), tuple(files), np.array(labels, dtype=np.int64))


def check_same_classes(train: ImageFolder, test: ImageFolder) -> None:
    """Refuse a test folder with other classes than the training folder.

    Raises:
        NaspError: naming the first class that only one of them has.
    """
    for ours, theirs in ((train, test), (test, train)):
        lacking = sorted(set(ours.classes) - set(theirs.classes))
        if lacking:
            raise NaspError(
                f"{theirs.root} has no folder {lacking[0]}, which {ours.root} has "
                f"({len(lacking)} such classes): both must hold the same classes"
            )


def scan_folder(folder: ImageFolder, threads: int = 8) -> Scan:
    """Read every image once, or recall what that found.

    Args:
        folder: whose images are read.
        threads: that read at once.

    Raises:
        NaspError: if the cache cannot be written.
    """
    path = cache_dir() / "images" / f"{_identity(folder)}.json"
    with locked(path):
        try:
            return _recalled(read_checked(path))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            scan = _scan(folder, threads)
            write_checked(path, {**vars(scan), "broken": list(scan.broken)})
            return scan


def _recalled(found: Mapping[str, object]) -> Scan:
    """What was kept of a scan.

    Raises:
        KeyError: if something is missing.
        TypeError: if something is of another type.
    """
    broken, greyscale, other = found["broken"], found["greyscale"], found["other"]
    if not isinstance(broken, list):
        raise TypeError("the broken files are no list")
    if not isinstance(greyscale, int) or not isinstance(other, int):
        raise TypeError("the counts are no numbers")
    return Scan(tuple(broken), greyscale, other, str(found["data_hash"]))


def readable(folder: ImageFolder, scan: Scan, broken: str) -> ImageFolder:
    """The images that can be read, with one line that counts the others.

    Args:
        folder: of the images.
        scan: what reading them found.
        broken: ``leave_out`` them, or ``refuse`` the folder.

    Raises:
        NaspError: if there are broken images and they are refused, or a class is left empty.
    """
    if scan.broken and broken == "refuse":
        raise NaspError(
            f"{folder.root / scan.broken[0]} cannot be read, and {len(scan.broken) - 1} more of "
            f"{len(folder)} images: get them again, or leave them out with data.broken=leave_out"
        )
    if scan.broken or scan.greyscale or scan.other:
        log.info(
            "%s: %d images, of which %d greyscale and %d in other colours are read as RGB, and %d "
            "broken are left out%s",
            *(folder.root, len(folder), scan.greyscale, scan.other, len(scan.broken)),
            f" (the first: {scan.broken[0]})" if scan.broken else "",
        )
    lost = set(scan.broken)
    if not lost:
        return folder
    kept = folder.rows(np.array([row for row, file in enumerate(folder.files) if file not in lost]))
    counts = np.bincount(kept.labels, minlength=len(folder.classes))
    if counts.min() == 0:
        empty = folder.classes[int(counts.argmin())]
        raise NaspError(f"{folder.root / empty}: none of its images can be read: get them again")
    return kept


def names_hash(folder: ImageFolder) -> str:
    """Hash of names and sizes, for a folder that is not read as a whole."""
    sizes = [f"{file}:{(folder.root / file).stat().st_size}" for file in folder.files]
    return "names-" + hashlib.sha256("\n".join(sizes).encode()).hexdigest()[:16]


def _identity(folder: ImageFolder) -> str:
    digest = hashlib.sha256(str(folder.root.resolve()).encode())
    for file in folder.files:
        status = (folder.root / file).stat()
        digest.update(f"\n{file}:{status.st_size}:{status.st_mtime_ns}".encode())
    return digest.hexdigest()[:24]


def _scan(folder: ImageFolder, threads: int) -> Scan:
    paths: Sequence[Path] = [folder.root / file for file in folder.files]
    with (
        progress_bar(f"reading {folder.root.name}", len(paths), "images") as told,
        ThreadPoolExecutor(threads) as pool,
    ):
        found = []
        for item in pool.map(_look, paths, chunksize=64):
            found.append(item)
            told(1)
    modes = [mode for mode, _ in found]
    lines = [f"{file}:{digest}" for file, (_, digest) in zip(folder.files, found, strict=True)]
    return Scan(
        broken=tuple(file for file, mode in zip(folder.files, modes, strict=True) if mode is None),
        greyscale=sum(mode in ("L", "1", "LA", "I", "I;16", "F") for mode in modes if mode),
        other=sum(
            mode in ("CMYK", "P", "PA", "RGBA", "YCbCr", "LAB", "HSV") for mode in modes if mode
        ),
        data_hash=hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16],
    )


def _look(path: Path) -> tuple[str | None, str]:
    """Colours of an image, None if it cannot be read, and the hash of its content."""
    from PIL import Image

    try:
        content = path.read_bytes()
        digest = hashlib.blake2b(content, digest_size=12).hexdigest()
    except OSError:
        return None, ""
    try:
        with Image.open(io.BytesIO(content)) as image:
            mode = image.mode
            image.draft(None, SMALL)
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None, digest
    return mode, digest
