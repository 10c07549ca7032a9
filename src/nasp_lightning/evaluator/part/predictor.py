"""Architectures "evaluated" by a predictor: its scores are free, however many are asked for.

A strategy that runs on this evaluator searches over the predictor's score. What can be evaluated,
and what it costs (parameters, multiply-adds), is asked of the evaluator behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate, Evaluator


class PredictorEvaluator(Evaluator):
    """Scores of a fitted predictor, each architecture scored once.

    Args:
        behind: knows the architectures and their costs; none of its labels is asked for.
        score: ``[n]`` scores of architectures, higher is better.
    """

    def __init__(self, behind: Evaluator, score: Callable[[Sequence[Candidate]], Array]) -> None:
        super().__init__(behind.space)
        self.behind, self._score = behind, score

    @property
    def everything(self) -> list[Candidate] | None:
        """All architectures, where they can be listed."""
        return self.behind.everything

    def find(self, operations: Array, adjacency: Array | None = None) -> Candidate | None:
        """The architecture of native arrays, as the evaluator behind knows it."""
        return self.behind.find(operations, adjacency)

    def draw(
        self, rng: np.random.Generator, count: int, besides: Collection[Hashable] = ()
    ) -> list[Candidate]:
        """Drawn by the evaluator behind."""
        return self.behind.draw(rng, count, besides)

    def sample(self, rng: np.random.Generator, count: int) -> list[Candidate]:
        """``count`` distinct architectures that were not scored yet."""
        return self.draw(rng, count, self._accuracies)

    def labels(self, architectures: Sequence[Candidate]) -> tuple[Array, Array]:
        """Scores ``[n]``; no seconds of training.

        Raises:
            NaspError: if a score is not finite.
        """
        scores = np.asarray(self._score(architectures), dtype=np.float64)
        if not np.isfinite(scores).all():
            raise NaspError(
                f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores are not finite: the "
                "fit diverged; lower optimizer.lr"
            )
        return scores, np.zeros(len(scores))

    def cost(self, name: str, architectures: Sequence[Candidate]) -> Array:
        """``[n]`` cost, as the evaluator behind knows it."""
        return self.behind.cost(name, architectures)
