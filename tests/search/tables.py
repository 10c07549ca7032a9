"""A small whole space with a known optimum, for the strategies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.evaluator.base import Candidate
from nasp_lightning.evaluator.table import TableEvaluator
from nasp_lightning.space.macro import SIZE, Macro

OPTIMUM = np.array([2, 1, 2, 0, 1, 2, 0, 1])
COST = 0.1  # of a label after 10 epochs


def whole_space(noise: float = 0.0) -> BenchmarkTable:
    """All 6,561 chains; the accuracy falls with the layers that differ from the optimum."""
    places = 3 ** np.arange(7, -1, -1)
    operations = (np.arange(SIZE)[:, None] // places % 3).astype(np.uint8)
    right = (operations == OPTIMUM).sum(axis=1)
    truth = 0.5 + 0.05 * right
    labels = truth + noise * np.random.default_rng(0).standard_normal(SIZE)
    return BenchmarkTable(
        "macro",
        operations,
        metrics={
            "cifar10/validation_accuracy/50": np.clip(labels, 0, 1).astype(np.float32)[:, None],
            "cifar10/test_accuracy/50": truth.astype(np.float32)[:, None],
        },
        costs={"parameters": operations.sum(axis=1).astype(np.float64)},
    )


def evaluator(table: BenchmarkTable | None = None, budget: int | None = None) -> TableEvaluator:
    """Of the whole space, or of a table of its architectures."""
    return TableEvaluator(table or whole_space(), Macro(), epochs=50, budget=budget)


def small(count: int = 30, seed: int = 0) -> TableEvaluator:
    """Of so few architectures that most mutants are not among them."""
    table = whole_space()
    rows = np.sort(np.random.default_rng(seed).choice(SIZE, count, replace=False))
    cut = BenchmarkTable(
        "macro",
        table.operations[rows],
        metrics={name: values[rows] for name, values in table.metrics.items()},
        costs={name: values[rows] for name, values in table.costs.items()},
    )
    return evaluator(cut)


def budgets(noise: float = 0.02) -> BenchmarkTable:
    """The whole space, with accuracies after 10 epochs that say almost the same."""
    table = whole_space()
    rng = np.random.default_rng(1)
    early = 0.6 * table.metrics["cifar10/test_accuracy/50"].astype(float)
    early += noise * rng.standard_normal(early.shape)
    metrics = {**table.metrics, "cifar10/test_accuracy/10": early.astype(np.float32)}
    return BenchmarkTable("macro", table.operations, metrics=metrics, costs=table.costs)


def levelled(budget: int | None = None) -> TableEvaluator:
    """Of those."""
    return TableEvaluator(budgets(), Macro(), epochs=50, budget=budget, fidelities={10: COST})


class Unlisted(TableEvaluator):
    """One that does not say what there is, as of a space too large to list."""

    everything = None  # type: ignore[assignment]


def unlisted() -> TableEvaluator:
    """Of the whole space, which it does not list."""
    return Unlisted(whole_space(), Macro(), epochs=50)


class Linear:
    """Ridge regression on one-hots, with a standard deviation: a surrogate that says its seeds."""

    def __init__(self) -> None:
        self.seeds: list[int] = []
        self.sizes: list[int] = []

    def fit(self, architectures: Sequence[Candidate], accuracies: Any, seed: int) -> None:
        self.seeds.append(seed)
        self.sizes.append(len(architectures))
        inputs = self._inputs(architectures)
        self.mean = accuracies.mean()
        self.inverse = np.linalg.inv(inputs.T @ inputs + 0.1 * np.eye(inputs.shape[1]))
        self.weights = self.inverse @ inputs.T @ (accuracies - self.mean)

    def score(self, architectures: Sequence[Candidate]) -> Any:
        return self._inputs(architectures) @ self.weights + self.mean

    def posterior(self, architectures: Sequence[Candidate]) -> tuple[Any, Any]:
        inputs = self._inputs(architectures)
        return self.score(architectures), 0.05 * np.sqrt(
            np.einsum("ni,ij,nj->n", inputs, self.inverse, inputs)
        )

    def refit(self, architectures: Sequence[Candidate], accuracies: Any, seed: int) -> None:
        self.fit(architectures, accuracies, seed)

    def signal(self, architectures: Sequence[Candidate]) -> tuple[Any, Any]:
        return self.posterior(architectures)

    def draws(
        self, architectures: Sequence[Candidate], count: int, rng: np.random.Generator
    ) -> Any:
        covariance = 0.05**2 * self.inverse
        weights = rng.multivariate_normal(self.weights, covariance, count)
        return weights @ self._inputs(architectures).T + self.mean

    @staticmethod
    def _inputs(architectures: Sequence[Candidate]) -> Any:
        codes = np.stack([item.operations for item in architectures])
        return (codes[:, :, None] == np.arange(3)).reshape(len(codes), -1).astype(float)
