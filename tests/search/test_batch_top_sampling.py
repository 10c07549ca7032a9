from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.search.batch_top_sampling import BatchTopSampling
from tests.search.tables import Linear, evaluator, small, unlisted


def test_it_finds_the_optimum_and_fits_before_each_update():
    table, surrogate = evaluator(), Linear()
    BatchTopSampling(120).run(table, np.random.default_rng(0), surrogate)
    assert surrogate.sizes == [*range(30, 100, 7), 100]
    assert table.labels_used == 120
    assert table.accuracies.max() == pytest.approx(table.best)


def test_an_update_takes_the_best_of_its_share():
    table, surrogate = evaluator(), Linear()
    BatchTopSampling(40, 20, 1, 0.1, 0).run(table, np.random.default_rng(0), surrogate)
    bought = surrogate.score(table.history[20:])
    assert (np.diff(bought) <= 1e-12).all()
    scores = surrogate.score(table.everything)
    assert bought.min() > np.quantile(scores, 0.9), "20 of a tenth's 656"
    assert not np.allclose(bought, np.sort(scores)[::-1][:20]), "not of the whole space"


def test_all_at_random_is_a_ranking():
    table, surrogate = evaluator(), Linear()
    BatchTopSampling(50, 1.0, 10, 0.1, 20).run(table, np.random.default_rng(0), surrogate)
    assert surrogate.sizes == [30]
    assert table.labels_used == 50


def test_a_space_that_cannot_be_listed():
    table = unlisted()
    BatchTopSampling(60, pool=500).run(table, np.random.default_rng(0), Linear())
    assert table.labels_used == 60


def test_a_small_space_is_spent_to_its_end():
    table = small(30)
    BatchTopSampling(30, top_k=5).run(table, np.random.default_rng(0), Linear())
    assert table.labels_used == 30


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": 25}, "search.initial=0.3: that makes 1 random ones of 5 labels"),
        ({"initial": 300}, "search.initial=300: that makes 300"),
        ({"initial": 2.5}, "search.initial=2.5: it is a share up to 1, or a whole number"),
        ({"initial": 0}, "search.initial=0: it must be a number above 0"),
        ({"share": 0.0}, "search.share=0.0"),
        ({"updates": 0}, "search.updates=0"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str):
    with pytest.raises(NaspError, match=message):
        BatchTopSampling(**settings)
