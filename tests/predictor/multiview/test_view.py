from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.multiview.live_graph import live_graphs
from nasp_lightning.predictor.multiview.pool import Pool
from nasp_lightning.predictor.multiview.view import (
    FAMILY_WEIGHTS,
    Contracted,
    Features,
    family_weights,
)
from nasp_lightning.predictor.multiview.views import NAMES, Views
from nasp_lightning.predictor.part.features import feature_names
from nasp_lightning.space.base import Graphs
from nasp_lightning.space.darts import Darts
from nasp_lightning.space.macro import Macro
from nasp_lightning.space.nasbench101 import NASBench101
from nasp_lightning.space.nasbench201 import NASBench201
from nasp_lightning.space.spikenas import SpikeNAS

SPACES = [NASBench101(), NASBench201(), NASBench201("node"), SpikeNAS(), Macro(), Darts()]
SPACE = NASBench201()
# conv3 then pool: through node 1, through node 2, with a skip between, and with a dead conv1.
ISOMORPHIC = np.array(
    [[3, 0, 0, 0, 4, 0], [0, 3, 0, 0, 0, 4], [3, 0, 1, 0, 0, 4], [3, 2, 0, 0, 4, 0]], np.uint8
)


def distances(space: Any, graphs: Graphs, count: int, names: Any = NAMES) -> dict[str, Any]:
    """``[N, count]`` of each part, of views that were fitted to the first ``count``."""
    views = Views(space.shape, names, 8, True, 0)
    first = views.fit(graphs[slice(0, count)])
    return dict(zip(views.parts, views.squared(views.describe(graphs), first), strict=True))


def joined(left: Graphs, right: Graphs) -> Graphs:
    names = ("operations", "adjacency", "vertices")
    return Graphs(*(torch.cat([getattr(left, name), getattr(right, name)]) for name in names))


def sample(space: Any, count: int) -> Graphs:
    graphs: Graphs = space.encode(*space.sample(np.random.default_rng(0), count))
    return graphs


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


def test_a_pool_keeps_what_it_knows() -> None:
    graphs = sample(SPACE, 40)
    views = Views(SPACE.shape, NAMES, 8, True, 0)
    described = views.fit(graphs)
    pool = Pool(views, described)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    for rows in (order[:3], order[:9], order[5:12], order[:9]):
        pool.reach(described[rows])
        columns = pool.columns(described)
        assert columns is not None
        for kept, fresh in zip(columns, views.squared(described, described[rows]), strict=True):
            np.testing.assert_array_equal(kept, fresh)
    assert pool.columns(described[order]) is None  # not the pool itself


def subtrees(space: Any, graphs: Graphs) -> list[Counter[Any]]:
    """Labels of one round, cell by cell."""
    live, result = live_graphs(graphs, space.shape), []
    for kinds, edges in zip(live.kinds, live.edges, strict=True):
        counts: Counter[Any] = Counter()
        for vertex in np.flatnonzero(kinds.any(1)):
            around = []
            for numbers in (edges[:, vertex], edges[vertex]):
                near: Counter[int] = Counter()
                for other in np.flatnonzero(numbers):
                    near[int(kinds[other].argmax())] += int(numbers[other])
                around.append(tuple(sorted(near.items())))
            counts[int(kinds[vertex].argmax()), *around] += 1
        result.append(counts)
    return result


@pytest.mark.parametrize("space", [NASBench201(), NASBench101()], ids=lambda space: space.name)
def test_subtrees_equal_counting_one_by_one(space: Any) -> None:
    graphs = sample(space, 25)
    counts = subtrees(space, graphs)
    labels = sorted({label for one in counts for label in one}, key=str)
    vectors = np.log1p([[one[label] for label in labels] for one in counts])
    centred = vectors[:15] - vectors[:15].mean(0)
    scale = (centred**2).sum(1).mean()
    expected = ((vectors[:, None] - vectors[None, :15]) ** 2).sum(2) / scale
    squared = distances(space, graphs, 15, ["subtrees"])["subtrees"]
    np.testing.assert_allclose(squared, expected, atol=1e-5)


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


def test_mistakes() -> None:
    with pytest.raises(NaspError, match=r"predictor\.views has 'paths': choose from features"):
        Views(SPACE.shape, ["paths"], 8, True, 0)
    with pytest.raises(NaspError, match="leaves nothing to compare"):
        Views(NASBench101().shape, ["contracted", "inputs"], 8, True, 0)
