"""Ranking, "N + K": a predictor fitted on N random labels ranks all, its top K are evaluated.

The protocol of Neural Predictor (Wen et al., ECCV 2020, arXiv 1912.00848), BRP-NAS and
Siamese-NAS: what counts is the budget N + K.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.evaluator.base import Evaluator
from nasp_lightning.evaluator.table import TableEvaluator
from nasp_lightning.search.base import Search, Surrogate, fit_labelled, need, whole
from nasp_lightning.search.part.pool import finite_scores


class Ranking(Search):
    """Fits any predictor on N labels and evaluates the K best predicted of the rest.

    Args:
        train_size: N.
        top_k: K.

    Raises:
        NaspError: if a setting cannot be.
    """

    needs_predictor: ClassVar[bool] = True
    anytime: ClassVar[bool] = False

    def __init__(self, train_size: int = 80, top_k: int = 20) -> None:
        check_whole("data.train_size", train_size, 2)
        self.train_size, self.top_k = train_size, whole("top_k", top_k)
        super().__init__(self.train_size + self.top_k)

    def plan(self) -> str:
        """The settings that make the number of labels."""
        return f"data.train_size={self.train_size} + search.top_k={self.top_k}"

    def run(
        self, evaluator: Evaluator, rng: np.random.Generator, surrogate: Surrogate | None = None
    ) -> dict[str, Array]:
        """Label N, fit, rank, label K."""
        self.check(evaluator)
        if not isinstance(evaluator, TableEvaluator):
            raise NaspError("search=ranking ranks a whole table: choose evaluator=table")
        surrogate = need(surrogate)
        evaluator.evaluate(evaluator.sample(rng, self.train_size))
        fit_labelled(surrogate, evaluator, rng)
        scores = finite_scores(surrogate.score, evaluator.everything)
        order = rng.permutation(len(scores))  # ties in the scores are broken at random
        order = order[np.argsort(-scores[order], kind="stable")]
        labelled = np.array([item.key for item in evaluator.history])
        ranked = evaluator.rows[order]
        evaluator.evaluate_rows(ranked[~np.isin(ranked, labelled)][: self.top_k])
        return {}
