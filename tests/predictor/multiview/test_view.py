from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasp_lightning.predictor.multiview.live_graph import live_graphs
from nasp_lightning.predictor.multiview.view import (
    FAMILY_WEIGHTS,
    Contracted,
    Features,
    family_weights,
)
from nasp_lightning.predictor.part.features import feature_names
from nasp_lightning.space.nasbench101 import NASBench101
from tests.predictor.multiview.samples import ISOMORPHIC, SPACE, SPACES, distances, joined, sample


@pytest.mark.parametrize("name", ["contracted", "subtrees", "mean", "root"])
def test_isomorphic_cells_are_at_no_distance(name: str) -> None:
    graphs = joined(sample(SPACE, 30), SPACE.encode(ISOMORPHIC))
    for squared in distances(SPACE, graphs, 30, [name]).values():
        np.testing.assert_allclose(squared[30:], squared[30:31].repeat(4, 0), atol=1e-4)


def test_features_do_not_see_dead_operations_and_places_do() -> None:
    graphs = joined(sample(SPACE, 30), SPACE.encode(ISOMORPHIC[[0, 1, 3]]))
    squared = distances(SPACE, graphs, 30, ["features"])["features"][30:]
    np.testing.assert_allclose(squared, squared[:1].repeat(3, 0), atol=1e-5)
    squared = distances(SPACE, graphs, 30, ["places"])["places"][30:]
    assert not np.allclose(squared[2], squared[0], atol=1e-2)


def test_places_are_the_number_of_places_that_differ() -> None:
    graphs = sample(SPACE, 25)
    squared = distances(SPACE, graphs, 25, ["places"])["places"]
    codes = graphs.operations.numpy()
    differ = (codes[:, None] != codes[None]).sum(2)
    np.testing.assert_allclose(squared, 2 * differ / differ.mean(), atol=1e-4)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: f"{space.name}-{space.encoding}")
def test_every_feature_has_a_weight(space: Any) -> None:
    graphs = sample(space, 6)
    live = live_graphs(graphs, space.shape)
    views = [Features(space.shape, True)]
    for view in views if space.shape.chain else [*views, Contracted(space.shape, True)]:
        assert view._vectors(graphs, live).shape[1] == len(view._weights())  # type: ignore[arg-type]


def test_weights_are_of_families() -> None:
    names = feature_names(NASBench101().shape)
    weights = dict(zip(names, family_weights(names), strict=True))
    assert weights["mean/2"] == FAMILY_WEIGHTS["mean"]
    assert weights["edge/2-3"] == FAMILY_WEIGHTS["edge"]
    assert weights["edge/input-2"] == weights["edge/2-output"] == weights["count/2"] == 1
    families = {name.partition("/")[0] for name in names}
    assert set(FAMILY_WEIGHTS) <= families
