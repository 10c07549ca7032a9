from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.search.bananas import BANANAS, thompson
from tests.search.tables import Linear, evaluator, small


def test_it_finds_the_optimum():
    table, surrogate = evaluator(), Linear()
    BANANAS(90, 20).run(table, np.random.default_rng(0), surrogate)
    assert surrogate.sizes == [20, 30, 40, 50, 60, 70, 80]
    assert table.truth[table.history[int(table.accuracies.argmax())].key] == table.best


def test_draws_have_the_posteriors_moments_and_are_independent():
    mean, deviation = np.linspace(0.2, 0.9, 4), np.array([0.0, 0.1, 0.2, 0.3])
    rng = np.random.default_rng(0)
    drawn = np.stack([thompson(mean, deviation, rng) for _ in range(20_000)])
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.01)
    np.testing.assert_allclose(drawn.std(0), deviation, atol=0.01)
    assert abs(np.corrcoef(drawn[:, 1:].T) - np.eye(3)).max() < 0.05
    with pytest.raises(NaspError, match="1 of 2 posteriors are not finite"):
        thompson(np.array([0.1, np.nan]), np.ones(2), rng)


def test_candidates_are_mutants_of_the_best_one_and_of_the_next():
    """With one change there are 16 mutants of a chain, so that five parents have at most 80."""
    table, rng = evaluator(), np.random.default_rng(0)
    table.evaluate(table.sample(rng, 40))
    proposed = BANANAS(rate=0.0).propose(table, rng, 10)
    assert len({item.key for item in proposed}) == len(proposed) <= 80
    assert not any(table.known(item) for item in proposed)
    top = np.argsort(-table.accuracies, kind="stable")[:5]
    parents = np.stack([table.history[row].operations for row in top])
    codes = np.stack([item.operations for item in proposed])
    changed = (codes[:, None] != parents[None]).sum(2)
    assert (changed.min(1) == 1).all()
    assert (changed[:12, 0] == 1).all(), "those of the best come first"


def test_many_mutants_of_one_parent_suffice():
    table, rng = evaluator(), np.random.default_rng(0)
    table.evaluate(table.sample(rng, 40))
    assert len(BANANAS(candidates=15, rate=0.9).propose(table, rng, 10)) == 15


def test_a_small_space_is_spent_to_its_end():
    table = small(30)
    BANANAS(30, 5).run(table, np.random.default_rng(0), Linear())
    assert table.labels_used == 30


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": 5}, "search.initial=10 is more than search.labels=5"),
        ({"candidates": 5}, "search.candidates=5"),
        ({"rate": -1}, "search.rate=-1"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str):
    with pytest.raises(NaspError, match=message):
        BANANAS(**settings)
