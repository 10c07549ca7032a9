from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.search.bonas import BONAS, expected_improvement
from tests.search.tables import Linear, evaluator


def test_expected_improvement_against_sampling():
    rng = np.random.default_rng(0)
    mean, deviation = np.array([0.1, 0.5, 0.9]), np.array([0.3, 0.2, 0.05])
    drawn = mean + deviation * rng.standard_normal((200_000, 3))
    sampled = np.maximum(drawn - 0.6, 0).mean(axis=0)
    np.testing.assert_allclose(expected_improvement(mean, deviation, 0.6), sampled, atol=2e-3)


def test_without_doubt_the_improvement_is_the_gap():
    improvement = expected_improvement(np.array([0.4, 0.7]), np.zeros(2), 0.5)
    np.testing.assert_allclose(improvement, [0.0, 0.2], atol=1e-9)


@pytest.mark.parametrize("acquisition", ["expected_improvement", "upper_confidence_bound"])
def test_it_finds_the_optimum(acquisition: str):
    table, surrogate = evaluator(), Linear()
    search = BONAS(80, 20, 10, 100, 10, acquisition=acquisition)
    search.run(table, np.random.default_rng(0), surrogate)
    assert surrogate.sizes == [20, 30, 40, 50, 60, 70]
    assert len(set(surrogate.seeds)) == 6
    assert table.truth[table.history[int(table.accuracies.argmax())].key] == table.best


def test_proposals_are_new_and_distinct():
    table, rng = evaluator(), np.random.default_rng(0)
    table.evaluate(table.sample(rng, 20))
    proposed = BONAS(60, 20, 10, 100, 10).propose(table, rng)
    assert len({item.key for item in proposed}) == len(proposed) == 100
    assert not any(table.known(item) for item in proposed)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": 10}, "search.initial=20 is more than search.labels=10"),
        ({"candidates": 5}, "search.candidates=5"),
        ({"random_share": 1.5}, "search.random_share=1.5"),
        ({"acquisition": "luck"}, "search.acquisition=luck: choose expected_improvement or"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str):
    with pytest.raises(NaspError, match=message):
        BONAS(**settings)
