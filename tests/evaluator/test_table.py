from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.table import TableEvaluator
from nasp_lightning.space.macro import Macro
from nasp_lightning.space.nasbench101 import NASBench101
from tests.search.tables import COST, budgets, levelled
from tests.tiny import space, tiny_table


def make(**options: Any) -> TableEvaluator:
    return TableEvaluator(tiny_table(), space(), **options)


def test_labels_are_mean_validation_and_truth_mean_test():
    evaluator = make(budget=10)
    table = evaluator.table
    rows = np.array([3, 50, 3])
    validation = table.metrics["cifar10/validation_accuracy/200"].astype(float).mean(axis=1)
    test = table.metrics["cifar10/test_accuracy/200"].astype(float).mean(axis=1)
    np.testing.assert_allclose(evaluator.evaluate_rows(rows), validation[rows])
    np.testing.assert_allclose(evaluator.truth, test)
    assert evaluator.best == pytest.approx(test.max())
    assert evaluator.labels_used == 2
    assert evaluator.seconds is None
    assert (evaluator.label_metric, evaluator.test_metric) == (
        "validation_accuracy",
        "test_accuracy",
    )


def test_one_run_as_the_label():
    evaluator = make(reduction="single")
    first = evaluator.table.metrics["cifar10/validation_accuracy/200"][7, 0]
    assert evaluator.evaluate_rows(np.array([7]))[0] == pytest.approx(float(first))


def test_seconds_are_counted_once():
    table = tiny_table()
    costs = {"cifar10/train_seconds/200": np.arange(100, dtype=np.float32)[:, None]}
    evaluator = TableEvaluator(replace(table, costs=costs), space())
    evaluator.evaluate_rows(np.array([10, 20, 10]))
    assert evaluator.seconds == 30


def test_without_test_accuracy_validation_judges():
    evaluator = TableEvaluator(tiny_table(test_accuracy=False), space())
    assert evaluator.test_metric == "validation_accuracy"
    np.testing.assert_allclose(evaluator.truth, evaluator.row_labels)


def test_native_arrays_find_their_row():
    evaluator = make(budget=5)
    operations = evaluator.table.operations
    np.testing.assert_array_equal(
        evaluator.evaluate_arrays(operations[[8, 2]]), evaluator.row_labels[[8, 2]]
    )
    absent = next(
        codes
        for codes in space().sample(np.random.default_rng(0), 50)[0]
        if not (operations == codes).all(axis=1).any()
    )
    assert evaluator.find(absent) is None
    with pytest.raises(NaspError, match="architecture 1 of those asked for is not in the table"):
        evaluator.evaluate_arrays(np.stack([operations[0], absent]))
    assert evaluator.labels_used == 2


def test_isomorphic_cells_of_nasbench101_are_one_architecture():
    cells = NASBench101()
    operations, adjacency = cells.sample(np.random.default_rng(0), 30)
    keys = np.stack([cells.key(o, a) for o, a in zip(operations, adjacency, strict=True)])
    keep = np.unique(keys, axis=0, return_index=True)[1]
    values = np.linspace(0.5, 0.9, len(keep), dtype=np.float32)[:, None]
    table = BenchmarkTable(
        "nasbench101",
        operations[keep],
        adjacency[keep],
        metrics={"cifar10/validation_accuracy/108": values},
        keys=keys[keep],
    )
    evaluator = TableEvaluator(table, cells, epochs=108, budget=1)
    # The two middle vertices change places, where no edge joins them.
    for row in range(len(keep)):
        matrix, codes = table.adjacency[row], table.operations[row]
        for vertex in range(1, int((codes != 5).sum()) - 2):
            if not matrix[vertex, vertex + 1] and codes[vertex] != codes[vertex + 1]:
                order = np.arange(7)
                order[[vertex, vertex + 1]] = order[[vertex + 1, vertex]]
                other, moved = codes[order], matrix[np.ix_(order, order)]
                assert not np.array_equal(other, codes)
                accuracy = evaluator.evaluate_arrays(other[None], moved[None])
                assert accuracy[0] == pytest.approx(float(values[row, 0]))
                assert evaluator.evaluate_rows(np.array([row]))[0] == accuracy[0]
                assert evaluator.labels_used == 1
                return
    pytest.fail("no cell to swap vertices in")


def test_without_keys_an_architecture_is_found_by_its_arrays():
    codes = np.unique(Macro().sample(np.random.default_rng(0), 20)[0], axis=0)
    table = BenchmarkTable(
        "macro", codes, metrics={"cifar10/test_accuracy/50": np.full((len(codes), 1), 0.5)}
    )
    found = TableEvaluator(table, Macro(), epochs=50).find(codes[4])
    assert found is not None
    assert found.key == 4


