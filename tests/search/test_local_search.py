from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.search.local_search import LocalSearch
from tests.search.tables import evaluator, small, whole_space


@pytest.mark.parametrize("first", [True, False])
def test_it_climbs_to_the_only_optimum(first: bool):
    """Each of 8 places has 2 others: at most 8 neighbourhoods of 16, the last one in vain."""
    table = evaluator()
    found = LocalSearch(1 + 9 * 16, 1, first).run(table, np.random.default_rng(0))
    assert table.labels_used == 145
    assert table.accuracies.max() == pytest.approx(table.best)
    assert found["climbs"][0] >= 1


def test_the_best_neighbour_is_where_it_goes():
    table = evaluator()
    LocalSearch(17 + 14, 1, False).run(table, np.random.default_rng(3))
    history = table.history
    codes = np.stack([item.operations for item in history])
    assert ((codes[1:17] != codes[0]).sum(1) == 1).all()
    assert len({item.key for item in history[:17]}) == 17
    best = codes[1 + int(table.accuracies[1:17].argmax())]
    # 14 of its 16 neighbours: the beginning and the other of that place are known.
    assert ((codes[17:] != best).sum(1) == 1).all()


def test_until_lower_stops_at_the_first_better_one():
    table = evaluator()
    LocalSearch(40, 1, True).run(table, np.random.default_rng(0))
    codes = np.stack([item.operations for item in table.history])
    at, steps = 0, 0
    for row in range(1, 40):
        if (codes[row] != codes[at]).sum() != 1:
            break  # begun anew
        if table.accuracies[row] > table.accuracies[at]:
            at, steps = row, steps + 1
    assert steps >= 2
    assert row == 39 or table.accuracies[at] == table.best


def test_a_climb_begins_at_the_best_of_the_first():
    table = evaluator()
    LocalSearch(12, 10, False).run(table, np.random.default_rng(1))
    codes = np.stack([item.operations for item in table.history])
    assert ((codes[10:] != codes[int(table.accuracies[:10].argmax())]).sum(1) == 1).all()


@pytest.mark.parametrize("first", [True, False])
def test_local_optima_make_it_begin_anew(first: bool):
    """Among few architectures hardly any has a neighbour: every label is spent, none twice."""
    table = small(30)
    found = LocalSearch(30, 2, first).run(table, np.random.default_rng(0))
    assert table.labels_used == 30
    assert found["climbs"][0] > 3


def test_it_beats_random_search_with_noise():
    table = whole_space(0.02)
    climbed, drawn = [], []
    for seed in range(5):
        tried = evaluator(table)
        LocalSearch(60).run(tried, np.random.default_rng(seed))
        climbed.append(tried.truth[[item.key for item in tried.history]].max())
        again = evaluator(table)
        items = again.sample(np.random.default_rng(seed), 60)
        drawn.append(again.truth[[item.key for item in items]].max())
    assert np.mean(climbed) > np.mean(drawn)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"initial": 0}, "search.initial=0"),
        ({"query_until_lower": "yes"}, "search.query_until_lower=yes: it must be true or false"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str):
    with pytest.raises(NaspError, match=message):
        LocalSearch(**settings)
