from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate
from nasp_lightning.evaluator.table import TableEvaluator
from nasp_lightning.search.base import RECOMMENDED, Belief
from nasp_lightning.search.multi_fidelity import MultiFidelity
from nasp_lightning.space.macro import Macro
from tests.search.tables import COST, Linear, budgets
from tests.search.tables import levelled as evaluator


class Levels(Linear):
    """Ridge regression of either budget; the full one's after the lower one's mean."""

    def __init__(self) -> None:
        super().__init__()
        self.lower = Linear()
        self.sizes_of: list[tuple[int, ...]] = []

    def refit_levels(self, levels: Sequence[tuple[Sequence[Candidate], Any]], seed: int) -> None:
        self.sizes_of.append(tuple(len(items) for items, _ in levels))
        self.lower.fit(*levels[0], seed)
        self.fit(*levels[1], seed)

    def belief(self, architectures: Sequence[Candidate]) -> Belief:
        mean, deviation = self.posterior(architectures)
        lower = self.lower.score(architectures) / 0.6
        unsure = self.lower.posterior(architectures)[1]
        share = unsure / (unsure + deviation)
        return Belief(
            (mean + 3 * lower) / 4, deviation, share[None], 0.9 * np.ones_like(share)[None]
        )


def test_it_finds_the_optimum_within_its_label_equivalents():
    table, surrogate = evaluator(budget=20), Levels()
    search = MultiFidelity(20, lower=0.3, initial=4, batch=2)
    extras = search.run(table, np.random.default_rng(0), surrogate)
    lower, _ = table.lower_history("10")
    assert table.spent <= 20
    assert table.spent > 19  # what is left buys no full label
    assert table.spent == pytest.approx(table.labels_used + COST * len(lower))
    assert surrogate.sizes_of[0] == (60, 4)
    assert surrogate.sizes_of[-1] == (len(lower), table.labels_used)
    assert COST * len(lower) <= 0.4 * 20 + 1e-9
    assert len(extras[RECOMMENDED]) == table.labels_used
    assert (np.diff(table.spent_at) > 0).all()
    assert table.spent_at[0] == pytest.approx(7)  # after the random lower ones
    assert table.truth[[item.key for item in table.history]].max() == table.best


def test_the_first_full_labels_are_half_the_best_of_the_lower_ones():
    table = evaluator(budget=30)
    MultiFidelity(30, lower=0.3, initial=6)._begin(table, np.random.default_rng(0))
    items, accuracies = table.lower_history("10")
    order = np.argsort(-accuracies, kind="stable")
    assert [item.key for item in table.history[:3]] == [items[place].key for place in order[:3]]
    assert {item.key for item in table.history} <= {item.key for item in items}


def test_no_lower_label_is_what_is_found():
    """Lower accuracies that are above all full ones change nothing of what is handed over."""
    table = budgets()
    early = np.ones_like(table.metrics["cifar10/test_accuracy/10"])
    high = BenchmarkTable(
        "macro",
        table.operations,
        metrics={**table.metrics, "cifar10/test_accuracy/10": early},
        costs=table.costs,
    )
    asked = TableEvaluator(high, Macro(), epochs=50, fidelities={10: COST})
    MultiFidelity(20, lower=0.3).run(asked, np.random.default_rng(0), Levels())
    assert (asked.accuracies < 1).all()
    assert set(map(float, asked.lower_history("10")[1])) == {1.0}


@pytest.mark.parametrize(
    ("settings", "fidelities", "message"),
    [
        ({}, {}, r"search=multi_fidelity needs a lower .*evaluator.fidelities=\{12: 0.06\}"),
        ({"lower": 0.01}, {10: COST}, "search.lower=0.01 of search.labels=50 is too little"),
        ({"lower": 0.9, "initial": 9}, {10: COST}, r"cost 54, more than search.labels=50"),
    ],
)
def test_plans_that_cannot_be(settings: Any, fidelities: Any, message: str):
    asked = TableEvaluator(budgets(), Macro(), epochs=50, fidelities=fidelities)
    with pytest.raises(NaspError, match=message):
        MultiFidelity(**settings).run(asked, np.random.default_rng(0), Levels())
