"""What every evaluator does: it answers how good an architecture is, and counts what that cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.space.base import Space

ATTEMPTS = 100  # mutations or draws until one can be evaluated
STEPS = 200  # of a descent to the cheapest architecture


@dataclass(frozen=True, eq=False)
class Architecture:
    """One point of the space that an evaluator knows how to evaluate.

    Attributes:
        key: equal for equal architectures, such as the row of a table.
        operations: ``[T]`` uint8.
        adjacency: ``[V, V]`` uint8, or None where the topology is fixed.
    """

    key: Hashable
    operations: Array = field(repr=False)
    adjacency: Array | None = field(default=None, repr=False)


class Evaluator(ABC):
    """Evaluates architectures within a budget of labels.

    An architecture costs one label, however often it is asked for.

    Args:
        space: of the architectures.
        budget: labels that may be used; None for no bound.

    Attributes:
        labels_used: how many architectures were evaluated.
        seconds: what their training took, or None where that is not known.

    Raises:
        NaspError: if the budget is not a positive number.
    """

    def __init__(self, space: Space, budget: int | None = None) -> None:
        if budget is not None and (
            isinstance(budget, bool) or not isinstance(budget, int) or budget < 1
        ):
            raise NaspError(f"evaluator.budget={budget}: it must be a positive number, or null")
        self.space, self.budget = space, budget
        self.reset()

    def reset(self) -> None:
        """Forget all evaluations, as for the next repeat of a search."""
        self._accuracies: dict[Hashable, float] = {}
        self._architectures: list[Architecture] = []
        self.seconds: float | None = 0.0

    @property
    def labels_used(self) -> int:
        """Number of architectures evaluated so far."""
        return len(self._accuracies)

    @property
    def history(self) -> list[Architecture]:
        """The evaluated architectures, in the order in which they were."""
        return list(self._architectures)

    @property
    def accuracies(self) -> Array:
        """``[labels_used]`` float64 labels in the order of ``history``."""
        return np.array(list(self._accuracies.values()), dtype=np.float64)

    @property
    def everything(self) -> list[Architecture] | None:
        """All architectures that can be evaluated, where they can be listed."""
        return None

    @property
    def size(self) -> int | None:
        """Number of architectures that can be evaluated, or None where nobody knows."""
        return None

    def known(self, architecture: Architecture) -> bool:
        """Whether it was evaluated already, so that asking again is free."""
        return architecture.key in self._accuracies

    @abstractmethod
    def find(self, operations: Array, adjacency: Array | None = None) -> Architecture | None:
        """The architecture of native arrays ``[T]``, ``[V, V]``; None if it has no label."""

    @abstractmethod
    def sample(self, rng: np.random.Generator, count: int) -> list[Architecture]:
        """``count`` distinct architectures that were not evaluated yet, drawn uniformly."""

    def draw(
        self, rng: np.random.Generator, count: int, besides: Collection[Hashable] = ()
    ) -> list[Architecture]:
        """``count`` distinct architectures drawn from the space, none of the keys ``besides``.

        Raises:
            NaspError: if so many others were not found.
        """
        found: dict[Hashable, Architecture] = {}
        for _ in range(ATTEMPTS):
            operations, adjacency = self.space.sample(rng, max(count, 1))
            for row, codes in enumerate(operations):
                item = self.find(codes, None if adjacency is None else adjacency[row])
                if item is not None and item.key not in besides and len(found) < count:
                    found.setdefault(item.key, item)
            if len(found) >= count:
                return list(found.values())
        raise NaspError(
            f"{count} further architectures were asked for, and only {len(found)} were found in "
            f"space {self.space.name}: ask for fewer"
        )

    @abstractmethod
    def labels(self, architectures: Sequence[Architecture]) -> tuple[Array, Array]:
        """Accuracy and seconds (NaN: not known) ``[n]`` of architectures, counted by no one."""

    def cost(self, name: str, architectures: Sequence[Architecture]) -> Array:
        """``[n]`` cost that needs no label, such as ``parameters``.

        Raises:
            NaspError: if this evaluator does not know that cost.
        """
        raise NaspError(f"search.cost={name}: this evaluator knows no cost of architectures")

    def evaluate(self, architectures: Sequence[Architecture]) -> Array:
        """``[n]`` float64 accuracies; each architecture counts once.

        Raises:
            NaspError: if that would exceed the budget; then nothing was read.
        """
        new = {item.key: item for item in architectures if not self.known(item)}
        if self.budget is not None and self.labels_used + len(new) > self.budget:
            raise NaspError(
                f"evaluator.budget={self.budget}: {self.labels_used} labels are used and "
                f"{len(new)} more were asked for; raise the budget, or ask for fewer"
            )
        if new:
            accuracies, seconds = self.labels(list(new.values()))
            self._accuracies.update(zip(new, map(float, accuracies), strict=True))
            self._architectures.extend(new.values())
            total = float(np.sum(seconds))
            known = self.seconds is not None and np.isfinite(total)
            self.seconds = self.seconds + total if known and self.seconds is not None else None
        return np.array([self._accuracies[item.key] for item in architectures], dtype=np.float64)

    def mutate(self, rng: np.random.Generator, architecture: Architecture) -> Architecture:
        """A mutant that can be evaluated; where none is found, a random architecture."""
        for _ in range(ATTEMPTS):
            mutant = self.find(
                *self.space.mutate(rng, architecture.operations, architecture.adjacency)
            )
            if mutant is not None:
                return mutant
        return self.sample(rng, 1)[0]

    def crossover(
        self, rng: np.random.Generator, first: Architecture, second: Architecture
    ) -> Architecture | None:
        """A child of two architectures; None if it cannot be evaluated."""
        pairs = [(parent.operations, parent.adjacency) for parent in (first, second)]
        return self.find(*self.space.crossover(rng, pairs[0], pairs[1]))

    def least(
        self, rng: np.random.Generator, measure: Callable[[Sequence[Architecture]], Array]
    ) -> Architecture:
        """The architecture of the least ``measure`` ``[n]``, which costs no label.

        Of all, where they can be listed; else by a descent over mutants, which finds it where
        each place adds its own share, as it does in costs.
        """
        if (listed := self.everything) is not None:
            return listed[int(np.argmin(measure(listed)))]
        drawn = self.draw(rng, 1)
        best, least, idle = drawn[0], float(measure(drawn)[0]), 0
        for _ in range(STEPS):
            mutants = [self.mutate(rng, best) for _ in range(8 * len(best.operations))]
            values = measure(mutants)
            place = int(np.argmin(values))
            idle = 0 if values[place] < least else idle + 1
            if not idle:
                best, least = mutants[place], float(values[place])
            if idle >= 3:
                break
        return best
