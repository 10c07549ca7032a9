"""SPOS's evolution: one objective, crossover and mutation of the best, limits by rejection.

Guo et al., "Single Path One-Shot Neural Candidate Search with Uniform Sampling" (ECCV 2020,
arXiv 1904.00420), algorithm 1, with the numbers of its section 4: population 50, 20 generations,
the 10 best of all so far as parents, 25 children by crossover and 25 by mutation, each place with
probability 0.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate, Evaluator
from nasp_lightning.search.base import Search, Surrogate, mutated, share, whole
from nasp_lightning.search.part.caps import Caps

TRIES = 10  # for each child that is wanted


class SPOS(Search):
    """Evolution by crossover and mutation; nothing is evaluated twice.

    Args:
        population: architectures of a generation.
        generations: the first, random one included.
        parents: the best of all so far, whose children the next generation is.
        crossover: children of two parents in a generation.
        mutation: mutants of one parent in a generation; what is left, or not found, is random.
        rate: probability of a place to change in a mutant.
        caps: most costs, such as ``{flops: 5e8}``; children beyond them are drawn again.

    Raises:
        NaspError: if a setting cannot be.
    """

    caps: Caps

    def __init__(
        self,
        population: int = 50,
        generations: int = 20,
        parents: int = 10,
        crossover: int = 25,
        mutation: int = 25,
        rate: float = 0.1,
        caps: Mapping[str, float | None] | None = None,
    ) -> None:
        self.population = whole("population", population, 2)
        self.generations = whole("generations", generations)
        super().__init__(self.population * self.generations)
        self.parents = whole("parents", parents, 2)
        self.crossover = whole("crossover", crossover, 0)
        self.mutation = whole("mutation", mutation, 0)
        self.rate, self.caps = share("rate", rate), Caps(caps)
        if self.crossover + self.mutation > self.population:
            raise NaspError(
                f"search.crossover={crossover} and search.mutation={mutation} are more than "
                f"search.population={population}: lower them"
            )

    def plan(self) -> str:
        """The settings that make the number of labels."""
        return f"search.population={self.population} x search.generations={self.generations}"

    def run(
        self, evaluator: Evaluator, rng: np.random.Generator, surrogate: Surrogate | None = None
    ) -> dict[str, Array]:
        """Evolve; ends early where no further architecture is found."""
        self.check(evaluator)
        self.caps.check(evaluator, rng)
        for generation in range(self.generations):
            children = self._children(evaluator, rng) if generation else []
            known = {item.key for item in children}
            lack = self.population - len(children)
            drawn = self.caps.sample(evaluator, rng, self.population) if lack else []
            children += [item for item in drawn if item.key not in known][:lack]
            if not children:
                break
            evaluator.evaluate(children)
        return {}

    def _children(self, evaluator: Evaluator, rng: np.random.Generator) -> list[Candidate]:
        history = evaluator.history
        best = np.argsort(-evaluator.accuracies, kind="stable")[: self.parents]
        parents = [history[place] for place in best]

        def mutant() -> Candidate:
            return mutated(evaluator, rng, parents[int(rng.integers(len(parents)))], self.rate)

        def child() -> Candidate | None:
            first, second = rng.choice(len(parents), size=2, replace=len(parents) < 2)
            return evaluator.crossover(rng, parents[first], parents[second])

        found: dict[object, Candidate] = {}
        self._breed(evaluator, mutant, self.mutation, found)
        self._breed(evaluator, child, self.crossover, found)
        return list(found.values())

    def _breed(
        self,
        evaluator: Evaluator,
        make: Callable[[], Candidate | None],
        count: int,
        found: dict[object, Candidate],
    ) -> None:
        """Add ``count`` new children within the caps, or as many as some tries give."""
        wanted = len(found) + count
        for _ in range(TRIES):
            made = [item for item in (make() for _ in range(wanted - len(found))) if item]
            for item, good in zip(made, self.caps.within(evaluator, made), strict=True):
                if good and not evaluator.known(item):
                    found.setdefault(item.key, item)
            if len(found) >= wanted:
                break
