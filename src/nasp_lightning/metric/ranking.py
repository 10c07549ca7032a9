"""Ranking metrics as ``torchmetrics`` classes: collect batches on the CPU, compute at the end.

Thin wrappers of :mod:`nasp_lightning.metric.functional`. torchmetrics' own Kendall coefficient
is quadratic and gives NaN above 77,936 samples, too few for a whole benchmark.

Example:
    >>> import torch
    >>> tau = KendallTau()
    >>> tau.update(torch.tensor([0.1, 0.2]), torch.tensor([90.0, 91.0]))
    >>> tau.update(torch.tensor([0.3]), torch.tensor([92.0]))
    >>> float(tau.compute())
    1.0
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.utilities import dim_zero_cat

from nasp_lightning.metric import functional


class RankingMetric(Metric):
    """Collects predictions and true values; a subclass says what to compute from all of them.

    The lists live on the CPU, so a full-space ranking costs no device memory. In a
    :class:`torchmetrics.MetricCollection` all ranking metrics share one pair of lists.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    predicted: list[Tensor]
    true: list[Tensor]

    def __init__(self, **options: Any) -> None:
        """Start empty; ``options`` are those of :class:`torchmetrics.Metric`."""
        options.setdefault("compute_on_cpu", True)
        super().__init__(**options)
        self.add_state("predicted", default=[], dist_reduce_fx="cat")
        self.add_state("true", default=[], dist_reduce_fx="cat")

    def update(self, predicted: Tensor, true: Tensor) -> None:
        """Add a batch of scores and true accuracies, both ``[B]``."""
        self.predicted.append(predicted.detach().reshape(-1))
        self.true.append(true.detach().reshape(-1))

    def compute(self) -> Tensor:
        """The metric over everything collected, a float32 scalar.

        Raises:
            NaspError: see :mod:`nasp_lightning.metric.functional`.
        """
        predicted = dim_zero_cat(self.predicted) if len(self.predicted) else torch.empty(0)
        true = dim_zero_cat(self.true) if len(self.true) else torch.empty(0)
        return torch.tensor(self.score(predicted, true), dtype=torch.float32, device=self.device)

    def _sync_dist(self, *arguments: Any, **options: Any) -> None:
        # A device's process group (NCCL) gathers the device's tensors only.
        self.predicted = [batch.to(self.device) for batch in self.predicted]
        self.true = [batch.to(self.device) for batch in self.true]
        super()._sync_dist(*arguments, **options)

    @abstractmethod
    def score(self, predicted: Tensor, true: Tensor) -> float:
        """Value for all ``[N]`` predictions and true values."""


class KendallTau(RankingMetric):
    """Kendall's tau-b: :func:`nasp_lightning.metric.functional.kendall_tau`."""

    def score(self, predicted: Tensor, true: Tensor) -> float:
        """Tau in [-1, 1]."""
        return functional.kendall_tau(predicted, true)


class Spearman(RankingMetric):
    """Spearman's rank correlation: :func:`nasp_lightning.metric.functional.spearman`."""

    def score(self, predicted: Tensor, true: Tensor) -> float:
        """Correlation of the ranks in [-1, 1]."""
        return functional.spearman(predicted, true)


class Pearson(RankingMetric):
    """Pearson's correlation: :func:`nasp_lightning.metric.functional.pearson`."""

    def score(self, predicted: Tensor, true: Tensor) -> float:
        """Linear correlation in [-1, 1]."""
        return functional.pearson(predicted, true)


class TopKMetric(RankingMetric):
    """A metric of the K architectures predicted best."""

    def __init__(self, top_k: int = 10, **options: Any) -> None:
        """Start empty.

        Args:
            top_k: K, at least 1.
            options: what :class:`torchmetrics.Metric` takes.

        Raises:
            NaspError: for K below 1.
        """
        super().__init__(**options)
        self.top_k = functional.check_top_k(top_k)


class BestInTopK(TopKMetric):
    """Best true accuracy found: :func:`nasp_lightning.metric.functional.best_in_top_k`."""

    def score(self, predicted: Tensor, true: Tensor) -> float:
        """Accuracy in the unit of ``true``."""
        return functional.best_in_top_k(predicted, true, self.top_k)


class RegretAtK(TopKMetric):
    """What the top K misses: :func:`nasp_lightning.metric.functional.regret_at_k`."""

    higher_is_better = False

    def score(self, predicted: Tensor, true: Tensor) -> float:
        """Difference in the unit of ``true``, zero or more."""
        return functional.regret_at_k(predicted, true, self.top_k)


class PrecisionAtK(TopKMetric):
    """Hits among the top K: :func:`nasp_lightning.metric.functional.precision_at_k`."""

    def score(self, predicted: Tensor, true: Tensor) -> float:
        """Share in [0, 1]."""
        return functional.precision_at_k(predicted, true, self.top_k)


def ranking_metrics(top_k: int = 10, prefix: str | None = None) -> MetricCollection:
    """All ranking metrics, under the names that they have in ``results.json``.

    Args:
        top_k: K of the three metrics of the predicted top.
        prefix: put before every name, such as ``validation/``.

    Raises:
        NaspError: for K below 1.
    """
    return MetricCollection(
        {
            "kendall_tau": KendallTau(),
            "spearman": Spearman(),
            "pearson": Pearson(),
            "best_in_top_k": BestInTopK(top_k),
            "regret_at_k": RegretAtK(top_k),
            "precision_at_k": PrecisionAtK(top_k),
        },
        prefix=prefix,
    )
