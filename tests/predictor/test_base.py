from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.base import (
    ClassicalPredictor,
    ProbabilisticPredictor,
    check_labels,
)
from nasp_lightning.predictor.gaussian_process import GaussianProcess
from nasp_lightning.predictor.gradient_boosting import GradientBoosting
from nasp_lightning.predictor.targets import Targets
from nasp_lightning.space.nasbench201 import NASBench201


def test_protocols() -> None:
    shape = NASBench201().shape
    assert isinstance(GaussianProcess(shape), ProbabilisticPredictor)
    assert isinstance(GradientBoosting(shape), ClassicalPredictor)
    assert not isinstance(GradientBoosting(shape), ProbabilisticPredictor)
    assert not isinstance(nn.Linear(1, 1), ClassicalPredictor)


@pytest.mark.parametrize("labels", [[], [1.0, np.nan], [np.inf], [[1.0]]])
def test_labels_must_be_finite_and_some(labels: list[float]) -> None:
    with pytest.raises(NaspError, match="finite"):
        check_labels(np.array(labels))


@pytest.mark.parametrize("kind", ["normal_scores", "raw"])
def test_targets_go_there_and_back(kind: str) -> None:
    labels = np.array([0.3, -2.0, 0.3, 1.0, 0.9])
    targets = Targets(labels, kind)
    np.testing.assert_allclose(targets.inverse(targets.values), labels)
    wide = targets.inverse(np.linspace(-9, 9, 400))
    assert (np.diff(wide) > 0).all()  # beyond the labels too: no ties in a ranking


def test_normal_scores_see_ranks_alone() -> None:
    labels = np.array([0.1, 0.5, 0.9, 0.7])
    first, second = Targets(labels), Targets(np.exp(20 * labels))
    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_allclose(first.values, [-1.1503, -0.3186, 1.1503, 0.3186], atol=1e-4)


@pytest.mark.parametrize("labels", [[0.5], [0.5, 0.5, 0.5]])
@pytest.mark.parametrize("kind", ["normal_scores", "raw"])
def test_equal_labels(labels: list[float], kind: str) -> None:
    targets = Targets(np.array(labels), kind)
    np.testing.assert_allclose(targets.inverse(targets.values), labels)
    assert (np.diff(targets.inverse(np.array([-1.0, 0.0, 1.0]))) > 0).all()


def test_unknown_targets() -> None:
    with pytest.raises(NaspError, match="normal_scores"):
        Targets(np.array([1.0, 2.0]), "ranks")
