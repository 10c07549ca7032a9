"""Architectures evaluated by a benchmark's table, each label counted once.

A search sees validation accuracies only, as training does; what it found is judged by the mean
test accuracy, whose reading is not counted.

Example:
    >>> evaluator = TableEvaluator(table, space, dataset="cifar10", budget=150)  # doctest: +SKIP
    >>> evaluator.evaluate_rows(np.array([11, 42]))  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from functools import cached_property

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable, metric_name
from nasp_lightning.data.labels import Labels, mean_run
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate, Evaluator
from nasp_lightning.space.base import Architecture, Keyed, Space, unstacked


class TableEvaluator(Evaluator):
    """Looks accuracies up.

    Args:
        table: the benchmark.
        space: of its architectures.
        dataset: whose accuracies, such as ``cifar10``.
        epochs: training budget of the benchmark's runs.
        reduction: label from the runs: ``single`` or ``mean``.
        failed_below: accuracy under which a run failed, or None.
        budget: labels that may be used; None for no bound.
        fidelities: lower training budgets (epochs) to their costs in labels, the lowest first.
            Their labels are the runs' mean validation accuracy, or test accuracy where the source
            has no other (:attr:`lower_metrics` says which), and never final ones.

    Attributes:
        label_metric: what labels are: validation accuracy, or test accuracy where the source has
            no other.
        test_metric: what ``truth`` is: test accuracy, or validation where there is no other.
        rows: ``[n]`` rows of the table that can be evaluated and judged.
        row_labels: ``[N]`` label of every row, NaN where there is none.
        truth: ``[N]`` mean test accuracy, for judging alone.

    Raises:
        NaspError: if the table has no accuracy of that data set and training budget.
    """

    def __init__(
        self,
        table: BenchmarkTable,
        space: Space,
        dataset: str = "cifar10",
        epochs: int = 200,
        reduction: str = "mean",
        failed_below: float | None = None,
        budget: int | None = None,
        fidelities: Mapping[int | str, float | None] | None = None,
    ) -> None:
        super().__init__(space, budget, fidelities)
        self.table, self.dataset, self.epochs = table, dataset, epochs
        self.reduction, self.failed_below = reduction, failed_below
        labels = Labels.read(table, dataset, epochs, reduction, failed_below)
        self.label_metric, self.test_metric = labels.label_metric, labels.test_metric
        self.row_labels, self.truth = labels.answers(), labels.mean_test()
        self.rows = np.flatnonzero(~np.isnan(self.row_labels) & ~np.isnan(self.truth))
        if not len(self.rows):
            raise NaspError(
                f"no architecture of the benchmark has both {self.label_metric} and "
                f"{self.test_metric} of {dataset} at {epochs} epochs: choose another source"
            )
        self._seconds = self._read_seconds(epochs)
        self.lower_metrics: dict[str, str] = {}
        self._lower_rows: dict[str, tuple[Array, Array]] = {}
        for name in self.fidelities:
            self._lower_rows[name] = self._read_lower(name)
        self._usable = np.isin(np.arange(len(table)), self.rows)

    @property
    def size(self) -> int:
        """Architectures that can be evaluated."""
        return len(self.rows)

    @property
    def best(self) -> float:
        """The best mean test accuracy that a search can reach."""
        return float(self.truth[self.rows].max())

    @cached_property
    def everything(self) -> list[Candidate]:
        """The architectures of ``rows``."""
        return [self._architecture(int(row)) for row in self.rows]

    def architectures(self, rows: Array) -> list[Candidate]:
        """Architectures of rows of the table.

        Raises:
            NaspError: for a row that the table does not have, or that has no label.
        """
        rows = np.atleast_1d(np.asarray(rows))
        if rows.dtype.kind not in "iu" or ((rows < 0) | (rows >= len(self.table))).any():
            raise NaspError(
                f"rows of the table must be whole numbers from 0 to {len(self.table) - 1}"
            )
        if not self._usable[rows].all():
            row = rows[~self._usable[rows]][0]
            raise NaspError(f"architecture {row} of the table has no label: choose another")
        return [self._architecture(int(row)) for row in rows]

    def evaluate_rows(self, rows: Array) -> Array:
        """As :meth:`evaluate`, for rows ``[n]`` of the table."""
        return self.evaluate(self.architectures(rows))

    def evaluate_arrays(self, operations: Array, adjacency: Array | None = None) -> Array:
        """As :meth:`evaluate`, for native arrays ``[n, T]`` and ``[n, V, V]``.

        Raises:
            NaspError: if one is no architecture of the space, or the table does not have it.
        """
        self.space.validate(operations, adjacency)
        found = [self.find(*item) for item in unstacked(operations, adjacency)]
        missing = [number for number, item in enumerate(found) if item is None]
        if missing:
            raise NaspError(
                f"architecture {missing[0]} of those asked for is not in the table "
                f"({len(self.rows)} architectures can be evaluated)"
            )
        return self.evaluate([item for item in found if item is not None])

    def find(self, operations: Array, adjacency: Array | None = None) -> Candidate | None:
        """The table's architecture equal, or isomorphic where the table says so, to the arrays."""
        row = self._index.get(self._key(operations, adjacency))
        return None if row is None or not self._usable[row] else self._architecture(row)

    def sample(self, rng: np.random.Generator, count: int) -> list[Candidate]:
        """``count`` distinct rows that were not evaluated yet, drawn uniformly.

        Raises:
            NaspError: if fewer are left.
        """
        return self.draw(rng, count, {item.key for item in self._architectures})

    def draw(
        self, rng: np.random.Generator, count: int, besides: Collection[Hashable] = ()
    ) -> list[Candidate]:
        """``count`` distinct rows drawn uniformly, none of the rows ``besides``.

        Raises:
            NaspError: if fewer are left.
        """
        used = set(besides)
        if count > len(self.rows) - len(used):
            raise NaspError(
                f"{count} further architectures were asked for, but {len(self.rows) - len(used)} "
                f"of the table's {len(self.rows)} are left: ask for fewer labels"
            )
        drawn = rng.choice(self.rows, size=count + len(used), replace=False)
        return [self._architecture(int(row)) for row in drawn if int(row) not in used][:count]

    def labels(self, architectures: Sequence[Candidate]) -> tuple[Array, Array]:
        """Label and seconds ``[n]``; of an architecture that failed, the mean of its runs."""
        rows = rows_of(architectures)
        return self.row_labels[rows], self._seconds[rows]

    def lower_labels(
        self, fidelity: str, architectures: Sequence[Candidate]
    ) -> tuple[Array, Array]:
        """Label and seconds ``[n]`` after a lower training budget."""
        rows = rows_of(architectures)
        labels, seconds = self._lower_rows[fidelity]
        return labels[rows], seconds[rows]

    def cost(self, name: str, architectures: Sequence[Candidate]) -> Array:
        """``[n]`` float64 of the table's costs, such as ``parameters`` or ``flops``."""
        if name not in self.table.costs:
            have = ", ".join(sorted(self.table.costs)) or "none"
            raise NaspError(f"search.cost={name}: this source has no such cost; it has: {have}")
        values = np.asarray(self.table.costs[name][rows_of(architectures)])
        if values.ndim > 1:
            values = mean_run(values)
        if np.isnan(values).any():
            raise NaspError(f"search.cost={name}: some architectures have no value in this source")
        return values.astype(np.float64)

    def _architecture(self, row: int) -> Candidate:
        adjacency = self.table.adjacency
        matrix = None if adjacency is None else adjacency[row]
        return Candidate(row, Architecture(self.table.operations[row], matrix))

    def _key(self, operations: Array, adjacency: Array | None) -> bytes:
        """Equal for architectures that the table holds as one."""
        if self._keyed is not None and adjacency is not None:
            return bytes(self._keyed.key(operations, adjacency))
        return _bytes(operations, adjacency)

    @property
    def _keyed(self) -> Keyed | None:
        """The space, where the table holds its keys."""
        return self.space if self.table.keys is not None and isinstance(self.space, Keyed) else None

    @cached_property
    def _index(self) -> dict[bytes, int]:
        if self._keyed is not None and self.table.keys is not None:
            return {bytes(key): row for row, key in enumerate(self.table.keys)}
        items = unstacked(self.table.operations, self.table.adjacency)
        return {_bytes(*item): row for row, item in enumerate(items)}

    def _read_lower(self, fidelity: str) -> tuple[Array, Array]:
        """``[N]`` labels and seconds at a lower budget.

        Raises:
            NaspError: if the table does not have that budget, or not of all that can be evaluated.
        """
        epochs = int(fidelity) if fidelity.isdecimal() else fidelity
        if epochs == self.epochs:
            raise NaspError(
                f"evaluator.fidelities has {fidelity}, which is benchmark.epochs: leave it out"
            )
        lower = Labels.read(self.table, self.dataset, epochs, self.reduction, None)
        self.lower_metrics[fidelity] = lower.label_metric
        labels = lower.answers()
        if np.isnan(labels[self.rows]).any():
            raise NaspError(
                f"evaluator.fidelities has {fidelity}: {int(np.isnan(labels[self.rows]).sum())} "
                "architectures have no label at that budget; choose another source"
            )
        return labels, self._read_seconds(epochs)

    def _read_seconds(self, epochs: int | str) -> Array:
        name = metric_name(self.dataset, "train_seconds", epochs)
        if name not in self.table.costs:
            return np.full(len(self.table), np.nan)
        seconds = np.asarray(self.table.costs[name], dtype=np.float64)
        return seconds if seconds.ndim == 1 else mean_run(seconds)


def rows_of(architectures: Sequence[Candidate]) -> Array:
    """``[n]`` int64 rows of the table of its architectures."""
    return np.array([item.key for item in architectures], dtype=np.int64)


def _bytes(operations: Array, adjacency: Array | None) -> bytes:
    codes = np.asarray(operations, dtype=np.uint8).tobytes()
    return codes if adjacency is None else codes + np.asarray(adjacency, np.uint8).tobytes()
