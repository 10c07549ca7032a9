from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.search.spos import SPOS
from tests.search.tables import evaluator, small


def test_it_finds_the_optimum_and_evaluates_nothing_twice():
    table = evaluator()
    assert SPOS().run(table, np.random.default_rng(0)) == {}
    assert table.labels_used == 1000
    assert len({item.key for item in table.history}) == 1000
    assert table.truth[table.history[int(table.accuracies.argmax())].key] == table.best


def test_it_is_better_than_random_search_of_as_many():
    found = []
    for seed in range(5):
        table = evaluator()
        SPOS(20, 8, 5, 10, 10).run(table, np.random.default_rng(seed))
        drawn = evaluator().sample(np.random.default_rng(seed), 160)
        random = max(table.truth[item.key] for item in drawn)
        found.append(table.accuracies.max() - random)
    assert np.mean(found) > 0


def test_the_same_seed_finds_the_same():
    histories = []
    for _ in range(2):
        table = evaluator()
        SPOS(10, 4, 4, 5, 5).run(table, np.random.default_rng(3))
        histories.append([item.key for item in table.history])
    assert histories[0] == histories[1]


def test_children_keep_to_the_caps():
    table = evaluator()
    SPOS(20, 6, 5, 10, 10, caps={"parameters": 6}).run(table, np.random.default_rng(0))
    costs = table.cost("parameters", table.history)
    assert costs.max() == 6
    allowed = table.table.costs["parameters"] <= 6
    best = table.truth[allowed].max()
    assert table.accuracies.max() == pytest.approx(best, abs=0.051)  # at most one layer away


def test_it_ends_where_nothing_is_left():
    table = small(30)
    SPOS(10, 3, 4, 5, 5).run(table, np.random.default_rng(0))
    assert table.labels_used == 30
    narrow = small(30)
    limit = float(np.sort(narrow.table.costs["parameters"])[4])
    SPOS(10, 3, 4, 5, 5, caps={"parameters": limit}).run(narrow, np.random.default_rng(0))
    assert narrow.labels_used == (narrow.table.costs["parameters"] <= limit).sum() < 30


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"population": 1}, "search.population=1"),
        ({"rate": 2}, "search.rate=2: it must lie between 0 and 1"),
        ({"crossover": 40}, "search.crossover=40 and search.mutation=25 are more than"),
        ({"caps": {"flops": "many"}}, "search.caps.flops=many: it must be a positive number"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str):
    with pytest.raises(NaspError, match=message):
        SPOS(**settings)
