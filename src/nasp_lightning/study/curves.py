"""What repeats of a search found after each label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.evaluator.table import TableEvaluator
from nasp_lightning.run.repeats import Repeat
from nasp_lightning.run.search_results import Found, MeanAt, Recommended, RegretAt
from nasp_lightning.search.base import RECOMMENDED
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
        recommended: ``[R, L]`` int64, rows that the search would have handed over.
        recommended_regret: ``[R, L]`` float64, of those.
        oracle_regret: ``[R, L]`` float64, of the best evaluated so far, which nobody knows.
    """

    rows: Array
    labels: Array
    best: Array
    regret: Array
    recommended: Array
    recommended_regret: Array
    oracle_regret: Array


def make_curves(repeats: Sequence[Repeat], evaluator: TableEvaluator) -> Curves:
    """Trajectories of what validation accuracy selects, judged by mean test accuracy."""
    rows = np.stack([repeat.rows for repeat in repeats])
    labels = np.stack([repeat.labels for repeat in repeats])
    risen = labels > np.maximum.accumulate(
        np.concatenate([np.full((len(labels), 1), -np.inf), labels[:, :-1]], axis=1), axis=1
    )
    places = np.maximum.accumulate(np.where(risen, np.arange(labels.shape[1]), 0), axis=1)
    truth = evaluator.truth
    best = truth[np.take_along_axis(rows, places, axis=1)]
    handed = np.stack([_handed(repeat, own) for repeat, own in zip(repeats, places, strict=True)])
    recommended = np.take_along_axis(rows, handed, axis=1)
    return Curves(
        rows,
        labels,
        best,
        evaluator.best - best,
        recommended,
        evaluator.best - truth[recommended],
        evaluator.best - np.maximum.accumulate(truth[rows], axis=1),
    )


def _handed(repeat: Repeat, best: Array) -> Array:
    """``[L]`` positions of what is handed over; without a rule of its own, of the best label."""
    own = repeat.extras.get(RECOMMENDED)
    if own is None:
        return best
    said = np.maximum.accumulate(np.where(own >= 0, np.arange(len(own)), -1))
    chosen: Array = np.where(said >= 0, own[said], best)
    return chosen


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


def recommended(curves: Curves, rule: str, evaluator: TableEvaluator) -> Recommended:
    """What the repeats handed over, beside the best that they evaluated."""
    marks = label_marks(curves.rows.shape[1])

    def at(regret: Array) -> dict[str, MeanAt]:
        return {
            str(mark): MeanAt(
                mean=float(regret[:, mark - 1].mean()), std=_deviation(regret[:, mark - 1])
            )
            for mark in marks
        }

    rows, regret = curves.recommended[:, -1], curves.recommended_regret[:, -1]
    texts = [
        evaluator.space.to_string(*item.architecture) for item in evaluator.architectures(rows)
    ]
    return Recommended(
        recommend=rule,
        recommended_architecture=texts[0],
        recommended_architectures=texts,
        recommended_regret_mean=float(regret.mean()),
        recommended_regret_std=_deviation(regret),
        recommended_regret_at=at(curves.recommended_regret),
        oracle_regret_mean=float(curves.oracle_regret[:, -1].mean()),
        oracle_regret_at=at(curves.oracle_regret),
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
            recommended=curves.recommended.astype(np.int32),
            recommended_regret=curves.recommended_regret,
            oracle_regret=curves.oracle_regret,
        )
