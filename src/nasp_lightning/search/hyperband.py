"""Hyperband: brackets of successive halving that begin at different training budgets.

Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization" (JMLR 2018,
arXiv 1603.06560), algorithm 1. Low budgets may mislead, so some brackets trust them less, and the
last one not at all.
"""

from __future__ import annotations

from itertools import cycle

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.evaluator.base import Evaluator
from nasp_lightning.search.base import Surrogate
from nasp_lightning.search.part.rungs import SeveralBudgets, brackets, ladder


class Hyperband(SeveralBudgets):
    """The paper's brackets, again and again; eta is what the budgets say: see :mod:`.part.rungs`.

    Args:
        labels: label equivalents to spend in one repeat.
    """

    def __init__(self, labels: int = 100) -> None:
        super().__init__(labels)

    def run(
        self, evaluator: Evaluator, rng: np.random.Generator, surrogate: Surrogate | None = None
    ) -> dict[str, Array]:
        """Run bracket after bracket until the label equivalents are spent."""
        self.check(evaluator)
        for rungs, first in cycle(brackets(ladder(evaluator))):
            if not self.halve(evaluator, rng, rungs, first):
                break
        self.spend_rest(evaluator, rng)
        return {}
