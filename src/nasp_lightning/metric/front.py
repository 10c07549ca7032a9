"""How good a Pareto front of accuracy against one cost is: pure functions of arrays."""

from __future__ import annotations

import numpy as np

from nasp_lightning.array import Array


def front_accuracy(accuracy: Array, cost: Array, at: Array) -> Array:
    """``[m]`` the best accuracy that is to be had for at most the costs ``at`` ``[m]``.

    Args:
        accuracy: ``[n]``.
        cost: ``[n]``.
        at: ``[m]``.

    Returns:
        -inf where nothing costs so little.
    """
    order = np.argsort(cost, kind="stable")
    best = np.concatenate([[-np.inf], np.maximum.accumulate(np.asarray(accuracy)[order])])
    reached: Array = best[np.searchsorted(np.asarray(cost)[order], at, side="right")]
    return reached


def hypervolume(accuracy: Array, cost: Array, least_accuracy: float, most_cost: float) -> float:
    """Area that ``n`` points dominate: accuracy above ``least_accuracy``, cost under ``most_cost``.

    Zitzler and Thiele, "Multiobjective Evolutionary Algorithms" (IEEE TEVC 1999), of two
    objectives.
    """
    order = np.argsort(cost, kind="stable")
    costs = np.minimum(np.asarray(cost, dtype=np.float64)[order], most_cost)
    height = np.maximum.accumulate(np.maximum(np.asarray(accuracy)[order] - least_accuracy, 0))
    widths = np.diff(np.append(costs, most_cost))
    return float((height * widths).sum())
