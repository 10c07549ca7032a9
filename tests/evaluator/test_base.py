from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.part.supernet import SpaceEvaluator
from nasp_lightning.evaluator.table import TableEvaluator
from nasp_lightning.space.nasbench101 import NASBench101
from tests.evaluator.counting import Counting
from tests.tiny import space, tiny_table


def test_repeats_are_free_and_the_history_keeps_its_order():
    evaluator = Counting(budget=3)
    items = evaluator.sample(np.random.default_rng(0), 3)
    first = evaluator.evaluate([items[0], items[1], items[0]])
    assert first[0] == first[2] == items[0].key / 15625
    assert (evaluator.labels_used, evaluator.seconds) == (2, 4.0)
    evaluator.evaluate([items[2], items[1]])
    assert evaluator.read == [item.key for item in items]
    assert [item.key for item in evaluator.history] == evaluator.read
    assert evaluator.accuracies.tolist() == [key / 15625 for key in evaluator.read]


def test_the_budget_is_refused_before_anything_is_read():
    evaluator = Counting(budget=3)
    items = evaluator.sample(np.random.default_rng(0), 4)
    evaluator.evaluate(items[:2])
    with pytest.raises(NaspError, match=r"evaluator.budget=3: 2 labels are used and 2 more"):
        evaluator.evaluate(items)
    assert evaluator.labels_used == 2
    assert len(evaluator.read) == 2
    evaluator.reset()
    assert evaluator.labels_used == 0
    assert evaluator.evaluate(items[:3]).shape == (3,)


def test_unknown_seconds_stay_unknown():
    evaluator = Counting(seconds=np.nan)
    evaluator.evaluate(evaluator.sample(np.random.default_rng(0), 2))
    assert evaluator.seconds is None
    evaluator.each = 1.0
    evaluator.evaluate(evaluator.sample(np.random.default_rng(1), 2))
    assert evaluator.seconds is None


@pytest.mark.parametrize("budget", [0, -1, 1.5, True])
def test_a_budget_that_cannot_be(budget: Any):
    with pytest.raises(NaspError, match=r"evaluator.budget"):
        Counting(budget)


def test_what_it_does_not_know_is_said():
    with pytest.raises(NaspError, match=r"search.cost=latency"):
        Counting().cost("latency", [])


def test_neighbours_are_other_architectures_that_can_be_evaluated():
    evaluator, rng = Counting(), np.random.default_rng(0)
    item = evaluator.sample(rng, 1)[0]
    around = evaluator.neighbours(rng, item)
    assert len({other.key for other in around}) == 24
    assert all((other.operations != item.operations).sum() == 1 for other in around)
    table = TableEvaluator(tiny_table(), space())
    keys = {other.key for start in table.everything for other in table.neighbours(rng, start)}
    assert keys <= {other.key for other in table.everything}
    assert evaluator.labels_used == table.labels_used == 0


def test_isomorphic_neighbours_are_one():
    cells = NASBench101()
    codes, matrices = cells.sample(np.random.default_rng(0), 40)
    evaluator, rng = SpaceEvaluator(cells, lambda *_: {}), np.random.default_rng(0)
    fewer = 0
    for codes_of, matrix in zip(codes, matrices, strict=True):
        around = evaluator.neighbours(rng, evaluator.find(codes_of, matrix))
        keys = {bytes(cells.key(*other.architecture)) for other in around}
        assert len(keys) == len(around)
        assert bytes(cells.key(codes_of, matrix)) not in keys
        fewer += len(cells.neighbours(rng, codes_of, matrix)) - len(around)
    assert fewer > 0
