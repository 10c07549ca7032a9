"""Architectures evaluated by a supernet: its shared weights, normalisations recalibrated.

The statistics of a supernet's batch normalisations mix all architectures, and are of use to none.
So each architecture is cut out, its statistics are computed anew from some training images, and
it is judged on the images held out of training (Guo et al., SPOS, ECCV 2020, section 3.4).

Example:
    >>> evaluator = SupernetEvaluator(supernet, data, Calibration(batches=20))  # doctest: +SKIP
    >>> evaluator.evaluate(evaluator.sample(rng, 10))  # doctest: +SKIP
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from nasp_lightning.array import Array
from nasp_lightning.data.base import ImageBatch, ImageModule
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.evaluator.base import Candidate, Evaluator, arrays_of
from nasp_lightning.network.supernet import Supernet
from nasp_lightning.space.base import Architecture, Keyed, Space

Costs = Callable[[Array, Array | None], dict[str, Array]]

COST_NAMES = {"parameters": "parameters", "flops": "macs", "macs": "macs"}


class SpaceEvaluator(Evaluator):
    """Knows every architecture of a space and what it costs; it has no labels.

    Args:
        space: of the architectures.
        costs: ``parameters`` and ``macs`` of native arrays ``[N, T]``, ``[N, V, V]``.
        budget: labels that may be used; None for no bound.
    """

    def __init__(self, space: Space, costs: Costs, budget: int | None = None) -> None:
        super().__init__(space, budget)
        self._costs = costs

    def find(self, operations: Array, adjacency: Array | None = None) -> Candidate:
        """The architecture of native arrays; of equal ones, one and the same."""
        key: str | bytes
        if isinstance(self.space, Keyed) and adjacency is not None:
            key = bytes(self.space.key(operations, adjacency))
        else:
            key = self.space.to_string(operations, adjacency)
        return Candidate(key, Architecture(operations, adjacency))

    def sample(self, rng: np.random.Generator, count: int) -> list[Candidate]:
        """``count`` distinct architectures that were not evaluated yet."""
        return self.draw(rng, count, self._accuracies)

    def labels(self, architectures: Sequence[Candidate]) -> tuple[Array, Array]:
        """There are none.

        Raises:
            NaspError: always.
        """
        raise NaspError("this evaluator knows costs and no accuracies: a SupernetEvaluator does")

    def cost(self, name: str, architectures: Sequence[Candidate]) -> Array:
        """``[n]`` float64: ``parameters``, or ``flops``, which are multiply-adds.

        Raises:
            NaspError: for another name.
        """
        if name not in COST_NAMES:
            have = ", ".join(COST_NAMES)
            raise NaspError(f"search.cost={name}: networks of this space have {have}")
        if not architectures:
            return np.empty(0)
        found = self._costs(*arrays_of(architectures))[COST_NAMES[name]]
        return np.asarray(found, dtype=np.float64)


@dataclass(frozen=True)
class Calibration:
    """How a cut-out architecture is made ready and judged.

    Attributes:
        batches: of training images for the statistics; 0 keeps the supernet's.
        batch_size: of them.
        test_batch: images judged at once; no number depends on it.

    Raises:
        NaspError: if a number cannot be.
    """

    batches: int = 20
    batch_size: int = 200
    test_batch: int = 500

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_whole("job.calibration.batches", self.batches, 0)
        check_whole("job.calibration.batch_size", self.batch_size, 2)
        check_whole("job.calibration.test_batch", self.test_batch)


class SupernetEvaluator(SpaceEvaluator):
    """Accuracy on the held-out images with a supernet's weights.

    Args:
        supernet: trained.
        data: its images; some of the training set's, without augmentation, recalibrate.
        calibration: how.
        device: where to compute.
        budget: labels that may be used; None for no bound.

    Raises:
        NaspError: if the supernet has other classes than the data, or no images are held out.
    """

    def __init__(
        self,
        supernet: Supernet,
        data: ImageModule,
        calibration: Calibration | None = None,
        device: torch.device | str = "cpu",
        budget: int | None = None,
    ) -> None:
        super().__init__(supernet.space, lambda *arrays: supernet.costs(*arrays), budget)
        self.supernet, self.data = supernet.eval(), data
        self.calibration, self.device = calibration or Calibration(), torch.device(device)
        data.check_part("held_out")

    def labels(self, architectures: Sequence[Candidate]) -> tuple[Array, Array]:
        """Accuracy and seconds ``[n]``."""
        found = []
        for item in architectures:
            began = time.perf_counter()
            accuracy = self.accuracy(*item.architecture)
            found.append((accuracy, time.perf_counter() - began))
        accuracies, seconds = np.array(found, dtype=np.float64).reshape(-1, 2).T
        return accuracies, seconds

    def accuracy(self, operations: Array, adjacency: Array | None = None) -> float:
        """Share of the held-out images that an architecture puts into their class."""
        network = self.supernet.subnet(operations, adjacency).to(self.device)
        recalibrate(network, self._training_batches)
        return accuracy(network, self._held_out_batches)

    @cached_property
    def _training_batches(self) -> list[ImageBatch]:
        loader = self.data.plain_loader("train", self.calibration.batch_size)
        return self._taken(loader, self.calibration.batches)

    @cached_property
    def _held_out_batches(self) -> list[ImageBatch]:
        return self._taken(self.data.held_out_loader(self.calibration.test_batch), None)

    def _taken(self, loader: Iterable[ImageBatch], most: int | None) -> list[ImageBatch]:
        taken: list[ImageBatch] = []
        for batch in loader:
            if most is not None and len(taken) >= most:
                break
            taken.append(ImageBatch(*(part.to(self.device) for part in batch)))
        return taken


@torch.no_grad()
def recalibrate(network: nn.Module, batches: Sequence[ImageBatch]) -> None:
    """Compute the statistics of a network's batch normalisations anew, and nothing else.

    They become the means over the batches; dropout stays off. Left as they are without batches.
    """
    network.eval()
    if not batches:
        return
    norms = [item for item in network.modules() if isinstance(item, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative mean
        norm.train()
    for batch in batches:
        network(batch.images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, batches: Sequence[ImageBatch]) -> float:
    """Share of images that a network puts into their class, as it evaluates."""
    network.eval()
    right = sum(int((network(batch.images).argmax(1) == batch.labels).sum()) for batch in batches)
    return right / sum(len(batch.labels) for batch in batches)
