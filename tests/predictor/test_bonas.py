"""BONAS: its embedding, and the regression upon it against independent oracles."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.bonas import (
    BONAS,
    evidence_regression,
    expected_improvement,
    logit_moments,
    predict,
)

from . import checks

SIZES = {"hidden": 16, "layers": 3}


def test_evidence_finds_the_noise_and_the_weights() -> None:
    torch.manual_seed(0)
    features = torch.randn(2000, 5, dtype=torch.float64)
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.0], dtype=torch.float64)
    targets = features @ weights + 0.3 * torch.randn(2000, dtype=torch.float64)
    fitted = evidence_regression(features, targets)
    torch.testing.assert_close(fitted.mean, weights, atol=0.03, rtol=0)
    assert float(fitted.precision**-0.5) == pytest.approx(0.3, rel=0.05)
    mean, deviation = predict(fitted, features)
    inside = ((targets - mean).abs() < 2 * deviation).double().mean()
    assert 0.94 < float(inside) < 0.97


def test_few_targets_leave_the_far_uncertain() -> None:
    torch.manual_seed(0)
    features = torch.randn(10, 40, dtype=torch.float64)
    fitted = evidence_regression(features, torch.randn(10, dtype=torch.float64))
    assert torch.isfinite(fitted.mean).all()
    assert fitted.precision > 0
    _, near = predict(fitted, features)
    _, far = predict(fitted, 10 * torch.randn(10, 40, dtype=torch.float64))
    assert far.mean() > near.mean()


@pytest.mark.parametrize(("mean", "deviation", "best"), [(0.0, 1.0, 0.5), (2.0, 0.3, 1.5)])
def test_expected_improvement_is_the_integral(mean: float, deviation: float, best: float) -> None:
    density = stats.norm(mean, deviation).pdf
    expected, _ = integrate.quad(lambda y: (y - best) * density(y), best, mean + 12 * deviation)
    found = expected_improvement(torch.tensor(mean), torch.tensor(deviation), best)
    assert float(found) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", checks.SPACES)
def test_all_spaces(name: str) -> None:
    # Batch normalisation takes a constant away: the biases before it do nothing but round.
    checks.check_space(partial(BONAS, **SIZES), name, idle="biases")


def test_order_of_vertices_does_not_matter() -> None:
    checks.check_order_does_not_matter(partial(BONAS, **SIZES))


def test_padding_does_not_matter_in_evaluation() -> None:
    checks.check_padding_does_not_matter(partial(BONAS, **SIZES))


def test_weighting_is_the_published_one() -> None:
    shape, graphs = checks.batch("node")
    labels = torch.linspace(-1, 1, 12)
    predictor = BONAS(shape, **SIZES).eval()
    predictor.set_label_scale(0.8, 0.1)
    accuracy = 0.8 + 0.1 * labels
    weight = (accuracy.exp() - 1) / (np.e - 1)
    expected = (weight * (predictor.accuracy(graphs) - accuracy) ** 2).mean() / 0.1**2
    torch.testing.assert_close(predictor.training_loss(graphs, labels), expected)
    predictor.weighting = "none"
    plain = ((predictor.accuracy(graphs) - accuracy) ** 2).mean() / 0.1**2
    torch.testing.assert_close(predictor.training_loss(graphs, labels), plain)


def test_learns_a_small_set_and_its_posterior_agrees() -> None:
    torch.manual_seed(0)
    shape, graphs = checks.batch("node", 16)
    predictor = BONAS(shape, **SIZES)
    assert checks.overfit(predictor, graphs) > 0.8
    torch.manual_seed(0)
    labels = torch.randn(16)  # as in checks.overfit
    with pytest.raises(NaspError, match="fit_posterior"):
        predictor.posterior(graphs)
    predictor.fit_posterior(graphs, labels)
    mean, deviation = predictor.logit_posterior(graphs)
    assert float(torch.corrcoef(torch.stack([mean, labels.double()]))[0, 1]) > 0.8
    assert (deviation > 0).all()
    gain = predictor.expected_improvement(graphs, labels)
    assert (gain >= 0).all()
    copy = BONAS(shape, **SIZES)  # the posterior is part of the state
    checks.copy_weights(predictor, copy)
    torch.testing.assert_close(copy.logit_posterior(graphs)[0], mean)
    found = predictor.posterior(graphs)
    assert found.scale == "accuracy"
    np.testing.assert_array_equal(found.mean, logit_moments(mean.numpy(), deviation.numpy())[0])
    assert found.accuracy(0.8, 0.1) == (found.mean, found.deviation)


def test_logit_moments_against_sampling() -> None:
    rng = np.random.default_rng(0)
    mean, deviation = np.array([-1.0, 0.5, 3.0]), np.array([0.2, 1.0, 0.5])
    drawn = 1 / (1 + np.exp(-(mean + deviation * rng.standard_normal((200_000, 3)))))
    expected, spread = logit_moments(mean, deviation)
    np.testing.assert_allclose(expected, drawn.mean(axis=0), atol=2e-3)
    np.testing.assert_allclose(spread, drawn.std(axis=0), atol=2e-3)


def test_extra_inputs() -> None:
    shape, graphs = checks.batch("node", features=3)
    predictor = BONAS(shape, **SIZES)
    changed = dataclasses.replace(graphs, features=graphs.features + 1)
    assert not torch.allclose(checks.scores(predictor, graphs), checks.scores(predictor, changed))


@pytest.mark.parametrize("settings", [{"layers": 0}, {"weighting": "linear"}])
def test_settings_are_checked(settings: dict[str, object]) -> None:
    shape, _ = checks.batch("node")
    with pytest.raises(NaspError, match=r"predictor\."):
        BONAS(shape, **settings)


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_evaluation_folds_the_normalisation(layers: int) -> None:
    torch.manual_seed(0)
    shape, graphs = checks.batch("node", 32)
    predictor = BONAS(shape, hidden=8, layers=layers)
    for _ in range(3):  # statistics that are not those of the start
        predictor.train()(graphs)
    with torch.no_grad():
        for norm in predictor.norms:
            norm.weight.normal_()
            norm.bias.normal_()
    predictor.eval()
    found = predictor.embed(graphs)
    predictor.train()
    for norm in predictor.norms:  # the training form, with the statistics of evaluation
        norm.eval()
    torch.testing.assert_close(found, predictor.embed(graphs), atol=1e-5, rtol=1e-4)
