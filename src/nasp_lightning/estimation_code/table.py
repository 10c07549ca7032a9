"""Estimation Codes from a benchmark's loss curves: NATS-Bench's runs, SpikeNAS-Bench's losses."""

from __future__ import annotations

import warnings

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.estimation_code.base import EstimationCode
from nasp_lightning.estimation_code.part.cost import own_code_cost

SHORT = "-code"  # ends the name of a data set's short trainings


class TableCode(EstimationCode):
    """The first epochs of the training losses that the benchmark's table has.

    Its cost is not stated by default: the losses are those of the full runs whose accuracies are
    the labels, and nobody trains a network in full to stop after three epochs' losses. A table with
    short trainings of their own (Tiny-NanoBench) has their losses taken, and says what they cost.

    Args:
        table: the benchmark.
        dataset: whose training: ``cifar10``, or in NATS-Bench ``cifar10-valid`` (trained on half).
        curve: name of the curve, such as ``cifar10/train_loss/200``; None: that of ``dataset``'s
            short trainings (``cifar10-code/train_loss/3``), else its longest.
        epochs: how many losses, from the first epoch on.
        runs: ``mean`` of the runs that are known, or ``single`` (the first of them).
        cost: label equivalents of one code; None: what the table says of its short trainings, else
            not stated.
        missing: what the code of an architecture without losses becomes: see
            :class:`EstimationCode`.

    Raises:
        NaspError: if the table has no such curve, or it is shorter.
    """

    def __init__(
        self,
        table: BenchmarkTable,
        dataset: str = "cifar10",
        curve: str | None = None,
        epochs: int = 3,
        runs: str = "mean",
        cost: float | None = None,
        missing: str | float = "error",
    ) -> None:
        if runs not in ("mean", "single"):
            raise NaspError(f"estimation_code.runs={runs}: choose mean or single")
        self.curve, self.runs = curve or _chosen(table, dataset), runs
        if self.curve not in table.curves:
            raise NaspError(
                f"estimation_code.curve={self.curve}: the benchmark's table has no such curve; it "
                f"has {_names(table)}"
            )
        have = table.curves[self.curve].shape[2]
        if isinstance(epochs, bool) or not isinstance(epochs, int) or not 1 <= epochs <= have:
            raise NaspError(
                f"estimation_code.epochs={epochs}: the curve {self.curve} has {have} epochs; "
                f"choose 1 to {have}"
            )
        if cost is None and self.curve.split("/")[0].endswith(SHORT):
            cost = own_code_cost(table, epochs)
        super().__init__(table, epochs, cost, missing)

    def compute(self, rows: Array) -> Array:
        """``[n, epochs]`` losses of valid rows."""
        losses = np.asarray(self.table.curves[self.curve][rows, :, : self.length], np.float64)
        if self.runs == "single":
            known = np.isfinite(losses).all(axis=2)
            first: Array = losses[np.arange(len(rows)), known.argmax(axis=1)]
            return first
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # an architecture without any run
            means: Array = np.nanmean(np.where(np.isfinite(losses), losses, np.nan), axis=1)
        return means

    def why_missing(self, row: int) -> str:
        """Of which curve there is nothing."""
        return f"{self.curve} has no value there"


def _names(table: BenchmarkTable) -> str:
    return ", ".join(sorted(table.curves)) or "none"


def _chosen(table: BenchmarkTable, dataset: str) -> str:
    of_dataset = _losses(table, f"{dataset}{SHORT}") or _losses(table, dataset)
    if not of_dataset:
        raise NaspError(
            f"the benchmark's table (source {table.provenance.get('source', 'unknown')}) has no "
            f"training losses of {dataset}; its curves: {_names(table)}. Choose a source with "
            "losses (benchmark.source=nats_simple, or benchmark spikenas), or another "
            "estimation_code"
        )
    return max(of_dataset, key=lambda name: (table.curves[name].shape[2], name))


def _losses(table: BenchmarkTable, dataset: str) -> list[str]:
    return [name for name in table.curves if name.startswith(f"{dataset}/train_loss/")]
