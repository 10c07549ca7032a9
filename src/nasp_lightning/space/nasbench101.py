"""NAS-Bench-101's space: a cell of at most seven vertices and nine edges, operations on vertices.

Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search" (ICML 2019,
arXiv 1902.09635). Interior vertices hold a 3×3 or 1×1 convolution or a 3×3 max-pooling; vertices
that no path from the input to the output passes are pruned away. 423,624 cells remain.

Operation codes: 0 output, 1 input, 2 conv3x3, 3 conv1x1, 4 maxpool3x3, 5 padding. The input is
the first vertex, the output the last real one, padding follows.

Example:
    >>> space = NASBench101()
    >>> operations, adjacency = space.from_string("010001000;input,conv1x1-bn-relu,output")
    >>> operations.tolist()
    [1, 3, 0, 5, 5, 5, 5]
"""

from __future__ import annotations

import itertools
import math
from typing import ClassVar

import numpy as np
import torch

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.space.base import Architecture, Graphs, Keyed, Shape, Space, unstacked
from nasp_lightning.space.nasbench101_graph import (
    CODES,
    EDGES,
    INPUT,
    INTERIOR,
    OPERATIONS,
    OUTPUT,
    PADDING,
    VERTICES,
    graph_hash,
    pad,
    prune,
    prune_all,
)

__all__ = ["NASBench101", "graph_hash", "prune"]

# Cells of the space with 2, 3, ... 7 vertices.
CELLS_BY_VERTICES = (1, 6, 84, 2_441, 62_010, 359_082)

_BATCH = 2048


