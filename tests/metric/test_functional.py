from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.metric import functional

CORRELATIONS = {
    functional.kendall_tau: scipy.stats.kendalltau,
    functional.spearman: scipy.stats.spearmanr,
    functional.pearson: scipy.stats.pearsonr,
}
TOP_K = [
    *(functional.best_in_top_k, functional.regret_at_k, functional.precision_at_k),
    functional.best_percent_in_top_k,
]


def sample(size: int, levels: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Correlated scores and accuracies; with ``levels``, full of ties on both sides."""
    generator = np.random.default_rng(size)
    true = generator.normal(size=size)
    predicted = true + generator.normal(size=size)
    if levels:
        true, predicted = np.round(true * levels), np.round(predicted * levels)
    return predicted, true


@pytest.mark.parametrize("ours", CORRELATIONS)
@pytest.mark.parametrize(("size", "levels"), [(50, None), (500, 2), (90_001, None), (90_001, 3)])
def test_correlation_agrees_with_scipy(ours, size, levels):
    predicted, true = sample(size, levels)
    expected = CORRELATIONS[ours](predicted, true).statistic
    assert 0.3 < expected < 0.95
    assert ours(predicted, true) == pytest.approx(expected, abs=1e-12)


def test_tau_b_by_counting_pairs():
    predicted, true = sample(40, 1)
    pairs = list(itertools.combinations(range(40), 2))
    signs = [(np.sign(predicted[i] - predicted[j]), np.sign(true[i] - true[j])) for i, j in pairs]
    untied = [sum(pair[side] != 0 for pair in signs) for side in (0, 1)]
    expected = sum(a * b for a, b in signs) / np.sqrt(untied[0] * untied[1])
    assert min(untied) < len(pairs)
    assert functional.kendall_tau(predicted, true) == pytest.approx(expected)


@pytest.mark.parametrize("ours", CORRELATIONS)
def test_constant_is_zero(ours):
    predicted, true = sample(30)
    constant = np.full(30, 0.1)
    assert ours(constant, true) == 0.0
    assert ours(predicted, constant) == 0.0
    assert ours(predicted[:1], true[:1]) == 0.0


@pytest.mark.parametrize("ours", CORRELATIONS)
def test_sign_follows_the_order(ours):
    true = np.arange(10.0)
    assert ours(2 * true + 1, true) == pytest.approx(1.0)
    assert ours(-true, true) == pytest.approx(-1.0)


@pytest.mark.parametrize("metric", [*CORRELATIONS, *TOP_K])
def test_permutation_changes_nothing(metric):
    predicted, true = sample(300, 2)
    extra = (7,) if metric in TOP_K else ()
    values = set()
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(300)
        values.add(round(metric(predicted[order], true[order], *extra), 12))
    assert len(values) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_tensors(dtype):
    predicted, true = (torch.tensor(side, dtype=dtype) for side in sample(60))
    predicted.requires_grad_()
    expected = scipy.stats.kendalltau(
        predicted.detach().double().numpy(), true.double().numpy()
    ).statistic
    assert functional.kendall_tau(predicted, true) == pytest.approx(expected)


def test_top_k_by_hand():
    predicted = [0.9, 0.8, 0.7, 0.6, 0.1]
    true = [70.0, 92.0, 60.0, 94.0, 93.0]
    assert functional.best_in_top_k(predicted, true, 1) == 70.0
    assert functional.best_in_top_k(predicted, true, 3) == 92.0
    assert functional.regret_at_k(predicted, true, 3) == 2.0
    assert functional.regret_at_k(predicted, true, 4) == 0.0
    assert functional.precision_at_k(predicted, true, 1) == 0.0
    assert functional.precision_at_k(predicted, true, 3) == pytest.approx(1 / 3)
    assert functional.precision_at_k(predicted, true, 4) == 0.75


def test_k_above_the_number_takes_all():
    predicted, true = sample(5)
    assert functional.best_in_top_k(predicted, true, 99) == true.max()
    assert functional.regret_at_k(predicted, true, 99) == 0.0
    assert functional.precision_at_k(predicted, true, 99) == 1.0


def test_tied_predictions_are_broken_against_the_predictor():
    true = [90.0, 94.0, 91.0, 93.0]
    assert functional.best_in_top_k([1.0] * 4, true, 2) == 91.0
    assert functional.precision_at_k([1.0] * 4, true, 2) == 0.0
    assert functional.best_in_top_k([1.0, 1.0, 0.0, 2.0], true, 2) == 93.0


@pytest.mark.parametrize(("size", "levels"), [(1000, None), (995, 4), (90_001, 3)])
def test_the_top_tenth_is_scipys_tau_of_the_best_ranked(size, levels):
    predicted, true = sample(size, levels)
    best = scipy.stats.rankdata(-true, method="min") <= np.ceil(size / 10)
    expected = scipy.stats.kendalltau(predicted[best], true[best]).statistic
    assert functional.kendall_tau_top_tenth(predicted, true) == pytest.approx(expected)


def test_the_top_tenth_ignores_the_order_of_the_others():
    true = np.arange(100.0)
    predicted = -true
    predicted[90:] = 1000 + true[90:]
    assert functional.kendall_tau_top_tenth(predicted, true) == pytest.approx(1)
    assert functional.kendall_tau(predicted, true) < 0
    assert functional.kendall_tau_top_tenth([3.0, 1.0], [0.5, 0.6]) == 0.0  # a single one


@pytest.mark.parametrize(("size", "levels"), [(1000, None), (995, 4)])
@pytest.mark.parametrize("k", [1, 10, 60])
def test_share_of_the_top_k_in_the_best_percent(size, levels, k):
    predicted, true = sample(size, levels)
    ranks = scipy.stats.rankdata(-true, method="min")
    chosen = sorted(range(size), key=lambda row: (-predicted[row], true[row]))[:k]
    expected = np.mean([ranks[row] <= np.ceil(size / 100) for row in chosen])
    assert functional.best_percent_in_top_k(predicted, true, k) == pytest.approx(expected)


def test_the_best_percent_by_hand():
    true = np.arange(1000.0)  # the best ten are 990 to 999
    assert functional.best_percent_in_top_k(true, true, 10) == 1.0
    assert functional.best_percent_in_top_k(true, true, 20) == 0.5
    assert functional.best_percent_in_top_k(-true, true, 10) == 0.0
    assert functional.best_percent_in_top_k(np.zeros(1000), true, 10) == 0.0  # none by luck


def test_tied_truths_count_as_hits():
    true = [94.0, 93.0, 93.0, 90.0]
    assert functional.precision_at_k([4, 1, 3, 2], true, 2) == 1.0
    assert functional.precision_at_k([4, 3, 1, 2], true, 2) == 1.0


@pytest.mark.parametrize("metric", [*CORRELATIONS, *TOP_K])
def test_nan_is_named_and_counted(metric):
    predicted, true = sample(20)
    extra = (3,) if metric in TOP_K else ()
    predicted[[1, 4]] = np.nan
    with pytest.raises(NaspError, match="2 of 20 predictions are NaN"):
        metric(predicted, true, *extra)
    with pytest.raises(NaspError, match="2 of 20 true values are NaN"):
        metric(true, predicted, *extra)


def test_infinity_ranks_but_has_no_linear_correlation():
    predicted, true = sample(20)
    predicted[true.argmin()] = -np.inf
    assert functional.kendall_tau(predicted, true) > 0
    assert functional.spearman(predicted, true) > 0
    with pytest.raises(NaspError, match="1 of 20 predictions are infinite"):
        functional.pearson(predicted, true)


def test_shapes_and_k_are_checked():
    with pytest.raises(NaspError, match=r"3 predictions .* 2 true"):
        functional.kendall_tau([1, 2, 3], [1, 2])
    with pytest.raises(NaspError, match=r"predictions must be a vector.*\(2, 1\)"):
        functional.kendall_tau(np.ones((2, 1)), [1, 2])
    with pytest.raises(NaspError, match="at least one value"):
        functional.spearman([], [])
    for k in (0, -1, 1.5, True):
        with pytest.raises(NaspError, match="top K"):
            functional.best_in_top_k([1, 2], [1, 2], k)


def test_functional_needs_no_torch():
    code = "import sys, nasp_lightning.metric.functional; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_bootstrap_interval_of_a_mean() -> None:
    values = np.random.default_rng(3).normal(2.0, 1.0, 400)
    low, high = functional.bootstrap_interval(values)
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)
    assert functional.bootstrap_interval([0.5]) == (0.5, 0.5)
    narrow = functional.bootstrap_interval(values, level=0.5)
    assert low < narrow[0] < narrow[1] < high
    assert functional.bootstrap_interval(values) == (low, high)
    with pytest.raises(NaspError, match="values must be a vector"):
        functional.bootstrap_interval([])
