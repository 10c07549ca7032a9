from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from torch import nn

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.base import (
    ClassicalPredictor,
    ProbabilisticPredictor,
    check_labels,
)
from nasp_lightning.predictor.gaussian_process import GaussianProcess
from nasp_lightning.predictor.gradient_boosting import GradientBoosting
from nasp_lightning.predictor.part.scoring import score_all
from nasp_lightning.predictor.part.targets import Targets
from nasp_lightning.run.config import RunInfo
from nasp_lightning.shipped import conf_dir
from nasp_lightning.space.nasbench201 import NASBench201
from nasp_lightning.study.settings import make_space
from tests.tiny import compose_config

PREDICTORS = sorted(file.stem for file in (conf_dir() / "predictor").glob("*.yaml"))


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


@pytest.mark.parametrize("name", PREDICTORS)
def test_extra_inputs_are_taken_or_refused(name: str) -> None:
    """No shipped predictor is given ``data.features`` and ranks as if it had none."""
    config = compose_config("benchmark=nasbench201", f"predictor={name}")
    torch.manual_seed(0)
    make_predictor = instantiate(config["predictor"])
    info = RunInfo.of(config)
    space = make_space(info.component("space"), info.component("predictor"))
    rng = np.random.default_rng(0)
    extra = torch.from_numpy(rng.standard_normal((40, 2)).astype(np.float32))
    graphs = replace(space.encode(*space.sample(rng, 40)), features=extra)
    try:
        predictor = make_predictor(shape=replace(space.shape, features=2))
    except NaspError as refusal:
        told = str(refusal)
    else:
        told = ""
    if told:
        assert "data.features" in told
        return
    others = replace(graphs, features=extra.flip(0))
    if isinstance(predictor, nn.Module):
        before, after = score_all(predictor, graphs), score_all(predictor, others)
    else:
        predictor.fit(graphs, extra[:, 0].double().numpy())
        before, after = predictor.score(graphs), predictor.score(others)
    assert not np.allclose(np.asarray(before), np.asarray(after))
