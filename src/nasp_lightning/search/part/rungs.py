"""What searches over several training budgets share: rungs of halving brackets, and their end.

A rung evaluates some architectures at one training budget, and the best go on to the next. The
papers choose budgets as powers of eta and keep the best 1 / eta; tables have the budgets that they
have, so here the ratio of two budgets' costs takes eta's place (ours): every rung costs about the
same, as it does in the papers. A training at a higher budget begins anew and is paid in full, as
tables hold it: a schedule of 12 epochs is not the beginning of one of 200.

What a search finds is by full labels alone. All of them spend at most ``search.labels`` label
equivalents: a bracket that does not fit any more is made smaller, and what is left in the end buys
full labels of the most promising (both ours).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate, Evaluator
from nasp_lightning.search.base import Search

ROUNDING = 1e-9  # of sums and ratios of costs


@dataclass(frozen=True)
class Rung:
    """A training budget.

    Attributes:
        fidelity: its name; None: the full one.
        cost: of a label there, in labels.
    """

    fidelity: str | None
    cost: float

    def evaluate(self, evaluator: Evaluator, items: Sequence[Candidate]) -> Array:
        """``[n]`` accuracies at this budget."""
        if self.fidelity is None:
            return evaluator.evaluate(items)
        return evaluator.evaluate_at(self.fidelity, items)


def ladder(evaluator: Evaluator) -> list[Rung]:
    """All training budgets, the cheapest first, the full one last."""
    lower = sorted(evaluator.fidelities.items(), key=lambda entry: entry[1])
    return [*(Rung(name, cost) for name, cost in lower), Rung(None, 1.0)]


def rung_sizes(rungs: Sequence[Rung], first: int) -> list[int]:
    """How many architectures each rung evaluates if the first has so many; one at least."""
    return [max(1, int(first * rungs[0].cost / rung.cost + ROUNDING)) for rung in rungs]


def fitting(rungs: Sequence[Rung], wanted: int, left: float) -> int:
    """The largest first rung, at most ``wanted``, of a bracket that costs at most ``left``."""

    def cost(first: int) -> float:
        sizes = rung_sizes(rungs, first)
        return sum(size * rung.cost for size, rung in zip(sizes, rungs, strict=True))

    most = min(wanted, int(left / rungs[0].cost + ROUNDING))
    return bisect_right(range(1, most + 1), left + ROUNDING, key=cost)


def brackets(rungs: Sequence[Rung]) -> list[tuple[Sequence[Rung], int]]:
    """Hyperband's brackets: the rungs of each and the size of the first, the most rungs first.

    Li et al., algorithm 1: n = ceil(B / R * eta^s / (s + 1)), where B is (s_max + 1) R.
    """
    found = []
    for begin, rung in enumerate(rungs):
        own = rungs[begin:]
        found.append((own, int(np.ceil(len(rungs) / len(own) / rung.cost - ROUNDING))))
    return found


def best_first(values: Array) -> Array:
    """``[n]`` places by falling accuracy; what is not finite comes last, ties keep their order."""
    return np.argsort(-np.where(np.isfinite(values), values, -np.inf), kind="stable")


class SeveralBudgets(Search):
    """A search that buys labels at lower training budgets, too.

    Args:
        labels: label equivalents to spend in one repeat: full labels, and lower ones at their
            cost; a remainder below one stays unspent.
    """

    def check(self, evaluator: Evaluator) -> None:
        """Refuse what cannot be, before anything is read.

        Raises:
            NaspError: as every search does, and where there are no lower training budgets.
        """
        super().check(evaluator)
        if not evaluator.fidelities:
            raise NaspError(
                f"evaluator.fidelities={{}}: {type(self).__name__} needs labels at lower training "
                "budgets; say which the source has and what one costs in labels, such as "
                "'evaluator.fidelities={12:0.06}'"
            )

    def left(self, evaluator: Evaluator) -> float:
        """Label equivalents that may still be spent."""
        return self.labels - evaluator.spent

    def fresh(self, evaluator: Evaluator, rng: np.random.Generator, count: int) -> list[Candidate]:
        """Architectures that were evaluated at no budget; fewer where there are no more."""
        seen = {item.key for item in evaluator.history}
        for fidelity in evaluator.fidelities:
            seen |= {item.key for item in evaluator.lower_history(fidelity)[0]}
        if evaluator.size is not None:
            count = min(count, evaluator.size - len(seen))
        return evaluator.draw(rng, count, seen) if count > 0 else []

    def halve(
        self, evaluator: Evaluator, rng: np.random.Generator, rungs: Sequence[Rung], first: int
    ) -> bool:
        """One bracket of random architectures; False where nothing fits or is new any more.

        Args:
            evaluator: to buy labels from.
            rng: source of the architectures.
            rungs: of the bracket, the cheapest first.
            first: architectures of its first rung; fewer if they do not fit.
        """
        items = self.fresh(evaluator, rng, fitting(rungs, first, self.left(evaluator)))
        if not items:
            return False
        for rung, size in zip(rungs, rung_sizes(rungs, len(items)), strict=True):
            items = items[:size]
            order = best_first(rung.evaluate(evaluator, items))
            items = [items[place] for place in order]
        return True

    def spend_rest(self, evaluator: Evaluator, rng: np.random.Generator) -> None:
        """Full labels of the most promising: the best of the highest budget that lack one."""
        count = int(self.left(evaluator) + ROUNDING)
        chosen: dict[Hashable, Candidate] = {}
        for rung in reversed(ladder(evaluator)[:-1]):
            assert rung.fidelity is not None
            items, values = evaluator.lower_history(rung.fidelity)
            for place in best_first(values):
                if len(chosen) < count and not evaluator.known(items[place]):
                    chosen.setdefault(items[place].key, items[place])
        evaluator.evaluate(list(chosen.values()))
        evaluator.evaluate(self.fresh(evaluator, rng, int(self.left(evaluator) + ROUNDING)))
