"""Training of a supernet: one path of it in every step.

- Uniform sampling: SPOS (Guo et al., ECCV 2020, arXiv 1904.00420), section 3.2: each step trains
  one architecture, drawn uniformly from the space.
- Strict fairness: FairNAS (Chu et al., ICCV 2021, arXiv 1907.01845), algorithm 1: each step trains
  as many architectures as a layer has operations, so that every operation of every layer is
  trained equally often; their gradients are added, and the weights take one step.
- Random labels (RLNAS, Zhang et al., CVPR 2021) are an option of the data: ``data.random_labels``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nasp_lightning.data.base import ImageBatch
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.network.supernet import Supernet
from nasp_lightning.space.base import Architecture, unstacked
from nasp_lightning.task.classifier import Classifier

PATH_STREAM = 6  # apart from the data's streams
EVALUATION_STREAM = 7


class SupernetTask(Classifier):
    """Trains the weights that all architectures of a space share.

    Args:
        network: a supernet.
        strict_fairness: train one architecture for each operation of a layer in every step.
        evaluated_subnets: architectures, drawn once, whose accuracy on held-out and test images is
            noted; normalisation uses each batch's own statistics then, since the running ones mix
            all paths.
        gradient_clip: longest gradient of a step with ``strict_fairness``, in which the trainer
            cannot clip; None: any.
        options: of :class:`~nasp_lightning.task.classifier.Classifier`.

    Raises:
        NaspError: for a network that is no supernet, or an option that does not go with one.
    """

    kind: ClassVar[str] = "supernet"

    def __init__(
        self,
        network: nn.Module,
        strict_fairness: bool = False,
        evaluated_subnets: int = 8,
        gradient_clip: float | None = None,
        **options: Any,
    ) -> None:
        if not isinstance(network, Supernet):
            raise NaspError(
                f"task=supernet trains a supernet, and {type(network).__name__} is none: choose "
                "network=mobilenet_supernet or darts_supernet"
            )
        if options.get("compile"):
            raise NaspError(
                "task.compile=true: a supernet takes another path in every step, each of which "
                "would be compiled anew; set it to false"
            )
        super().__init__(network, **options)
        self.space = network.space
        self.strict_fairness, self.gradient_clip = strict_fairness, gradient_clip
        self.automatic_optimization = not strict_fairness
        if strict_fairness:
            self.space.fair_sample(np.random.default_rng(0))  # now, rather than in the fit
        check_whole("task.evaluated_subnets", evaluated_subnets)
        self.evaluated = self._sampled([self.seed, EVALUATION_STREAM], evaluated_subnets)
        self._paths = 1

    def _sampled(self, stream: list[int], count: int) -> list[Architecture]:
        return unstacked(*self.space.sample(np.random.default_rng(stream), count))

    def paths(self, epoch: int, step: int) -> list[Architecture]:
        """Architectures that a step trains: the same in every process."""
        stream = [self.seed, PATH_STREAM, epoch, step]
        if not self.strict_fairness:
            return self._sampled(stream, 1)
        return unstacked(*self.space.fair_sample(np.random.default_rng(stream)))

    def training_step(  # type: ignore[override]
        self, batch: ImageBatch, batch_idx: int
    ) -> Tensor | None:
        """Loss of one path; with strict fairness the whole step, of all its paths."""
        paths = self.paths(self.current_epoch, batch_idx)
        if not self.strict_fairness:
            return self.loss(batch, *paths[0])
        self._paths = len(paths)
        optimizer = self.optimizers()
        optimizer.zero_grad()  # type: ignore[union-attr]
        for path in paths:
            self.manual_backward(self.loss(batch, *path))
        if self.gradient_clip is not None:
            self.clip_gradients(optimizer, self.gradient_clip, "norm")  # type: ignore[arg-type]
        optimizer.step()  # type: ignore[union-attr]
        return None

    @property
    def _per_image(self) -> int:
        return self._paths

    def count_right(self, batch: ImageBatch) -> Tensor:
        """``[K]`` right answers of the evaluated subnets."""
        images = self.formatted(batch.images)
        with batch_statistics(self.network):
            right = [
                (self.network(images, *path).argmax(1) == batch.labels).sum()
                for path in self.evaluated
            ]
        return torch.stack(right)


@contextlib.contextmanager
def batch_statistics(network: nn.Module) -> Iterator[None]:
    """Let normalisations use each batch's own statistics in a block, and leave theirs alone."""
    layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
    before = [(layer.training, layer.track_running_stats) for layer in layers]
    for layer in layers:
        layer.training, layer.track_running_stats = True, False
    try:
        yield
    finally:
        for layer, (training, tracks) in zip(layers, before, strict=True):
            layer.training, layer.track_running_stats = training, tracks
