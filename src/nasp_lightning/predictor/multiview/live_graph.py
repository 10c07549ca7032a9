"""Architectures as live graphs: no dead parts, no operation that only passes its input on.

Cells that compute the same function of the same operations become the same graph, up to the
order of their vertices: what no path from the input to the output passes is gone, and an identity
is replaced by the paths through it, which add up where there are several.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.predictor.part.features import (
    Cells,
    live_cells,
    operation_onehots,
    operation_tokens,
)
from nasp_lightning.space.base import Graphs, Shape


@dataclass(frozen=True)
class LiveGraphs:
    """Directed acyclic graphs in topological order: the input, T places, the output.

    Attributes:
        kinds: ``[N, T + 2, K + 2]`` float32 one-hots: K operations, input, output; all zero
            where a place is empty.
        edges: ``[N, T + 2, T + 2]`` float32 numbers of edges, row to column.
    """

    kinds: Array
    edges: Array

    @property
    def operations(self) -> int:
        """Number K of operations."""
        return int(self.kinds.shape[2]) - 2


def live_graphs(graphs: Graphs, shape: Shape) -> LiveGraphs:
    """The live graphs of encoded architectures, chains of layers among them."""
    cells = _chain_cells(graphs, shape) if shape.chain else live_cells(graphs, shape)
    count, places, operations = cells.onehots.shape
    edges = np.zeros((count, places + 2, places + 2), dtype=np.float32)
    edges[:, 0, 1:-1], edges[:, 1:-1, -1] = cells.sources, cells.sinks
    edges[:, 1:-1, 1:-1], edges[:, 0, -1] = cells.inside, cells.direct
    kinds = np.zeros((count, places + 2, operations + 2), dtype=np.float32)
    kinds[:, 1:-1, :operations] = cells.onehots
    kinds[:, 0, operations] = kinds[:, -1, operations + 1] = 1
    tokens = operation_tokens(shape)
    for token in shape.identity_tokens:
        _contract(kinds, edges, tokens.index(token))
    return LiveGraphs(kinds, edges)


def as_cells(live: LiveGraphs) -> Cells:
    """The same graphs as the hand-made features take them: an edge is there or not."""
    edges = np.minimum(live.edges, 1)
    return Cells(
        live.kinds[:, 1:-1, : live.operations],
        edges[:, 1:-1, 1:-1],
        edges[:, 0, 1:-1],
        edges[:, 1:-1, -1],
        edges[:, 0, -1],
    )


def _chain_cells(graphs: Graphs, shape: Shape) -> Cells:
    """Each layer feeds the next."""
    onehots = operation_onehots(graphs, shape)
    count, places = onehots.shape[:2]
    follows = np.eye(places, k=1, dtype=np.float32)
    first, last = np.eye(places, dtype=np.float32)[[0, -1]]
    return Cells(
        onehots,
        np.broadcast_to(follows, (count, places, places)),
        np.broadcast_to(first, (count, places)),
        np.broadcast_to(last, (count, places)),
        np.zeros(count, dtype=np.float32),
    )


def _contract(kinds: Array, edges: Array, operation: int) -> None:
    """Replace every vertex of an operation by the paths through it, in place."""
    for place in range(1, kinds.shape[1] - 1):
        rows = np.flatnonzero(kinds[:, place, operation])
        if not len(rows):
            continue
        into, out = edges[rows, :, place], edges[rows, place]
        edges[rows] += into[:, :, None] * out[:, None, :]
        edges[rows, :, place] = edges[rows, place] = 0
        kinds[rows, place] = 0
