from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from nasp_lightning.search.random import RandomSearch, expected_accuracy
from tests.search.tables import evaluator, whole_space


def test_closed_form_against_all_subsets():
    rng = np.random.default_rng(0)
    labels, truth = rng.random(7), rng.random(7)
    for size in range(1, 8):
        found = [
            truth[max(subset, key=lambda row: labels[row])]
            for subset in combinations(range(7), size)
        ]
        assert expected_accuracy(labels, truth, [size])[0] == pytest.approx(np.mean(found))


def test_random_search_against_the_closed_form():
    table = evaluator(whole_space(noise=0.02))
    search, rng = RandomSearch(20), np.random.default_rng(0)
    found = []
    for _ in range(300):
        table.reset()
        search.run(table, rng)
        found.append(table.truth[table.history[int(table.accuracies.argmax())].key])
    expected = expected_accuracy(table.row_labels, table.truth, [20])[0]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - expected) < 4 * error
    assert error < 0.003


def test_large_spaces_do_not_overflow():
    values = np.linspace(0, 1, 423_624)
    expected = expected_accuracy(values, values, [1, 200, 423_624])
    np.testing.assert_allclose(expected, [0.5, 200 / 201, 1.0], atol=1e-5)
