"""WeakNAS: weak predictors, each fitted where the one before expected the best.

Wu et al., "Stronger NAS with Weaker Predictors" (NeurIPS 2021, arXiv 2102.10490), after their
published code, here with any predictor (theirs on the benchmarks: ``predictor=mlp``). Each round a
predictor that is fitted on all labels ranks the whole space, and a few of its top ones are drawn
at random and evaluated.
"""

from __future__ import annotations

import numpy as np

from nasp_lightning.data.choosing import choose_top
from nasp_lightning.data.split import Indices
from nasp_lightning.evaluator.base import Candidate, Evaluator
from nasp_lightning.search.base import Surrogate, whole
from nasp_lightning.search.part.mutants import Found, add_mutants, best_labelled, fill
from nasp_lightning.search.part.pool import Pool, check_size, finite_scores
from nasp_lightning.search.part.rounds import Rounds

PARENTS = 10  # the best, whose mutants are proposed in a space that cannot be listed
RATE = 0.25  # of a place to change in these


class WeakNAS(Rounds):
    """Rounds of: fit on all labels, rank the space, evaluate ``batch`` of its ``top``.

    Args:
        labels: architectures to evaluate, the initial ones included.
        initial: drawn at random before the first fit.
        batch: evaluated between two fits.
        top: the best predicted of the space, labelled ones among them, of which the batch is
            drawn. Where fewer than a batch have no label, the best predicted of all follow.
        pool: where the space cannot be listed, so many proposals are ranked instead: half of them
            mutants of the best so far, the others random.

    Raises:
        NaspError: if a setting cannot be, or the initial labels exceed all.
    """

    def __init__(
        self,
        labels: int = 200,
        initial: int = 10,
        batch: int = 10,
        top: int = 100,
        pool: int = 10_000,
    ) -> None:
        super().__init__(labels, initial, batch)
        self.top, self.pool = whole("top", top), whole("pool", pool)

    def check(self, evaluator: Evaluator) -> None:
        """Refuse a pool below the batch, too."""
        super().check(evaluator)
        check_size(evaluator, self.pool, self.batch)

    def choose(
        self, evaluator: Evaluator, surrogate: Surrogate, rng: np.random.Generator, count: int
    ) -> list[Candidate]:
        """A draw of the top of the ranking."""
        listed = evaluator.everything
        pool = self._proposed(evaluator, rng) if listed is None else Pool(listed)
        order = rng.permutation(len(pool))  # ties in the scores are broken at random
        scores = finite_scores(surrogate.score, pool.items)
        order = order[np.argsort(-scores[order], kind="stable")]
        return pool.at(choose_of_top(order, pool.labelled(evaluator), self.top, count, rng))

    def _proposed(self, evaluator: Evaluator, rng: np.random.Generator) -> Pool:
        found: Found = {}
        each = max(1, self.pool // (2 * PARENTS))
        for parent in best_labelled(evaluator, PARENTS):
            add_mutants(found, evaluator, rng, parent, each, RATE, 2 * each)
        fill(found, evaluator, rng, self.pool)
        return Pool(list(found.values()))


def choose_of_top(
    order: Indices, labelled: Indices, top: int, count: int, rng: np.random.Generator
) -> Indices:
    """``count`` rows without a label, drawn uniformly of the first ``top``.

    Args:
        order: ``[N]`` rows, best predicted first.
        labelled: rows that have a label.
        top: how many of the order are looked at; where fewer than ``count`` of these have no
            label, the first of all that have none are chosen.
        count: how many to choose.
        rng: of the draw.
    """
    free = order[:top][~np.isin(order[:top], labelled)]
    if len(free) >= count:
        return rng.choice(free, count, replace=False)
    return choose_top(-np.arange(len(order)), order, labelled, count)
