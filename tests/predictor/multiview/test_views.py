from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.multiview.views import Views
from nasp_lightning.space.nasbench101 import NASBench101
from tests.predictor.multiview.samples import SPACE, SPACES, distances, sample


@pytest.mark.parametrize("space", SPACES, ids=lambda space: f"{space.name}-{space.encoding}")
def test_distances_of_every_space(space: Any) -> None:
    graphs = sample(space, 30)
    found = distances(space, graphs, 20)
    assert ("subtrees" in found) != space.shape.chain
    assert ("contracted" in found) == bool(space.shape.identity_tokens and not space.shape.chain)
    assert ("places" in found) == (space.shape.fixed_topology or space.shape.chain)
    for name, squared in found.items():
        assert squared.shape == (30, 20), name
        assert np.isfinite(squared).all()
        assert (squared >= 0).all()
        np.testing.assert_allclose(np.diag(squared), 0, atol=1e-5)
        np.testing.assert_allclose(squared[:20], squared[:20].T, atol=1e-4)
        assert squared[:20].mean() == pytest.approx(2, rel=1e-3)


def test_extra_inputs_are_a_view_of_their_own() -> None:
    shape = replace(SPACE.shape, features=2)
    extra = torch.arange(24.0).reshape(12, 2)
    graphs = replace(sample(SPACE, 12), features=extra)
    views = Views(shape, ["features", "inputs"], 8, True, 0)
    training = views.fit(graphs)
    same = dict(zip(views.parts, views.squared(training, training), strict=True))
    shifted = replace(graphs, features=extra + 100)
    for moved in (views.describe(shifted), views.describe(replace(training, features=extra + 100))):
        for name, squared in zip(views.parts, views.squared(moved, training), strict=True):
            assert np.allclose(squared, same[name]) == (name != "inputs")
    anew = views.fit(replace(training, features=3 * extra))  # a scale says nothing
    for squared, before in zip(views.squared(anew, anew), same.values(), strict=True):
        np.testing.assert_allclose(squared, before, atol=1e-4)
    wrong = replace(graphs, features=extra.clone().index_fill_(0, torch.tensor([3]), torch.nan))
    with pytest.raises(NaspError, match="1 of 12 architectures have extra inputs"):
        views.describe(wrong)


def test_mistakes() -> None:
    with pytest.raises(NaspError, match=r"predictor\.views has 'paths': choose from features"):
        Views(SPACE.shape, ["paths"], 8, True, 0)
    with pytest.raises(NaspError, match="leaves nothing to compare"):
        Views(NASBench101().shape, ["contracted", "inputs"], 8, True, 0)
