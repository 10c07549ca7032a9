from __future__ import annotations

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.search.random import expected_accuracy
from nasp_lightning.search.regularized_evolution import RegularizedEvolution
from tests.evaluator.counting import Counting
from tests.search.tables import evaluator


def test_evolution_beats_random_search_and_improves_with_labels():
    table, rng = evaluator(), np.random.default_rng(0)
    search = RegularizedEvolution(150, 20, 5)
    curves = []
    for _ in range(10):
        table.reset()
        search.run(table, rng)
        curves.append(np.maximum.accumulate(table.accuracies))
    mean = np.mean(curves, axis=0)
    random = expected_accuracy(table.row_labels, table.truth, [20, 150])
    assert abs(mean[19] - random[0]) < 0.05  # the first population is drawn at random
    assert mean[-1] > mean[19] + 0.05
    assert mean[-1] > random[1] + 0.03


def test_children_are_one_mutation_away_from_someone_alive():
    table = evaluator()
    RegularizedEvolution(60, 10, 3).run(table, np.random.default_rng(0))
    codes = np.stack([item.operations for item in table.history]).astype(int)
    for number in range(10, 60):
        distances = (codes[:number] != codes[number]).sum(axis=1)
        assert distances.min() == 1


def test_an_evaluator_without_a_table_will_do():
    table = Counting(budget=40)
    RegularizedEvolution(40, 10, 3).run(table, np.random.default_rng(0))
    assert table.labels_used == 40


def test_settings_that_cannot_be():
    with pytest.raises(NaspError, match=r"search.population=50 is more than search.labels=20"):
        RegularizedEvolution(20, 50)
    with pytest.raises(NaspError, match=r"search.sample_size=0"):
        RegularizedEvolution(20, 5, 0)
