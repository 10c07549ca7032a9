"""From a benchmark's runs to one label for each architecture."""

from __future__ import annotations

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError

FAILED_TEST = 0.3  # test accuracy of a failed run in PINAT's code (facts 1.3)


def single_run(values: Array, failed_below: float | None = None) -> Array:
    """``[N]`` first known run that did not fail of ``[N, R]``, NaN where there is none.

    A run of NAS-Bench-101 with a validation accuracy under 0.2 failed; the next one counts, and an
    architecture without any is left out of training (the published code puts a constant instead).
    """
    with np.errstate(invalid="ignore"):
        good = ~np.isnan(values) & (values >= (-np.inf if failed_below is None else failed_below))
    first = np.argmax(good, axis=1)
    label: Array = values[np.arange(len(values)), first].astype(np.float64)
    label[~good.any(axis=1)] = np.nan
    return label


def mean_run(values: Array, failed_below: float | None = None) -> Array:
    """``[N]`` mean of the known runs of ``[N, R]``; failed ones are left out unless all failed."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        good = known & (values >= (-np.inf if failed_below is None else failed_below))
    use = np.where(good.any(axis=1, keepdims=True), good, known)
    count = use.sum(axis=1)
    total = np.where(use, values, 0.0).sum(axis=1, dtype=np.float64)
    mean: Array = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean


def training_labels(values: Array, reduction: str, failed_below: float | None) -> Array:
    """``[N]`` training labels, NaN where an architecture cannot be trained on.

    Args:
        values: ``[N, R]`` accuracy of each run.
        reduction: ``single`` (the first run that did not fail) or ``mean`` (of all runs).
        failed_below: accuracy under which a run failed, or None.

    Raises:
        NaspError: if the reduction is unknown or a value is infinite or outside [0, 1].
    """
    check_accuracies(values)
    if reduction == "single":
        return single_run(values, failed_below)
    if reduction == "mean":
        label = mean_run(values, failed_below)
        if failed_below is not None:
            label[~(label >= failed_below)] = np.nan
        return label
    raise NaspError(f"benchmark.reduction={reduction}: choose single or mean")


def check_accuracies(values: Array) -> None:
    """Refuse accuracies that are no fractions; NaN means not known and is allowed."""
    wrong = np.argwhere(np.isinf(values) | (values < 0) | (values > 1))
    if len(wrong):
        row = int(wrong[0][0])
        raise NaspError(
            f"architecture {row} of the benchmark has the accuracy {values[tuple(wrong[0])]}: "
            "accuracies must be fractions between 0 and 1 (or NaN); check the table's scale"
        )
    if np.isnan(values).all():
        raise NaspError("every accuracy of the chosen metric is NaN: choose another metric")
