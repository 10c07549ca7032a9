"""BANANAS's predictor: an ensemble of small feedforward networks on the truncated path encoding.

White et al., "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture
Search" (AAAI 2021, arXiv 1910.11858), after its published code: five networks of ten layers of 20,
each trained on all labels from its own weights and in its own order, by the mean absolute error
(or the paper's percentage error), Adam at 0.01 (betas 0.9 and 0.99), batches of 32, 150 epochs.
Their mean is the prediction, their spread the deviation. All members are one batched computation.

Architectures are read as :mod:`~nasp_lightning.predictor.part.paths` says; on a chain of layers,
where paths say nothing, as one-hots of its places.

Example:
    ``python -m nasp_lightning job=search search=bananas predictor=bananas``
"""

from __future__ import annotations

import itertools
import math
import zlib

import numpy as np
import torch
from torch import Tensor

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.predictor.base import (
    ClassicalPredictor,
    Draws,
    Posterior,
    Probabilistic,
    check_labels,
)
from nasp_lightning.predictor.part.paths import path_encoding
from nasp_lightning.space.base import Graphs, Shape

LOSSES = ("mae", "mape")
CHUNK = 16384  # architectures scored at once
LEAST_ERROR = 1e-3  # of an architecture above the lower bound, in ``mape``


