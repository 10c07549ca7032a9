"""What every evaluator does: it answers how good an architecture is, and counts what that cost.

A label can be bought at a lower training budget (a *fidelity*), for a part of a label's cost. Such
labels are kept apart and are never what a search finds.

An evaluator of one's own has :meth:`Evaluator.find`, :meth:`Evaluator.sample` and
:meth:`Evaluator.labels`; all else has a default.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.space.base import Architecture, Space, stacked, unstacked

ATTEMPTS = 100  # mutations or draws until one can be evaluated
STEPS = 200  # of a descent to the cheapest architecture


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """An architecture that an evaluator knows how to evaluate.

    Attributes:
        key: equal for equal architectures, such as the row of a table.
        architecture: of the space.
    """

    key: Hashable
    architecture: Architecture

    def __repr__(self) -> str:
        """Its key alone."""
        return f"Candidate(key={self.key!r})"

    @property
    def operations(self) -> Array:
        """``[T]`` uint8."""
        return self.architecture.operations

    @property
    def adjacency(self) -> Array | None:
        """``[V, V]`` uint8, or None where the topology is fixed."""
        return self.architecture.adjacency


def arrays_of(candidates: Sequence[Candidate]) -> tuple[Array, Array | None]:
    """Native arrays ``[N, T]`` and ``[N, V, V]`` (or None) of candidates."""
    return stacked([item.architecture for item in candidates])


class Evaluator(ABC):
    """Evaluates architectures within a budget of labels.

    An architecture costs one label, however often it is asked for.

    Args:
        space: of the architectures.
        budget: labels that may be used, those at lower fidelities at their cost; None for no bound.
        fidelities: name of each lower training budget, lowest first, to its cost in labels.

    Attributes:
        failed_below: label under which a training failed, so that nothing is learnt from it; None:
            none did.
        labels_used: how many architectures were evaluated.
        seconds: what their training took, or None where that is not known.

    Raises:
        NaspError: if the budget is not a positive number, or a fidelity has no cost.
    """

    failed_below: float | None = None

    def __init__(
        self,
        space: Space,
        budget: int | None = None,
        fidelities: Mapping[int | str, float | None] | None = None,
    ) -> None:
        if budget is not None and (
            isinstance(budget, bool) or not isinstance(budget, int) or budget < 1
        ):
            raise NaspError(f"evaluator.budget={budget}: it must be a positive number, or null")
        self.space, self.budget = space, budget
        self.fidelities = _check_costs(fidelities or {})
        self.reset()

    def reset(self) -> None:
        """Forget all evaluations, as for the next repeat of a search."""
        self._accuracies: dict[Hashable, float] = {}
        self._architectures: list[Candidate] = []
        self._lower: dict[str, dict[Hashable, float]] = {name: {} for name in self.fidelities}
        self._lower_items: dict[str, list[Candidate]] = {name: [] for name in self.fidelities}
        self._spent: list[float] = []
        self.seconds: float | None = 0.0

    @property
    def labels_used(self) -> int:
        """Number of architectures evaluated so far."""
        return len(self._accuracies)

    @property
    def spent(self) -> float:
        """Label equivalents used so far: full labels, and lower ones at their cost."""
        return self.labels_used + sum(
            cost * len(self._lower[name]) for name, cost in self.fidelities.items()
        )

    @property
    def spent_at(self) -> Array:
        """``[labels_used]`` label equivalents used when each label was there."""
        return np.array(self._spent, dtype=np.float64)

    @property
    def history(self) -> list[Candidate]:
        """The evaluated architectures, in the order in which they were."""
        return list(self._architectures)

    @property
    def accuracies(self) -> Array:
        """``[labels_used]`` float64 labels in the order of ``history``."""
        return np.array(list(self._accuracies.values()), dtype=np.float64)

    @property
    def everything(self) -> list[Candidate] | None:
        """All architectures that can be evaluated, where they can be listed."""
        return None

    @property
    def size(self) -> int | None:
        """Number of architectures that can be evaluated, or None where nobody knows."""
        return None

    def known(self, architecture: Candidate) -> bool:
        """Whether it was evaluated already, so that asking again is free."""
        return architecture.key in self._accuracies

    @abstractmethod
    def find(self, operations: Array, adjacency: Array | None = None) -> Candidate | None:
        """The architecture of native arrays ``[T]``, ``[V, V]``; None if it has no label."""

    @abstractmethod
    def sample(self, rng: np.random.Generator, count: int) -> list[Candidate]:
        """``count`` distinct architectures that were not evaluated yet, drawn uniformly."""

    def draw(
        self, rng: np.random.Generator, count: int, besides: Collection[Hashable] = ()
    ) -> list[Candidate]:
        """``count`` distinct architectures drawn from the space, none of the keys ``besides``.

        Raises:
            NaspError: if so many others were not found.
        """
        found: dict[Hashable, Candidate] = {}
        for _ in range(ATTEMPTS):
            for drawn in unstacked(*self.space.sample(rng, max(count, 1))):
                item = self.find(*drawn)
                if item is not None and item.key not in besides and len(found) < count:
                    found.setdefault(item.key, item)
            if len(found) >= count:
                return list(found.values())
        raise NaspError(
            f"{count} further architectures were asked for, and only {len(found)} were found in "
            f"space {self.space.name}: ask for fewer"
        )

    @abstractmethod
    def labels(self, architectures: Sequence[Candidate]) -> tuple[Array, Array]:
        """Accuracy and seconds (NaN: not known) ``[n]`` of architectures, counted by no one."""

    def cost(self, name: str, architectures: Sequence[Candidate]) -> Array:
        """``[n]`` cost that needs no label, such as ``parameters``.

        Raises:
            NaspError: if this evaluator does not know that cost.
        """
        raise NaspError(f"search.cost={name}: this evaluator knows no cost of architectures")

    def evaluate(self, architectures: Sequence[Candidate]) -> Array:
        """``[n]`` float64 accuracies; each architecture counts once.

        Raises:
            NaspError: if that would exceed the budget; then nothing was read.
        """
        new = {item.key: item for item in architectures if not self.known(item)}
        self._check_budget(len(new))
        if new:
            spent = self.spent
            accuracies, seconds = self.labels(list(new.values()))
            self._accuracies.update(zip(new, map(float, accuracies), strict=True))
            self._architectures.extend(new.values())
            self._spent.extend(spent + 1 + number for number in range(len(new)))
            self._count_seconds(seconds)
        return np.array([self._accuracies[item.key] for item in architectures], dtype=np.float64)

    def lower_history(self, fidelity: str) -> tuple[list[Candidate], Array]:
        """Architectures evaluated at a lower fidelity, in their order, and accuracies ``[m]``."""
        self._check_fidelity(fidelity)
        return list(self._lower_items[fidelity]), np.array(list(self._lower[fidelity].values()))

    def evaluate_at(self, fidelity: str, architectures: Sequence[Candidate]) -> Array:
        """``[n]`` float64 accuracies at a lower fidelity; each architecture costs once there.

        Raises:
            NaspError: if there is no such fidelity, or that would exceed the budget; then nothing
                was read.
        """
        self._check_fidelity(fidelity)
        known = self._lower[fidelity]
        new = {item.key: item for item in architectures if item.key not in known}
        self._check_budget(len(new) * self.fidelities[fidelity])
        if new:
            accuracies, seconds = self.lower_labels(fidelity, list(new.values()))
            known.update(zip(new, map(float, accuracies), strict=True))
            self._lower_items[fidelity].extend(new.values())
            self._count_seconds(seconds)
        return np.array([known[item.key] for item in architectures], dtype=np.float64)

    def lower_labels(
        self, fidelity: str, architectures: Sequence[Candidate]
    ) -> tuple[Array, Array]:
        """As :meth:`labels`, after a lower training budget.

        Raises:
            NaspError: if this evaluator has no lower budgets, which is the default.
        """
        raise NaspError(f"evaluator.fidelities has {fidelity}: this evaluator has one budget only")

    def _check_budget(self, more: float) -> None:
        if self.budget is not None and self.spent + more > self.budget + 1e-9:
            raise NaspError(
                f"evaluator.budget={self.budget}: {self.spent:g} labels are used and "
                f"{more:g} more were asked for; raise the budget, or ask for fewer"
            )

    def _check_fidelity(self, fidelity: str) -> None:
        if fidelity not in self.fidelities:
            have = ", ".join(self.fidelities) or "none"
            raise NaspError(f"there is no fidelity {fidelity!r}; evaluator.fidelities has: {have}")

    def _count_seconds(self, seconds: Array) -> None:
        total = float(np.sum(seconds))
        known = self.seconds is not None and np.isfinite(total)
        self.seconds = self.seconds + total if known and self.seconds is not None else None

    def mutate(self, rng: np.random.Generator, candidate: Candidate) -> Candidate:
        """A mutant that can be evaluated; where none is found, a random architecture."""
        for _ in range(ATTEMPTS):
            mutant = self.find(*self.space.mutate(rng, *candidate.architecture))
            if mutant is not None:
                return mutant
        return self.sample(rng, 1)[0]

    def neighbours(self, rng: np.random.Generator, candidate: Candidate) -> list[Candidate]:
        """The distinct other architectures one change away that can be evaluated, in any order."""
        found: dict[Hashable, Candidate] = {}
        for changed in self.space.neighbours(rng, *candidate.architecture):
            item = self.find(*changed)
            if item is not None and item.key != candidate.key:
                found.setdefault(item.key, item)
        return list(found.values())

    def crossover(
        self, rng: np.random.Generator, first: Candidate, second: Candidate
    ) -> Candidate | None:
        """A child of two architectures; None if it cannot be evaluated."""
        return self.find(*self.space.crossover(rng, first.architecture, second.architecture))

    def least(
        self, rng: np.random.Generator, measure: Callable[[Sequence[Candidate]], Array]
    ) -> Candidate:
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


def _check_costs(fidelities: Mapping[int | str, float | None]) -> dict[str, float]:
    """Costs by the names of the fidelities.

    Raises:
        NaspError: if one has no cost, or costs as much as a label.
    """
    costs: dict[str, float] = {}
    for name, cost in fidelities.items():
        if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 < cost < 1:
            raise NaspError(
                f"evaluator.fidelities has {name}: {cost}; give its cost in labels, above 0 and "
                f"below 1, such as {{{name}: 0.06}} for 12 of 200 epochs"
            )
        costs[str(name)] = float(cost)
    return costs
