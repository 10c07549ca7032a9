from __future__ import annotations

import numpy as np
import pytest

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Evaluator
from nasp_lightning.evaluator.table import TableEvaluator
from nasp_lightning.search.dehb import DEHB, Population, _Evolution
from nasp_lightning.search.hyperband import Hyperband
from nasp_lightning.search.part.rungs import ladder
from nasp_lightning.space.macro import Macro
from nasp_lightning.space.nasbench101 import NASBench101
from tests.evaluator.counting import Counting
from tests.search.tables import COST, budgets, levelled


def test_the_first_bracket_is_hyperbands():
    asked = levelled()
    DEHB(2).run(asked, np.random.default_rng(0))  # ten lower labels and a full one
    items, values = asked.lower_history("10")
    assert len(items) == 10
    assert asked.history[0].key == items[int(values.argmax())].key


def test_evolution_beats_hyperband():
    best: dict[type, list[float]] = {DEHB: [], Hyperband: []}
    for kind, found in best.items():
        for seed in range(8):
            asked = levelled()
            kind(60).run(asked, np.random.default_rng(seed))
            found.append(float(asked.accuracies.max()))
    assert np.mean(best[DEHB]) > np.mean(best[Hyperband]) + 0.01


def test_a_point_takes_its_targets_place_only_if_it_is_as_good():
    population = Population.draw(np.random.default_rng(0), 2, 3)
    points = np.random.default_rng(1).random((4, 3))
    for point, value in zip(points, (0.5, 0.5, 0.4, 0.5), strict=True):
        population.select(point, value)
    assert population.points[0].tolist() == points[0].tolist()  # 0.4 was worse
    assert population.points[1].tolist() == points[3].tolist()
    assert population.best(1).tolist() == [points[0].tolist()]


def test_points_and_architectures():
    asked = levelled()
    evolution = _Evolution(DEHB(), asked, np.random.default_rng(0), ladder(asked))
    for item in asked.sample(np.random.default_rng(1), 20):
        found = evolution.decode(evolution.encode(item))
        assert found is not None
        assert found.key == item.key
    edge = evolution.decode(np.ones(8))
    assert edge is not None
    assert edge.operations.tolist() == [2] * 8
    drawn = [evolution.decode(point) for point in np.random.default_rng(2).random((3000, 8))]
    codes = np.stack([item.operations for item in drawn if item is not None])
    assert (
        np.abs(np.stack([(codes == code).mean(axis=0) for code in range(3)]) - 1 / 3) < 0.05
    ).all()


def test_a_trial_comes_from_its_parents_and_its_target():
    asked = levelled()
    evolution = _Evolution(DEHB(crossover=0.0), asked, np.random.default_rng(0), ladder(asked))
    low, full = evolution.populations.values()
    for _ in range(20):
        trial = evolution.trial(full, low, 3)
        assert ((trial >= 0) & (trial <= 1)).all()
        assert (trial != full.points[full.target]).sum() == 1  # one place in any case
    still = _Evolution(DEHB(factor=0.0, crossover=1.0), asked, evolution.rng, ladder(asked))
    low, full = still.populations.values()
    low.values[:] = np.arange(len(low.values))
    parents = low.best(4).tolist()
    assert all(still.trial(full, low, 4).tolist() in parents for _ in range(20))


def test_architectures_without_a_label_are_passed_over():
    table = budgets()
    rows = np.sort(np.random.default_rng(0).choice(len(table), 300, replace=False))
    cut = BenchmarkTable(
        "macro",
        table.operations[rows],
        metrics={name: values[rows] for name, values in table.metrics.items()},
    )
    asked = TableEvaluator(cut, Macro(), epochs=50, budget=20, fidelities={10: COST})
    DEHB(20).run(asked, np.random.default_rng(0))
    assert asked.spent > 19


class Graphs(Counting):
    """Of a space whose topology varies."""

    def __init__(self) -> None:
        Evaluator.__init__(self, NASBench101(), fidelities={12: 0.1})


def test_what_it_cannot_evolve_is_refused():
    with pytest.raises(NaspError, match="the topology varies: choose search=hyperband"):
        DEHB(20).check(Graphs())


@pytest.mark.parametrize("words", [{"factor": -1}, {"crossover": 2}, {"factor": True}])
def test_settings_that_cannot_be(words: dict[str, float]):
    (name,) = words
    with pytest.raises(NaspError, match=rf"search.{name}="):
        DEHB(20, **words)