class NASBench101(Space, Keyed):
    """Cells of NAS-Bench-101.

    Encoding ``graph``: one token for each vertex in the benchmark's own order, the adjacency, and
    padding at the end. The published code of TNASP and PINAT feeds the output's token in padded
    slots: ``shape.published_padding_token``.
    """

    name: ClassVar[str] = "nasbench101"
    encodings: ClassVar[tuple[str, ...]] = ("graph",)
    operation_names = OPERATIONS

    @property
    def shape(self) -> Shape:
        """Sizes of the encoding."""
        return Shape(
            tokens=VERTICES,
            vertices=VERTICES,
            vocabulary=PADDING + 1,
            padding_token=PADDING,
            published_padding_token=OUTPUT,
            operation_tokens=INTERIOR,
            input_token=INPUT,
            output_token=OUTPUT,
        )

    def encode(self, operations: Array, adjacency: Array | None = None) -> Graphs:
        """Encode ``[N, 7]`` operations and ``[N, 7, 7]`` adjacencies."""
        matrix, codes = _both(adjacency, operations)
        return Graphs(
            operations=torch.from_numpy(np.array(codes, dtype=np.uint8)),
            adjacency=torch.from_numpy(np.array(matrix, dtype=np.uint8)),
            vertices=torch.from_numpy((codes != PADDING).sum(axis=1).astype(np.uint8)),
        )

    def validate(self, operations: Array, adjacency: Array | None = None) -> None:
        """Raise :class:`NaspError` naming the first architecture that is no cell of the space.

        Cells need not be pruned, but their output must be reachable.
        """
        matrix, codes = _both(adjacency, operations)
        real = codes != PADDING
        count = real.sum(axis=1)
        places = np.arange(VERTICES)
        interior = (places > 0) & (places < count[:, None] - 1)
        last = codes[np.arange(len(codes)), np.maximum(count, 1) - 1]
        outside = ~(real[:, :, None] & real[:, None, :])
        _, _, connected = prune_all(matrix, codes)
        rules = (
            ("padding before its end", (real != (places < count[:, None])).any(axis=1)),
            ("fewer than two vertices", count < 2),
            ("a first vertex that is not the input", codes[:, 0] != INPUT),
            ("a last vertex that is not the output", last != OUTPUT),
            ("an unknown interior operation", (interior & ~np.isin(codes, INTERIOR)).any(axis=1)),
            ("an adjacency of other values than 0 and 1", (matrix > 1).any(axis=(1, 2))),
            ("an edge at a padded vertex", (matrix * outside).any(axis=(1, 2))),
            (
                "an adjacency that is not upper triangular (cyclic, or out of order)",
                np.tril(matrix).any(axis=(1, 2)),
            ),
            (f"more than {EDGES} edges", matrix.sum(axis=(1, 2), dtype=np.int64) > EDGES),
            ("no path from its input to its output", ~connected),
        )
        for reason, broken in rules:
            if broken.any():
                raise NaspError(
                    f"architecture {int(broken.argmax())} is no cell of nasbench101: it has "
                    + reason
                )

    def to_string(self, operations: Array, adjacency: Array | None = None) -> str:
        """One cell as the benchmark's records write it: adjacency, semicolon, operations."""
        if adjacency is None:
            raise NaspError("a cell of nasbench101 needs its adjacency")
        codes = [int(code) for code in operations if code != PADDING]
        matrix = np.asarray(adjacency)[: len(codes), : len(codes)]
        bits = "".join(str(int(bit)) for bit in matrix.flat)
        return bits + ";" + ",".join(OPERATIONS[code] for code in codes)

    def from_string(self, text: str) -> Architecture:
        """The cell that :meth:`to_string` wrote.

        Raises:
            NaspError: if the text is no cell of the space.
        """
        form = "write it like 010001000;input,conv1x1-bn-relu,output"
        bits, separator, listed = text.strip().partition(";")
        names = listed.split(",")
        for name in names if separator else []:
            if name not in CODES:
                raise NaspError(
                    f"unknown operation {name!r} in {text!r}; nasbench101 has "
                    + ", ".join(OPERATIONS)
                )
        fits = math.isqrt(len(bits)) == len(names) and len(names) ** 2 == len(bits)
        if not separator or not fits or not set(bits) <= {"0", "1"}:
            raise NaspError(f"{text!r} is no cell of nasbench101: {form}")
        if len(names) > VERTICES:
            raise NaspError(f"{text!r} has {len(names)} vertices; nasbench101 allows {VERTICES}")
        matrix = np.array(list(bits), dtype=np.uint8).reshape(len(names), len(names))
        adjacency, operations = pad(matrix, np.array([CODES[name] for name in names]))
        self.validate(operations[None], adjacency[None])
        return Architecture(operations, adjacency)

    def key(self, operations: Array, adjacency: Array) -> Array:
        """``[16]`` uint8 key of one cell in the benchmark's table: the hash of its pruned graph."""
        digest = graph_hash(*prune(adjacency, operations))
        return np.frombuffer(bytes.fromhex(digest), dtype=np.uint8)

    def sample(self, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
        """``count`` pruned cells drawn at random.

        The number of vertices is drawn by the space's own shares; given it, every labelled
        graph of the space is equally likely (its isomorphism class by the graphs in it).
        """
        shares = np.array(CELLS_BY_VERTICES) / sum(CELLS_BY_VERTICES)
        vertices = rng.choice(np.arange(2, VERTICES + 1), size=count, p=shares)
        operations = np.full((count, VERTICES), PADDING, dtype=np.uint8)
        adjacency = np.zeros((count, VERTICES, VERTICES), dtype=np.uint8)
        for size in np.unique(vertices):
            rows = np.flatnonzero(vertices == size)
            operations[rows, 0] = INPUT
            operations[rows, 1 : size - 1] = rng.choice(INTERIOR, size=(len(rows), size - 2))
            operations[rows, size - 1] = OUTPUT
            adjacency[rows] = _sample_adjacency(rng, int(size), len(rows))
        return operations, adjacency

    def mutate(
        self, rng: np.random.Generator, operations: Array, adjacency: Array | None = None
    ) -> Architecture:
        """One cell with one operation or one edge changed, pruned and never isomorphic to it.

        An edge is added or removed, or, where there is room, split by a new vertex: without that,
        cells that pruning made smaller could not grow again.
        """
        if adjacency is None:
            raise NaspError("a cell of nasbench101 needs its adjacency")
        count = int((np.asarray(operations) != PADDING).sum())
        while True:
            codes, matrix = np.array(operations, np.uint8), np.array(adjacency, np.uint8)
            if count > 2 and rng.random() < 0.5:
                vertex = rng.integers(1, count - 1)
                codes[vertex] = rng.choice([code for code in INTERIOR if code != codes[vertex]])
            else:
                source, target = np.sort(rng.choice(count, size=2, replace=False))
                if matrix[source, target] and count < VERTICES and rng.random() < 0.5:
                    new = int(rng.choice(INTERIOR))
                    codes, matrix = _split_edge(codes, matrix, int(source), int(target), new)
                else:
                    matrix[source, target] ^= 1
            pruned, kept, connected = prune_all(matrix[None], codes[None])
            if connected[0] and pruned.sum() <= EDGES:
                return Architecture(kept[0], pruned[0])

    def neighbours(
        self, rng: np.random.Generator, operations: Array, adjacency: Array | None = None
    ) -> list[Architecture]:
        """Every cell that :meth:`mutate` can make of one, which is pruned; nothing is drawn."""
        if adjacency is None:
            raise NaspError("a cell of nasbench101 needs its adjacency")
        cell, edges = np.array(operations, np.uint8), np.array(adjacency, np.uint8)
        count = int((cell != PADDING).sum())
        changed = []
        for vertex, code in itertools.product(range(1, count - 1), INTERIOR):
            codes = cell.copy()
            codes[vertex] = code
            if code != cell[vertex]:
                changed.append((codes, edges))
        for source, target in itertools.combinations(range(count), 2):
            matrix = edges.copy()
            matrix[source, target] ^= 1
            changed.append((cell, matrix))
            if edges[source, target] and count < VERTICES:
                changed += [_split_edge(cell, edges, source, target, code) for code in INTERIOR]
        made, matrices = (np.stack(arrays) for arrays in zip(*changed, strict=True))
        pruned, kept, connected = prune_all(matrices, made)
        good = connected & (pruned.sum(axis=(1, 2)) <= EDGES)
        both = np.concatenate([kept[good], pruned[good].reshape(good.sum(), -1)], axis=1)
        _, first = np.unique(both, axis=0, return_index=True)
        return unstacked(kept[good][first], pruned[good][first])


def _both(adjacency: Array | None, operations: Array) -> tuple[Array, Array]:
    codes = np.asarray(operations)
    matrix = None if adjacency is None else np.asarray(adjacency)
    fits = codes.ndim == 2 and codes.shape[1] == VERTICES
    if matrix is None or not fits or matrix.shape != (len(codes), VERTICES, VERTICES):
        shape = None if matrix is None else matrix.shape
        raise NaspError(
            f"cells of nasbench101 are operations [N, {VERTICES}] and adjacency "
            f"[N, {VERTICES}, {VERTICES}]; got {codes.shape} and {shape}"
        )
    return matrix, codes


def _sample_adjacency(rng: np.random.Generator, vertices: int, count: int) -> Array:
    """``[count, 7, 7]`` pruned graphs of exactly so many vertices, by rejection."""
    sources, targets = np.triu_indices(vertices, 1)
    found: list[Array] = []
    while sum(map(len, found)) < count:
        drawn = np.zeros((_BATCH, VERTICES, VERTICES), dtype=np.uint8)
        drawn[:, sources, targets] = rng.integers(0, 2, (_BATCH, len(sources)), dtype=np.uint8)
        bounded = drawn.sum(axis=(1, 2)) <= EDGES
        leaves = np.all(drawn[:, : vertices - 1].any(axis=2), axis=1)
        enters = np.all(drawn[:, :, 1:vertices].any(axis=1), axis=1)
        found.append(drawn[bounded & leaves & enters])
    return np.concatenate(found)[:count] if found else np.zeros((0, VERTICES, VERTICES), np.uint8)


def _split_edge(
    codes: Array, matrix: Array, source: int, target: int, operation: int
) -> tuple[Array, Array]:
    """Put a new vertex of an operation in an edge, right before the edge's target."""
    order = [
        *range(target),
        VERTICES - 1,
        *range(target, VERTICES - 1),
    ]  # a padded slot moves there
    matrix, codes = matrix[np.ix_(order, order)], codes[order]
    codes[target] = operation
    matrix[source, target + 1] = 0
    matrix[source, target] = matrix[target, target + 1] = 1
    return codes, matrix
