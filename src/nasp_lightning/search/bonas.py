"""Bayesian optimization: mutants of the best, chosen by the predictor's expected improvement.

After Shi et al., "Bridging the Gap between Sample-based and One-shot Neural Candidate Search
with BONAS" (NeurIPS 2020, arXiv 1911.09336), without its weight sharing: here an evaluation is a
label. Any predictor that says how sure it is will do (``predictor=bonas``, the paper's, or
``gaussian_process``). The paper acquires by an upper confidence bound; expected improvement is
our default.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate, Evaluator
from nasp_lightning.search.base import (
    Surrogate,
    fresh_mutant,
    usable_labels,
    whole,
)
from nasp_lightning.search.part.acquisition import check_acquisition, expected_improvement
from nasp_lightning.search.part.mutants import best_labelled
from nasp_lightning.search.part.rounds import Rounds, best_of

ACQUISITIONS = ("expected_improvement", "upper_confidence_bound")  # the others are joint


class BONAS(Rounds):
    """Rounds of: fit on all labels, propose, evaluate the ``batch`` of the highest acquisition.

    Args:
        labels: architectures to evaluate, the initial ones included.
        initial: drawn at random before the first fit.
        batch: evaluated between two fits.
        candidates: architectures proposed in a round.
        parents: the best evaluated so far, whose mutants are proposed.
        random_share: share of the candidates that are drawn at random instead.
        acquisition: ``expected_improvement`` or ``upper_confidence_bound``.
        kappa: deviations of the upper confidence bound.

    Raises:
        NaspError: if a setting cannot be, or the initial labels exceed all.
    """

    needs_posterior: ClassVar[bool] = True

    def __init__(
        self,
        labels: int = 200,
        initial: int = 20,
        batch: int = 10,
        candidates: int = 200,
        parents: int = 20,
        random_share: float = 0.25,
        acquisition: str = "expected_improvement",
        kappa: float = 0.5,
    ) -> None:
        super().__init__(labels, initial, batch)
        self.candidates = whole("candidates", candidates, self.batch)
        self.parents = whole("parents", parents)
        self.random_share, self.acquisition, self.kappa = random_share, acquisition, kappa
        if not 0 <= random_share <= 1:
            raise NaspError(f"search.random_share={random_share}: it must lie between 0 and 1")
        check_acquisition(acquisition, ACQUISITIONS)

    def choose(
        self, evaluator: Evaluator, surrogate: Surrogate, rng: np.random.Generator, count: int
    ) -> list[Candidate]:
        """The proposals of the highest acquisition."""
        proposed = self.propose(evaluator, rng)
        mean, deviation = surrogate.posterior(proposed)
        if self.acquisition == "expected_improvement":
            best = float(usable_labels(evaluator)[1].max())
            return best_of(proposed, expected_improvement(mean, deviation, best), count)
        return best_of(proposed, mean + self.kappa * deviation, count)

    def propose(self, evaluator: Evaluator, rng: np.random.Generator) -> list[Candidate]:
        """Distinct candidates that were not evaluated: mutants of the best, and some at random."""
        parents, wanted = best_labelled(evaluator, self.parents), self.candidates
        if evaluator.size is not None:
            wanted = min(wanted, evaluator.size - evaluator.labels_used)
        found: dict[object, Candidate] = {}
        for item in evaluator.sample(rng, round(self.random_share * wanted)):
            found[item.key] = item
        for _ in range(4 * self.candidates):  # the best have so many neighbours and no more
            if len(found) >= wanted:
                break
            mutant = fresh_mutant(evaluator, rng, parents)
            found[mutant.key] = mutant
        while len(found) < min(wanted, self.batch):
            for item in evaluator.sample(rng, min(wanted, self.batch)):
                found[item.key] = item
        return list(found.values())
