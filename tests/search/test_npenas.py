from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.search.npenas import NPENAS
from tests.search.tables import Linear, evaluator, small


def test_it_finds_the_optimum():
    table, surrogate = evaluator(), Linear()
    NPENAS(80, 20).run(table, np.random.default_rng(0), surrogate)
    assert surrogate.sizes == [20, 30, 40, 50, 60, 70]
    assert len(set(surrogate.seeds)) == 6
    assert table.truth[table.history[int(table.accuracies.argmax())].key] == table.best


def test_candidates_are_mutants_of_the_best():
    table, rng = evaluator(), np.random.default_rng(0)
    table.evaluate(table.sample(rng, 40))
    proposed = NPENAS(rate=0.0).propose(table, rng, 10)
    assert len({item.key for item in proposed}) == len(proposed) == 100
    assert not any(table.known(item) for item in proposed)
    top = np.argsort(-table.accuracies, kind="stable")[:10]
    parents = np.stack([table.history[row].operations for row in top])
    codes = np.stack([item.operations for item in proposed])
    changed = (codes[:, None] != parents[None]).sum(2)
    assert (changed.min(1) == 1).all()
    assert (np.diag(changed[::10]) == 1).all(), "ten of each parent"


def test_the_best_predicted_are_evaluated():
    table, surrogate = evaluator(), Linear()
    search = NPENAS(30, 20)
    seen: list[Any] = []
    propose = search.propose
    search.propose = lambda *given: seen.append(propose(*given)) or seen[-1]  # type: ignore
    search.run(table, np.random.default_rng(0), surrogate)
    (proposed,) = seen
    best = np.argsort(-surrogate.score(proposed), kind="stable")[:10]
    assert [item.key for item in table.history[20:]] == [proposed[row].key for row in best]


def test_a_small_space_is_spent_to_its_end():
    table = small(30)
    NPENAS(30, 5).run(table, np.random.default_rng(0), Linear())
    assert table.labels_used == 30


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": 5}, "search.initial=10 is more than search.labels=5"),
        ({"mutants": 0}, "search.mutants=0"),
        ({"rate": 1.5}, "search.rate=1.5"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str):
    with pytest.raises(NaspError, match=message):
        NPENAS(**settings)
