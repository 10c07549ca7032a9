"""The protocol of predictors without gradient training: fit on labels, score any architecture."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.space.base import Graphs


@runtime_checkable
class ClassicalPredictor(Protocol):
    """Fits labelled architectures and scores any; built with ``shape`` like the neural ones.

    Optional attributes: ``loss``, the name under which results list what was minimised
    (``mse`` where there is none), and ``needs_labels`` (False: ranks without any label).
    """

    def fit(self, graphs: Graphs, labels: Array) -> None:
        """Fit ``n`` architectures and their normalised labels ``[n]``."""

    def score(self, graphs: Graphs) -> Array:
        """``[N]`` float64 scores on the labels' scale, higher is better."""


@runtime_checkable
class ProbabilisticPredictor(ClassicalPredictor, Protocol):
    """A classical predictor that says how sure it is."""

    def predict(self, graphs: Graphs) -> tuple[Array, Array]:
        """Mean and standard deviation ``[N]`` of a new label, on the labels' scale."""

    def interval(self, graphs: Graphs, level: float) -> tuple[Array, Array]:
        """Lower and upper ends ``[N]`` that hold a new label with probability ``level``."""


def check_labels(labels: Array) -> Array:
    """Labels ``[n]`` as float64.

    Raises:
        NaspError: if there is none or one is not finite.
    """
    values: Array = np.asarray(labels, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise NaspError(
            f"training labels must be finite and at least one; got {list(values.shape)} with "
            f"{int((~np.isfinite(values)).sum())} not finite"
        )
    return values
