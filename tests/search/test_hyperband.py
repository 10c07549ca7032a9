from __future__ import annotations

import numpy as np
import pytest

from nasp_lightning.search.hyperband import Hyperband
from tests.search.tables import levelled


def test_a_round_of_brackets():
    """Costs of 0.1 and 1: ten lower labels for a full one, then two full ones."""
    asked = levelled()
    Hyperband(4).run(asked, np.random.default_rng(0))
    items, values = asked.lower_history("10")
    assert (len(items), asked.labels_used) == (10, 3)
    assert asked.history[0].key == items[int(values.argmax())].key
    assert {item.key for item in asked.history[1:]}.isdisjoint(item.key for item in items)
    assert asked.spent == pytest.approx(4)


def test_brackets_go_round():
    asked = levelled()
    Hyperband(40).run(asked, np.random.default_rng(0))
    assert (len(asked.lower_history("10")[0]), asked.labels_used) == (100, 30)
