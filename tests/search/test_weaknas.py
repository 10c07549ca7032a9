from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.search.weaknas import WeakNAS, choose_of_top
from tests.search.tables import Linear, evaluator, small, unlisted


def test_it_finds_the_optimum():
    """A draw of the top: what is found is near the best, and the best of all in the end."""
    table, surrogate = evaluator(), Linear()
    WeakNAS(120, 20, top=20).run(table, np.random.default_rng(0), surrogate)
    assert surrogate.sizes == list(range(20, 120, 10))
    assert table.accuracies.max() == pytest.approx(table.best)


def test_a_batch_is_drawn_of_the_top():
    order, labelled = np.arange(100, 0, -1), np.array([100, 98])
    chosen = choose_of_top(order, labelled, 10, 8, np.random.default_rng(0))
    assert sorted(chosen) == [91, 92, 93, 94, 95, 96, 97, 99]
    some = choose_of_top(order, labelled, 50, 8, np.random.default_rng(0))
    assert len(set(some) - {100, 98}) == 8
    assert some.min() > 50
    few = choose_of_top(order, labelled, 5, 4, np.random.default_rng(0))
    assert few.tolist() == [99, 97, 96, 95], "too few of the top: the best of all"


def test_labels_move_to_the_top():
    table, surrogate = evaluator(), Linear()
    WeakNAS(100, 20).run(table, np.random.default_rng(0), surrogate)
    means = table.accuracies.reshape(-1, 10).mean(1)
    assert means[:2].max() < means[-3:].min()


def test_a_space_that_cannot_be_listed():
    table, surrogate = unlisted(), Linear()
    WeakNAS(80, 20, top=20, pool=400).run(table, np.random.default_rng(0), surrogate)
    assert table.labels_used == 80
    assert table.accuracies.max() >= table.best - 0.051
    with pytest.raises(NaspError, match=r"search.pool=5: space macro cannot be listed"):
        WeakNAS(pool=5).check(unlisted())


def test_a_small_space_is_spent_to_its_end():
    table = small(30)
    WeakNAS(30, 5).run(table, np.random.default_rng(0), Linear())
    assert table.labels_used == 30


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": 5}, "search.initial=10 is more than search.labels=5"),
        ({"top": 0}, "search.top=0"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str):
    with pytest.raises(NaspError, match=message):
        WeakNAS(**settings)
