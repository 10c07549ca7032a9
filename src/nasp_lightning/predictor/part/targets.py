"""What a classical predictor regresses on: the labels as they are, or their normal scores."""

from __future__ import annotations

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError

KINDS = ("normal_scores", "raw")

# Nodes and weights of a normal variable's expectations (Gauss-Hermite).
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def check_kind(kind: str, name: str = "targets") -> None:
    """Refuse a kind of targets that there is not."""
    if kind not in KINDS:
        raise NaspError(f"predictor.{name}={kind!r} is unknown: choose " + "|".join(KINDS))


class Targets:
    """A strictly increasing map from labels to targets, and back.

    ``normal_scores``: the standard normal's quantile at (rank - 1/2) / n, ties at their mean rank
    (rank-based inverse normal, Beasley et al., Behavior Genetics 2009). Accuracies have a long
    lower tail which would otherwise rule the fit. Back by linear interpolation between the labels;
    beyond them, and for ``raw`` throughout, linearly.

    Args:
        labels: ``[n]`` float64 training labels.
        kind: ``normal_scores`` or ``raw``.

    Attributes:
        values: ``[n]`` targets of the training labels.

    Raises:
        NaspError: if ``kind`` is unknown.
    """

    def __init__(self, labels: Array, kind: str = "normal_scores") -> None:
        from scipy.stats import norm, rankdata

        check_kind(kind)
        self._labels = np.unique(labels)
        scale = float(labels.std()) or 1.0
        if kind == "raw":
            self.values: Array = (labels - labels.mean()) / scale
        else:
            self.values = norm.ppf((rankdata(labels) - 0.5) / len(labels))
        self._targets = np.unique(self.values)
        self._slope = scale / (float(self.values.std()) or 1.0)

    def inverse(self, targets: Array) -> Array:
        """Labels of any targets."""
        inside = np.clip(targets, self._targets[0], self._targets[-1])
        between = np.interp(inside, self._targets, self._labels)
        labels: Array = between + self._slope * (targets - inside)
        return labels

    def moments(self, mean: Array, deviation: Array) -> tuple[Array, Array]:
        """Mean and deviation ``[N]`` of labels whose targets are normal with those ``[N]``."""
        labels = self.inverse(mean[:, None] + deviation[:, None] * _NODES)
        expected = labels @ _WEIGHTS
        variance = (labels - expected[:, None]) ** 2 @ _WEIGHTS
        return expected, np.sqrt(variance)

    def interval(self, mean: Array, deviation: Array, level: float) -> tuple[Array, Array]:
        """Ends ``[N]`` of the central interval that holds such labels with that probability."""
        from scipy.stats import norm

        half = norm.ppf(0.5 + level / 2) * deviation
        return self.inverse(mean - half), self.inverse(mean + half)
