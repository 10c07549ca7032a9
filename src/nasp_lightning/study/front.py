"""What a search found beside the true Pareto front of accuracy against a cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.evaluator.table import TableEvaluator
from nasp_lightning.metric.front import front_accuracy, hypervolume
from nasp_lightning.run.repeats import Repeat
from nasp_lightning.run.search_results import Front, FrontAt
from nasp_lightning.search.nsga2 import pareto_front
from nasp_lightning.storage import csv_text, write_text

COST = "flops"


def front_results(
    rows: Sequence[Array] | Array,
    labels: Sequence[Array] | Array,
    evaluator: TableEvaluator,
    marks: Sequence[int],
    counts: Array | None = None,
) -> Front:
    """Regret against the true front, at numbers of labels; empty where the table has none.

    Both are judged by true accuracy, of what the labels selected: ``regret`` is that of the
    architecture with the best label, against the best that costs no more; ``hypervolume`` that
    of the front by labels, as a share of the true front's.

    Args:
        rows: of each of R repeats, ``[n]`` what it evaluated.
        labels: of each, ``[n]`` what it saw.
        evaluator: of the table.
        marks: numbers of labels, or label equivalents.
        counts: ``[R, L]`` labels that were there after each label equivalent; None: as many.
    """
    values = evaluator.table.costs.get(COST)
    if values is None or np.ndim(values) != 1 or np.isnan(values[evaluator.rows]).any():
        return Front()
    truth, cost = evaluator.truth, np.asarray(values, dtype=np.float64)
    every = evaluator.rows
    corner = (float(truth[every].min()), float(cost[every].max()))
    whole = hypervolume(truth[every], cost[every], *corner)
    found: dict[str, FrontAt] = {}
    for mark in marks:
        regrets, shares = [], []
        sizes = [mark] * len(rows) if counts is None else counts[:, mark - 1].tolist()
        for own, told, size in zip(rows, labels, sizes, strict=True):
            chosen, seen = own[:size], told[:size]
            best = chosen[[int(seen.argmax())]]
            reachable = front_accuracy(truth[every], cost[every], cost[best])
            regrets.append(float(reachable[0] - truth[best[0]]))
            front = chosen[pareto_front(np.stack([-seen, cost[chosen]], axis=1))]
            area = hypervolume(truth[front], cost[front], *corner)
            shares.append(area / whole if whole > 0 else 1.0)
        found[str(mark)] = FrontAt(
            regret_mean=float(np.mean(regrets)),
            regret_std=float(np.std(regrets, ddof=1)) if len(regrets) > 1 else None,
            hypervolume_mean=float(np.mean(shares)),
            hypervolume_std=float(np.std(shares, ddof=1)) if len(shares) > 1 else None,
        )
    return Front(front_cost=COST, front_at=found)


def write_fronts(folder: Path, repeats: Sequence[Repeat], evaluator: TableEvaluator) -> None:
    """``fronts.csv``: the Pareto front of each repeat, where the strategy has one."""
    if not all("front" in repeat.extras for repeat in repeats):
        return
    lines: list[list[object]] = []
    width = repeats[0].extras["front_cost"][:1].size
    costs = ["cost", *(f"cost_{number}" for number in range(2, width + 1))]
    for number, repeat in enumerate(repeats):
        rows = repeat.extras["front_cost"].reshape(len(repeat.extras["front"]), -1)
        for place, cost in zip(repeat.extras["front"], rows, strict=True):
            row = int(repeat.rows[place])
            item = evaluator.architectures(np.array([row]))[0]
            name = evaluator.space.to_string(item.operations, item.adjacency)
            accuracy = float(evaluator.truth[row])
            lines.append([number, name, f"{repeat.labels[place]:.6f}", f"{accuracy:.6f}", *cost])
    fields = ["repeat", "architecture", "label", "test_accuracy", *costs]
    write_text(folder / "fronts.csv", csv_text(fields, lines))
