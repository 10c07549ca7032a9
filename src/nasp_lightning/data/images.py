"""Small images that stay on the device: CIFAR-10, CIFAR-100 and ImageNet16-120.

No workers, no files, no copies: the bytes of all images lie on the device that trains, and a batch
is cut, flipped, normalised and erased there by :mod:`nasp_lightning.image.crop`.

Example:
    >>> data = ImageData("cifar10", batch_size=96, cutout=16)  # doctest: +SKIP
    >>> images, labels = next(iter(data.train_dataloader()))  # doctest: +SKIP
    >>> images.shape  # doctest: +SKIP
    torch.Size([96, 3, 32, 32])
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nasp_lightning.data.base import ImageBatch, ImageModule, Rows, held_out_rows, random_labels
from nasp_lightning.error import check_whole
from nasp_lightning.image.cifar import Images, load_cifar
from nasp_lightning.image.crop import (
    CropDraw,
    Cropping,
    crop,
    cut_out,
    draw_crops,
    normalise,
    pad_images,
)
from nasp_lightning.image.imagenet16 import load_imagenet16

Triple = tuple[float, float, float]

EVALUATION_BATCH = 500  # images at once where nothing is trained
# Mean and deviation of the training set's pixels in [0, 1], as in DARTS' and NAS-Bench-201's code.
STATISTICS: dict[str, tuple[Triple, Triple]] = {
    "cifar10": ((0.49139968, 0.48215827, 0.44653124), (0.24703233, 0.24348505, 0.26158768)),
    "cifar100": ((0.50707516, 0.48654887, 0.44091784), (0.26733429, 0.25643846, 0.27615047)),
    "imagenet16": ((0.48109804, 0.45749020, 0.40788235), (0.24792157, 0.24023529, 0.25525490)),
}


class ImageData(ImageModule):
    """Images of one side, resident on the device, with crops, flips and Cutout.

    Args:
        name: ``cifar10``, ``cifar100`` or ``imagenet16`` (ImageNet16-120).
        path: folder of it; None: looked for under ``NASP_DATA`` and the cache.
        download: let torchvision download CIFAR where it is not found.
        partial: accept a part of the data set that holds every class.
        batch_size: of a training step, over all devices.
        held_out: training images that are not trained on, for evaluation.
        train_images: train on so many, drawn at random from the rest; None: all.
        test_images: test on so many, drawn likewise; None: all.
        pad: black pixels on each side, before a crop of the original size; 0: no crop.
        flip: probability of a horizontal flip.
        cutout: side of an erased square, in pixels; 0: none.
        random_labels: train on random labels (RLNAS); held-out and test labels stay true.
        split_seed: of which images are held out and chosen: the same for all runs of a chain.
        seed: of the run: order, augmentation, random labels.

    Raises:
        NaspError: if the images are not found, or a number cannot be.
    """

    def __init__(
        self,
        name: str = "cifar10",
        path: str | Path | None = None,
        download: bool = False,
        partial: bool = False,
        batch_size: int = 96,
        held_out: int = 0,
        train_images: int | None = None,
        test_images: int | None = None,
        pad: int = 4,
        flip: float = 0.5,
        cutout: int = 0,
        random_labels: bool = False,
        split_seed: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, seed)
        self.cropping = Cropping(pad, flip, cutout)
        check_whole("data.held_out", held_out, 0)
        for setting, value in (("train_images", train_images), ("test_images", test_images)):
            if value is not None:
                check_whole(f"data.{setting}", value)
        whole, test = (load(name, path, train, download, partial) for train in (True, False))
        rows, held = held_out_rows(len(whole), held_out, split_seed, name)
        train = _rows(whole, rows)
        train = train if train_images is None else train.subset(train_images, split_seed)
        test = test if test_images is None else test.subset(test_images, split_seed)
        self.name, self.classes, self.side = name, whole.classes, int(whole.pixels.shape[-1])
        self.mean, self.std = STATISTICS[name]
        self.data_hash = whole.data_hash
        self.parts = {"train": train, "held_out": _rows(whole, held), "test": test}
        self.sizes = {part: len(images) for part, images in self.parts.items()}
        if random_labels:
            self.parts["train"] = _relabelled(train, seed)
        self.check_batch()
        self._padded: Tensor | None = None

    def train_dataloader(self) -> ResidentBatches:
        """Augmented batches of the epoch that the trainer is in."""
        self.to(self.device)
        self._padded = pad_images(self.parts["train"].pixels, self.cropping)
        return ResidentBatches(self)

    def val_dataloader(self) -> PlainBatches | list[PlainBatches]:
        """The held-out images, if any."""
        return self.plain_loader("held_out", EVALUATION_BATCH) if self.sizes["held_out"] else []

    def plain_loader(self, part: str, batch_size: int) -> PlainBatches:
        """Images of a part without augmentation, in a fixed order."""
        self.check_part(part)
        self.to(self.device)
        return PlainBatches(self, part, batch_size)

    @property
    def device(self) -> torch.device:
        """The trainer's, or where the images are."""
        if self.trainer is not None:
            return self.trainer.strategy.root_device
        return self.parts["train"].pixels.device

    def to(self, device: torch.device | str) -> ImageData:
        """Bring all images to a device."""
        if self.parts["train"].pixels.device != torch.device(device):
            self.parts = {part: images.to(device) for part, images in self.parts.items()}
            self._padded = None
        return self

    def augmented(self, rows: Tensor, drawn: CropDraw) -> ImageBatch:
        """Training images ``[B]`` with what was drawn for them."""
        train, mean, std = self.parts["train"], *self._statistics()
        assert self._padded is not None
        pixels = crop(self._padded, rows, drawn, self.cropping)
        images = cut_out(normalise(pixels, mean, std), drawn.centre, self.cropping.cutout)
        return ImageBatch(images, train.labels[rows])

    def plain(self, part: str, rows: slice) -> ImageBatch:
        """Images of a part as they are."""
        images, (mean, std) = self.parts[part], self._statistics()
        return ImageBatch(normalise(images.pixels[rows], mean, std), images.labels[rows])

    def _statistics(self) -> tuple[Tensor, Tensor]:
        device = self.parts["train"].pixels.device
        return torch.tensor(self.mean, device=device), torch.tensor(self.std, device=device)


