from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from nasp_lightning.error import NaspError
from nasp_lightning.search.part.acquisition import (
    check_acquisition,
    expected_improvement,
    joint_improvement,
    joint_upper_bound,
    log_expected_improvement,
    thompson,
)


def drawn(mean: list[float], deviation: list[float], correlation: float = 0.0, seed: int = 0):
    """``[100_000, N]`` draws, each pair with that correlation."""
    size = len(mean)
    spread = np.array(deviation)
    matrix = correlation + (1 - correlation) * np.eye(size)
    rng = np.random.default_rng(seed)
    return rng.multivariate_normal(mean, matrix * np.outer(spread, spread), 100_000)


@pytest.mark.parametrize(("mean", "deviation"), [(0.4, 0.2), (0.9, 0.05), (-0.3, 0.4)])
def test_improvement_is_its_integral(mean: float, deviation: float):
    best = 0.6
    oracle, _ = quad(lambda y: (y - best) * norm.pdf(y, mean, deviation), best, best + 9)
    found = expected_improvement(np.array([mean]), np.array([deviation]), best)[0]
    assert found == pytest.approx(oracle, rel=1e-6)
    logarithm = log_expected_improvement(np.array([mean]), np.array([deviation]), best)[0]
    assert logarithm == pytest.approx(np.log(oracle), rel=1e-6)


def test_the_logarithm_orders_those_without_hope():
    mean = -np.geomspace(0.1, 1e6, 400)
    found = log_expected_improvement(mean, np.ones(400), 0.0)
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()


def test_one_at_a_time_is_the_closed_form():
    mean, deviation = [0.1, 0.5, 0.45], [0.1, 0.02, 0.2]
    draws = drawn(mean, deviation)
    closed = expected_improvement(np.array(mean), np.array(deviation), 0.55)
    assert joint_improvement(draws, np.full(len(draws), 0.55), 1) == [int(closed.argmax())]
    bounds = np.array(mean) + 1.5 * np.array(deviation)
    assert joint_upper_bound(draws, draws[:, :0], 1.5, 1) == [int(bounds.argmax())]


def test_a_batch_is_no_list_of_copies():
    """The best and its near copy, and one a little worse that differs."""
    first = drawn([0.5, 0.46], [0.2, 0.2])
    copy = first[:, :1] + 1e-3
    draws = np.concatenate([first[:, :1], copy, first[:, 1:]], axis=1)
    best = np.full(len(draws), 0.5)
    assert joint_improvement(draws, best, 2) == [1, 2]
    assert joint_upper_bound(draws, draws[:, :0], 1.0, 2) == [1, 2]


def test_what_is_being_evaluated_counts():
    draws = drawn([0.5, 0.46], [0.2, 0.2])
    pending = draws[:, :1] + 1e-3  # almost the first
    best = np.full(len(draws), 0.5)
    assert joint_improvement(draws, best, 1) == [0]
    assert joint_improvement(draws, np.maximum(best, pending[:, 0]), 1) == [1]
    assert joint_upper_bound(draws, pending, 1.0, 1) == [1]


def test_without_any_hope_the_highest_mean_is_next():
    draws = drawn([0.1, 0.3, 0.2], [1e-6] * 3)
    assert joint_improvement(draws, np.full(len(draws), 9.0), 3) == [1, 2, 0]


def test_thompson_takes_the_best_of_each_draw():
    draws = np.array([[1.0, 0.0, 0.5], [0.9, 0.0, 0.7], [0.0, 2.0, 0.0]])
    assert thompson(draws, 3) == [0, 2, 1]
    assert sorted(thompson(draws[:1], 3)) == [0, 1, 2]
    shares = np.bincount([thompson(drawn([0, 0.5], [1, 1], seed=s)[:1], 1)[0] for s in range(300)])
    chance = norm.cdf(0.5 / np.sqrt(2))  # that the second is the better
    assert shares[1] / 300 == pytest.approx(chance, abs=0.09)


def test_names():
    with pytest.raises(NaspError, match=r"search.acquisition=luck: choose expected_improvement or"):
        check_acquisition("luck")
