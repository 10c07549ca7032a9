"""Rounds of fitting a predictor and evaluating what it makes a strategy choose."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate, Evaluator
from nasp_lightning.search.base import Search, Surrogate, fit_labelled, need, whole


class Rounds(Search):
    """Random labels first; then a fit on all labels before each batch.

    Args:
        labels: architectures to evaluate, the initial ones included.
        initial: drawn at random before the first fit.
        batch: evaluated between two fits.
        recommend: as :class:`~nasp_lightning.search.base.Search`'s.

    Raises:
        NaspError: if a setting cannot be, or the initial labels exceed all.
    """

    needs_predictor: ClassVar[bool] = True

    def __init__(self, labels: int, initial: int, batch: int, recommend: str = "label") -> None:
        super().__init__(labels, recommend)
        self.initial, self.batch = whole("initial", initial, 2), whole("batch", batch)
        if self.initial > self.labels:
            raise NaspError(
                f"search.initial={initial} is more than search.labels={labels}: choose fewer "
                "initial labels, or allow more in all"
            )

    def run(
        self, evaluator: Evaluator, rng: np.random.Generator, surrogate: Surrogate | None = None
    ) -> dict[str, Array]:
        """Fit and evaluate until the labels are spent.

        Returns:
            ``rounds``: ``[1]``, how often the predictor was fitted.
        """
        self.check(evaluator)
        surrogate, rounds = need(surrogate), 0
        evaluator.evaluate(evaluator.sample(rng, self.initial))
        while (left := self.labels - evaluator.labels_used) > 0:
            fit_labelled(surrogate, evaluator, rng)
            rounds += 1
            evaluator.evaluate(self.choose(evaluator, surrogate, rng, min(self.batch, left)))
        return {"rounds": np.array([rounds])}

    @abstractmethod
    def choose(
        self, evaluator: Evaluator, surrogate: Surrogate, rng: np.random.Generator, count: int
    ) -> list[Candidate]:
        """``count`` architectures without a label, by a surrogate that was fitted."""


def best_of(items: Sequence[Candidate], values: Array, count: int) -> list[Candidate]:
    """The ``count`` architectures of the highest values ``[n]``, best first."""
    return [items[place] for place in np.argsort(-values, kind="stable")[:count]]
