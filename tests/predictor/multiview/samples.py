"""Cells and chains of every space, and their distances in views."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from nasp_lightning.predictor.multiview.views import NAMES, Views
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
