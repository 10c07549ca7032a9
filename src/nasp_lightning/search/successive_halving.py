"""Successive halving: many architectures at a low training budget, the best go on to the next.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization"
(AISTATS 2016, arXiv 1502.07943), algorithm 1: the whole budget is split evenly among the rounds.
"""

from __future__ import annotations

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.evaluator.base import Evaluator
from nasp_lightning.search.base import Surrogate, whole
from nasp_lightning.search.part.rungs import SeveralBudgets, fitting, ladder


class SuccessiveHalving(SeveralBudgets):
    """Brackets of random architectures over all training budgets; see :mod:`.part.rungs`.

    Args:
        labels: label equivalents to spend in one repeat.
        initial: architectures of a bracket's first rung; None: as many as spend all in one
            bracket, as in the paper. Full labels then come late: a smaller number is for several
            brackets, one after another (ours).

    Raises:
        NaspError: if a setting cannot be.
    """

    def __init__(self, labels: int = 100, initial: int | None = None) -> None:
        super().__init__(labels)
        self.initial = None if initial is None else whole("initial", initial)

    def run(
        self, evaluator: Evaluator, rng: np.random.Generator, surrogate: Surrogate | None = None
    ) -> dict[str, Array]:
        """Halve until the label equivalents are spent."""
        self.check(evaluator)
        rungs = ladder(evaluator)
        first = self.initial
        if first is None:
            first = fitting(rungs, int(self.labels / rungs[0].cost), self.labels)
        while self.halve(evaluator, rng, rungs, first):
            pass
        self.spend_rest(evaluator, rng)
        return {}
