"""Curves on labels, and on label equivalents where full labels come at uneven times."""

from __future__ import annotations

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.run.repeats import Repeat
from nasp_lightning.search.base import RECOMMENDED
from nasp_lightning.study.curves import budgets, make_curves, measured, recommended
from tests.search.tables import evaluator, levelled


def repeat(rows: list[int], labels: list[float], spent: list[float] | None = None) -> Repeat:
    found = None if spent is None else np.array(spent)
    bought = None if spent is None else np.array([4])
    total = spent[-1] + 0.2 if spent else None
    return Repeat(np.array(rows), np.array(labels), np.nan, 1.0, {}, found, bought, total)


def test_one_budget_has_a_column_for_each_label():
    table = evaluator()
    curves = make_curves([repeat([5, 9, 7], [0.5, 0.9, 0.7])], table, labels=10)
    assert curves.counts.tolist() == [[1, 2, 3]]
    assert curves.rows.tolist() == curves.rows.astype(int).tolist() == [[5, 9, 7]]
    assert curves.recommended.tolist() == [[5, 9, 9]]
    np.testing.assert_array_equal(curves.best, table.truth[[[5, 9, 9]]])
    assert budgets([], table).fidelities is None


def test_label_equivalents_hold_what_was_bought_by_then():
    table = levelled()
    one = repeat([5, 9, 7], [0.5, 0.4, 0.7], [1.4, 2.4, 5.0])
    other = repeat([8], [0.6], [3.0])
    curves = make_curves([one, other], table, labels=6)
    assert curves.counts.tolist() == [[0, 1, 2, 2, 3, 3], [0, 0, 1, 1, 1, 1]]
    assert curves.rows.tolist() == [[-1, 5, 9, 9, 7, 7], [-1, -1, 8, 8, 8, 8]]
    nan, truth = np.nan, table.truth
    expected = [[nan, *truth[[5, 5, 5, 7, 7]]], [nan, nan, *truth[[8, 8, 8, 8]]]]
    np.testing.assert_array_equal(curves.best, expected)
    np.testing.assert_array_equal(curves.regret, table.best - np.array(expected))
    oracle = np.maximum.accumulate(truth[[5, 9, 7]])
    np.testing.assert_array_equal(
        curves.oracle_regret[0], table.best - np.array([nan, *oracle[[0, 1, 1, 2, 2]]])
    )
    assert curves.marks == [6]
    found = measured(curves, [one, other], table)
    assert found.regret_mean == pytest.approx((table.best - truth[[7, 8]]).mean())
    told = budgets([one, other], table)
    assert (told.fidelities, told.fidelity_metrics) == ({"10": 0.1}, {"10": "test_accuracy"})
    assert (told.full_labels_mean, told.fidelity_labels_mean) == (2, {"10": 4})
    assert told.spent_mean == pytest.approx((5.2 + 3.2) / 2)


def test_numbers_stand_where_every_repeat_has_a_label():
    table = levelled()
    late = repeat([5, 9], [0.5, 0.4], [15.0, 16.0])
    early = repeat([3, 4], [0.5, 0.4], [1.0, 2.0])
    curves = make_curves([late, early], table, labels=60)
    assert curves.marks == [20, 50, 60]
    assert list(measured(curves, [late, early], table).regret_at) == ["20", "50", "60"]
    given = recommended(curves, "label", table)
    assert given.recommended_regret_at is not None
    assert list(given.recommended_regret_at) == ["20", "50", "60"]


def test_a_rule_of_its_own_is_by_full_labels():
    table = levelled()
    one = repeat([5, 9, 7], [0.5, 0.4, 0.7], [1.4, 2.4, 5.0])
    one.extras[RECOMMENDED] = np.array([-1, 1, -1, -1, -1])
    curves = make_curves([one], table, labels=6)
    assert curves.recommended.tolist() == [[-1, 5, 9, 9, 9, 9]]


def test_no_full_label_is_nothing_found():
    with pytest.raises(NaspError, match=r"repeat 1 bought no full label: raise search.labels"):
        make_curves([repeat([5], [0.5], [1.0]), repeat([], [], [])], levelled(), labels=3)
