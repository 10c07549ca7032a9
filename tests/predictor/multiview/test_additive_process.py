from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import check_grad

from nasp_lightning.predictor.multiview.additive_process import (
    JITTER,
    AdditiveProcess,
    Prior,
    kernel,
    most_probable,
    negative_log_posterior,
)
from tests.predictor.multiview.processes import problem, squared


def below(distances: list[Any]) -> list[Any]:
    return [squared[np.tri(len(squared), k=-1, dtype=bool)] for squared in distances]


LOGARITHMS = np.array([0.2, 0.3, -0.7, 0.8, -1.5])


def test_one_kernel_is_scikit_learns_process() -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    rng = np.random.default_rng(1)
    points, new = rng.standard_normal((30, 4)), rng.standard_normal((9, 4))
    targets = points[:, 0] - points[:, 1] ** 2
    amplitude, length, noise = np.exp([0.4, 0.5, -2.0])
    known = ConstantKernel(amplitude) * Matern(length, nu=1.5) + WhiteKernel(noise)
    oracle = GaussianProcessRegressor(known, alpha=JITTER, optimizer=None).fit(points, targets)
    process = AdditiveProcess([squared(points, points)], targets, np.array([0.4, 0.5, -2.0]))
    mean, deviation = oracle.predict(new, return_std=True)
    distances = [squared(new, points)]
    np.testing.assert_allclose(process.mean(distances), mean, atol=1e-9)
    np.testing.assert_allclose(process.moments(distances)[0], mean, atol=1e-9)
    signal = np.sqrt(np.maximum(deviation**2 - noise, 0))
    np.testing.assert_allclose(process.moments(distances)[1], signal, atol=1e-5)
    joint, covariance = process.joint(distances, [squared(new, new)])
    expected, full = oracle.predict(new, return_cov=True)
    np.testing.assert_allclose(joint, expected, atol=1e-9)
    np.testing.assert_allclose(covariance, full - noise * np.eye(len(new)), atol=1e-6)
    flat = Prior(1e9, 0.0, 1e9, 0.0, 1e9)
    value, _ = negative_log_posterior(
        np.array([0.4, 0.5, -2.0]), below([squared(points, points)]), targets, flat
    )
    constant = 0.5 * len(points) * np.log(2 * np.pi)
    assert value + constant == pytest.approx(-oracle.log_marginal_likelihood_value_, abs=1e-8)


def test_held_out_density_is_that_of_fits_without_the_one() -> None:
    from scipy.stats import norm

    inside, _, targets = problem(20)
    process = AdditiveProcess(inside, targets, LOGARITHMS)
    total = 0.0
    for held in range(20):
        rest = np.delete(np.arange(20), held)
        part = [distances[np.ix_(rest, rest)] for distances in inside]
        without = AdditiveProcess(part, targets[rest], LOGARITHMS)
        mean, deviation = without.moments([distances[[held]][:, rest] for distances in inside])
        spread = np.sqrt(deviation**2 + without.noise + JITTER)
        total += float(norm.logpdf(targets[held], mean[0], spread[0]))
    assert process.held_out_density() == pytest.approx(total, abs=1e-3)


def test_gradient() -> None:
    inside, _, targets = problem()
    prior = Prior()
    wrong = check_grad(
        lambda at: negative_log_posterior(at, below(inside), targets, prior)[0],
        lambda at: negative_log_posterior(at, below(inside), targets, prior)[1],
        LOGARITHMS,
    )
    assert wrong < 1e-4


def test_most_probable_is_uphill_of_the_prior_and_of_its_neighbours() -> None:
    inside, _, targets = problem()
    prior = Prior()
    found, density = most_probable(inside, targets, prior, 200)
    value, gradient = negative_log_posterior(found, below(inside), targets, prior)
    assert value < negative_log_posterior(prior.moments(2)[0], below(inside), targets, prior)[0]
    assert value == pytest.approx(-density)
    assert np.abs(gradient).max() < 1e-2
    again, _ = most_probable(inside, targets, prior, 200, found)  # from the top it stays there
    np.testing.assert_allclose(again, found, atol=1e-3)


def test_a_view_of_noise_says_little() -> None:
    inside, _, targets = problem(80)
    noise = np.random.default_rng(3).standard_normal((80, 30)) / np.sqrt(30)
    found, _ = most_probable(
        [inside[0], squared(noise, noise)], targets - targets.mean(), Prior(), 99
    )
    relevant, irrelevant = np.exp(found[:-1:2])
    assert relevant > irrelevant


def test_prior_amplitudes_add_up_to_one() -> None:
    mean, deviation = Prior().moments(5)
    assert np.exp(mean[:-1:2]).sum() == pytest.approx(1)
    assert len(mean) == len(deviation) == 11


def test_kernel_falls_with_distance_from_its_amplitude() -> None:
    line = kernel([np.linspace(0, 9, 50)[None]], np.array([0.5, 0.0, -1.0]))[0]
    assert line[0] == pytest.approx(np.exp(0.5))
    assert (np.diff(line) < 0).all()
