"""The report's rows: one for each benchmark, split and method; and which of them are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nasp_lightning.report.collect import Run
from nasp_lightning.report.method import UNSAID_LOSSES, variant_text
from nasp_lightning.report.protocol import plain_variant, protocol
from nasp_lightning.report.published import Published


@dataclass(frozen=True)
class Spread:
    """Mean over seeds, and sample standard deviation (N - 1), None for a single seed."""

    mean: float
    deviation: float | None


@dataclass(frozen=True)
class Row:
    """One benchmark, split and method.

    Attributes:
        run: one of the runs, for everything that they have in common; None for a published
            method that was not run.
        method: name for a reader, such as ``tnasp + SE``.
        seeds: the seeds counted, sorted.
        first_phase_seeds: how many of them are the first phase of a self-evolution run.
        scores: mean and deviation by the names of :data:`~.collect.SCORES`.
        train_labels: labels that the predictor was fitted on.
        queried_labels: all labels asked for, those included.
        selection_labels: those of them that selected and were not fitted on; None where a run
            does not state them.
        codes: whether extra inputs (Estimation Codes, proxies) of architectures were used.
        code_labels: what those cost in labels, the mean over seeds; None where that is not stated.
        taus: Kendall's tau of each seed.
        over_plain: tau less that of the same predictor, trained plainly with the same loss and its
            own settings, on the seeds that both have; None where there is none, or it is that.
        pairs: number of those seeds.
        published: the paper's number, or None.
        pool_size: architectures of the training half; None where there are no halves.
        reasons: why the two cannot be compared; empty where they can.
    """

    benchmark: str
    dataset: str
    source: str
    space_size: int
    train_size: int
    test_size: str
    predictor: str
    framework: str
    loss: str
    variant: str
    control: bool
    method: str
    run: Run | None = None
    seeds: tuple[int, ...] = ()
    first_phase_seeds: int = 0
    scores: dict[str, Spread] = field(default_factory=dict)
    fit_seconds: float | None = None
    train_labels: int | None = None
    queried_labels: int | None = None
    selection_labels: int | None = None
    codes: bool = False
    code_labels: float | None = None
    taus: tuple[float, ...] = ()
    over_plain: float | None = None
    pairs: int = 0
    published: Published | None = None
    pool_size: int | None = None
    reasons: tuple[str, ...] = ()

    @property
    def split(self) -> str:
        """Training and test size, such as ``424/all``, or ``78 of 7813/7812`` with halves."""
        half = "" if self.pool_size is None else f" of {self.pool_size}"
        return f"{self.train_size}{half}/{self.test_size}"

    @property
    def difference(self) -> float | None:
        """Mean tau minus the published one, where they may be compared."""
        if self.published is None or self.reasons or "kendall_tau" not in self.scores:
            return None
        return self.scores["kendall_tau"].mean - self.published.kendall_tau


def missing_controls(rows: Sequence[Row]) -> list[Row]:
    """Self-evolution rows whose control (trained on n + validation labels) was not run."""
    controls = {_control_key(row.run) for row in rows if row.control and row.run is not None}
    return [
        row
        for row in rows
        if row.run is not None
        and row.framework == "self_evolution"
        and not row.control
        and _control_key(row.run) not in controls
    ]


def _control_key(run: Run) -> tuple[object, ...]:
    results = run.results
    variant = variant_text(plain_variant(results.variant))
    return (*protocol(run), results.predictor, results.loss, results.validation_size, variant)


def only_table(rows: Sequence[Row], table: Sequence[Published]) -> list[Row]:
    """Rows of the splits and methods that a paper's table has, and self-evolution's controls.

    Of a benchmark that the table does not have, the same methods on all splits.

    Args:
        rows: what :func:`~.summary.summarise` gives.
        table: the table's numbers, of :func:`~.published.of_table`.
    """
    benchmarks = {paper.benchmark for paper in table}
    return [
        row
        for row in rows
        if any(
            _same_method(row, paper)
            and (
                row.benchmark not in benchmarks
                or (paper.benchmark, paper.train_size, paper.test_size)
                == (row.benchmark, row.train_size, row.test_size)
            )
            for paper in table
        )
    ]


def _same_method(row: Row, paper: Published) -> bool:
    framework = "self_evolution" if row.control else row.framework
    return (
        (paper.predictor, paper.framework, paper.variant) == (row.predictor, framework, row.variant)
    ) and paper.loss in ("", row.loss)


def only_plain(rows: Sequence[Row]) -> list[Row]:
    """Rows of plain training by a predictor's own recipe, its loss included, and its variants."""
    return [
        row
        for row in rows
        if row.framework == "supervised" and not row.control and row.loss in UNSAID_LOSSES
    ]
