"""NPENAS: evolution that makes many mutants and evaluates those that a predictor likes best.

Wei et al., "NPENAS: Neural Predictor Guided Evolution for Neural Architecture Search" (arXiv
2003.12857), here with any predictor. Each round the best evaluated architectures are parents, each
gives some mutants, and the best predicted of all mutants are evaluated and join the population.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.evaluator.base import Candidate, Evaluator
from nasp_lightning.search.base import Search, Surrogate, fit_labelled, need, share, whole
from nasp_lightning.search.part.mutants import Found, add_mutants, best_labelled, fill
from nasp_lightning.search.part.pool import finite_scores

TRIES = 5  # mutations for each mutant that is wanted: many have a label already


class NPENAS(Search):
    """Rounds of: fit on all labels, mutate the best, evaluate the ``batch`` best predicted.

    Args:
        labels: architectures to evaluate, the initial ones included.
        initial: drawn at random before the first fit.
        batch: evaluated between two fits.
        parents: the best evaluated so far.
        mutants: of each parent, distinct and without a label.
        rate: probability of a place to change in a mutant; one changes in any case.

    Raises:
        NaspError: if a setting cannot be, or the initial labels exceed all.
    """

    needs_predictor: ClassVar[bool] = True

    def __init__(
        self,
        labels: int = 200,
        initial: int = 10,
        batch: int = 10,
        parents: int = 10,
        mutants: int = 10,
        rate: float = 0.25,
    ) -> None:
        super().__init__(labels)
        self.initial, self.batch = whole("initial", initial, 2), whole("batch", batch)
        self.parents, self.mutants = whole("parents", parents), whole("mutants", mutants)
        self.rate = share("rate", rate)
        self.check_initial(self.initial)

    def run(
        self, evaluator: Evaluator, rng: np.random.Generator, surrogate: Surrogate | None = None
    ) -> dict[str, Array]:
        """Evolve until the labels are spent."""
        self.check(evaluator)
        surrogate = need(surrogate)
        evaluator.evaluate(evaluator.sample(rng, self.initial))
        while (left := self.labels - evaluator.labels_used) > 0:
            fit_labelled(surrogate, evaluator, rng)
            proposed = self.propose(evaluator, rng, min(self.batch, left))
            scores = finite_scores(surrogate.score, proposed)
            best = np.argsort(-scores, kind="stable")[: min(self.batch, left)]
            evaluator.evaluate([proposed[place] for place in best])
        return {}

    def propose(
        self, evaluator: Evaluator, rng: np.random.Generator, least: int
    ) -> list[Candidate]:
        """Distinct mutants of the parents; random ones where there are fewer than ``least``."""
        found: Found = {}
        for parent in best_labelled(evaluator, self.parents):
            tries = TRIES * self.mutants
            add_mutants(found, evaluator, rng, parent, self.mutants, self.rate, tries)
        fill(found, evaluator, rng, least)
        return list(found.values())
