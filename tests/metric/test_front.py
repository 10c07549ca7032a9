from __future__ import annotations

import numpy as np
import pytest

from nasp_lightning.metric.front import front_accuracy, hypervolume


def test_the_best_for_at_most_a_cost_against_brute_force():
    rng = np.random.default_rng(0)
    accuracy, cost = rng.random(50), rng.integers(0, 20, 50).astype(float)
    at = np.arange(-1.0, 21.0, 0.5)
    expected = [max(accuracy[cost <= limit], default=-np.inf) for limit in at]
    np.testing.assert_array_equal(front_accuracy(accuracy, cost, at), expected)


def test_hypervolume_by_hand_and_against_counting():
    assert hypervolume(np.array([0.6, 0.8]), np.array([1.0, 3.0]), 0.5, 5.0) == pytest.approx(
        0.1 * 2 + 0.3 * 2
    )
    rng = np.random.default_rng(0)
    accuracy, cost = rng.random(30), 4 * rng.random(30)
    points = rng.random((100_000, 2)) * [1.0, 4.0]
    dominated = ((accuracy[:, None] >= points[:, 0]) & (cost[:, None] <= points[:, 1])).any(axis=0)
    assert hypervolume(accuracy, cost, 0.0, 4.0) == pytest.approx(4 * dominated.mean(), abs=0.02)


def test_points_beyond_the_corner_add_nothing():
    assert hypervolume(np.array([0.4, 0.9]), np.array([1.0, 6.0]), 0.5, 5.0) == 0
