from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.search.brp_sampling import BRPSampling
from tests.search.tables import Linear, evaluator, small, unlisted


def test_it_finds_the_optimum_and_fits_each_round():
    table, surrogate = evaluator(), Linear()
    BRPSampling(70, 5, 0.5, 20).run(table, np.random.default_rng(0), surrogate)
    assert surrogate.sizes == [10, 20, 30, 40, 50]
    assert table.labels_used == 70
    assert table.accuracies.max() == pytest.approx(table.best)


def test_half_of_a_round_is_the_best_predicted_of_the_better_half():
    table, surrogate = evaluator(), Linear()
    BRPSampling(40, 2, 0.5, 0).run(table, np.random.default_rng(0), surrogate)
    assert surrogate.sizes == [20]
    scores = surrogate.score(table.everything)
    bought = surrogate.score(table.history[20:])
    assert bought.min() >= np.quantile(scores, 0.5) - 1e-9
    assert (bought[:10] >= np.quantile(scores, 0.98)).all()
    assert np.median(bought[10:]) < np.quantile(scores, 0.98), "the others are random"


def test_the_end_is_the_top_of_the_whole_space():
    table, surrogate = evaluator(), Linear()
    BRPSampling(50, 3, 0.5, 10).run(table, np.random.default_rng(0), surrogate)
    labelled = {item.key for item in table.history[:40]}
    free = [item for item in table.everything if item.key not in labelled]
    best = np.sort(surrogate.score(free))[::-1][:10]
    np.testing.assert_allclose(surrogate.score(table.history[40:]), best)


def test_a_space_that_cannot_be_listed():
    table = unlisted()
    BRPSampling(60, 3, pool=500).run(table, np.random.default_rng(0), Linear())
    assert table.labels_used == 60
    with pytest.raises(NaspError, match=r"search.pool=50: space macro cannot be listed"):
        BRPSampling(60, 3, pool=50).check(unlisted())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": 25}, "search.labels=25 less search.top_k=20: 5 rounds need at least 10"),
        ({"rounds": 0}, "search.rounds=0"),
        ({"best": 2}, "search.best=2"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str):
    with pytest.raises(NaspError, match=message):
        BRPSampling(**settings)


def test_more_halvings_than_the_space_can_take():
    with pytest.raises(NaspError, match=r"search.rounds=3: .* 7 candidates are left for 10"):
        BRPSampling(20, 3, top_k=10).check(small(30))
