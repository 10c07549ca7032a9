"""The published Estimation Code: the training losses of a network's first three short epochs.

Zhang et al., "Siamese-NAS" (arXiv 2210.00546), sections 3.1 and 6.2; the official code's recipe
(``nas_training.py``, ``cifar_augment.py``; facts 2.3) is the default: 5,000 random images of
CIFAR-10, 3 epochs, Adam at 1e-3, batches of 16 drawn with replacement, mixup, flips, crops and
translations, inputs divided by 255, label smoothing 0.01. Each of its numbers is a setting.

The same seed gives every architecture the same images, in the same order, with the same
augmentation, so that codes differ by the architectures and not by the draw.

Example:
    >>> code = TrainedCode(table, NASBench201Network, load_cifar, concurrent=2)  # doctest: +SKIP
    >>> code.codes(np.array([0, 7])).shape  # doctest: +SKIP
    (2, 3)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.estimation_code.base import label_equivalents, label_training
from nasp_lightning.estimation_code.part.computed import (
    Architecture,
    ComputedCode,
    NetworkBuilder,
    PlainImages,
    build,
    reproducible,
)
from nasp_lightning.image.augment import Augmentation, augment, draw
from nasp_lightning.image.cifar import Images
from nasp_lightning.record.store import Compute, Record

BATCH_STREAM = 2  # apart from the stream that draws the subset
BLOCK = 64  # batches that are augmented together


@dataclass(frozen=True)
class Recipe:
    """How a network is trained for its code.

    Attributes:
        epochs: numbers in the code.
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
        for name in ("epochs", "images", "batch_size"):
            check_whole(f"{self.setting}.{name}", getattr(self, name))
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
    pixels = torch.from_numpy(images.pixels).to(device)
    labels = torch.from_numpy(images.labels).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    losses: list[float] = []
    for epoch in range(recipe.epochs):
        augmented = batches(pixels, labels, images.classes, recipe, seed, epoch)
        mean = train_epoch(network, augmented, optimizer, recipe.label_smoothing)
        if not math.isfinite(mean):
            break
        losses.append(mean)
    return losses + [math.nan] * (recipe.epochs - len(losses))


@dataclass(frozen=True)
class LossComputation:
    """Makes the record of one architecture; can be sent to another process."""

    network: NetworkBuilder
    images: PlainImages
    recipe: Recipe
    seed: int
    device: torch.device

    def __call__(self, architecture: Architecture) -> Record:
        """Train an architecture's network and note its losses."""
        begin = time.monotonic()
        with reproducible(self.device):
            network = build(self.network, architecture, self.seed)
            losses = first_losses(network, self.images, self.recipe, self.seed, self.device)
        return {
            "operations": architecture[0].tolist(),
            "losses": [None if math.isnan(loss) else loss for loss in losses],
            "diverged": math.isnan(losses[-1]),
            "seconds": round(time.monotonic() - begin, 3),
            "device": self.device.type,
        }


class TrainedCode(ComputedCode):
    """The mean training loss of each of a network's first epochs.

    Args:
        table: the benchmark; its rows are the architectures.
        network: builds their networks: see :class:`ComputedCode`.
        images: CIFAR-10's training images, or a function that loads them.
        recipe: of the short training.
        seed: of the code: subset of images, first weights, batches.
        label_epochs: epochs of the full training that a label stands for, and
        label_images: images of each of them, where the table does not say how it was trained.
        options: ``missing`` (what the code of a network that diverged becomes: ``error``,
            ``keep`` (NaN), or a loss that stands in for each NaN), ``concurrent``, ``device`` and
            ``folder`` of :class:`ComputedCode`.

    Raises:
        NaspError: for a setting that cannot be.
    """

    kind = "train"

    def __init__(
        self,
        table: BenchmarkTable,
        network: NetworkBuilder,
        images: Images | Callable[[], Images],
        recipe: Recipe | None = None,
        seed: int = 0,
        label_epochs: float = 200,
        label_images: float = 50_000,
        **options: Any,
    ) -> None:
        self.training = recipe or Recipe()
        super().__init__(
            table,
            network,
            images,
            recipe=asdict(self.training),
            length=self.training.epochs,
            cost=label_equivalents(
                self.training.epochs,
                self.training.images,
                *label_training(table, label_epochs, label_images),
            ),
            seed=seed,
            **options,
        )

    def choose_images(self, images: Images) -> PlainImages:
        """The random subset of the seed."""
        return PlainImages.of(images.subset(self.training.images, self.seed))

    def computation(self) -> Compute:
        """Trains one network."""
        return LossComputation(self.network, self.images, self.training, self.seed, self.device)

    def from_record(self, record: Record) -> list[float]:
        """The losses, NaN from the epoch on in which the network diverged."""
        return [math.nan if loss is None else loss for loss in record["losses"]]

    def diverged(self, rows: Array) -> Array:
        """``[n]`` bool: whose networks diverged; computed where not known yet."""
        rows = np.asarray(rows)
        losses = self.compute(rows)
        self.asked[rows] = True
        return np.asarray(np.isnan(losses).any(axis=1))
