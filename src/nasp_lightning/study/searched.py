"""A benchmark that is searched: its evaluator, and what the results of all searches share."""

from __future__ import annotations

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.evaluator.table import TableEvaluator
from nasp_lightning.run.config import Component
from nasp_lightning.space.base import Space
from nasp_lightning.study.settings import BenchmarkChoice

MOST_REPEATS = 1000  # repeat i of seed s draws from 1000 s + i


def make_evaluator(
    evaluator: Component[TableEvaluator],
    benchmark: BenchmarkChoice,
    table: BenchmarkTable,
    space: Space,
    labels: int,
) -> TableEvaluator:
    """The evaluator of a search; without a budget of its own, the planned labels are the bound.

    Args:
        evaluator: its choice.
        benchmark: which of the table's numbers are labels.
        table: the benchmark.
        space: of its architectures.
        labels: that are planned.
    """
    if evaluator.settings.get("budget") is None:
        evaluator = evaluator.changed(budget=labels)
    return evaluator.build(
        table=table,
        space=space,
        dataset=benchmark.dataset,
        epochs=benchmark.epochs,
        reduction=benchmark.reduction,
        failed_below=benchmark.failed_below,
    )


def describe_source(benchmark: BenchmarkChoice, evaluator: TableEvaluator) -> str:
    """What is searched, in one line's beginning."""
    partial = ", PARTIAL" if evaluator.table.provenance.get("partial") else ""
    return (
        f"{benchmark.name}: {evaluator.size} architectures ({benchmark.source}{partial}), "
        f"{evaluator.label_metric} on {evaluator.dataset}"
    )
