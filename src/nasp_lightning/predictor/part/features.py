"""Hand-made features of architectures, for predictors that take vectors.

Every architecture is read as a directed acyclic graph with operations on its vertices, an input
and an output; operations on edges (NAS-Bench-201) become vertices of their own. Only what lies
on a path from the input to the output counts, so dead parts change nothing, and all features but
the one-hots of fixed topologies are the same for isomorphic graphs. The set follows what
classical predictors of NAS-Bench-101 use: counts of operations (White et al., NeurIPS 2021,
arXiv 2104.01177) and of paths (BANANAS, arXiv 1910.11858, truncated to short ones).

For K operations and paths of at most L operations; all counts n enter as log(1 + n):

=================  =====================================================================
count              K: operations of each kind
size               vertices with an operation, edges
paths              L + 1 numbers of paths by the number of their operations
along the paths    operations on the shortest and on the longest path; of each kind, the mean
                   on the shortest paths and on all, the most and the fewest on any (4 K)
edge               edges by the operations at their ends: K² inside, K from the input,
                   K to the output
degree             edges into and out of the operations of each kind (2 K)
path               paths with one operation, of each kind (K)
place              one-hots of a chain's or, on request, a fixed topology's places; dead: zero
=================  =====================================================================

A chain of T layers has its T K one-hots and, not logarithmic, the counts of each operation in its
first 1, 2, ... T layers.

For NAS-Bench-101 (K = 3, L = 5) these are 49. What was tried there and on NAS-Bench-201 and left
out, since the Gaussian process ranks worse with it: numbers of paths with two operations in
order, means along the longest paths, pairs joined by a path, log parameters (no change).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.space.base import Graphs, Shape

CHUNK = 16384  # architectures worked on at once: about 50 MB


def graph_features(graphs: Graphs, shape: Shape, places: bool = False) -> Array:
    """``[N, D]`` float32 features; D depends on ``shape`` and ``places`` alone.

    Args:
        graphs: encoded architectures; extra inputs (``graphs.features``) are appended as they are.
        shape: of the space's encoding.
        places: append the one-hots of a fixed topology's places. They tell isomorphic graphs
            apart; a chain has them in any case.
    """
    places = shape.chain or (places and shape.fixed_topology)
    starts = range(0, max(1, len(graphs)), CHUNK)
    return np.concatenate(
        [_features(graphs[slice(at, at + CHUNK)], shape, places) for at in starts]
    )


def feature_names(shape: Shape, places: bool = False, most: int | None = None) -> list[str]:
    """Names of the D features, such as ``edge/2-3`` (token 2 feeds token 3).

    ``most``: operations on a path, where they are not as many as the shape allows.
    """
    tokens = [str(token) for token in operation_tokens(shape)]
    if shape.chain:
        names = [f"first{place + 1}/{token}" for place in range(shape.tokens) for token in tokens]
    else:
        names = [f"count/{token}" for token in tokens] + ["vertices", "edges"]
        most = most_operations(shape) if most is None else most
        names += [f"paths/{length}" for length in range(most + 1)]
        names += ["shortest", "longest"]
        for kind in ("shortest", "mean", "most", "fewest"):
            names += [f"{kind}/{token}" for token in tokens]
        names += [f"edge/{left}-{right}" for left in tokens for right in tokens]
        names += [f"edge/input-{token}" for token in tokens]
        names += [f"edge/{token}-output" for token in tokens]
        names += [f"{kind}/{token}" for kind in ("into", "out") for token in tokens]
        names += [f"path/{token}" for token in tokens]
    if shape.chain or (places and shape.fixed_topology):
        count = shape.tokens if shape.edges or shape.chain else shape.tokens - 2
        names += [f"place{place}/{token}" for place in range(count) for token in tokens]
    return names + [f"extra/{index}" for index in range(shape.features)]


def live_cells(graphs: Graphs, shape: Shape) -> Cells:
    """Architectures of a space that is no chain, as graphs of operations without dead parts."""
    onehots, adjacency = operation_onehots(graphs, shape), graphs.adjacency.cpu().numpy()
    if shape.edges is not None:
        return _from_edges(onehots, adjacency, shape.edges)
    return _from_vertices(onehots, adjacency, graphs.vertices.cpu().numpy())


def live_operations(graphs: Graphs, shape: Shape) -> Array:
    """``[N, T]`` bool: operations on edges that a path from the input to the output passes."""
    assert shape.edges is not None
    return np.asarray(live_cells(graphs, shape).onehots.any(axis=2))


def operation_tokens(shape: Shape) -> tuple[int, ...]:
    """Tokens of the operations that pass something on."""
    if shape.operation_tokens is not None:
        return shape.operation_tokens
    return tuple(token for token in range(shape.vocabulary) if token != shape.padding_token)


def most_operations(shape: Shape) -> int:
    """Most operations L on a path of a space that is no chain."""
    return shape.vertices - 1 if shape.edges else shape.vertices - 2


@dataclass(frozen=True)
class Cells:
    """Architectures with operations on vertices and no dead parts.

    Attributes:
        onehots: ``[N, V, K]`` float32, all zero for the input, the output, and what is dead.
        inside: ``[N, V, V]`` float32 edges between operations.
        sources: ``[N, V]`` float32, 1 for operations that the input feeds.
        sinks: ``[N, V]`` float32, 1 for operations that feed the output.
        direct: ``[N]`` float32, 1 where the input feeds the output.
    """

    onehots: Array
    inside: Array
    sources: Array
    sinks: Array
    direct: Array


def _features(graphs: Graphs, shape: Shape, places: bool) -> Array:
    if shape.chain:
        onehots = operation_onehots(graphs, shape)
        parts = [_flat(onehots.cumsum(1))]
    else:
        cells = live_cells(graphs, shape)
        onehots = cells.onehots
        parts = [cell_features(cells, most_operations(shape))]
    if places:
        parts.append(_flat(onehots))
    if graphs.features is not None:
        parts.append(graphs.features.cpu().numpy())
    return np.concatenate(parts, axis=1, dtype=np.float32)


def operation_onehots(graphs: Graphs, shape: Shape) -> Array:
    """``[N, T, K]`` float32 one-hots of the operations that pass something on."""
    tokens = np.array(operation_tokens(shape))
    onehots: Array = (graphs.operations.cpu().numpy()[:, :, None] == tokens).astype(np.float32)
    return onehots


def _from_vertices(onehots: Array, adjacency: Array, vertices: Array) -> Cells:
    """Cells whose first vertex is the input and whose last real one is the output."""
    count, slots = onehots.shape[:2]
    last = np.arange(slots) == vertices[:, None].astype(np.int64) - 1
    inner = onehots.any(axis=2) & ~last
    edges = adjacency.astype(bool)
    rows = np.arange(count)
    output = last.argmax(axis=1)
    into = edges[rows, :, output]
    middle = slice(1, slots - 1)  # where operations can be
    inner = inner[:, middle]
    return _without_dead(
        onehots[:, middle],
        edges[:, middle, middle],
        edges[:, 0, middle] & inner,
        into[:, middle] & inner,
        into[:, 0],
        inner,
    )


def _from_edges(onehots: Array, adjacency: Array, places: tuple[tuple[int, int], ...]) -> Cells:
    """Cells of nodes joined by edges that hold the operations: each such edge is a vertex."""
    begin, end = np.array(places).T
    present = adjacency[:, begin, end].astype(bool) & onehots.any(axis=2)
    count = len(onehots)
    follows = np.broadcast_to(end[:, None] == begin[None, :], (count, len(places), len(places)))
    return _without_dead(
        onehots,
        follows,
        present & (begin == 0),
        present & (end == adjacency.shape[1] - 1),
        np.zeros(count, dtype=bool),
        present,
    )


def _without_dead(
    onehots: Array, inside: Array, sources: Array, sinks: Array, direct: Array, present: Array
) -> Cells:
    """Keep what a path from the input to the output passes; all but ``onehots`` are bool."""
    inside = inside & present[:, :, None] & present[:, None, :]
    live = _reachable(sources, inside) & _reachable(sinks, inside.transpose(0, 2, 1))
    inside = inside & live[:, :, None] & live[:, None, :]
    return Cells(
        onehots * live[:, :, None],
        inside.astype(np.float32),
        (sources & live).astype(np.float32),
        (sinks & live).astype(np.float32),
        direct.astype(np.float32),
    )


def _reachable(start: Array, edges: Array) -> Array:
    """``[N, V]`` bool: vertices that a path from one of ``start`` leads to, those included."""
    reached = start
    for _ in range(edges.shape[1] - 1):
        reached = reached | (reached[:, :, None] & edges).any(axis=1)
    return reached


def cell_features(cells: Cells, most: int) -> Array:
    """``[N, D]`` features of cells, in the order of :func:`feature_names`.

    Args:
        cells: graphs without dead parts.
        most: operations on a path, at most.
    """
    onehots, inside, sources, sinks = cells.onehots, cells.inside, cells.sources, cells.sinks
    edges = inside.sum((1, 2)) + sources.sum(1) + sinks.sum(1) + cells.direct
    pairs = np.matmul(onehots.transpose(0, 2, 1), np.matmul(inside, onehots))
    counts = [
        onehots.sum(1),
        np.stack([onehots.sum((1, 2)), edges], axis=1),
        *_path_features(cells, most),
        *_extremes(cells),
        _flat(pairs),
        _weighted(sources, onehots),
        _weighted(sinks, onehots),
        _weighted(inside.sum(1) + sources, onehots),
        _weighted(inside.sum(2) + sinks, onehots),
        _weighted(sources * sinks, onehots),
    ]
    return np.concatenate([np.log1p(part) for part in counts], axis=1)


def _path_features(cells: Cells, most: int) -> list[Array]:
    """Numbers of paths by their operations, extreme lengths, and mean operations along paths."""
    numbers, totals = [cells.direct], [np.zeros_like(cells.onehots[:, 0])]
    arriving = cells.sources  # paths from the input that end in a vertex
    counted = cells.sources[:, :, None] * cells.onehots  # operations on them, summed
    forward = cells.inside.transpose(0, 2, 1)
    for _ in range(most):
        numbers.append((arriving * cells.sinks).sum(1))
        totals.append(_weighted(cells.sinks, counted))
        arriving = np.matmul(forward, arriving[:, :, None])[:, :, 0]
        counted = np.matmul(forward, counted) + arriving[:, :, None] * cells.onehots
    paths, operations = np.stack(numbers, axis=1), np.stack(totals, axis=1)
    exists = paths > 0
    shortest = exists.argmax(1)
    longest = np.where(exists.any(1), most - exists[:, ::-1].argmax(1), 0)
    rows = np.arange(len(paths))
    return [
        paths,
        np.stack([shortest, longest], axis=1),
        operations[rows, shortest] / np.maximum(paths[rows, shortest], 1)[:, None],
        operations.sum(1) / np.maximum(paths.sum(1), 1)[:, None],
    ]


def _extremes(cells: Cells) -> list[Array]:
    """Two times ``[N, K]``: most and fewest operations of a kind on any path; 0 without a path."""
    far = np.float32(1e6)
    fewest = np.where(cells.sources[:, :, None] > 0, cells.onehots, far)
    most = np.where(cells.sources[:, :, None] > 0, cells.onehots, -far)
    for vertex in range(1, cells.inside.shape[1]):  # vertices are in topological order
        before = cells.inside[:, :vertex, vertex, None] > 0
        own = cells.onehots[:, vertex]
        lower = np.where(before, fewest[:, :vertex], far).min(1) + own
        upper = np.where(before, most[:, :vertex], -far).max(1) + own
        fewest[:, vertex] = np.minimum(fewest[:, vertex], lower)
        most[:, vertex] = np.maximum(most[:, vertex], upper)
    ends = cells.sinks[:, :, None] > 0
    least = np.where(ends, fewest, far).min(1)
    least = np.where((least >= far / 2) | (cells.direct[:, None] > 0), 0, least)
    return [np.maximum(np.where(ends, most, -far).max(1), 0), least]


def _weighted(weights: Array, onehots: Array) -> Array:
    """``[N, K]`` sum of ``[N, V, K]`` over vertices with weights ``[N, V]``."""
    total: Array = np.matmul(weights[:, None, :], onehots)[:, 0]
    return total


def _flat(array: Array) -> Array:
    return array.reshape(len(array), -1)
