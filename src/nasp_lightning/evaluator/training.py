"""The full training of an architecture's network: what a benchmark's labels are made of.

One training gives the record of one architecture: validation accuracy on images held out of the
training set, test accuracy, the mean training loss of each epoch, and beside it the Estimation
Code of a short training of its own. The data stay on the device, and augmentation happens there.
The same seed gives every architecture the same images, in the same order, as in
:mod:`nasp_lightning.estimation_code.train`, whose loop this is.

Recipes follow the official code of Siamese-NAS (``nas_training.py``; facts 2.6): Adam at 1e-2,
1e-3 and 1e-4, begun anew at each rate, batches of 128 drawn with replacement.

Example:
    >>> recipe = TrainingRecipe(epochs=80, milestones=(40, 70))
    >>> [recipe.factor_at(epoch) for epoch in (0, 39.9, 40, 70)]
    [1.0, 1.0, 0.1, 0.010000000000000002]
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasp_lightning.data.base import held_out_rows
from nasp_lightning.error import NaspError
from nasp_lightning.estimation_code.part.computed import (
    Architecture,
    NetworkBuilder,
    PlainImages,
    build,
    reproducible,
)
from nasp_lightning.estimation_code.train import Recipe, batches, first_losses, train_epoch
from nasp_lightning.image.cifar import Images
from nasp_lightning.record.store import Record

TEST_BATCH = 500
OPTIMIZERS = ("adam", "sgd")
SCHEDULES = ("steps", "one_cycle")
ONE_CYCLE_START = 0.04  # rate of the first step, of the highest


@dataclass(frozen=True)
class TrainingRecipe(Recipe):
    """How a network is trained for its label.

    Attributes:
        epochs: passes over the images.
        images: drawn at random from those not held out, without replacement.
        batch_size: an epoch has ``images // batch_size`` batches.
        learning_rate: the highest.
        optimizer: ``adam``, or ``sgd`` with Nesterov's momentum.
        momentum: of ``sgd``.
        weight_decay: of the optimizer.
        schedule: ``steps`` (the rate falls at milestones), or ``one_cycle`` (it rises linearly,
            and falls to 0 by a cosine).
        milestones: epochs at which ``steps`` lowers the rate.
        factor: by which it does.
        restart: begin the optimizer anew at each milestone, as the official code does.
        warmup: share of the steps in which ``one_cycle`` rises.

    Raises:
        NaspError: for a number that cannot be.
    """

    setting: ClassVar[str] = "job.fidelity.recipe"

    epochs: int = 80
    images: int = 45_000
    batch_size: int = 128
    learning_rate: float = 1e-2
    optimizer: str = "adam"
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "steps"
    milestones: tuple[int, ...] = ()
    factor: float = 0.1
    restart: bool = False
    warmup: float = 0.3

    def __post_init__(self) -> None:
        """Refuse numbers that no training can follow."""
        super().__post_init__()
        object.__setattr__(self, "milestones", tuple(self.milestones))  # a config has a list
        for name, choices in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in choices:
                raise NaspError(
                    f"{self.setting}.{name}={getattr(self, name)}: choose {' or '.join(choices)}"
                )
        for name, below in (("momentum", 1.0), ("weight_decay", math.inf), ("warmup", 1.0)):
            if not 0 <= getattr(self, name) < below:
                limit = "" if math.isinf(below) else f" and below {below:g}"
                raise NaspError(
                    f"{self.setting}.{name}={getattr(self, name)}: it must be at least 0{limit}"
                )
        if not self.factor > 0:
            raise NaspError(f"{self.setting}.factor={self.factor}: it must be above 0")
        if any(
            isinstance(epoch, bool) or not isinstance(epoch, int) or not 0 < epoch < self.epochs
            for epoch in self.milestones
        ):
            raise NaspError(
                f"{self.setting}.milestones={list(self.milestones)}: write epochs from 1 to "
                f"{self.epochs - 1}"
            )

    def factor_at(self, epoch: float) -> float:
        """Learning rate over the highest, at a time counted in epochs."""
        if self.schedule == "steps":
            return float(self.factor ** sum(epoch >= at for at in self.milestones))
        share = epoch / self.epochs
        if share < self.warmup:
            return ONE_CYCLE_START + (1 - ONE_CYCLE_START) * share / self.warmup
        return (1 + math.cos(math.pi * (share - self.warmup) / (1 - self.warmup))) / 2

    def make_optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        """An optimizer of a network's weights."""
        if self.optimizer == "adam":
            return torch.optim.Adam(
                network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
            )
        return torch.optim.SGD(
            network.parameters(),
            lr=self.learning_rate,
            momentum=self.momentum,
            nesterov=self.momentum > 0,
            weight_decay=self.weight_decay,
        )


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


class Resident(NamedTuple):
    """Images that stay on a device: pixels ``[N, 3, S, S]`` uint8, labels ``[N]``, classes."""

    pixels: Tensor
    labels: Tensor
    classes: int

    @classmethod
    def of(cls, images: PlainImages, device: torch.device) -> Resident:
        """Images brought to a device."""
        pixels, labels = torch.from_numpy(images.pixels), torch.from_numpy(images.labels)
        return cls(pixels.to(device), labels.to(device), images.classes)


def train(network: nn.Module, images: Resident, recipe: TrainingRecipe, seed: int) -> list[float]:
    """Train a network in place.

    Args:
        network: from images ``[B, 3, S, S]`` to logits ``[B, classes]``, on their device.
        images: the recipe's.
        recipe: how it is trained.
        seed: of the batches.

    Returns:
        The mean training loss of each epoch, NaN from that on in which it diverged.
    """
    network.train()
    steps = len(images.labels) // recipe.batch_size
    optimizer = recipe.make_optimizer(network)
    losses: list[float] = []
    for epoch in range(recipe.epochs):
        if recipe.restart and epoch in recipe.milestones:
            optimizer = recipe.make_optimizer(network)

        def set_rate(
            step: int, epoch: int = epoch, optimizer: torch.optim.Optimizer = optimizer
        ) -> None:
            rate = recipe.learning_rate * recipe.factor_at(epoch + step / steps)
            for group in optimizer.param_groups:
                group["lr"] = rate

        augmented = batches(*images, recipe, seed, epoch)
        mean = train_epoch(network, augmented, optimizer, recipe.label_smoothing, set_rate)
        if not math.isfinite(mean):
            break
        losses.append(mean)
    return losses + [math.nan] * (recipe.epochs - len(losses))


@torch.inference_mode()
def accuracy(network: nn.Module, images: Resident) -> float:
    """Share of images that a network puts into their class, as it evaluates."""
    network.eval()
    right = torch.zeros((), dtype=torch.int64, device=images.labels.device)
    for pixels, labels in zip(
        torch.split(images.pixels, TEST_BATCH), torch.split(images.labels, TEST_BATCH), strict=True
    ):
        right += (network(pixels.float() / 255).argmax(1) == labels).sum()
    return int(right) / len(images.labels)


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
