"""What every data module of labelled images offers, and how their images are divided.

A batch is float images ``[B, 3, S, S]``, normalised, and int64 labels ``[B]``. The batches of an
epoch are a function of the seed and the epoch alone, so a resumed run sees the same ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from nasp_lightning.error import NaspError, check_whole

Rows = npt.NDArray[np.int64]

PARTS = ("train", "held_out", "test")
HOLD_OUT_STREAM = 3  # apart from the streams that draw subsets and batches
BATCH_STREAM = 4
LABEL_STREAM = 5


class ImageBatch(NamedTuple):
    """Images ``[B, 3, S, S]`` float32, normalised, and labels ``[B]`` int64."""

    images: Tensor
    labels: Tensor


class ImageModule(LightningDataModule, ABC):
    """Labelled images in three parts: training, held out of it, and test.

    Args:
        batch_size: of a training step, over all devices.
        seed: of the run: order, augmentation, random labels.

    Attributes:
        name: such as ``cifar10``.
        classes: number of classes.
        side: height and width of what a network sees, in pixels.
        mean: of each channel, of pixels in [0, 1]; subtracted.
        std: of each channel; divided by.
        data_hash: of the images and labels on disk.
        sizes: number of images in each part.
    """

    name: str
    classes: int
    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    data_hash: str
    sizes: dict[str, int]

    def __init__(self, batch_size: int, seed: int) -> None:
        super().__init__()
        self.batch_size = check_whole("data.batch_size", batch_size)
        self.seed = seed

    @abstractmethod
    def train_dataloader(self) -> Iterable[ImageBatch]:
        """Augmented batches of the epoch that the trainer is in."""

    @abstractmethod
    def plain_loader(self, part: str, batch_size: int) -> Iterable[ImageBatch]:
        """Images of ``train``, ``held_out`` or ``test`` without augmentation, in a fixed order."""

    def held_out_loader(self, batch_size: int) -> Iterable[ImageBatch]:
        """The images held out of the training set."""
        return self.plain_loader("held_out", batch_size)

    def describe(self) -> dict[str, object]:
        """What a network's file says of the data that it was trained on."""
        return {
            "name": self.name,
            "data_hash": self.data_hash,
            "classes": self.classes,
            "side": self.side,
            "mean": list(self.mean),
            "std": list(self.std),
            **{f"{part}_images": size for part, size in self.sizes.items()},
        }

    @property
    def epoch(self) -> int:
        """That the trainer is in, 0 without one."""
        return 0 if self.trainer is None else self.trainer.current_epoch

    @property
    def shard(self) -> tuple[int, int]:
        """This process' number and their count."""
        return (
            (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        )

    def check_batch(self) -> int:
        """Images of a step on one device.

        Raises:
            NaspError: if the batch cannot be shared out, or is more than the training images.
        """
        _, processes = self.shard
        if self.batch_size % processes:
            raise NaspError(
                f"data.batch_size={self.batch_size} is over all devices: choose a multiple of "
                f"the {processes} that train"
            )
        if self.batch_size > self.sizes["train"]:
            raise NaspError(
                f"data.batch_size={self.batch_size} is more than the {self.sizes['train']} "
                "training images: lower it"
            )
        return self.batch_size // processes

    @property
    def steps(self) -> int:
        """Steps of an epoch; the images of an unfinished last batch wait for another epoch."""
        self.check_batch()
        return self.sizes["train"] // self.batch_size

    def epoch_rng(self, epoch: int) -> np.random.Generator:
        """Source of an epoch's order and augmentation."""
        return np.random.default_rng([self.seed, BATCH_STREAM, epoch])

    def share(self, order: Rows) -> Rows:
        """The part of an epoch's order that this process sees, in whole batches."""
        rank, processes = self.shard
        whole = order[: self.steps * self.batch_size]
        return whole[rank::processes]

    def starts(self, part: str, batch_size: int) -> range:
        """Where this process' batches of a part begin.

        Each has some, or, where there are too few, all: shares of right answers are the same.
        """
        (rank, processes), count = self.shard, self.check_part(part)
        if count <= (processes - 1) * batch_size:
            rank, processes = 0, 1
        return range(rank * batch_size, count, processes * batch_size)

    def check_part(self, part: str) -> int:
        """Number of images of a part.

        Raises:
            NaspError: if there is no such part, or it is empty.
        """
        if part not in PARTS:
            raise NaspError(f"part={part}: choose {', '.join(PARTS)}")
        if self.sizes[part] == 0:
            raise NaspError(f"{self.name}: no images are held out; set data.held_out above 0")
        return self.sizes[part]

    def transfer_batch_to_device(
        self, batch: ImageBatch, device: torch.device, dataloader_idx: int
    ) -> ImageBatch:
        """Bring what is not there yet to the device."""
        return ImageBatch(
            batch.images.to(device, non_blocking=True), batch.labels.to(device, non_blocking=True)
        )


def held_out_rows(
    count: int, held_out: int, seed: int, name: str, setting: str = "data.held_out"
) -> tuple[Rows, Rows]:
    """Rows of training images that are kept, and of those held out, drawn at random.

    Args:
        count: training images.
        held_out: how many are held out; 0 holds out none.
        seed: of the draw.
        name: of the data, for the message.
        setting: likewise.

    Raises:
        NaspError: if nothing would be left.
    """
    if not 0 <= held_out < count:
        raise NaspError(
            f"{setting}={held_out}: {name} has {count} training images here; hold out at most "
            f"{count - 1} of them"
        )
    drawn = np.random.default_rng([seed, HOLD_OUT_STREAM]).permutation(count)
    return drawn[held_out:], drawn[:held_out]


def random_labels(count: int, classes: int, seed: int) -> Rows:
    """``[count]`` labels that have nothing to do with the images: RLNAS (CVPR 2021), section 3.2.

    Each image has one label for the whole training, drawn uniformly.
    """
    return np.random.default_rng([seed, LABEL_STREAM]).integers(0, classes, count)
