from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.search.ranking import Ranking
from tests.evaluator.counting import Counting
from tests.search.tables import Linear, evaluator, small


def test_n_plus_k_finds_the_optimum_of_a_linear_space():
    table, surrogate = evaluator(budget=50), Linear()
    Ranking(40, 10).run(table, np.random.default_rng(0), surrogate)
    assert surrogate.sizes == [40]
    assert table.labels_used == 50
    assert table.truth[table.history[int(table.accuracies.argmax())].key] == table.best


def test_the_k_best_predicted_that_are_new_are_evaluated():
    table, surrogate = small(60), Linear()
    Ranking(20, 7).run(table, np.random.default_rng(0), surrogate)
    keys = [item.key for item in table.history]
    scores = surrogate.score(table.everything)
    fresh = [row for row in np.argsort(-scores, kind="stable") if row not in keys[:20]]
    assert set(keys[20:]) == set(fresh[:7])


def test_ties_are_broken_at_random():
    class Constant(Linear):
        def score(self, architectures: Any) -> Any:
            return np.zeros(len(architectures))

    chosen = []
    for seed in (0, 1):
        table = small(60)
        Ranking(5, 5).run(table, np.random.default_rng(seed), Constant())
        chosen.append({item.key for item in table.history[5:]})
    assert chosen[0] != chosen[1]


def test_a_diverged_fit_is_said():
    class Diverged(Linear):
        def score(self, architectures: Any) -> Any:
            return np.full(len(architectures), np.nan)

    with pytest.raises(NaspError, match="60 of 60 scores are not finite"):
        Ranking(5, 5).run(small(60), np.random.default_rng(0), Diverged())


def test_what_it_needs():
    with pytest.raises(NaspError, match="needs a predictor"):
        Ranking(5, 5).run(small(60), np.random.default_rng(0))
    with pytest.raises(NaspError, match="evaluator=table"):
        Ranking(5, 5).run(Counting(), np.random.default_rng(0), Linear())
    with pytest.raises(NaspError, match=r"data.train_size=1"):
        Ranking(1, 5)
    with pytest.raises(NaspError, match=r"search.top_k=0"):
        Ranking(5, 0)
    with pytest.raises(NaspError, match=r"data.train_size=5 \+ search.top_k=6"):
        Ranking(5, 6).run(small(10), np.random.default_rng(0), Linear())
