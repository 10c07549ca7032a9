"""A pool of architectures that are scored again and again, with ever more training ones."""

from __future__ import annotations

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.predictor.multiview.views import DescribedGraphs, Views
from nasp_lightning.space.base import Graphs

MOST_BYTES = 2**29  # of the distances that are kept; beyond, they are computed when asked for


class Pool:
    """Keeps the distances to the training architectures; only those to new ones are computed.

    Args:
        views: fitted to the pool.
        graphs: the pool.
    """

    def __init__(self, views: Views, graphs: DescribedGraphs) -> None:
        self.views, self.graphs = views, graphs
        self._training: DescribedGraphs | None = None
        self._kept: list[Array] = []  # [capacity, N] of each part

    def reach(self, training: DescribedGraphs) -> None:
        """Know the distances to these training architectures, too."""
        known = 0 if self._training is None else len(self._training)
        if known > len(training) or (
            self._training is not None and not _same(self._training, training[slice(0, known)])
        ):
            known = 0
        self._training = training
        size = len(self.views.parts) * len(self.graphs) * len(training) * 4
        if size > MOST_BYTES:
            self._kept, self._training = [], None
            return
        new = training[slice(known, None)]
        if len(new):
            self._keep(self.views.squared(self.graphs, new), known)

    def columns(self, graphs: Graphs) -> list[Array] | None:
        """``[N, n]`` squared distances of the pool, of each part; None for other graphs."""
        if graphs is not self.graphs or self._training is None:
            return None
        return [kept[: len(self._training)].T for kept in self._kept]

    def _keep(self, squared: list[Array], known: int) -> None:
        need = known + squared[0].shape[1]
        if not self._kept or len(self._kept[0]) < need:
            room = max(64, 2 * need)
            larger = [np.empty((room, len(self.graphs)), dtype=np.float32) for _ in squared]
            for kept, new in zip(self._kept, larger, strict=bool(self._kept)):
                new[:known] = kept[:known]
            self._kept = larger
        for kept, part in zip(self._kept, squared, strict=True):
            kept[known:need] = part.T


def _same(left: Graphs, right: Graphs) -> bool:
    """Whether they are the same architectures in the same order."""
    return bool(
        (left.operations == right.operations).all() and (left.adjacency == right.adjacency).all()
    )
