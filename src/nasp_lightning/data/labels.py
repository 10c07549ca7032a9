"""From a benchmark's runs to one label for each architecture, and to labels of one scale.

:class:`Labels` is the one rule of what labels are and what they are compared with, for fits and
for searches; :class:`LabelScale` the one scale on which predictors learn them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable, metric_name
from nasp_lightning.error import NaspError

if TYPE_CHECKING:  # the report reads labels without torch
    from torch import Tensor

Values = TypeVar("Values", "Array", "Tensor", float)

FAILED_TEST = 0.3  # test accuracy under which PINAT's code takes a run for failed


@dataclass(frozen=True)
class LabelScale:
    """Mean and deviation that labels are normalised by.

    Attributes:
        mean: of the accuracies; normalised, it is 0.
        deviation: of the accuracies, above 0; normalised, it is 1.
    """

    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def of(cls, labels: Array) -> LabelScale:
        """The scale of ``[n]`` accuracies; of equal ones the deviation is 1."""
        deviation = float(labels.std())
        return cls(float(labels.mean()), deviation if deviation > 0 else 1.0)

    def normalise(self, accuracies: Values) -> Values:
        """Accuracies of any shape, on the scale of predictors."""
        return (accuracies - self.mean) / self.deviation

    def restore(self, scores: Values) -> Values:
        """Accuracies of normalised scores: the inverse of :meth:`normalise`."""
        return scores * self.deviation + self.mean


@dataclass(frozen=True)
class Labels:
    """What a table says of its architectures, on one data set after one training budget.

    Attributes:
        label_metric: what labels are: ``validation_accuracy``, or ``test_accuracy`` where the
            table has no other.
        test_metric: what they are compared with: ``test_accuracy``, or ``validation_accuracy``
            where the table has no other.
        runs: ``[N, R]`` the former of each run, NaN where not known.
        test_runs: ``[N, R]`` the latter of each run.
        reduction: label from the runs: ``single`` (the first that did not fail) or ``mean``.
        failed_below: label metric under which a run failed, or None.
    """

    label_metric: str
    test_metric: str
    runs: Array
    test_runs: Array
    reduction: str = "mean"
    failed_below: float | None = None

    @classmethod
    def read(
        cls,
        table: BenchmarkTable,
        dataset: str,
        epochs: int | str,
        reduction: str = "mean",
        failed_below: float | None = None,
    ) -> Labels:
        """Labels of a table: see the attributes.

        Raises:
            NaspError: if it has no accuracy of that data set at that budget.
        """
        if dataset not in table.datasets():
            raise NaspError(
                f"benchmark.dataset={dataset}: this source has " + ", ".join(table.datasets())
            )
        names = {
            quantity: metric_name(dataset, quantity, epochs)
            for quantity in ("validation_accuracy", "test_accuracy")
        }
        known = [quantity for quantity, name in names.items() if name in table.metrics]
        if not known:
            have = ", ".join(sorted(table.metrics))
            raise NaspError(
                f"benchmark.epochs={epochs}: this source has no accuracy of {dataset} "
                f"at that budget; it has {have}"
            )
        runs, test_runs = (table.metric(names[quantity]) for quantity in (known[0], known[-1]))
        return cls(known[0], known[-1], runs, test_runs, reduction, failed_below)

    @property
    def both(self) -> bool:
        """Whether the table has accuracies of validation and of test."""
        return self.label_metric != self.test_metric

    @property
    def test_reduction(self) -> str:
        """How :meth:`truth` is made from the runs: ``mean``, or that of the only metric's."""
        return "mean" if self.both else self.reduction

    def training(self) -> Array:
        """``[N]`` labels, NaN where an architecture cannot be trained on: all its runs failed.

        Raises:
            NaspError: if the reduction is unknown or an accuracy is no fraction.
        """
        return training_labels(self.runs, self.reduction, self.failed_below)

    def answers(self) -> Array:
        """``[N]`` what a search is told: labels, and of an architecture that failed, its mean."""
        labels = self.training()
        return np.where(np.isnan(labels), mean_run(self.runs), labels)

    def truth(self) -> Array:
        """``[N]`` what a ranking is compared with; failed architectures are part of the space.

        Mean test accuracy; of a table with one metric, the labels, failed ones among them.
        """
        if self.both:
            return self.mean_test()
        return training_labels(self.test_runs, self.reduction, None)

    def mean_test(self) -> Array:
        """``[N]`` what a search's findings are judged by: mean test accuracy.

        Failed runs are left out, unless all of an architecture failed.
        """
        check_accuracies(self.test_runs)
        failed = FAILED_TEST if self.both else self.failed_below
        return mean_run(self.test_runs, None if self.failed_below is None else failed)


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
