"""NPENAS: evolution that makes many mutants and evaluates those that a predictor likes best.

Wei et al., "NPENAS: Neural Predictor Guided Evolution for Neural Architecture Search" (arXiv
2003.12857), here with any predictor. Each round the best evaluated architectures are parents, each
gives some mutants, and the best predicted of all mutants are evaluated and join the population.
"""

from __future__ import annotations

import numpy as np

from nasp_lightning.evaluator.base import Candidate, Evaluator
from nasp_lightning.search.base import Surrogate, share, whole
from nasp_lightning.search.part.mutants import Found, add_mutants, best_labelled, fill
from nasp_lightning.search.part.pool import finite_scores
from nasp_lightning.search.part.rounds import Rounds, best_of

TRIES = 5  # mutations for each mutant that is wanted: many have a label already


class NPENAS(Rounds):
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

    def __init__(
        self,
        labels: int = 200,
        initial: int = 10,
        batch: int = 10,
        parents: int = 10,
        mutants: int = 10,
        rate: float = 0.25,
    ) -> None:
        super().__init__(labels, initial, batch)
        self.parents, self.mutants = whole("parents", parents), whole("mutants", mutants)
        self.rate = share("rate", rate)

    def choose(
        self, evaluator: Evaluator, surrogate: Surrogate, rng: np.random.Generator, count: int
    ) -> list[Candidate]:
        """The best predicted of all mutants."""
        proposed = self.propose(evaluator, rng, count)
        return best_of(proposed, finite_scores(surrogate.score, proposed), count)

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
