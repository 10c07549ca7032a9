"""Plain training of small image classifiers: no Lightning, no files, the data on the device.

What an Estimation Code and a benchmark's label have in common. The same seed gives every network
the same images, in the same order, with the same augmentation, so that what is measured differs by
the networks and not by the draw.

Recipes follow the official code of Siamese-NAS (``nas_training.py``): Adam at 1e-2, 1e-3 and 1e-4,
begun anew at each rate, batches of 128 drawn with replacement.

Example:
    >>> recipe = TrainingRecipe(epochs=80, milestones=(40, 70))
    >>> [recipe.factor_at(epoch) for epoch in (0, 39.9, 40, 70)]
    [1.0, 1.0, 0.1, 0.010000000000000002]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.image.augment import Augmentation, augment, draw
from nasp_lightning.image.plain import PlainImages

BATCH_STREAM = 2  # apart from the stream that draws the subset
BLOCK = 64  # batches that are augmented together


TEST_BATCH = 500
OPTIMIZERS = ("adam", "sgd")
SCHEDULES = ("steps", "one_cycle")
ONE_CYCLE_START = 0.04  # rate of the first step, of the highest


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, by Adam at a constant rate: the published Estimation Code's.

    Attributes:
        epochs: passes over the images; numbers in the code.
        images: drawn at random from the training set, without replacement.
        batch_size: an epoch has ``images // batch_size`` batches.
        learning_rate: of Adam.
        label_smoothing: of the cross-entropy.
        replacement: batches are drawn from the images with replacement, as in the official code;
            False: each image once in an epoch.
        augmentation: what is done to each batch.

    Raises:
        NaspError: for a number that cannot be.
    """

    setting: ClassVar[str] = "estimation_code.recipe"  # where a user sets these

    epochs: int = 3
    images: int = 5000
    batch_size: int = 16
    learning_rate: float = 1e-3
    label_smoothing: float = 0.01
    replacement: bool = True
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        """Refuse numbers that no training can follow."""
        for name, value in (
            ("epochs", self.epochs),
            ("images", self.images),
            ("batch_size", self.batch_size),
        ):
            check_whole(f"{self.setting}.{name}", value)
        if self.batch_size > self.images:
            raise NaspError(
                f"{self.setting}.batch_size={self.batch_size} is more than its {self.images} "
                "images: lower it"
            )
        if not self.learning_rate > 0:
            raise NaspError(
                f"{self.setting}.learning_rate={self.learning_rate}: it must be above 0"
            )
        if not 0 <= self.label_smoothing < 1:
            raise NaspError(
                f"{self.setting}.label_smoothing={self.label_smoothing}: it must be at least 0 and "
                "below 1"
            )


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
        for name, chosen, choices in (
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("schedule", self.schedule, SCHEDULES),
        ):
            if chosen not in choices:
                raise NaspError(f"{self.setting}.{name}={chosen}: choose {' or '.join(choices)}")
        for name, value, below in (
            ("momentum", self.momentum, 1.0),
            ("weight_decay", self.weight_decay, math.inf),
            ("warmup", self.warmup, 1.0),
        ):
            if not 0 <= value < below:
                limit = "" if math.isinf(below) else f" and below {below:g}"
                raise NaspError(f"{self.setting}.{name}={value}: it must be at least 0{limit}")
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


def batches(
    pixels: Tensor, labels: Tensor, classes: int, recipe: Recipe, seed: int, epoch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Augmented batches of one epoch: a function of the seed and the epoch alone.

    Args:
        pixels: ``[N, 3, S, S]`` uint8.
        labels: ``[N]`` int64.
        classes: number of classes.
        recipe: batch size and augmentation.
        seed: of the code.
        epoch: from 0.

    Yields:
        Images ``[B, 3, S, S]`` float32 and soft labels ``[B, classes]``.
    """
    rng = np.random.default_rng([seed, BATCH_STREAM, epoch])
    size, count = recipe.batch_size, len(labels)
    steps = count // size
    order = (
        rng.integers(0, count, steps * size)
        if recipe.replacement
        else rng.permutation(count)[: steps * size]
    )
    for start in range(0, len(order), BLOCK * size):
        chosen = order[start : start + BLOCK * size]
        drawn = draw(recipe.augmentation, len(chosen), pixels.shape[-1], rng, size)
        rows = torch.from_numpy(chosen).to(labels.device)
        images, targets = augment(pixels[rows], labels[rows], classes, drawn)
        yield from zip(torch.split(images, size), torch.split(targets, size), strict=True)


def train_epoch(
    network: nn.Module,
    augmented: Iterable[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    label_smoothing: float,
    before_step: Callable[[int], None] | None = None,
) -> float:
    """Train for one epoch.

    Args:
        network: from images ``[B, 3, S, S]`` to logits ``[B, classes]``; trained in place.
        augmented: from :func:`batches`.
        optimizer: of the network.
        label_smoothing: of the cross-entropy.
        before_step: called with the number of each step, from 0.

    Returns:
        The mean loss of the steps; NaN or infinite if the training diverged.

    Raises:
        NaspError: if the network's output has another shape.
    """
    total, steps = torch.zeros(()), 0
    for inputs, targets in augmented:
        if before_step is not None:
            before_step(steps)
        logits = network(inputs)
        if logits.shape != targets.shape:
            raise NaspError(
                f"the network in training gives {list(logits.shape)} for a batch of "
                f"{list(inputs.shape)}: expected logits of shape {list(targets.shape)}"
            )
        loss = F.cross_entropy(logits, targets, label_smoothing=label_smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total, steps = total.to(loss.device) + loss.detach(), steps + 1
    return float(total) / steps  # the one look at the device in an epoch


def first_losses(
    network: nn.Module, images: PlainImages, recipe: Recipe, seed: int, device: torch.device
) -> list[float]:
    """Mean training loss of each epoch of a network; NaN from the epoch on in which it diverged.

    Args:
        network: from images ``[B, 3, S, S]`` to logits ``[B, classes]``; trained in place.
        images: the recipe's.
        recipe: how it is trained.
        seed: of the batches.
        device: where it is trained.

    Raises:
        NaspError: if the network's output has another shape.
    """
    network = network.to(device).train()
    resident = Resident.of(images, device)
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    losses: list[float] = []
    for epoch in range(recipe.epochs):
        augmented = batches(*resident, recipe, seed, epoch)
        mean = train_epoch(network, augmented, optimizer, recipe.label_smoothing)
        if not math.isfinite(mean):
            break
        losses.append(mean)
    return losses + [math.nan] * (recipe.epochs - len(losses))


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
