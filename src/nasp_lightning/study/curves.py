"""What repeats of a search found after each label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.evaluator.table import TableEvaluator
from nasp_lightning.run.repeats import Repeat
from nasp_lightning.run.results import Found, RegretAt
from nasp_lightning.search.random import expected_accuracy
from nasp_lightning.storage import atomic_path

MARKS = (10, 20, 50, 100, 150, 200, 300, 500, 1000)  # labels at which results.json has the regret


@dataclass(frozen=True)
class Curves:
    """What was found after each label; R repeats of L labels.

    Attributes:
        rows: ``[R, L]`` int64, rows of the table in the order of their evaluation.
        labels: ``[R, L]`` float64, what the search saw.
        best: ``[R, L]`` float64, mean test accuracy of the architecture with the best label so far.
        regret: ``[R, L]`` float64, best reachable accuracy minus ``best``.
    """

    rows: Array
    labels: Array
    best: Array
    regret: Array


def make_curves(repeats: Sequence[Repeat], evaluator: TableEvaluator) -> Curves:
    """Trajectories of what validation accuracy selects, judged by mean test accuracy."""
    rows = np.stack([repeat.rows for repeat in repeats])
    labels = np.stack([repeat.labels for repeat in repeats])
    risen = labels > np.maximum.accumulate(
        np.concatenate([np.full((len(labels), 1), -np.inf), labels[:, :-1]], axis=1), axis=1
    )
    places = np.maximum.accumulate(np.where(risen, np.arange(labels.shape[1]), 0), axis=1)
    best = evaluator.truth[np.take_along_axis(rows, places, axis=1)]
    return Curves(rows, labels, best, evaluator.best - best)


def label_marks(labels: int) -> list[int]:
    """Numbers of labels that results have numbers for."""
    return sorted({mark for mark in MARKS if mark < labels} | {labels})


def measured(curves: Curves, repeats: Sequence[Repeat], evaluator: TableEvaluator) -> Found:
    """Means and standard deviations over the repeats."""
    marks = label_marks(curves.best.shape[1])
    rows = evaluator.rows
    expected = expected_accuracy(evaluator.row_labels[rows], evaluator.truth[rows], marks)
    seconds = np.array([repeat.seconds for repeat in repeats])
    return Found(
        best_found_mean=float(curves.best[:, -1].mean()),
        best_found_std=_deviation(curves.best[:, -1]),
        regret_mean=float(curves.regret[:, -1].mean()),
        regret_std=_deviation(curves.regret[:, -1]),
        regret_at={
            str(mark): RegretAt(
                mean=float(curves.regret[:, mark - 1].mean()),
                std=_deviation(curves.regret[:, mark - 1]),
                random_expected=evaluator.best - float(accuracy),
            )
            for mark, accuracy in zip(marks, expected, strict=True)
        },
        # What even a search that labelled all would lose by selecting on validation accuracy.
        regret_of_best_label=evaluator.best
        - float(evaluator.truth[rows[evaluator.row_labels[rows].argmax()]]),
        found_best_share=float((curves.regret[:, -1] <= 0).mean()),
        training_seconds_mean=float(seconds.mean()) if np.isfinite(seconds).all() else None,
        wall_seconds_mean=float(np.mean([repeat.wall_seconds for repeat in repeats])),
    )


def _deviation(values: Array) -> float | None:
    return float(values.std(ddof=1)) if len(values) > 1 else None


def write_curves(folder: Path, curves: Curves) -> None:
    """``curves.npz``: see :class:`Curves`, with mean and standard deviation of the regret."""
    regret = curves.regret
    with atomic_path(folder / "curves.npz") as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            rows=curves.rows.astype(np.int32),
            labels=curves.labels.astype(np.float32),
            best=curves.best.astype(np.float32),
            regret=regret.astype(np.float32),
            regret_mean=regret.mean(axis=0),
            regret_std=regret.std(axis=0, ddof=1) if len(regret) > 1 else regret[0] * np.nan,
        )
