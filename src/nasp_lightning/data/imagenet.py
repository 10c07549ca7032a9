"""ImageNet, or any images in its folder layout, by timm's transforms and loader.

Training images are cropped and resized at random, flipped, and changed by the fixed policy of
AutoAugment (Cubuk et al., CVPR 2019) if it is asked for; evaluation sees the centre. Processes
read and change bytes, which are normalised on the device.

The random numbers of an image are a function of the seed, the epoch and the image alone: not of
the number of processes, nor of when a run was killed.

Example:
    >>> data = ImageNetData("/data/imagenet", auto_augment="original")  # doctest: +SKIP
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from nasp_lightning.data.base import ImageBatch, ImageModule, Rows, held_out_rows, random_labels
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.image.folder import (
    BROKEN,
    ImageFolder,
    check_same_classes,
    list_folder,
    names_hash,
    readable,
    scan_folder,
)
from nasp_lightning.storage import data_dir

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    Transform = Callable[[Picture], "Pixels"]

Pixels = npt.NDArray[np.uint8]  # [3, S, S]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # as everyone has them for ImageNet
EVALUATION_BATCH = 250
POLICIES = ("original", "originalr", "v0", "v0r", "3a")
PREFIXES = ("rand-", "augmix-")  # of timm's policies with settings in their names

Item = tuple[int, int]  # epoch and row; an epoch below 0: without augmentation


class ImageNetData(ImageModule):
    """Images of ``train/<class>/`` and ``val/<class>/``.

    Args:
        path: folder of ``train`` and ``val``; None: the folder ``name`` under ``NASP_DATA``.
        name: of the data, in results.
        batch_size: of a training step, over all devices.
        held_out: training images that are not trained on, for evaluation.
        side: height and width of what a network sees, in pixels.
        crop_share: of an image's shorter side that evaluation sees.
        scale: least and most share of an image's area that a random crop covers.
        flip: probability of a horizontal flip.
        color_jitter: strength of random changes of brightness, contrast and saturation; None:
            none. They are left out where there is ``auto_augment``.
        auto_augment: ``original`` for AutoAugment's fixed ImageNet policy, another of timm's, or
            None.
        interpolation: of resizing: ``bilinear``, ``bicubic``, or (training) ``random``.
        workers: processes that read images; 0: this one.
        random_labels: train on random labels (RLNAS); held-out and test labels stay true.
        broken: ``leave_out`` images that cannot be read, or ``refuse`` the folder.
        scan: read every image once to find the broken ones (and remember); False: one that is
            met stops the run.
        split_seed: of which images are held out: the same for all runs of a chain.
        seed: of the run: order, augmentation, random labels.

    Raises:
        NaspError: if the images are not found, the classes of train and val differ, one is empty,
            or a number cannot be.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        name: str = "imagenet",
        batch_size: int = 1024,
        held_out: int = 0,
        side: int = 224,
        crop_share: float = 0.875,
        scale: Sequence[float] = (0.08, 1.0),
        flip: float = 0.5,
        color_jitter: float | None = None,
        auto_augment: str | None = None,
        interpolation: str = "bilinear",
        workers: int = 8,
        random_labels: bool = False,
        broken: str = "leave_out",
        scan: bool = True,
        split_seed: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, seed)
        check_whole("data.held_out", held_out, 0)
        self.workers = check_whole("data.workers", workers, 0)
        self.side = check_whole("data.side", side)
        _check(crop_share, scale, flip, auto_augment, interpolation, broken)
        self.name, self.mean, self.std = name, MEAN, STD
        root = find(path, name)
        folders = {part: list_folder(root / part) for part in ("train", "val")}
        check_same_classes(folders["train"], folders["val"])
        hashes = []
        for part, folder in folders.items():
            if scan:
                scanned = scan_folder(folder, max(8, workers))
                folders[part] = readable(folder, scanned, broken)
                hashes.append(scanned.data_hash)
            else:
                hashes.append(names_hash(folder))
        self.data_hash = "-".join(hashes)
        whole = folders["train"]
        self.classes = len(whole.classes)
        rows, held = held_out_rows(len(whole), held_out, split_seed, str(whole.root))
        self.parts = {
            "train": whole.rows(rows),
            "held_out": whole.rows(held),
            "test": folders["val"],
        }
        self.sizes = {part: len(folder) for part, folder in self.parts.items()}
        self.check_batch()
        self._random_labels = random_labels
        self._augment = _transform(
            side, True, scale, flip, color_jitter, auto_augment, interpolation, crop_share
        )
        self._plain = _transform(side, False, scale, flip, None, None, interpolation, crop_share)

    @property
    def device(self) -> torch.device:
        """The trainer's; without one the CPU."""
        return torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device

    def train_dataloader(self) -> FolderLoader:
        """Augmented batches of the epoch that the trainer is in."""
        folder, labels = self.parts["train"], None
        if self._random_labels:
            labels = random_labels(len(folder), self.classes, self.seed)
        images = FolderImages(folder, self._augment, self.seed, labels)

        def batches() -> list[list[Item]]:
            epoch, size = self.epoch, self.check_batch()
            order = self.share(self.epoch_rng(epoch).permutation(len(folder)))
            items = [(epoch, int(row)) for row in order]
            return [items[start : start + size] for start in range(0, len(items), size)]

        return FolderLoader(self, images, batches, self.steps)

    def val_dataloader(self) -> FolderLoader | list[FolderLoader]:
        """The held-out images, if any."""
        return self.plain_loader("held_out", EVALUATION_BATCH) if self.sizes["held_out"] else []

    def plain_loader(self, part: str, batch_size: int) -> FolderLoader:
        """Images of a part without augmentation, in a fixed order."""
        count = self.check_part(part)
        check_whole("batch_size", batch_size)
        # In an order of their own: files are sorted by class, and a few batches recalibrate.
        order = np.random.default_rng(0).permutation(count)
        starts = self.starts(part, batch_size)
        images = FolderImages(self.parts[part], self._plain, self.seed)

        def batches() -> list[list[Item]]:
            return [[(-1, int(row)) for row in order[at : at + batch_size]] for at in starts]

        return FolderLoader(self, images, batches, len(starts))


