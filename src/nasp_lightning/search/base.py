"""What every search strategy is: a loop that spends a planned number of labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.evaluator.base import Candidate, Evaluator
from nasp_lightning.search.part.caps import Caps

IDLE = 100  # mutants in a row that were all evaluated before
RECOMMENDED = "recommended"  # array of :meth:`Search.run` that says what would be handed over
RULES = ("label", "posterior")  # by which it is chosen


@dataclass(frozen=True)
class Belief:
    """What is believed of architectures when labels come from several training budgets.

    Attributes:
        mean: ``[N]`` of the accuracy after the full budget.
        deviation: ``[N]`` its standard deviation, what lower budgets leave open included.
        correlation: ``[L, N]`` of what a label at each lower budget is about with that; 0: it is
            known there already.
        certainty: ``[L, N]`` share of such a label's deviation that is no noise.
    """

    mean: Array
    deviation: Array
    correlation: Array
    certainty: Array


class Surrogate(Protocol):
    """A predictor as a search uses it: fitted anew whenever there are more labels.

    It makes no assumption on the predictor: who fits it, on what encoding and by what loss, is
    the job's business. A search with ``needs_posterior`` is only given one that has a posterior.
    """

    def fit(self, architectures: Sequence[Candidate], accuracies: Array, seed: int) -> None:
        """Fit ``n`` architectures and their accuracies ``[n]``, from scratch."""

    def score(self, architectures: Sequence[Candidate]) -> Array:
        """``[N]`` scores, higher is better."""

    def refit(self, architectures: Sequence[Candidate], accuracies: Array, seed: int) -> None:
        """The same where labels were added: it may go on from the last fit of this search."""

    def posterior(self, architectures: Sequence[Candidate]) -> tuple[Array, Array]:
        """Mean and standard deviation ``[N]`` of the accuracy of a new training."""

    def signal(self, architectures: Sequence[Candidate]) -> tuple[Array, Array]:
        """Mean and standard deviation ``[N]`` of the accuracy, a training's noise left out."""

    def draws(
        self, architectures: Sequence[Candidate], count: int, rng: np.random.Generator
    ) -> Array:
        """``[count, N]`` joint draws of that."""


@runtime_checkable
class LevelSurrogate(Surrogate, Protocol):
    """A predictor of accuracies after several training budgets."""

    def refit_levels(self, levels: Sequence[tuple[Sequence[Candidate], Array]], seed: int) -> None:
        """Fit on architectures and accuracies of each budget, the lowest first, the full last."""

    def belief(self, architectures: Sequence[Candidate]) -> Belief:
        """What is believed of ``N`` architectures."""


class Search(ABC):
    """Spends ``labels`` labels of an evaluator.

    Args:
        labels: architectures to evaluate in one repeat.
        recommend: rule by which the architecture that is handed over is chosen of the evaluated
            ones: ``label``, the best one's, or ``posterior``, by the surrogate's mean, of a search
            that has one.

    Attributes:
        needs_predictor: whether :meth:`run` needs a surrogate.
        needs_levels: whether its surrogate has to be a :class:`LevelSurrogate`.
        needs_posterior: whether it asks for the surrogate's :meth:`~Surrogate.posterior`, too.
        caps: hard limits on costs that it keeps to; None: it knows none.
        anytime: whether the best found so far means something before the last label.

    Raises:
        NaspError: if a setting cannot be.
    """

    needs_predictor: ClassVar[bool] = False
    needs_posterior: ClassVar[bool] = False
    needs_levels: ClassVar[bool] = False
    anytime: ClassVar[bool] = True
    caps: Caps | None = None

    def __init__(self, labels: int = 200, recommend: str = "label") -> None:
        self.labels = whole("labels", labels)
        if recommend not in RULES:
            raise NaspError(f"search.recommend={recommend}: choose " + " or ".join(RULES))
        self.recommend = recommend

    def check(self, evaluator: Evaluator) -> None:
        """Refuse what cannot be, before anything is read.

        Raises:
            NaspError: if the budget, or the table, is smaller than the plan.
        """
        plan = self.plan()
        if evaluator.budget is not None and self.labels > evaluator.budget:
            raise NaspError(
                f"evaluator.budget={evaluator.budget} is less than the {self.labels} labels that "
                f"the search plans ({plan}): lower the plan, or raise the budget"
            )
        if evaluator.size is not None and self.labels > evaluator.size:
            raise NaspError(
                f"the search plans {self.labels} labels ({plan}), but only {evaluator.size} "
                "architectures can be evaluated: plan fewer"
            )

    def plan(self) -> str:
        """The settings that make the number of labels."""
        return f"search.labels={self.labels}"

    @abstractmethod
    def run(
        self, evaluator: Evaluator, rng: np.random.Generator, surrogate: Surrogate | None = None
    ) -> dict[str, Array]:
        """Search; what was evaluated is in ``evaluator.history``.

        Args:
            evaluator: fresh, or reset.
            rng: the only source of randomness.
            surrogate: where ``needs_predictor``.

        Returns:
            What the strategy has to say besides, as arrays by name; mostly nothing. Of these,
            ``front`` is read by others: ``[n]`` positions in the history of the Pareto front,
            best accuracy first, with ``front_cost``: ``[n]``, or ``[n, k]`` of k costs; and
            ``recommended``: ``[labels]`` position in the history of what would be handed over
            after each label, -1: as after the one before. The rest is kept with the run.
        """

    def recommendation(self, evaluator: Evaluator, surrogate: Surrogate) -> int:
        """Position in the history of what is handed over, by a surrogate that was fitted."""
        items, values = usable_labels(evaluator)
        if self.recommend == "posterior":
            values = surrogate.score(items)
        return int(usable(evaluator)[np.argmax(values)])


