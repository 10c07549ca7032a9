"""Local search: climb to a neighbour that is better, begin anew where there is none.

White et al., "Exploring the Loss Landscape in Neural Architecture Search" (UAI 2021, arXiv
2005.02960), algorithm 1 and its variants, after their published code. It needs no predictor, and
with little noise in the labels it is hard to beat on NAS-Bench-201.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate, Evaluator
from nasp_lightning.search.base import Search, Surrogate, whole


class LocalSearch(Search):
    """Climbs from the best of some random architectures, again and again.

    Neighbours are one change away (:meth:`~nasp_lightning.space.base.Space.neighbours`). One that
    was evaluated before costs nothing and can be climbed to; the published code skips it.

    Args:
        labels: architectures to evaluate in all climbs.
        initial: random ones that a climb begins with, at the best of them.
        query_until_lower: climb to the first better neighbour (of lower loss) in random order;
            False: to the best of all neighbours, as in algorithm 1.

    Raises:
        NaspError: if a setting cannot be.
    """

    def __init__(
        self, labels: int = 200, initial: int = 10, query_until_lower: bool = True
    ) -> None:
        super().__init__(labels)
        self.initial = whole("initial", initial)
        if not isinstance(query_until_lower, bool):
            raise NaspError(
                f"search.query_until_lower={query_until_lower}: it must be true or false"
            )
        self.query_until_lower = query_until_lower

    def run(
        self, evaluator: Evaluator, rng: np.random.Generator, surrogate: Surrogate | None = None
    ) -> dict[str, Array]:
        """Climb until the labels are spent.

        Returns:
            ``climbs``: ``[1]``, how often it began.
        """
        self.check(evaluator)
        climbs = 0
        while (left := self._left(evaluator)) > 0:
            drawn = evaluator.sample(rng, min(self.initial, left))
            accuracies = evaluator.evaluate(drawn)
            place = int(np.argmax(accuracies))
            at: Candidate | None = drawn[place]
            height = float(accuracies[place])
            climbs += 1
            while at is not None:
                at, height = self._step(evaluator, rng, at, height)
        return {"climbs": np.array([climbs])}

    def _step(
        self, evaluator: Evaluator, rng: np.random.Generator, at: Candidate, height: float
    ) -> tuple[Candidate | None, float]:
        """A better neighbour and its label; None where none was found."""
        around = evaluator.neighbours(rng, at)
        around = [around[place] for place in rng.permutation(len(around))]
        size = 1 if self.query_until_lower else max(1, len(around))
        for start in range(0, len(around), size):
            asked = self._affordable(evaluator, around[start : start + size])
            if not asked:
                break
            accuracies = evaluator.evaluate(asked)
            place = int(np.argmax(accuracies))
            if accuracies[place] > height:
                return asked[place], float(accuracies[place])
        return None, height

    def _affordable(self, evaluator: Evaluator, items: Sequence[Candidate]) -> list[Candidate]:
        """The evaluated ones, and of the others as many as there are labels left."""
        new = [item for item in items if not evaluator.known(item)][: self._left(evaluator)]
        return new + [item for item in items if evaluator.known(item)]

    def _left(self, evaluator: Evaluator) -> int:
        return self.labels - evaluator.labels_used
