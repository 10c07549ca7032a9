"""DEHB: Hyperband's brackets, filled by differential evolution instead of at random.

Awad, Mallik and Hutter, "DEHB: Evolutionary Hyperband for Scalable, Robust and Efficient
Hyperparameter Optimization" (IJCAI 2021, arXiv 2105.09821), algorithm 1: a population for each
training budget; in the first bracket the best go up, as in Hyperband; in all others an architecture
of a budget is a mutant of the best of the budget below, crossed with one of its own population,
which it replaces if it is at least as good. An architecture is a point of the unit cube, whose
axes are split evenly among the operations of a place. (The released code lets the best go up in
the whole first round of brackets, and not in the first bracket alone.)

Written here from the paper, not taken from the package ``dehb``: its release 0.1.2 asks for NumPy
below 2, which has no wheels for Python 3.13, for Dask and PyArrow, writes files where it runs, and
knows budgets as powers of eta alone, while tables have those that they have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate, Evaluator
from nasp_lightning.search.base import IDLE, Surrogate, share
from nasp_lightning.search.part.rungs import (
    Rung,
    SeveralBudgets,
    best_first,
    brackets,
    fitting,
    ladder,
    rung_sizes,
)
from nasp_lightning.space.base import Space
from nasp_lightning.space.chain import Chain

PARENTS = 3  # that rand/1 mutation needs
TRIES = 20  # of a trial, until it is one of the architectures that can be evaluated


@dataclass
class Population:
    """The points of one training budget.

    Attributes:
        points: ``[n, T]`` in the unit cube.
        values: ``[n]`` accuracy at that budget, -inf where none was bought.
        target: whose turn it is to be crossed, round and round.
    """

    points: Array
    values: Array
    target: int = 0

    @classmethod
    def draw(cls, rng: np.random.Generator, size: int, places: int) -> Population:
        """Random points, none of them evaluated."""
        return cls(rng.random((size, places)), np.full(size, -np.inf))

    def best(self, count: int) -> Array:
        """``[m, T]`` so many points, or all, best first."""
        found: Array = self.points[best_first(self.values)[:count]]
        return found

    def select(self, point: Array, value: float) -> None:
        """Let a point take its target's place if it is as good; the next one is the target."""
        if value >= self.values[self.target]:
            self.points[self.target], self.values[self.target] = point, value
        self.target = (self.target + 1) % len(self.points)


class DEHB(SeveralBudgets):
    """Differential evolution over several training budgets, by rand/1 mutation.

    A trial that is known at its budget is free. After very many free ones in a row one has to be
    new, so that a small space is no endless loop (ours).

    Args:
        labels: label equivalents to spend in one repeat.
        factor: F, by which the difference of two parents is scaled.
        crossover: probability of a place to come from the mutant; one does in any case.

    Raises:
        NaspError: if a setting cannot be.
    """

    def __init__(self, labels: int = 100, factor: float = 0.5, crossover: float = 0.5) -> None:
        super().__init__(labels)
        self.factor, self.crossover = share("factor", factor), share("crossover", crossover)

    def check(self, evaluator: Evaluator) -> None:
        """Refuse what cannot be, before anything is read.

        Raises:
            NaspError: as every search of this kind, and in a space without places of operations.
        """
        super().check(evaluator)
        space = evaluator.space
        if space.sample(np.random.default_rng(0), 1)[1] is not None or not space.operation_names:
            raise NaspError(
                f"DEHB evolves operations at fixed places, and in the space {space.name} the "
                "topology varies: choose search=hyperband"
            )

    def run(
        self, evaluator: Evaluator, rng: np.random.Generator, surrogate: Surrogate | None = None
    ) -> dict[str, Array]:
        """Evolve until the label equivalents are spent."""
        self.check(evaluator)
        rungs = ladder(evaluator)
        planned = brackets(rungs)
        evolution = _Evolution(self, evaluator, rng, rungs)
        for number, (own, first) in enumerate(cycle(planned)):
            fits = fitting(own, first, self.left(evaluator))
            if not fits or not evolution.bracket(own, rung_sizes(own, fits), number == 0):
                break
        self.spend_rest(evaluator, rng)
        return {}


