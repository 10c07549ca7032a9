from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from nasp_lightning.predictor.multiview.live_graph import live_graphs
from nasp_lightning.space.base import Graphs
from nasp_lightning.space.nasbench101 import NASBench101
from nasp_lightning.space.nasbench201 import NASBench201
from tests.predictor.multiview.samples import distances, sample


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
