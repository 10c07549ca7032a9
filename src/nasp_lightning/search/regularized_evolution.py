"""Regularized evolution: tournaments among the young, the oldest dies.

Real et al., "Regularized Evolution for Image Classifier Candidate Search" (AAAI 2019, arXiv
1802.01548), algorithm 1. The strongest simple baseline of the papers of NAS-Bench-101 and -201.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate, Evaluator
from nasp_lightning.search.base import IDLE, Search, Surrogate, fresh_mutant, whole


class RegularizedEvolution(Search):
    """Ageing evolution by mutation alone.

    A mutant that was evaluated before is free and joins the population all the same. After
    very many free ones in a row the next has to be new, so that a small space is no endless loop.

    Args:
        labels: architectures to evaluate, the first population included.
        population: P, how many live.
        sample_size: S, how many compete to be the parent, drawn with replacement.

    Raises:
        NaspError: if a setting cannot be, or the population exceeds the labels.
    """

    def __init__(self, labels: int = 200, population: int = 10, sample_size: int = 3) -> None:
        super().__init__(labels)
        self.population = whole("population", population, 2)
        self.sample_size = whole("sample_size", sample_size)
        if self.population > self.labels:
            raise NaspError(
                f"search.population={population} is more than search.labels={labels}: the first "
                "population alone would exceed the budget; choose a smaller one"
            )

    def run(
        self, evaluator: Evaluator, rng: np.random.Generator, surrogate: Surrogate | None = None
    ) -> dict[str, Array]:
        """Evolve until the labels are spent."""
        self.check(evaluator)
        first = evaluator.sample(rng, self.population)
        alive: deque[tuple[float, Candidate]] = deque(
            zip(evaluator.evaluate(first).tolist(), first, strict=True)
        )
        idle = 0
        while evaluator.labels_used < self.labels:
            drawn = [alive[index] for index in rng.integers(len(alive), size=self.sample_size)]
            parent = max(drawn, key=lambda entry: entry[0])[1]
            child = (
                evaluator.mutate(rng, parent)
                if idle < IDLE
                else fresh_mutant(evaluator, rng, [parent])
            )
            idle = idle + 1 if evaluator.known(child) else 0
            alive.append((float(evaluator.evaluate([child])[0]), child))
            alive.popleft()
        return {}
