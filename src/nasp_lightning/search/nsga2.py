"""NSGA-II: accuracy against a cost, with a Pareto front as the result.

Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II" (IEEE TEVC 2002), as
pymoo implements it, asked and told. Offspring are mutants of the space's own operator.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Architecture, Evaluator
from nasp_lightning.search.base import IDLE, Array, Search, Surrogate, fresh_mutant, whole


class NSGA2(Search):
    """Two objectives: 1 - accuracy, which costs a label, and a cost that is known beforehand.

    Args:
        labels: architectures to evaluate, the first population included.
        population: architectures of a generation.
        cost: the second objective: ``parameters``, ``flops``, or another cost of the benchmark.

    Raises:
        NaspError: if a setting cannot be, the population exceeds the labels, or pymoo is absent.
    """

    def __init__(self, labels: int = 200, population: int = 20, cost: str = "parameters") -> None:
        super().__init__(labels)
        self.population, self.cost = whole("population", population, 2), cost
        if self.population > self.labels:
            raise NaspError(
                f"search.population={population} is more than search.labels={labels}: the first "
                "population alone would exceed the budget; choose a smaller one"
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
        """Evolve until the labels are spent.

        Returns:
            ``front``: ``[n]`` positions in the history of the Pareto front of all that was
            evaluated, best accuracy first; ``front_cost``: ``[n]`` float64.
        """
        self.check(evaluator)
        names = _Names()
        algorithm = _algorithm(self.population, names, evaluator, rng)
        idle = 0
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
                parents = evaluator.history
                evaluator.evaluate([fresh_mutant(evaluator, rng, parents)])
                idle = 0
            if asked is not None:
                _tell(algorithm, asked, self._objectives(evaluator, chosen))
        history = evaluator.history
        objectives = self._objectives(evaluator, history)
        front = np.flatnonzero(pareto_front(objectives))
        front = front[np.argsort(objectives[front, 0], kind="stable")]
        return {"front": front, "front_cost": objectives[front, 1]}

    def _objectives(self, evaluator: Evaluator, chosen: list[Architecture]) -> Array:
        """``[n, 2]``, both to be small."""
        accuracies = evaluator.evaluate(chosen)
        return np.stack([1 - accuracies, evaluator.cost(self.cost, chosen)], axis=1)


def pareto_front(objectives: Array) -> Array:
    """``[n]`` bool: which of ``[n, d]`` objectives, all to be small, no other one dominates.

    One dominates another if it is nowhere worse and somewhere better; equal ones both stay.
    """
    values = np.asarray(objectives, dtype=np.float64)
    front = np.empty(len(values), dtype=bool)
    for row, value in enumerate(values):
        front[row] = not ((values <= value).all(axis=1) & (values < value).any(axis=1)).any()
    return front


class _Names:
    """Numbers for architectures, since pymoo's variables are numbers."""

    def __init__(self) -> None:
        self.architectures: list[Architecture] = []
        self._numbers: dict[Hashable, int] = {}

    def number(self, architecture: Architecture) -> int:
        if architecture.key not in self._numbers:
            self._numbers[architecture.key] = len(self.architectures)
            self.architectures.append(architecture)
        return self._numbers[architecture.key]


def _algorithm(
    population: int, names: _Names, evaluator: Evaluator, rng: np.random.Generator
) -> Any:
    """Pymoo's NSGA-II over numbered architectures, with one's own sampling and mutation."""
    from pymoo.algorithms.moo.nsga2 import NSGA2 as Algorithm
    from pymoo.config import Config
    from pymoo.core.crossover import Crossover
    from pymoo.core.mutation import Mutation
    from pymoo.core.problem import Problem
    from pymoo.core.sampling import Sampling

    Config.warnings["not_compiled"] = False

    class Draw(Sampling):  # type: ignore[misc]
        def _do(self, problem: Any, n_samples: int, **kwargs: Any) -> Array:
            drawn = evaluator.sample(rng, n_samples)
            return np.array([[names.number(item)] for item in drawn], dtype=np.float64)

    class Mutate(Mutation):  # type: ignore[misc]
        def _do(self, problem: Any, X: Array, **kwargs: Any) -> Array:
            parents = [names.architectures[int(number)] for number in X[:, 0]]
            children = [evaluator.mutate(rng, parent) for parent in parents]
            return np.array([[names.number(item)] for item in children], dtype=np.float64)

    algorithm = Algorithm(
        pop_size=population,
        sampling=Draw(),
        crossover=Crossover(1, 1, prob=0.0),  # copies: a space has no crossover of its own
        mutation=Mutate(),
    )
    algorithm.setup(
        Problem(n_var=1, n_obj=2),
        termination=("n_gen", 10**9),
        seed=int(rng.integers(2**31)),
    )
    return algorithm


def _tell(algorithm: Any, asked: Any, objectives: Array) -> None:
    from pymoo.core.evaluator import Evaluator as Values
    from pymoo.problems.static import StaticProblem

    Values().eval(StaticProblem(algorithm.problem, F=objectives), asked)
    algorithm.tell(infills=asked)
