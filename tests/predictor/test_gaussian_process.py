from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.gaussian_process import GaussianProcess
from nasp_lightning.space.base import Graphs
from tests.predictor.problems import SPACE, problem


def fitted(labels: Any, graphs: Graphs, **settings: Any) -> GaussianProcess:
    process = GaussianProcess(SPACE.shape, **{"restarts": 0, **settings})
    process.fit(graphs[: len(labels)], labels)
    return process


@pytest.mark.parametrize("targets", ["normal_scores", "raw"])
def test_learns_and_keeps_the_labels_scale(targets: str) -> None:
    graphs, labels = problem(600)
    process = fitted(labels[:150], graphs, targets=targets)
    scores = process.score(graphs)
    assert scores.shape == (600,)
    assert kendalltau(scores[150:], labels[150:])[0] > 0.65
    assert np.sqrt(np.mean((scores[150:] - labels[150:]) ** 2)) < 0.6


@pytest.mark.parametrize("targets", ["normal_scores", "raw"])
def test_intervals_hold_new_labels_as_often_as_they_say(targets: str) -> None:
    graphs, labels = problem(1200, noise=0.5)
    process = fitted(labels[:200], graphs, targets=targets)
    low, high = process.interval(graphs[slice(200, None)], 0.9)
    assert 0.84 < ((low <= labels[200:]) & (labels[200:] <= high)).mean() < 0.95
    found = process.posterior(graphs)
    mean, deviation = found.mean, found.deviation
    assert ((low < mean[200:]) & (mean[200:] < high)).all()
    assert 0.4 < deviation.mean() < 1.0  # the noise is 0.5


def test_mean_and_median_of_raw_targets_agree() -> None:
    graphs, labels = problem(100)
    process = fitted(labels[:50], graphs, targets="raw")
    np.testing.assert_allclose(process.posterior(graphs).mean, process.score(graphs), atol=1e-8)


def test_order_depends_on_ranks_alone() -> None:
    graphs, labels = problem(300)
    first = fitted(labels[:80], graphs).score(graphs)
    second = fitted(np.expm1(5 * labels[:80]), graphs).score(graphs)
    assert kendalltau(first, second)[0] > 0.999


def test_likelihood_on_a_part_uses_all_labels_afterwards() -> None:
    graphs, labels = problem(500)
    part = fitted(labels[:60], graphs)
    more = fitted(labels[:300], graphs, likelihood_labels=60, seed=1)
    truth = labels[300:]
    assert (
        kendalltau(more.score(graphs)[300:], truth)[0]
        > kendalltau(part.score(graphs)[300:], truth)[0]
    )


def test_same_seed_same_scores() -> None:
    graphs, labels = problem(120)
    settings = {"restarts": 1, "likelihood_labels": 40, "seed": 3}
    first = fitted(labels[:80], graphs, **settings).score(graphs)
    np.testing.assert_array_equal(first, fitted(labels[:80], graphs, **settings).score(graphs))


@pytest.mark.parametrize("labels", [[0.5], [0.5, 0.5, 0.5]])
def test_few_or_equal_labels_give_finite_scores(labels: list[float]) -> None:
    graphs, _ = problem(20)
    process = fitted(np.array(labels), graphs)
    assert np.isfinite(process.score(graphs)).all()
    assert np.isfinite(process.interval(graphs, 0.9)).all()


def test_mistakes() -> None:
    graphs, _ = problem(10)
    with pytest.raises(NaspError, match=r"predictor\.restarts=-1"):
        GaussianProcess(SPACE.shape, restarts=-1)
    with pytest.raises(NaspError, match="likelihood_labels=1"):
        GaussianProcess(SPACE.shape, likelihood_labels=1)
    with pytest.raises(NaspError, match=r"predictor\.targets='rank'"):
        GaussianProcess(SPACE.shape, targets="rank")
    with pytest.raises(NaspError, match="fit before score"):
        GaussianProcess(SPACE.shape).score(graphs)


def test_level_on_nasbench201(data_dir: Path) -> None:
    from nasp_lightning.benchmark.nasbench201 import load_table
    from nasp_lightning.data.architectures import ArchitectureData

    path = data_dir / "nasbench201" / "nasbench201_15625.csv.gz"
    if not path.exists():
        pytest.skip(f"{path.name} is absent")
    taus = []
    for seed in range(2):
        data = ArchitectureData(load_table("csv", path), SPACE, train_size=156, seed=seed)
        process = GaussianProcess(SPACE.shape, seed=seed)
        process.fit(data.graphs[data.training_indices], data.training_labels.numpy())
        taus.append(kendalltau(process.score(data.graphs), data.true_accuracy)[0])
    assert np.mean(taus) > 0.775
