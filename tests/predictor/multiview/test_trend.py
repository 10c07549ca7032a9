from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.multiview.trend import Trend
from tests.predictor.multiview.samples import SPACE, sample


def test_a_trend_is_the_linear_part_and_leaves_the_rest() -> None:
    rng = np.random.default_rng(0)
    inputs, rest = rng.standard_normal((400, 3)), rng.standard_normal(400)
    targets = 2 * inputs[:, 0] - inputs[:, 2] + 0.5 * rest
    graphs = replace(sample(SPACE, 400), features=torch.from_numpy(5 + 3 * inputs))
    trend = Trend(graphs, targets)
    design = np.column_stack([np.ones(400), inputs])
    oracle = design @ np.linalg.lstsq(design, targets, rcond=None)[0]
    np.testing.assert_allclose(trend.of(graphs), oracle, atol=0.02)
    np.testing.assert_allclose(trend.of(graphs) + trend.scale * trend.rest, targets)
    assert trend.rest.std() == pytest.approx(1)
    assert trend.scale == pytest.approx(0.5, abs=0.05)


def test_inputs_that_say_nothing_give_no_trend() -> None:
    rng = np.random.default_rng(0)
    targets = rng.standard_normal(300)
    graphs = replace(sample(SPACE, 300), features=torch.from_numpy(rng.standard_normal((300, 2))))
    assert np.abs(Trend(graphs, targets).of(graphs)).max() < 0.5


def test_inputs_have_to_be_there() -> None:
    with pytest.raises(NaspError, match=r"no extra inputs: set data.features"):
        Trend(sample(SPACE, 5), np.zeros(5))
