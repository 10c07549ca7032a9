"""What holds for every strategy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.search.base import Search, fit_labelled
from nasp_lightning.search.bonas import BONAS
from nasp_lightning.search.nsga2 import NSGA2
from nasp_lightning.search.random import RandomSearch
from nasp_lightning.search.ranking import Ranking
from nasp_lightning.search.regularized_evolution import RegularizedEvolution
from tests.search.tables import Linear, evaluator, small

MAKE: dict[str, Callable[[int], Search]] = {
    "random": RandomSearch,
    "ranking": lambda labels: Ranking(labels - labels // 3, labels // 3),
    "regularized_evolution": lambda labels: RegularizedEvolution(labels, min(5, labels), 3),
    "nsga2": lambda labels: NSGA2(labels, min(6, labels)),
    "bonas": lambda labels: BONAS(labels, min(5, labels), 4, 20, 5),
}


@pytest.mark.parametrize("name", MAKE)
def test_exactly_the_plan_is_spent_and_never_more(name: str):
    rng = np.random.default_rng(0)
    for labels in (3, 24, *rng.integers(5, 30, size=2).tolist()):
        table = small(30, seed=labels)
        table.budget = labels  # one label more would be an error
        MAKE[name](labels).run(table, rng, Linear())
        assert table.labels_used == labels
        keys = [item.key for item in table.history]
        assert len(set(keys)) == labels


@pytest.mark.parametrize("name", MAKE)
def test_a_whole_small_table_can_be_searched_to_its_end(name: str):
    table = small(30)
    MAKE[name](30).run(table, np.random.default_rng(0), Linear())
    best = table.accuracies.argmax()
    assert table.truth[table.history[best].key] == table.best


@pytest.mark.parametrize("name", MAKE)
def test_the_seed_decides(name: str):
    histories = []
    for seed in (1, 1, 2):
        table = small(60)
        MAKE[name](20).run(table, np.random.default_rng(seed), Linear())
        histories.append([item.key for item in table.history])
    assert histories[0] == histories[1]
    assert histories[0] != histories[2]


@pytest.mark.parametrize("name", MAKE)
def test_too_small_a_budget_or_table_is_refused_before_any_label(name: str):
    table = evaluator(budget=10)
    with pytest.raises(NaspError, match=r"evaluator.budget=10 is less than the 12 labels"):
        MAKE[name](12).run(table, np.random.default_rng(0), Linear())
    assert table.labels_used == 0
    table = small(8)
    with pytest.raises(NaspError, match=r"plans 12 labels .* only 8"):
        MAKE[name](12).run(table, np.random.default_rng(0), Linear())
    assert table.labels_used == 0


@pytest.mark.parametrize("labels", [0, -3, 2.5, True, "many"])
def test_labels_that_cannot_be(labels: Any):
    with pytest.raises(NaspError, match=r"search.labels"):
        RandomSearch(labels)


def test_failed_architectures_are_not_fitted():
    table = small(30)
    table.failed_below = 0.7
    rows = np.arange(30)
    table.evaluate_rows(rows)
    surrogate = Linear()
    fit_labelled(surrogate, table, np.random.default_rng(0))
    assert surrogate.sizes == [int((table.accuracies >= 0.7).sum())]
    table.failed_below = 0.99
    with pytest.raises(NaspError, match="0 of 30 labelled architectures can be fitted"):
        fit_labelled(surrogate, table, np.random.default_rng(0))


def test_what_a_strategy_needs_is_told_by_its_class():
    assert not Search.needs_predictor
    assert [kind.needs_posterior for kind in (RandomSearch, Ranking, BONAS)] == [False, False, True]
    assert RandomSearch(5).caps is None
    assert NSGA2(20).caps.limits == {}