def test_failed_architectures_cost_a_label_and_have_their_poor_accuracy():
    table = tiny_table()
    values = table.metrics["cifar10/validation_accuracy/200"].copy()
    values[5] = 0.1
    failed = replace(table, metrics={**table.metrics, "cifar10/validation_accuracy/200": values})
    evaluator = TableEvaluator(failed, space(), reduction="single", failed_below=0.15)
    assert evaluator.evaluate_rows(np.array([5]))[0] == pytest.approx(0.1)


def test_architectures_without_a_label_are_not_drawn():
    table = tiny_table()
    values = table.metrics["cifar10/validation_accuracy/200"].copy()
    values[:90] = np.nan
    cut = replace(table, metrics={**table.metrics, "cifar10/validation_accuracy/200": values})
    evaluator = TableEvaluator(cut, space())
    assert evaluator.size == 10
    drawn = [item.key for item in evaluator.sample(np.random.default_rng(0), 10)]
    assert sorted(drawn) == list(range(90, 100))
    assert evaluator.find(table.operations[0]) is None
    with pytest.raises(NaspError, match="architecture 3 of the table has no label"):
        evaluator.evaluate_rows(np.array([3]))


def test_samples_are_distinct_and_new():
    evaluator = make()
    rng = np.random.default_rng(0)
    evaluator.evaluate(evaluator.sample(rng, 60))
    rest = evaluator.sample(rng, 40)
    assert not any(evaluator.known(item) for item in rest)
    evaluator.evaluate(rest)
    assert sorted(item.key for item in evaluator.history) == list(range(100))
    with pytest.raises(NaspError, match="1 further architectures were asked for, but 0"):
        evaluator.sample(rng, 1)


def test_costs():
    table = replace(tiny_table(), costs={"parameters": np.arange(100.0)})
    evaluator = TableEvaluator(table, space())
    assert evaluator.cost("parameters", evaluator.architectures(np.array([4, 2]))).tolist() == [
        4,
        2,
    ]
    with pytest.raises(NaspError, match=r"search.cost=watts: .* it has: parameters"):
        evaluator.cost("watts", [])


@pytest.mark.parametrize("rows", [[100], [-1], [0.5]])
def test_rows_that_are_none(rows: list[Any]):
    with pytest.raises(NaspError, match="rows of the table"):
        make().evaluate_rows(np.array(rows))


def test_a_metric_that_the_source_lacks():
    with pytest.raises(NaspError, match=r"benchmark.epochs=12: .* it has cifar10/test"):
        make(epochs=12)


def test_lower_labels_cost_their_part_once():
    asked = levelled(budget=3)
    items = asked.everything[:12]
    first = asked.evaluate_at("10", items[:10])
    np.testing.assert_array_equal(asked.evaluate_at("10", items[:10]), first)
    assert asked.spent == pytest.approx(1.0)
    assert asked.labels_used == 0
    assert not asked.history
    full = asked.evaluate(items[:2])
    assert asked.spent == pytest.approx(3.0)
    assert asked.spent_at.tolist() == pytest.approx([2.0, 3.0])
    assert (full != first[:2]).all()
    with pytest.raises(NaspError, match=r"evaluator.budget=3: 3 labels are used and 0.2 more"):
        asked.evaluate_at("10", items)
    assert asked.spent == pytest.approx(3.0)  # nothing was read
    asked.reset()
    assert (asked.spent, len(asked.lower_history("10")[0])) == (0.0, 0)


def test_what_a_lower_label_is_is_said():
    asked = levelled()
    assert asked.label_metric == "validation_accuracy"
    assert asked.lower_metrics == {"10": "test_accuracy"}


@pytest.mark.parametrize("cost", [None, 0, 1, 1.5, -0.1, True, "cheap"])
def test_a_fidelity_needs_its_cost(cost: Any):
    with pytest.raises(NaspError, match=r"evaluator.fidelities has 10: .*give its cost in labels"):
        TableEvaluator(budgets(), Macro(), epochs=50, fidelities={10: cost})


def test_fidelities_that_are_not_there():
    with pytest.raises(NaspError, match="this source has no accuracy of cifar10"):
        TableEvaluator(budgets(), Macro(), epochs=50, fidelities={7: COST})
    with pytest.raises(NaspError, match=r"has 50, which is benchmark.epochs"):
        TableEvaluator(budgets(), Macro(), epochs=50, fidelities={50: COST})
    with pytest.raises(NaspError, match=r"there is no fidelity '7'; evaluator.fidelities has: 10"):
        levelled().evaluate_at("7", [])
