"""NSGA-II: accuracy against a cost, with a Pareto front as the result.

Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II" (IEEE TEVC 2002), as
pymoo implements it, asked and told. Offspring come from the space's own mutation and, if asked
for, crossover.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Protocol

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate, Evaluator
from nasp_lightning.search.base import IDLE, Search, Surrogate, fresh_mutant, mutated, share, whole
from nasp_lightning.search.part.caps import Caps

TRIES = 20  # of a mutant, until one keeps to the caps


class NSGA2(Search):
    """Objectives: 1 - accuracy, which costs a label, and one or more costs known beforehand.

    Args:
        labels: architectures to evaluate, the first population included.
        population: architectures of a generation.
        cost: the other objective: ``parameters``, ``flops``, or another cost of the benchmark; or
            several of them.
        generations: number of them, instead of ``labels``; the random ones included.
        random_generations: so many at first are drawn at random (PINAT's supplementary D: 10).
        crossover: probability of a child of two parents instead of a copy of one, before
            mutation; null: none.
        rate: probability of a place to change in a mutant; null: one place changes.
        caps: most costs, such as ``{flops: 5e8}``; children beyond them are drawn again.

    Raises:
        NaspError: if a setting cannot be, the population exceeds the labels, or pymoo is absent.
    """

    caps: Caps

    def __init__(
        self,
        labels: int | None = 200,
        population: int = 20,
        cost: str | Sequence[str] = "parameters",
        generations: int | None = None,
        random_generations: int | None = None,
        crossover: float | None = None,
        rate: float | None = None,
        caps: Mapping[str, float | None] | None = None,
    ) -> None:
        self.population = whole("population", population, 2)
        self.generations = None if generations is None else whole("generations", generations)
        planned = labels if self.generations is None else self.population * self.generations
        super().__init__(planned)  # type: ignore[arg-type]
        self.costs = (cost,) if isinstance(cost, str) else tuple(cost)
        self.random_generations = whole("random_generations", random_generations or 1)
        self.crossover = None if crossover is None else share("crossover", crossover)
        self.rate = None if rate is None else share("rate", rate)
        self.caps = Caps(caps)
        first = self.population * self.random_generations
        if first > self.labels:
            raise NaspError(
                f"search.population={population}"
                + (f" x random_generations={random_generations}" if random_generations else "")
                + f" is more than search.labels={self.labels}: the first population alone would "
                "exceed the budget; choose a smaller one"
            )
        try:
            import pymoo  # noqa: F401
        except ImportError as error:
            raise NaspError(
                "search=nsga2 needs pymoo: pip install 'nasp-lightning[search]'"
            ) from error

    def run(
        self, evaluator: Evaluator, rng: np.random.Generator, surrogate: Surrogate | None = None
    ) -> dict[str, Array]:
        """Evolve until the labels, or the generations, are spent.

        Returns:
            ``front``: ``[n]`` positions in the history of the Pareto front of all that was
            evaluated, best accuracy first; ``front_cost``: ``[n]`` float64, or ``[n, k]`` of
            several costs.
        """
        self.check(evaluator)
        self.caps.check(evaluator, rng)
        names = _Names()
        algorithm = _algorithm(self, names, evaluator, rng)
        idle = generation = 0
        while evaluator.labels_used < self.labels:
            asked = algorithm.ask()
            numbers = [] if asked is None else asked.get("X")[:, 0].astype(int).tolist()
            chosen = [names.architectures[number] for number in numbers]
            left = self.labels - evaluator.labels_used
            if sum(not evaluator.known(item) for item in chosen) > left:  # the last, cut short
                evaluator.evaluate([item for item in chosen if not evaluator.known(item)][:left])
                break
            idle = 0 if any(not evaluator.known(item) for item in chosen) else idle + 1
            if asked is None or idle >= IDLE // 10:  # no mutant is new
                fresh = self._fresh(evaluator, rng)
                if not fresh:
                    break
                evaluator.evaluate(fresh)
                idle = 0
            if asked is not None:
                _tell(algorithm, asked, self._objectives(evaluator, chosen))
            generation += 1 if generation else self.random_generations
            if self.generations is not None and generation >= self.generations:
                break
        history = evaluator.history
        objectives = self._objectives(evaluator, history)
        front = np.flatnonzero(pareto_front(objectives))
        front = front[np.argsort(objectives[front, 0], kind="stable")]
        costs = objectives[front, 1:]
        return {"front": front, "front_cost": costs[:, 0] if len(self.costs) == 1 else costs}

    def _fresh(self, evaluator: Evaluator, rng: np.random.Generator) -> list[Candidate]:
        """An architecture that was not evaluated; none where the caps allow no other."""
        if self.caps.limits:
            return self.caps.sample(evaluator, rng, 1)
        return [fresh_mutant(evaluator, rng, evaluator.history)]

    def _objectives(self, evaluator: Evaluator, chosen: list[Candidate]) -> Array:
        """``[n, 1 + costs]``, all to be small."""
        accuracies = evaluator.evaluate(chosen)
        costs = [evaluator.cost(name, chosen) for name in self.costs]
        return np.stack([1 - accuracies, *costs], axis=1)


def pareto_front(objectives: Array) -> Array:
    """``[n]`` bool: which of ``[n, d]`` objectives, all to be small, no other one dominates.

    One dominates another if it is nowhere worse and somewhere better; equal ones both stay.
    """
    values = np.asarray(objectives, dtype=np.float64)
    front = np.empty(len(values), dtype=bool)
    for row, value in enumerate(values):
        front[row] = not ((values <= value).all(axis=1) & (values < value).any(axis=1)).any()
    return front


class _Population(Protocol):
    """Pymoo's, as far as it is used here."""

    def get(self, name: str) -> Array:
        """``[n, 1]`` numbers of architectures, for ``X``."""


class _Algorithm(Protocol):
    """Pymoo's, as far as it is used here."""

    problem: object

    def ask(self) -> _Population | None:
        """The next ones to evaluate; None where no offspring is new."""

    def tell(self, infills: _Population) -> None:
        """Take the evaluated ones."""


class _Names:
    """Numbers for architectures, since pymoo's variables are numbers."""

    def __init__(self) -> None:
        self.architectures: list[Candidate] = []
        self._numbers: dict[Hashable, int] = {}

    def number(self, architecture: Candidate) -> int:
        if architecture.key not in self._numbers:
            self._numbers[architecture.key] = len(self.architectures)
            self.architectures.append(architecture)
        return self._numbers[architecture.key]


def _algorithm(
    search: NSGA2, names: _Names, evaluator: Evaluator, rng: np.random.Generator
) -> _Algorithm:
    """Pymoo's NSGA-II over numbered architectures, with one's own sampling and variation."""
    from pymoo.algorithms.moo.nsga2 import NSGA2 as Algorithm
    from pymoo.config import Config
    from pymoo.core.crossover import Crossover
    from pymoo.core.mutation import Mutation
    from pymoo.core.problem import Problem
    from pymoo.core.sampling import Sampling

    Config.warnings["not_compiled"] = False

    def numbered(items: list[Candidate]) -> Array:
        return np.array([[names.number(item)] for item in items], dtype=np.float64)

    def named(numbers: Array) -> list[Candidate]:
        return [names.architectures[int(number)] for number in numbers]

    class Draw(Sampling):  # type: ignore[misc]
        def _do(self, problem: object, n_samples: int, **kwargs: object) -> Array:
            count = n_samples * search.random_generations
            return numbered(search.caps.sample(evaluator, rng, count))

    class Cross(Crossover):  # type: ignore[misc]
        def _do(self, problem: object, X: Array, **kwargs: object) -> Array:
            children = []
            for first, second in zip(named(X[0, :, 0]), named(X[1, :, 0]), strict=True):
                child = first
                if rng.random() < (search.crossover or 0):
                    child = evaluator.crossover(rng, first, second) or first
                children.append(child)
            return numbered(children)[None]

    class Mutate(Mutation):  # type: ignore[misc]
        def _do(self, problem: object, X: Array, **kwargs: object) -> Array:
            parents = named(X[:, 0])
            children = [_mutant(search, evaluator, rng, parent) for parent in parents]
            for place in np.flatnonzero(~search.caps.within(evaluator, children)):
                children[place] = _allowed(search, evaluator, rng, parents[place])
            return numbered(children)

    copies = search.crossover is None
    crossover = Crossover(1, 1, prob=0.0) if copies else Cross(2, 1, prob=1.0)
    algorithm = Algorithm(
        pop_size=search.population, sampling=Draw(), crossover=crossover, mutation=Mutate()
    )
    algorithm.setup(
        Problem(n_var=1, n_obj=1 + len(search.costs)),
        termination=("n_gen", 10**9),
        seed=int(rng.integers(2**31)),
    )
    found: _Algorithm = algorithm
    return found


def _mutant(
    search: NSGA2, evaluator: Evaluator, rng: np.random.Generator, parent: Candidate
) -> Candidate:
    if search.rate is None:
        return evaluator.mutate(rng, parent)
    return mutated(evaluator, rng, parent, search.rate)


def _allowed(
    search: NSGA2, evaluator: Evaluator, rng: np.random.Generator, parent: Candidate
) -> Candidate:
    """A mutant within the caps; after many in vain, any architecture within them."""
    for _ in range(TRIES):
        mutant = _mutant(search, evaluator, rng, parent)
        if search.caps.within(evaluator, [mutant])[0]:
            return mutant
    found = search.caps.sample(evaluator, rng, 1) or evaluator.history
    return found[int(rng.integers(len(found)))]


def _tell(algorithm: _Algorithm, asked: _Population, objectives: Array) -> None:
    from pymoo.core.evaluator import Evaluator as Values
    from pymoo.problems.static import StaticProblem

    Values().eval(StaticProblem(algorithm.problem, F=objectives), asked)
    algorithm.tell(infills=asked)