class BANANAS(ClassicalPredictor, Probabilistic):
    """Mean and spread of an ensemble.

    The published networks learn the error in percent; here they learn the labels as they come, in
    units of their own deviation, which is the same loss but for its scale.

    Args:
        shape: sizes of the space's encoding.
        members: networks of the ensemble.
        layers: hidden layers of each.
        hidden: width of these.
        loss: ``mae``, the published code's, or ``mape``: \\|ŷ - y\\| / (y - bound) of errors y, the
            paper's, by which good architectures count more.
        bound: of ``mape``, an error in [0, 1] below that of any architecture.
        epochs: of training.
        batch_size: architectures in a batch.
        lr: learning rate.
        longest: operations on the longest path that is encoded; None: about half of what the space
            allows, as published.
        seed: of weights and orders, which differ with the labels, too.

    Raises:
        NaspError: if a setting cannot be.
    """

    def __init__(
        self,
        shape: Shape,
        members: int = 5,
        layers: int = 10,
        hidden: int = 20,
        loss: str = "mae",
        bound: float = 0.045,
        epochs: int = 150,
        batch_size: int = 32,
        lr: float = 0.01,
        longest: int | None = None,
        seed: int = 0,
    ) -> None:
        check_whole("predictor.members", members, 2)
        for name, value in (("layers", layers), ("hidden", hidden), ("epochs", epochs)):
            check_whole(f"predictor.{name}", value)
        check_whole("predictor.batch_size", batch_size)
        if longest is not None:
            check_whole("predictor.longest", longest)
        if loss not in LOSSES:
            raise NaspError(f"predictor.loss={loss!r} is unknown: choose " + "|".join(LOSSES))
        if not lr > 0 or not 0 <= bound < 1:
            raise NaspError(
                f"predictor.lr={lr}, bound={bound}: the first is above 0, the second an error from "
                "0 up to 1"
            )
        self.shape, self.members, self.layers, self.hidden = shape, members, layers, hidden
        self.loss, self.bound, self.longest = loss, bound, longest
        self.epochs, self.batch_size, self.lr, self.seed = epochs, batch_size, lr, seed
        self.label_mean, self.label_deviation = 0.0, 1.0
        self._weights: list[Tensor] = []

    def set_label_scale(self, mean: float, deviation: float) -> None:
        """Which accuracies the labels 0 and 1 are: of ``mape``, whose errors are true ones."""
        self.label_mean, self.label_deviation = mean, deviation

    def fit(self, graphs: Graphs, labels: Array) -> None:
        """Train all members on ``n`` architectures and their labels ``[n]``."""
        labels = check_labels(labels)
        inputs = torch.from_numpy(path_encoding(graphs, self.shape, self.longest))
        targets = torch.from_numpy(labels.astype(np.float32))
        # A generator of torch takes 32 bits of a seed.
        sequence = np.random.SeedSequence([self.seed, zlib.crc32(labels.tobytes())])
        generator = torch.Generator().manual_seed(int(sequence.generate_state(1)[0]))
        widths = [inputs.shape[1], *[self.hidden] * self.layers, 1]
        with torch.enable_grad():
            self._weights = [
                weight
                for before, after in itertools.pairwise(widths)
                for weight in _layer(self.members, before, after, generator)
            ]
            self._train(inputs, targets, self._costs(targets), generator)
        self._weights = [weight.detach() for weight in self._weights]

    def score(self, graphs: Graphs) -> Array:
        """``[N]`` means of the members, on the labels' scale."""
        scores: Array = self.predictions(graphs).mean(axis=0)
        return scores

    def posterior(self, graphs: Graphs) -> Posterior:
        """Mean and deviation ``[N]`` over the members; the labels' noise is not in it."""
        found = self.predictions(graphs)
        return Posterior(found.mean(axis=0), found.std(axis=0))

    def draws(self, graphs: Graphs, count: int, rng: np.random.Generator) -> Draws:
        """``count`` times what one of the members, drawn at random, predicts of all ``[N]``."""
        return Draws(self.predictions(graphs)[rng.integers(self.members, size=count)])

    def predictions(self, graphs: Graphs) -> Array:
        """``[members, N]`` float64 labels that each member predicts.

        Raises:
            NaspError: before :meth:`fit`.
        """
        if not self._weights:
            raise NaspError("the ensemble was not fitted: call fit before score")
        found = np.empty((self.members, len(graphs)))
        for start in range(0, len(graphs), CHUNK):
            part = slice(start, start + CHUNK)
            inputs = torch.from_numpy(path_encoding(graphs[part], self.shape, self.longest))
            with torch.no_grad():
                scores = _forward(self._weights, inputs.expand(self.members, -1, -1))
            found[:, part] = scores.double().numpy()
        return found

    def _costs(self, targets: Tensor) -> Tensor:
        """``[n]`` what an absolute error of each label costs."""
        if self.loss == "mae":
            return torch.ones_like(targets)
        errors = 1 - (targets * self.label_deviation + self.label_mean)
        return self.label_deviation / (errors - self.bound).clamp(min=LEAST_ERROR)

    def _train(
        self, inputs: Tensor, targets: Tensor, costs: Tensor, generator: torch.Generator
    ) -> None:
        count = len(inputs)
        # Epsilon as of Keras, which the published code is written in; fused takes half the time.
        optimizer = torch.optim.Adam(
            self._weights, self.lr, betas=(0.9, 0.99), eps=1e-7, fused=True
        )
        for _ in range(self.epochs):
            orders = torch.rand(self.members, count, generator=generator).argsort(1)
            for rows in torch.split(orders, self.batch_size, dim=1):
                optimizer.zero_grad(set_to_none=True)
                gaps = (_forward(self._weights, inputs[rows]) - targets[rows]).abs()
                torch.autograd.backward((costs[rows] * gaps).mean(1).sum())
                optimizer.step()


def _layer(
    members: int, inputs: int, outputs: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Weights ``[M, inputs, outputs]`` (Glorot, uniform) and biases ``[M, 1, outputs]`` of zero."""
    reach = math.sqrt(6 / (inputs + outputs))
    weights = torch.rand(members, inputs, outputs, generator=generator) * (2 * reach) - reach
    return weights.requires_grad_(), torch.zeros(members, 1, outputs, requires_grad=True)


def _forward(weights: list[Tensor], inputs: Tensor) -> Tensor:
    """Outputs ``[M, B]`` of inputs ``[M, B, D]``: every member's, in one product a layer."""
    hidden = inputs
    for weight, bias in zip(weights[::2], weights[1::2], strict=True):
        hidden = torch.baddbmm(bias, hidden, weight)
        if weight is not weights[-2]:
            hidden = hidden.relu()
    return hidden.squeeze(-1)
