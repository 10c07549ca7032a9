"""The full training of an architecture's network: what a benchmark's labels are made of.

One training gives the record of one architecture: validation accuracy on images held out of the
training set, test accuracy, the mean training loss of each epoch, and beside it the Estimation
Code of a short training of its own. The data stay on the device, and augmentation happens there.
The same seed gives every architecture the same images, in the same order: the loop is
:mod:`nasp_lightning.task.plain`.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F

from nasp_lightning.data.base import held_out_rows
from nasp_lightning.error import NaspError
from nasp_lightning.image.cifar import Images
from nasp_lightning.image.plain import PlainImages
from nasp_lightning.network.builder import NetworkBuilder, build
from nasp_lightning.record.store import Record
from nasp_lightning.space.base import Architecture
from nasp_lightning.task.plain import (
    Recipe,
    Resident,
    TrainingRecipe,
    accuracy,
    first_losses,
    train,
)
from nasp_lightning.task.reproducible import reproducible


def hold_out(images: Images, count: int, seed: int) -> tuple[Images, Images]:
    """Training images without ``count`` of them drawn at random, and these for validation.

    Raises:
        NaspError: if nothing would be left.
    """
    if not 1 <= count < len(images):
        raise NaspError(
            f"job.validation_size={count}: {images.name} has {len(images)} training images here; "
            f"hold out 1 to {len(images) - 1} of them"
        )
    divided = held_out_rows(len(images), count, seed, images.name, "job.validation_size")
    kept, held = (torch.from_numpy(rows).to(images.labels.device) for rows in divided)
    return (
        replace(images, pixels=images.pixels[kept], labels=images.labels[kept]),
        replace(images, pixels=images.pixels[held], labels=images.labels[held]),
    )


def shrink(images: Images, side: int) -> Images:
    """Images of ``side`` by ``side`` pixels: means of squares of the original ones.

    Raises:
        NaspError: if the original side is no multiple of it.
    """
    have = images.pixels.shape[-1]
    if side < 1 or have % side:
        raise NaspError(
            f"job.fidelity.side={side}: images of {images.name} are {have} pixels wide; choose a "
            f"divisor of {have}"
        )
    if side == have:
        return images
    pixels = F.avg_pool2d(images.pixels.float(), have // side).round().to(torch.uint8)
    return replace(images, pixels=pixels)


@dataclass(frozen=True)
class Training:
    """Makes the record of one architecture; can be sent to another process.

    Attributes:
        network: builds an architecture's network.
        images: the recipe's training images.
        validation: held out of the training set.
        test: the test set, or a part.
        recipe: of the training.
        code_images: of the Estimation Code.
        code_recipe: of the Estimation Code.
        seed: of weights and batches.
        device: where the network is trained.
    """

    network: NetworkBuilder
    images: PlainImages
    validation: PlainImages
    test: PlainImages
    recipe: TrainingRecipe
    code_images: PlainImages
    code_recipe: Recipe
    seed: int
    device: torch.device

    def __call__(self, architecture: Architecture) -> Record:
        """Train an architecture's network, twice, and note how it went."""
        with reproducible(self.device):
            try:
                return self._record(architecture)
            except torch.OutOfMemoryError as error:
                raise NaspError(
                    f"out of memory on {self.device} while a network was trained: lower "
                    "job.concurrent or job.fidelity.recipe.batch_size"
                ) from error

    def _record(self, architecture: Architecture) -> Record:
        # A CPU's own time: what else runs on the machine does not count.
        clock = time.process_time if self.device.type == "cpu" else time.perf_counter
        begin = clock()
        operations, adjacency = architecture
        fresh = build(self.network, architecture, self.seed)
        code = first_losses(fresh, self.code_images, self.code_recipe, self.seed, self.device)
        between = clock()
        network = build(self.network, architecture, self.seed).to(self.device)
        losses = train(network, self.resident[0], self.recipe, self.seed)
        trained = clock()
        diverged = math.isnan(losses[-1])
        return {
            "operations": operations.tolist(),
            "adjacency": None if adjacency is None else adjacency.tolist(),
            "validation_accuracy": None if diverged else accuracy(network, self.resident[1]),
            "test_accuracy": None if diverged else accuracy(network, self.resident[2]),
            "train_losses": _without_nan(losses),
            "code": _without_nan(code),
            "diverged": diverged,
            "train_seconds": round(trained - between, 3),
            "code_seconds": round(between - begin, 3),
            "test_seconds": round(clock() - trained, 3),
            "device": self.device_name,
            "torch": torch.__version__,
        }

    @cached_property
    def resident(self) -> tuple[Resident, Resident, Resident]:
        """Training, validation and test images, brought to the device once in a process."""
        parts = (self.images, self.validation, self.test)
        training, validation, test = (Resident.of(images, self.device) for images in parts)
        return training, validation, test

    @cached_property
    def device_name(self) -> str:
        """Such as ``cpu`` or ``NVIDIA A100``."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return self.device.type


def _without_nan(losses: list[float]) -> list[float | None]:
    return [None if math.isnan(loss) else loss for loss in losses]
