"""Bayesian optimization over architecture and training budget: the gain of a label for its cost.

Each round asks of every architecture what a label at each budget promises, by the augmented
expected improvement of Huang, Allen, Notz and Miller, "Sequential kriging optimization using
multiple-fidelity evaluations" (Structural and Multidisciplinary Optimization, 2006):

    expected improvement after the full budget × α₁ × α₂ / cost,

α₁ the correlation of what a lower label is about with that, α₂ the part of such a label that is no
noise. Where a lower budget wins, a batch of lower labels is bought, else full ones. This is Eq. 1
of Siamese-NAS: fewer label equivalents in all, prior knowledge at its cost included. What is found
is found by full labels alone.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate, Evaluator
from nasp_lightning.search.base import (
    RECOMMENDED,
    Belief,
    LevelSurrogate,
    Search,
    Surrogate,
    need,
    share,
    usable_labels,
    whole,
)
from nasp_lightning.search.part.acquisition import joint_improvement, log_expected_improvement


class MultiFidelity(Search):
    """Rounds of: fit on the labels of all budgets, buy where the gain for the cost is highest.

    Args:
        labels: label equivalents to spend, lower labels at their cost.
        lower: share of them that is spent, at the lowest budget, on random architectures first.
        most_lower: share of them that lower labels may take in all.
        initial: full labels before the first fit: half of them the best of those, half at random
            among them.
        batch: full labels bought at once.
        lower_batch: lower ones.
        shortlist: architectures of which joint draws are made, for a batch of full labels.
        draws: their number.
        recommend: as :class:`.bayesian_optimization.BayesianOptimization`'s.

    Raises:
        NaspError: if a setting cannot be.
    """

    needs_predictor: ClassVar[bool] = True
    needs_posterior: ClassVar[bool] = True
    needs_levels: ClassVar[bool] = True

    def __init__(
        self,
        labels: int = 50,
        lower: float = 0.2,
        most_lower: float = 0.4,
        initial: int = 4,
        batch: int = 2,
        lower_batch: int = 10,
        shortlist: int = 500,
        draws: int = 256,
        recommend: str = "posterior",
    ) -> None:
        super().__init__(labels, recommend)
        self.lower, self.most_lower = share("lower", lower), share("most_lower", most_lower)
        self.initial, self.batch = whole("initial", initial, 2), whole("batch", batch)
        self.lower_batch = whole("lower_batch", lower_batch)
        self.shortlist, self.draws = whole("shortlist", shortlist, 2), whole("draws", draws, 2)

    def check(self, evaluator: Evaluator) -> None:
        """Refuse what cannot be, before anything is read."""
        super().check(evaluator)
        if not evaluator.fidelities:
            raise NaspError(
                "search=multi_fidelity needs a lower training budget and its cost in labels, such "
                "as evaluator.fidelities={12: 0.06}; with one budget, set "
                "search=bayesian_optimization"
            )
        cheapest, *further = evaluator.fidelities.values()
        if self.lower * self.labels < 2 * self.initial * cheapest:
            raise NaspError(
                f"search.lower={self.lower} of search.labels={self.labels} is too little for "
                f"{2 * self.initial} labels at the lowest budget, which cost {cheapest} each: "
                "raise search.lower"
            )
        begins = self.lower * self.labels + self.initial * (1 + sum(further))
        if begins > self.labels:
            raise NaspError(
                f"search.lower={self.lower} and search.initial={self.initial}, at every budget but "
                f"the lowest, cost {begins:g}, more than search.labels={self.labels}: lower one of "
                "them"
            )

    def run(
        self, evaluator: Evaluator, rng: np.random.Generator, surrogate: Surrogate | None = None
    ) -> dict[str, Array]:
        """Buy labels of all budgets until the label equivalents are spent."""
        self.check(evaluator)
        found = need(surrogate)
        assert isinstance(found, LevelSurrogate)
        listed = evaluator.everything
        if listed is None:
            raise NaspError("search=multi_fidelity scores a whole space: it has to be listed")
        self._begin(evaluator, rng)
        recommended: list[int] = [-1] * evaluator.labels_used
        while True:
            self._fit(evaluator, found, rng)
            recommended[-1] = self.recommendation(evaluator, found)
            if not self._buy(evaluator, found, rng, listed):
                return {RECOMMENDED: np.array(recommended)}
            recommended.extend([-1] * (evaluator.labels_used - len(recommended)))

    def _begin(self, evaluator: Evaluator, rng: np.random.Generator) -> None:
        """Random labels at the lowest budget, and the first full ones."""
        name, cost = next(iter(evaluator.fidelities.items()))
        most = evaluator.size or self.labels
        count = min(int(self.lower * self.labels / cost + 1e-9), most)
        items = evaluator.sample(rng, count)
        order = np.argsort(-evaluator.evaluate_at(name, items), kind="stable")
        best = order[: self.initial // 2]
        others = rng.permutation(order[self.initial // 2 :])[: self.initial - len(best)]
        chosen = [items[place] for place in (*best, *others)]
        evaluator.evaluate(chosen)
        for further in list(evaluator.fidelities)[1:]:  # every budget needs a few
            evaluator.evaluate_at(further, chosen)

    def _fit(
        self, evaluator: Evaluator, surrogate: LevelSurrogate, rng: np.random.Generator
    ) -> None:
        levels: list[tuple[list[Candidate], Array]] = []
        for name in evaluator.fidelities:
            items, accuracies = evaluator.lower_history(name)
            good = np.flatnonzero(np.isfinite(accuracies))
            levels.append(([items[place] for place in good], accuracies[good]))
        levels.append(usable_labels(evaluator))
        if min(len(items) for items, _ in levels) < 2:
            raise NaspError(
                "fewer than two trainings of a budget did not fail: raise search.initial"
            )
        surrogate.refit_levels(levels, int(rng.integers(2**31)))

    def _buy(
        self,
        evaluator: Evaluator,
        surrogate: LevelSurrogate,
        rng: np.random.Generator,
        listed: list[Candidate],
    ) -> bool:
        """The next labels; False where no label equivalents, or architectures, are left."""
        left = self.labels - evaluator.spent + 1e-9
        belief = surrogate.belief(listed)
        best = float(usable_labels(evaluator)[1].max())
        worth = log_expected_improvement(belief.mean, belief.deviation, best)
        labelled = np.array([evaluator.known(item) for item in listed])
        full = np.where(labelled, -np.inf, worth)
        names = list(evaluator.fidelities)
        room = self.most_lower * self.labels - (evaluator.spent - evaluator.labels_used) + 1e-9
        gains = [full if left >= 1 else np.full(len(listed), -np.inf)]
        for level, name in enumerate(names):
            gains.append(self._lower_gain(evaluator, belief, level, name, worth, labelled))
            if evaluator.fidelities[name] > min(room, left - 1):
                gains[-1][:] = -np.inf
        level = int(np.argmax([gain.max() for gain in gains]))
        if not np.isfinite(gains[level].max()):
            return False
        if level == 0:
            count = min(self.batch, int(left))
            evaluator.evaluate(self._joint(surrogate, rng, listed, full, best, count))
            return True
        name = names[level - 1]
        count = min(self.lower_batch, int(min(room, left - 1) / evaluator.fidelities[name]))
        order = np.argsort(-gains[level], kind="stable")[:count]
        items = [listed[place] for place in order if np.isfinite(gains[level][place])]
        evaluator.evaluate_at(name, items)
        return True

    def _lower_gain(
        self,
        evaluator: Evaluator,
        belief: Belief,
        level: int,
        name: str,
        worth: Array,
        labelled: Array,
    ) -> Array:
        """``[N]`` logarithm of the gain for the cost of a label at a lower budget."""
        with np.errstate(divide="ignore"):
            gain = worth + np.log(belief.correlation[level]) + np.log(belief.certainty[level])
        gain -= np.log(evaluator.fidelities[name])
        bought = {item.key for item in evaluator.lower_history(name)[0]}
        known = np.array([item.key in bought for item in evaluator.everything or []])
        return np.where(known | labelled, -np.inf, gain)

    def _joint(
        self,
        surrogate: LevelSurrogate,
        rng: np.random.Generator,
        listed: list[Candidate],
        gain: Array,
        best: float,
        count: int,
    ) -> list[Candidate]:
        """A batch of full labels, chosen by joint draws given what lower budgets say."""
        order = np.argsort(-gain, kind="stable")[: self.shortlist]
        short = [listed[place] for place in order if np.isfinite(gain[place])]
        if count == 1 or len(short) <= count:
            return short[:count]
        drawn = surrogate.draws(short, self.draws, rng)
        places = joint_improvement(drawn, np.full(len(drawn), best), count)
        return [short[place] for place in places]
