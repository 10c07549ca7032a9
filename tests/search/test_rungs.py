"""What holds for every search over several training budgets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.table import TableEvaluator
from nasp_lightning.search.dehb import DEHB
from nasp_lightning.search.hyperband import Hyperband
from nasp_lightning.search.part.rungs import (
    Rung,
    SeveralBudgets,
    best_first,
    brackets,
    fitting,
    ladder,
    rung_sizes,
)
from nasp_lightning.search.random import expected_accuracy
from nasp_lightning.search.successive_halving import SuccessiveHalving
from nasp_lightning.space.macro import Macro
from tests.search.tables import budgets, evaluator, levelled, small

MAKE: dict[str, Callable[[int], SeveralBudgets]] = {
    "successive_halving": SuccessiveHalving,
    "brackets of successive_halving": lambda labels: SuccessiveHalving(labels, 20),
    "hyperband": Hyperband,
    "dehb": DEHB,
}
POWERS = [*(Rung(str(3**power), 3.0**power / 81) for power in range(4)), Rung(None, 1.0)]


def test_brackets_are_those_of_the_papers_formula():
    """Li et al. (JMLR 2018), algorithm 1, of their example: R = 81, eta = 3."""
    found = [rung_sizes(rungs, first) for rungs, first in brackets(POWERS)]
    assert found == [[81, 27, 9, 3, 1], [34, 11, 3, 1], [15, 5, 1], [8, 2], [5]]


def test_the_largest_bracket_that_fits():
    rng = np.random.default_rng(0)
    for _ in range(50):
        costs = np.sort(rng.uniform(0.01, 0.9, size=int(rng.integers(1, 4))))
        rungs = [*(Rung("low", float(cost)) for cost in costs), Rung(None, 1.0)]
        left, wanted = float(rng.uniform(0.5, 30)), int(rng.integers(1, 400))
        prices = [
            sum(size * rung.cost for size, rung in zip(rung_sizes(rungs, n), rungs, strict=True))
            for n in range(1, wanted + 1)
        ]
        assert fitting(rungs, wanted, left) == sum(price <= left for price in prices)
    assert fitting([Rung(None, 1.0)], 5, 3.0) == 3


def test_budgets_are_sorted_by_their_cost_and_failures_come_last():
    asked = levelled()
    asked.fidelities = {"30": 0.5, "10": 0.1}
    assert [rung.fidelity for rung in ladder(asked)] == ["10", "30", None]
    assert best_first(np.array([0.2, np.nan, 0.9, 0.2])).tolist() == [2, 0, 3, 1]


@pytest.mark.parametrize("name", MAKE)
def test_never_more_than_the_plan_and_less_than_one_label_is_left(name: str):
    rng = np.random.default_rng(0)
    for labels in (1, 2, 7, 23):
        asked = levelled(budget=labels)  # a label more would be an error
        MAKE[name](labels).run(asked, rng)
        lower, _ = asked.lower_history("10")
        assert asked.spent == pytest.approx(asked.labels_used + 0.1 * len(lower))
        assert labels - 1 < asked.spent <= labels + 1e-9
        assert asked.labels_used >= 1
        assert len(asked.spent_at) == asked.labels_used
        assert (np.diff(asked.spent_at) >= 1 - 1e-9).all()


@pytest.mark.parametrize("name", MAKE)
def test_the_seed_decides(name: str):
    histories = []
    for seed in (1, 1, 2):
        asked = levelled()
        MAKE[name](12).run(asked, np.random.default_rng(seed))
        histories.append([item.key for item in asked.history])
    assert histories[0] == histories[1]
    assert histories[0] != histories[2]


@pytest.mark.parametrize("name", MAKE)
def test_cheap_labels_that_tell_something_beat_random_search(name: str):
    asked, best = levelled(), []
    for seed in range(8):
        asked.reset()
        MAKE[name](30).run(asked, np.random.default_rng(seed))
        best.append(asked.accuracies.max())
    assert np.mean(best) > expected_accuracy(asked.row_labels, asked.truth, [30])[0] + 0.02


@pytest.mark.parametrize("name", MAKE)
def test_a_whole_small_table_can_be_searched_to_its_end(name: str):
    table = budgets()
    rows = np.sort(np.random.default_rng(3).choice(len(table), 30, replace=False))
    cut = type(table)(
        "macro",
        table.operations[rows],
        metrics={key: values[rows] for key, values in table.metrics.items()},
    )
    for labels in (10, 30):
        asked = TableEvaluator(cut, Macro(), epochs=50, budget=labels, fidelities={10: 0.1})
        MAKE[name](labels).run(asked, np.random.default_rng(0))
        assert labels - 1 < asked.spent <= labels + 1e-9 or asked.labels_used == 30
        assert len(asked.lower_history("10")[0]) <= 30


@pytest.mark.parametrize("name", MAKE)
def test_one_budget_alone_is_refused_before_any_label(name: str):
    asked = evaluator()
    with pytest.raises(NaspError, match=r"evaluator.fidelities=\{\}: .*fidelities=\{12:0.06\}"):
        MAKE[name](20).run(asked, np.random.default_rng(0))
    assert asked.labels_used == 0
    with pytest.raises(NaspError, match=r"plans 40 labels .* only 30"):
        MAKE[name](40).run(small(30), np.random.default_rng(0))
