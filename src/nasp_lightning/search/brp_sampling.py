"""BRP-NAS's iterative sampling as a search: rounds of labels where the predictor expects the best.

Dudziak et al., "BRP-NAS: Prediction-based NAS using GCNs" (NeurIPS 2020, arXiv 2007.08668), section
4.2, after its published code, here with any predictor. The first round is random; after each, the
candidates are halved to those predicted better, and the next round takes the α best of them and
others at random. The last predictor ranks the space, and its best are evaluated.

As ``framework=brp_sampling`` the rounds train one predictor on; here it is fitted from scratch in
each of them. Both choose by :func:`~nasp_lightning.data.choosing.choose_round`.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.data.choosing import choose_round, round_sizes
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Evaluator
from nasp_lightning.search.base import Search, Surrogate, fit_labelled, need, share, whole
from nasp_lightning.search.part.pool import Pool, check_size, finite_scores


class BRPSampling(Search):
    """T rounds, then the K best predicted.

    Args:
        labels: architectures to evaluate in all.
        rounds: T, over which all labels but K are spread evenly.
        best: α, share of a later round that is the best predicted; the others are random.
        top_k: K, labels of the best predicted of the whole space, after a last fit.
        pool: so many architectures are drawn and ranked where the space cannot be listed.

    Raises:
        NaspError: if a setting cannot be, or the labels do not suffice for the rounds.
    """

    needs_predictor: ClassVar[bool] = True

    def __init__(
        self,
        labels: int = 200,
        rounds: int = 5,
        best: float = 0.5,
        top_k: int = 20,
        pool: int = 10_000,
    ) -> None:
        super().__init__(labels)
        self.rounds, self.best = whole("rounds", rounds), share("best", best)
        self.top_k, self.pool = whole("top_k", top_k, 0), whole("pool", pool)
        self.sampled = self.labels - self.top_k
        if self.sampled < 2 * self.rounds:
            raise NaspError(
                f"search.labels={labels} less search.top_k={top_k}: {rounds} rounds need at least "
                f"{2 * self.rounds} labels, or choose fewer search.rounds"
            )

    def check(self, evaluator: Evaluator) -> None:
        """Refuse more halvings than the space has architectures for, too."""
        super().check(evaluator)
        check_size(evaluator, self.pool, self.labels)
        listed = evaluator.everything
        size = self.pool if listed is None else len(listed)
        left = size // 2 ** (self.rounds - 1)
        if left < self.sampled:
            raise NaspError(
                f"search.rounds={self.rounds}: after so many halvings {left} candidates are left "
                f"for {self.sampled} labels; choose fewer rounds"
            )

    def run(
        self, evaluator: Evaluator, rng: np.random.Generator, surrogate: Surrogate | None = None
    ) -> dict[str, Array]:
        """Label the rounds, then the top K."""
        self.check(evaluator)
        surrogate = need(surrogate)
        pool = Pool.of(evaluator, rng, self.pool)
        candidates = rng.permutation(len(pool))  # ties in the scores are broken at random
        first, *later = round_sizes(self.sampled, self.rounds)
        evaluator.evaluate(pool.at(candidates[:first]))
        for count in later:
            fit_labelled(surrogate, evaluator, rng)
            scores = finite_scores(surrogate.score, pool.at(candidates))
            labelled = pool.labelled(evaluator)
            candidates, chosen = choose_round(scores, candidates, labelled, count, self.best, rng)
            evaluator.evaluate(pool.at(chosen))
        if self.top_k:
            fit_labelled(surrogate, evaluator, rng)
            pool.label_top(evaluator, surrogate.score, self.top_k, rng)
        return {}