class ResidentBatches:
    """Augmented batches of one epoch, cut from tensors that stay on the device."""

    def __init__(self, data: ImageData) -> None:
        self.data = data

    def __len__(self) -> int:
        """Steps of an epoch."""
        return self.data.steps

    def __iter__(self) -> Iterator[ImageBatch]:
        """Batches of the epoch that the trainer is in."""
        data, device = self.data, self.data.device
        rng = data.epoch_rng(data.epoch)
        rows = torch.from_numpy(data.share(rng.permutation(data.sizes["train"]))).to(device)
        draws = draw_crops(data.cropping, data.sizes["train"], data.side, rng)
        mine = torch.from_numpy(data.share(np.arange(data.sizes["train"])))
        drawn = CropDraw(*(item[mine] for item in draws)).to(device)
        size = data.check_batch()
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            yield data.augmented(rows[part], drawn.rows(part))


class PlainBatches:
    """Images without augmentation, in a fixed order."""

    def __init__(self, data: ImageData, part: str, batch_size: int) -> None:
        self.data, self.part = data, part
        self.batch_size = check_whole("batch_size", batch_size)

    def __len__(self) -> int:
        """Batches of this process, the last one as it comes."""
        return len(self.data.starts(self.part, self.batch_size))

    def __iter__(self) -> Iterator[ImageBatch]:
        """Batches of this process; without a trainer, all."""
        for start in self.data.starts(self.part, self.batch_size):
            yield self.data.plain(self.part, slice(start, start + self.batch_size))


def load(name: str, path: str | Path | None, train: bool, download: bool, partial: bool) -> Images:
    """Training or test images of a data set by its name.

    Raises:
        NaspError: if they are not found, or there is no such data set.
    """
    if name == "imagenet16":
        return load_imagenet16(path, train, partial)
    return load_cifar(name, path, train, download, partial)


def _rows(images: Images, rows: Rows) -> Images:
    chosen = torch.from_numpy(rows)
    return replace(images, pixels=images.pixels[chosen], labels=images.labels[chosen])


def _relabelled(images: Images, seed: int) -> Images:
    drawn = random_labels(len(images), images.classes, seed)
    return replace(images, labels=torch.from_numpy(drawn))