class _Evolution:
    """The populations of one repeat."""

    def __init__(
        self, search: DEHB, evaluator: Evaluator, rng: np.random.Generator, rungs: list[Rung]
    ) -> None:
        self.search, self.evaluator, self.rng = search, evaluator, rng
        self.choices = _choices(evaluator.space)
        sizes: dict[Rung, int] = {}
        for own, first in brackets(rungs):
            for rung, size in zip(own, rung_sizes(own, first), strict=True):
                sizes[rung] = max(size, sizes.get(rung, 0))
        self.populations = {
            rung: Population.draw(rng, size, len(self.choices)) for rung, size in sizes.items()
        }
        self.idle = 0

    def bracket(self, rungs: Sequence[Rung], sizes: Sequence[int], first: bool) -> bool:
        """One bracket; False where no architecture is new any more.

        Args:
            rungs: of the bracket, the cheapest first.
            sizes: architectures that each evaluates.
            first: the first bracket of all is Hyperband's, over the random populations.
        """
        lower: Population | None = None
        for rung, size in zip(rungs, sizes, strict=True):
            population = self.populations[rung]
            promoted = None
            if first:
                promoted = (population.points if lower is None else lower.best(size)).copy()
            for place in range(size):
                point = (
                    self.trial(population, lower, size)
                    if promoted is None
                    else promoted[place % len(promoted)]
                )
                if not self.evaluate(rung, population, lower, size, point):
                    return False
            lower = population
        return True

    def trial(self, population: Population, lower: Population | None, size: int) -> Array:
        """``[T]`` a mutant crossed with the target.

        Its parents are the best ``size`` of the budget below, in a bracket's first rung the
        population itself; too few of them are filled up from all populations.
        """
        rng = self.rng
        parents = population.points if lower is None else lower.best(size)
        if len(parents) < PARENTS:
            every = np.concatenate([other.points for other in self.populations.values()])
            further = rng.choice(len(every), PARENTS - len(parents), replace=False)
            parents = np.concatenate([parents, every[further]])
        one, two, three = parents[rng.choice(len(parents), PARENTS, replace=False)]
        mutant = one + self.search.factor * (two - three)
        outside = (mutant < 0) | (mutant > 1)
        mutant[outside] = rng.random(int(outside.sum()))
        crossed = rng.random(len(mutant)) < self.search.crossover
        crossed[rng.integers(len(mutant))] = True
        found: Array = np.where(crossed, mutant, population.points[population.target])
        return found

    def evaluate(
        self,
        rung: Rung,
        population: Population,
        lower: Population | None,
        size: int,
        point: Array,
    ) -> bool:
        """Evaluate a point, another trial where it has no label, and select.

        Returns:
            Whether there was anything to evaluate.
        """
        item = self.decode(point)
        for _ in range(TRIES):
            if item is None:
                point = self.trial(population, lower, size)
                item = self.decode(point)
        if item is None or self.idle >= IDLE:
            fresh = self.search.fresh(self.evaluator, self.rng, 1)
            if not fresh:
                return False
            item, point = fresh[0], self.encode(fresh[0])
        spent = self.evaluator.spent
        value = float(rung.evaluate(self.evaluator, [item])[0])
        self.idle = self.idle + 1 if self.evaluator.spent == spent else 0
        population.select(point, value)
        return True

    def decode(self, point: Array) -> Candidate | None:
        """The architecture of a point; None if it has no label."""
        codes = np.minimum((point * self.choices).astype(int), self.choices - 1)
        return self.evaluator.find(codes.astype(np.uint8))

    def encode(self, item: Candidate) -> Array:
        """A point of an architecture, drawn from those that are the same."""
        drawn: Array = (item.operations + self.rng.random(len(self.choices))) / self.choices
        return drawn


def _choices(space: Space) -> Array:
    """``[T]`` how many operations each place may have: the codes from 0 on."""
    if isinstance(space, Chain):
        return space.choices
    places = space.sample(np.random.default_rng(0), 1)[0].shape[1]
    return np.full(places, len(space.operation_names))