class FolderImages(Dataset[tuple[Pixels, int]]):
    """Images as bytes ``[3, S, S]``, changed by random numbers of their own.

    Args:
        folder: of the files.
        transform: from an RGB image of PIL's to bytes.
        seed: of the run.
        labels: in place of the folder's, or None.
    """

    def __init__(
        self,
        folder: ImageFolder,
        transform: Transform,
        seed: int,
        labels: Rows | None = None,
    ) -> None:
        self.folder, self.transform, self.seed = folder, transform, seed
        self.labels = folder.labels if labels is None else labels

    def __getitem__(self, item: Item) -> tuple[Pixels, int]:
        """The image of (epoch, row) and its label."""
        from PIL import Image

        epoch, row = item
        path = self.folder.root / self.folder.files[row]
        try:
            with Image.open(path) as file:
                image = file.convert("RGB")
        except (OSError, ValueError, SyntaxError) as error:
            raise NaspError(
                f"{path} cannot be read ({error}): get it again, or find and leave out such "
                "images with data.scan=true"
            ) from error
        with seeded([self.seed, epoch + 1, row]):
            return self.transform(image), int(self.labels[row])


class FolderLoader:
    """Batches that processes read, normalised on the device by timm's loader."""

    def __init__(
        self,
        data: ImageNetData,
        images: FolderImages,
        batches: Callable[[], list[list[Item]]],
        length: int,
    ) -> None:
        self.data, self.images, self.batches, self.length = data, images, batches, length

    def __len__(self) -> int:
        """Number of batches."""
        return self.length

    def __iter__(self) -> Iterator[ImageBatch]:
        """Batches of the epoch that the trainer is in."""
        from timm.data.loader import PrefetchLoader, fast_collate

        device = self.data.device
        loader: DataLoader[tuple[Pixels, int]] = DataLoader(
            self.images,
            batch_sampler=self.batches(),
            num_workers=self.data.workers,
            collate_fn=fast_collate,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # so that it takes none of the training's numbers
        )
        fetched = PrefetchLoader(loader, self.data.mean, self.data.std, device=device)
        try:
            for images, labels in fetched:
                yield ImageBatch(images, labels)
        except NaspError as error:  # from a process of the loader: its last line is the sentence
            told = str(error).strip().splitlines()[-1]
            raise NaspError(told.split("NaspError: ", 1)[-1]) from error


@contextlib.contextmanager
def seeded(words: list[int]) -> Iterator[None]:
    """Let what a block draws from any of the CPU's global generators follow from ``words``."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    seed = int(np.random.SeedSequence(words).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.default_generator.manual_seed(seed)  # and not the GPU's, which drop paths
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        torch.set_rng_state(before[2])


def find(path: str | Path | None, name: str) -> Path:
    """Folder of ``train`` and ``val``.

    Raises:
        NaspError: if there is none.
    """
    if path is not None:
        return Path(path).expanduser()
    root = data_dir()
    if root is None or not (root / name).is_dir():
        where = "NASP_DATA is not set" if root is None else f"{root / name} is not there"
        raise NaspError(
            f"{name} is not found ({where}): set data.path to the folder of train/<class>/ and "
            "val/<class>/"
        )
    return root / name


def _transform(
    side: int,
    training: bool,
    scale: Sequence[float],
    flip: float,
    color_jitter: float | None,
    auto_augment: str | None,
    interpolation: str,
    crop_share: float,
) -> Transform:
    from timm.data.transforms_factory import create_transform

    plain = "bilinear" if interpolation == "random" and not training else interpolation
    transform: Transform = create_transform(
        input_size=side,
        is_training=training,
        scale=(float(scale[0]), float(scale[1])),
        hflip=flip,
        color_jitter=color_jitter,  # type: ignore[arg-type]  # None is what its code knows as none
        auto_augment=auto_augment,
        interpolation=plain,
        mean=MEAN,
        std=STD,
        crop_pct=crop_share,
        use_prefetcher=True,
    )
    return transform


def _check(
    crop_share: float,
    scale: Sequence[float],
    flip: float,
    auto_augment: str | None,
    interpolation: str,
    broken: str,
) -> None:
    """Refuse what timm would stumble over."""
    for name, value in (("crop_share", crop_share), ("flip", flip)):
        if not 0 <= value <= 1 or (name == "crop_share" and value == 0):
            raise NaspError(f"data.{name}={value}: it must lie between 0 and 1")
    if len(scale) != 2 or not 0 < scale[0] <= scale[1] <= 1:
        raise NaspError(f"data.scale={list(scale)}: write two shares, such as [0.08, 1.0]")
    for name, given, choices in (
        ("interpolation", interpolation, ("bilinear", "bicubic", "random")),
        ("broken", broken, BROKEN),
    ):
        if given not in choices:
            raise NaspError(f"data.{name}={given}: choose {' or '.join(choices)}")
    if auto_augment is not None and not (
        auto_augment.split("-")[0] in POLICIES or auto_augment.startswith(PREFIXES)
    ):
        raise NaspError(
            f"data.auto_augment={auto_augment}: choose {', '.join(POLICIES)}, one of timm's "
            "rand-… or augmix-…, or null"
        )