def whole(name: str, value: object, least: int = 1) -> int:
    """A setting that must be a whole number.

    Raises:
        NaspError: if it is not, or too small.
    """
    return check_whole(f"search.{name}", value, least)


def share(name: str, value: object) -> float:
    """A setting that must lie between 0 and 1.

    Raises:
        NaspError: if it does not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise NaspError(f"search.{name}={value}: it must lie between 0 and 1")
    return float(value)


def need(surrogate: Surrogate | None) -> Surrogate:
    """The surrogate of a strategy that needs one.

    Raises:
        NaspError: if there is none.
    """
    if surrogate is None:
        raise NaspError("this search needs a predictor: choose one by predictor=…")
    return surrogate


def usable(evaluator: Evaluator) -> Array:
    """Positions in the history of trainings that did not fail: those that teach something."""
    accuracies = evaluator.accuracies
    floor = -np.inf if evaluator.failed_below is None else evaluator.failed_below
    return np.flatnonzero(np.isfinite(accuracies) & (accuracies >= floor))


def usable_labels(evaluator: Evaluator) -> tuple[list[Candidate], Array]:
    """Those architectures, and their accuracies ``[n]``."""
    history, good = evaluator.history, usable(evaluator)
    return [history[row] for row in good], evaluator.accuracies[good]


def fit_labelled(
    surrogate: Surrogate, evaluator: Evaluator, rng: np.random.Generator, further: bool = False
) -> None:
    """Fit a surrogate on all that was evaluated; runs that failed cost a label but teach nothing.

    Args:
        surrogate: to fit.
        evaluator: whose labels it is fitted on.
        rng: source of the fit's seed.
        further: it may go on from the last fit.

    Raises:
        NaspError: if fewer than two architectures are left.
    """
    items, accuracies = usable_labels(evaluator)
    if len(items) < 2:
        raise NaspError(
            f"{len(items)} of {evaluator.labels_used} labelled architectures can be fitted: a "
            "predictor needs two; raise the number of initial labels"
        )
    fit = surrogate.refit if further else surrogate.fit
    fit(items, accuracies, int(rng.integers(2**31)))


def fresh_mutant(
    evaluator: Evaluator, rng: np.random.Generator, parents: list[Candidate]
) -> Candidate:
    """A mutant of one of the parents that was not evaluated; after many in vain, a random one."""
    for _ in range(IDLE):
        mutant = evaluator.mutate(rng, parents[int(rng.integers(len(parents)))])
        if not evaluator.known(mutant):
            return mutant
    return evaluator.sample(rng, 1)[0]


def mutated(
    evaluator: Evaluator, rng: np.random.Generator, parent: Candidate, rate: float
) -> Candidate:
    """A mutant in which each place changes with probability ``rate``, one of them in any case."""
    for _ in range(max(1, int(rng.binomial(len(parent.operations), rate)))):
        parent = evaluator.mutate(rng, parent)
    return parent
