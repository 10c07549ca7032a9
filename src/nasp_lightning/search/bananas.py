"""BANANAS: mutants of the best, chosen by independent Thompson sampling.

White et al., "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture
Search" (AAAI 2021, arXiv 1910.11858), after their published code. The paper's predictor is
``predictor=bananas``; any that says how sure it is will do.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate, Evaluator
from nasp_lightning.search.base import Surrogate, share, whole
from nasp_lightning.search.part.mutants import Found, add_mutants, best_labelled, fill
from nasp_lightning.search.part.rounds import Rounds, best_of

PATIENCE = 5  # times as many parents at most, where the mutants of the best are too few


class BANANAS(Rounds):
    """Rounds of: fit on all labels, mutate the best, evaluate the best of a draw for each mutant.

    A candidate's draw is normal with the predictor's mean and standard deviation, and independent
    of the others' draws: that makes batches diverse.

    Args:
        labels: architectures to evaluate, the initial ones included.
        initial: drawn at random before the first fit.
        batch: evaluated between two fits.
        candidates: mutants proposed in a round.
        parents: the best evaluated so far; where they have too few mutants, the next best follow.
        rate: probability of a place to change in a mutant; one changes in any case.

    Raises:
        NaspError: if a setting cannot be, or the initial labels exceed all.
    """

    needs_posterior: ClassVar[bool] = True

    def __init__(
        self,
        labels: int = 200,
        initial: int = 10,
        batch: int = 10,
        candidates: int = 100,
        parents: int = 1,
        rate: float = 0.25,
    ) -> None:
        super().__init__(labels, initial, batch)
        self.candidates = whole("candidates", candidates, self.batch)
        self.parents, self.rate = whole("parents", parents), share("rate", rate)

    def choose(
        self, evaluator: Evaluator, surrogate: Surrogate, rng: np.random.Generator, count: int
    ) -> list[Candidate]:
        """The mutants of the best draws."""
        proposed = self.propose(evaluator, rng, count)
        return best_of(proposed, thompson(*surrogate.posterior(proposed), rng), count)

    def propose(
        self, evaluator: Evaluator, rng: np.random.Generator, least: int
    ) -> list[Candidate]:
        """Distinct mutants of the best; random ones where there are fewer than ``least``."""
        found: Found = {}
        tries = -(-self.candidates // self.parents)  # of each parent, in vain or not
        for parent in best_labelled(evaluator, PATIENCE * self.parents):
            wanted = self.candidates - len(found)
            add_mutants(found, evaluator, rng, parent, wanted, self.rate, tries)
        fill(found, evaluator, rng, least)
        return list(found.values())


def thompson(mean: Array, deviation: Array, rng: np.random.Generator) -> Array:
    """``[N]`` independent draws of accuracies from their posteriors.

    Raises:
        NaspError: if a mean or deviation is not finite.
    """
    wrong = ~(np.isfinite(mean) & np.isfinite(deviation))
    if wrong.any():
        raise NaspError(
            f"{int(wrong.sum())} of {len(mean)} posteriors are not finite: the fit diverged; lower "
            "the predictor's learning rate"
        )
    return rng.normal(mean, deviation)
