from __future__ import annotations

import sys

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.search.nsga2 import NSGA2, pareto_front
from tests.search.tables import evaluator, small

pytest.importorskip("pymoo")


def dominates(one: list[float], other: list[float]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


@pytest.mark.parametrize("columns", [2, 3])
def test_front_against_brute_force(columns: int):
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = rng.integers(0, 6, size=(25, columns)).astype(float)  # with ties and doubles
        listed = values.tolist()
        expected = [not any(dominates(other, one) for other in listed) for one in listed]
        assert pareto_front(values).tolist() == expected


def test_the_front_of_a_run_is_that_of_all_that_was_evaluated():
    table = evaluator()
    found = NSGA2(120, 12).run(table, np.random.default_rng(0))
    costs = table.cost("parameters", table.history)
    objectives = np.stack([1 - table.accuracies, costs], axis=1)
    assert sorted(found["front"]) == np.flatnonzero(pareto_front(objectives)).tolist()
    np.testing.assert_array_equal(found["front_cost"], costs[found["front"]])
    accuracies = table.accuracies[found["front"]]
    assert (np.diff(accuracies) <= 0).all()
    assert (np.diff(found["front_cost"]) <= 0).all()


def test_a_whole_table_gives_the_true_front():
    table = small(25)
    found = NSGA2(25, 8).run(table, np.random.default_rng(0))
    rows = [table.history[place].key for place in found["front"]]
    objectives = np.stack([1 - table.row_labels, table.table.costs["parameters"]], axis=1)
    assert sorted(rows) == np.flatnonzero(pareto_front(objectives)).tolist()


def test_it_approaches_the_true_front():
    table = evaluator()
    objectives = np.stack([1 - table.row_labels, table.table.costs["parameters"]], axis=1)

    def area(front: np.ndarray) -> float:  # dominated area up to error 0.5 and cost 16
        total, height = 0.0, 16.0
        for error, cost in sorted(front.tolist()):
            total += (0.5 - error) * max(0.0, height - cost)
            height = min(height, cost)
        return total

    NSGA2(300, 20).run(table, np.random.default_rng(0))
    found = objectives[[item.key for item in table.history]]
    random = objectives[np.random.default_rng(1).choice(len(objectives), 300, replace=False)]
    true = area(objectives[pareto_front(objectives)])
    assert area(found[pareto_front(found)]) > area(random[pareto_front(random)])
    assert area(found[pareto_front(found)]) > 0.85 * true


def test_settings_that_cannot_be(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(NaspError, match=r"search.population=50 is more than search.labels=20"):
        NSGA2(20, 50)
    with pytest.raises(NaspError, match=r"search.cost=watts: .* it has: parameters"):
        NSGA2(20, 10, "watts").run(small(30), np.random.default_rng(0))
    monkeypatch.setitem(sys.modules, "pymoo", None)
    with pytest.raises(NaspError, match="needs pymoo: pip install"):
        NSGA2(20, 10)


def test_generations_crossover_and_a_random_beginning():
    table = evaluator()
    search = NSGA2(population=20, generations=12, random_generations=3, crossover=0.9, rate=0.2)
    assert search.labels == 240
    found = search.run(table, np.random.default_rng(0))
    assert 60 < table.labels_used <= 240  # children that are known already are free
    objectives = np.stack([1 - table.accuracies, table.cost("parameters", table.history)], axis=1)
    assert sorted(found["front"]) == np.flatnonzero(pareto_front(objectives)).tolist()
    late = table.accuracies[-40:].mean()
    assert late > table.accuracies[:60].mean()


def test_several_costs_and_caps():
    table = evaluator()
    table.table.costs["layers"] = (table.table.operations > 0).sum(axis=1).astype(float)
    search = NSGA2(200, 20, ["parameters", "layers"], crossover=0.5, caps={"layers": 5})
    found = search.run(table, np.random.default_rng(0))
    assert table.cost("layers", table.history).max() <= 5
    assert found["front_cost"].shape == (len(found["front"]), 2)
    with pytest.raises(NaspError, match=r"search.caps.layers=0: it must|smallest network"):
        NSGA2(200, 20, caps={"layers": 0})


def test_caps_that_leave_little_end_the_search():
    table = evaluator()
    search = NSGA2(200, 20, caps={"parameters": 1})
    search.run(table, np.random.default_rng(0))
    assert table.labels_used == 9
