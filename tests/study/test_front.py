from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nasp_lightning.run.search_results import Front
from nasp_lightning.study.front import front_results
from tests.search.tables import evaluator, whole_space


def test_a_search_of_everything_has_no_regret():
    whole = whole_space()
    table = evaluator(replace(whole, costs={"flops": whole.costs["parameters"] + 1}))
    rows = np.arange(len(whole))[None]
    found = front_results(rows, table.row_labels[rows], table, [len(whole)])
    assert found.front_at is not None
    (last,) = found.front_at.values()
    assert (last.regret_mean, last.regret_std) == (0, None)
    assert last.hypervolume_mean == pytest.approx(1)


def test_regret_is_against_what_costs_no_more():
    whole = whole_space()
    table = evaluator(replace(whole, costs={"flops": whole.costs["parameters"] + 1}))
    cheap = int(np.flatnonzero(whole.operations.sum(axis=1) == 0)[0])
    one = int(np.flatnonzero(whole.operations.sum(axis=1) == 1)[0])
    rows = np.array([[cheap, one], [one, cheap]])
    labels = np.array([[0.9, 0.1], [0.1, 0.2]])
    found = front_results(rows, labels, table, [1, 2]).front_at
    assert found is not None
    assert found["2"].regret_mean == 0  # nothing else costs so little
    dearer = table.truth[whole.costs["parameters"] <= 1].max() - table.truth[one]
    assert found["1"].regret_mean == pytest.approx(dearer / 2)


def test_without_costs_there_is_no_front():
    table = evaluator()  # parameters alone
    found = front_results(np.zeros((1, 1), int), np.ones((1, 1)), table, [1])
    assert found == Front()
