from __future__ import annotations

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.search.successive_halving import SuccessiveHalving
from tests.search.tables import COST, levelled


def test_one_bracket_spends_the_same_on_each_budget_and_promotes_the_best():
    asked = levelled()
    SuccessiveHalving(40).run(asked, np.random.default_rng(0))
    items, values = asked.lower_history("10")
    assert COST * len(items) == pytest.approx(asked.labels_used) == 20
    order = np.argsort(-values, kind="stable")[:20]
    assert [item.key for item in asked.history] == [items[place].key for place in order]
    assert asked.spent_at.tolist() == pytest.approx(np.arange(21, 41))


def test_smaller_brackets_have_full_labels_early():
    asked = levelled()
    SuccessiveHalving(40, initial=50).run(asked, np.random.default_rng(0))
    assert asked.spent_at[0] == pytest.approx(6)  # 50 lower labels, 5 full ones: a bracket of 10
    assert asked.labels_used == 20
    drawn = [item.key for item in asked.lower_history("10")[0]]
    assert len(set(drawn)) == 200


def test_settings_that_cannot_be():
    with pytest.raises(NaspError, match=r"search.initial=0"):
        SuccessiveHalving(20, 0)
