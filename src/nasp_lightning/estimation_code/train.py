"""The published Estimation Code: the training losses of a network's first three short epochs.

Zhang et al., "Siamese-NAS" (arXiv 2210.00546), sections 3.1 and 6.2; the official code's recipe
(``nas_training.py``, ``cifar_augment.py``) is the default: 5,000 random images of
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
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Unpack

import numpy as np
import torch

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.estimation_code.part.computed import ComputedCode, Options, computing
from nasp_lightning.estimation_code.part.cost import label_equivalents, label_training
from nasp_lightning.image.cifar import Images
from nasp_lightning.image.plain import PlainImages
from nasp_lightning.network.builder import NetworkBuilder, build
from nasp_lightning.record.store import Compute, Record
from nasp_lightning.space.base import Architecture
from nasp_lightning.task.plain import Recipe as Recipe
from nasp_lightning.task.plain import first_losses


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
        with computing(self.device):
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
        **options: Unpack[Options],
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
        losses: list[float] = np.array(record["losses"], dtype=np.float64).tolist()
        return losses

    def diverged(self, rows: Array) -> Array:
        """``[n]`` bool: whose networks diverged; computed where not known yet."""
        rows = np.asarray(rows)
        losses = self.compute(rows)
        self.asked[rows] = True
        return np.asarray(np.isnan(losses).any(axis=1))
