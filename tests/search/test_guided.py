from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.search.bonas import BONAS
from nasp_lightning.search.guided import Guided, propose
from nasp_lightning.search.nsga2 import NSGA2
from nasp_lightning.search.spos import SPOS
from tests.search.tables import Linear, evaluator, small

pytest.importorskip("pymoo")


def evolutions() -> list[Any]:
    return [SPOS(20, 6, 5, 10, 10), NSGA2(population=20, generations=20, crossover=0.5)]


@pytest.mark.parametrize("evolution", evolutions(), ids=["spos", "nsga2"])
def test_it_finds_the_optimum_with_few_labels(evolution: Any):
    table, surrogate = evaluator(budget=50), Linear()
    found = Guided(evolution, 50, 20, 10).run(table, np.random.default_rng(0), surrogate)
    assert table.labels_used == 50
    assert surrogate.sizes == [20, 30, 40]
    assert found["rounds"].tolist() == [3]
    assert table.truth[table.history[int(table.accuracies.argmax())].key] == table.best


def test_proposals_are_new_distinct_and_the_best_predicted():
    table, rng, surrogate = evaluator(), np.random.default_rng(0), Linear()
    table.evaluate(table.sample(rng, 40))
    surrogate.fit(table.history, table.accuracies, 0)
    proposed = propose(table, rng, surrogate, SPOS(), 15)
    assert len({item.key for item in proposed}) == 15
    assert not any(table.known(item) for item in proposed)
    scores = surrogate.score(proposed)
    assert (np.diff(scores) <= 0).all()
    assert scores.min() > np.quantile(surrogate.score(table.everything), 0.95)
    assert table.labels_used == 40


def test_a_share_of_the_labels_goes_along_the_front():
    costs = []
    for share in (0.0, 1.0):
        table, rng, surrogate = evaluator(), np.random.default_rng(0), Linear()
        table.evaluate(table.sample(rng, 40))
        surrogate.fit(table.history, table.accuracies, 0)
        evolution = NSGA2(population=20, generations=6)
        proposed = propose(table, rng, surrogate, evolution, 8, share)
        costs.append(table.cost("parameters", proposed))
    assert np.ptp(costs[1]) > np.ptp(costs[0])


def test_a_small_space_is_spent_to_its_end():
    table = small(30)
    Guided(SPOS(5, 2, 2, 2, 2), 30, 5, 10).run(table, np.random.default_rng(0), Linear())
    assert table.labels_used == 30


def test_caps_bind_the_proposals():
    table, rng = evaluator(), np.random.default_rng(0)
    evolution = SPOS(20, 6, 5, 10, 10, caps={"parameters": 7})
    Guided(evolution, 50, 20, 10).run(table, rng, Linear())
    assert table.cost("parameters", table.history[20:]).max() <= 7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": 10}, "search.initial=20 is more than search.labels=10"),
        ({"front_share": -0.1}, "search.front_share=-0.1"),
        ({"evolution": BONAS()}, "search.evolution=BONAS fits a predictor of its own"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str):
    with pytest.raises(NaspError, match=message):
        Guided(**{"evolution": SPOS(), **settings})
