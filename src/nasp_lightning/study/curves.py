"""What repeats of a search found after each label, or each whole label equivalent.

A search that also buys labels at lower training budgets has full labels at uneven times. Its
curves stand on whole label equivalents all the same: after so many, what counts is the last full
label bought by then. Before a repeat's first one there is nothing that it could hand over: curves
have NaN there (rows -1), and results only numbers of label equivalents by which every repeat has a
full label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.table import TableEvaluator
from nasp_lightning.run.repeats import Repeat
from nasp_lightning.run.search_results import Budgets, Found, MeanAt, Recommended, RegretAt
from nasp_lightning.search.base import RECOMMENDED
from nasp_lightning.search.random import expected_accuracy
from nasp_lightning.storage import atomic_path

ROUNDING = 1e-9  # of sums of costs
MARKS = (10, 20, 50, 100, 150, 200, 300, 500, 1000)  # labels at which results.json has the regret


@dataclass(frozen=True)
class Curves:
    """What was found after each label, or label equivalent; R repeats of L.

    Attributes:
        counts: ``[R, L]`` int64, full labels that were there.
        rows: ``[R, L]`` int64, row of the table that was evaluated last.
        labels: ``[R, L]`` float64, what the search saw.
        best: ``[R, L]`` float64, mean test accuracy of the architecture with the best label so far.
        regret: ``[R, L]`` float64, best reachable accuracy minus ``best``.
        recommended: ``[R, L]`` int64, rows that the search would have handed over.
        recommended_regret: ``[R, L]`` float64, of those.
        oracle_regret: ``[R, L]`` float64, of the best evaluated so far, which nobody knows.
    """

    counts: Array
    rows: Array
    labels: Array
    best: Array
    regret: Array
    recommended: Array
    recommended_regret: Array
    oracle_regret: Array

    @property
    def marks(self) -> list[int]:
        """Numbers of labels that results have numbers for: every repeat has a label by then."""
        return [
            mark for mark in label_marks(self.counts.shape[1]) if self.counts[:, mark - 1].all()
        ]


def make_curves(
    repeats: Sequence[Repeat], evaluator: TableEvaluator, labels: int | None = None
) -> Curves:
    """Trajectories of what validation accuracy selects, judged by mean test accuracy.

    Args:
        repeats: of one search.
        evaluator: of the table.
        labels: label equivalents L of a repeat, where the evaluator has several training budgets.

    Raises:
        NaspError: if a repeat bought no full label.
    """
    short = [number for number, repeat in enumerate(repeats) if not len(repeat.rows)]
    if short:
        raise NaspError(f"repeat {short[0]} bought no full label: raise search.labels")
    length = max(len(repeat.rows) for repeat in repeats)
    if labels is not None and evaluator.fidelities:
        length = labels
    counts = np.stack([_counts(repeat, length) for repeat in repeats])
    truth, found = evaluator.truth, [_found(repeat) for repeat in repeats]

    def spread(values: Sequence[Array], none: float) -> Array:
        return np.stack(
            [
                np.where(own > 0, items[np.maximum(own, 1) - 1], none)
                for items, own in zip(values, counts, strict=True)
            ]
        )

    best = spread([truth[one.best] for one in found], np.nan)
    true = spread([np.maximum.accumulate(truth[repeat.rows]) for repeat in repeats], np.nan)
    return Curves(
        counts,
        spread([repeat.rows for repeat in repeats], -1),
        spread([repeat.labels for repeat in repeats], np.nan),
        best,
        evaluator.best - best,
        spread([one.handed for one in found], -1),
        evaluator.best - spread([truth[one.handed] for one in found], np.nan),
        evaluator.best - true,
    )


def _counts(repeat: Repeat, length: int) -> Array:
    """``[length]`` full labels of a repeat after each label, or label equivalent."""
    spent = np.arange(1.0, len(repeat.rows) + 1) if repeat.spent_at is None else repeat.spent_at
    return np.searchsorted(spent, np.arange(1, length + 1) + ROUNDING, side="right")


@dataclass(frozen=True)
class _Rows:
    """``[n]`` rows after each full label: of the best label so far, and what is handed over."""

    best: Array
    handed: Array


def _found(repeat: Repeat) -> _Rows:
    labels, places = repeat.labels, np.arange(len(repeat.labels))
    risen = labels > np.maximum.accumulate(np.concatenate([[-np.inf], labels[:-1]]))
    best = np.maximum.accumulate(np.where(risen, places, 0))
    return _Rows(repeat.rows[best], repeat.rows[_handed(repeat, best)])


def _handed(repeat: Repeat, best: Array) -> Array:
    """``[n]`` positions of what is handed over; without a rule of its own, of the best label."""
    own = repeat.extras.get(RECOMMENDED)
    if own is None:
        return best
    own = own[: len(best)]  # planned label equivalents can be more than full labels
    said = np.maximum.accumulate(np.where(own >= 0, np.arange(len(own)), -1))
    chosen: Array = np.where(said >= 0, own[said], best)
    return chosen


def label_marks(labels: int) -> list[int]:
    """Numbers of labels that results have numbers for."""
    return sorted({mark for mark in MARKS if mark < labels} | {labels})


def measured(curves: Curves, repeats: Sequence[Repeat], evaluator: TableEvaluator) -> Found:
    """Means and standard deviations over the repeats."""
    marks = curves.marks
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


def budgets(repeats: Sequence[Repeat], evaluator: TableEvaluator) -> Budgets:
    """The evaluator's lower training budgets and what repeats bought there; empty without any."""
    if not evaluator.fidelities:
        return Budgets()
    bought = np.mean([repeat.bought for repeat in repeats if repeat.bought is not None], axis=0)
    notes = evaluator.table.provenance.get("notes")
    return Budgets(
        fidelities=dict(evaluator.fidelities),
        fidelity_metrics=dict(evaluator.lower_metrics),
        fidelity_notes=_said(notes),
        fidelity_labels_mean=dict(zip(evaluator.fidelities, bought.tolist(), strict=True)),
        full_labels_mean=float(np.mean([len(repeat.rows) for repeat in repeats])),
        spent_mean=float(np.mean([repeat.spent for repeat in repeats])),
    )


def recommended(curves: Curves, rule: str, evaluator: TableEvaluator) -> Recommended:
    """What the repeats handed over, beside the best that they evaluated."""

    def at(regret: Array) -> dict[str, MeanAt]:
        return {
            str(mark): MeanAt(
                mean=float(regret[:, mark - 1].mean()), std=_deviation(regret[:, mark - 1])
            )
            for mark in curves.marks
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


def _said(notes: object) -> str | None:
    """The source's notes, which may be several, in one text."""
    several = notes if isinstance(notes, list | tuple) else [notes]
    return "; ".join(map(str, several)) if notes else None


def _deviation(values: Array) -> float | None:
    return float(values.std(ddof=1)) if len(values) > 1 else None


def write_curves(folder: Path, curves: Curves) -> None:
    """``curves.npz``: see :class:`Curves`, with mean and standard deviation of the regret."""
    regret = curves.regret
    with atomic_path(folder / "curves.npz") as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            counts=curves.counts.astype(np.int32),
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
