"""Cells of NAS-Bench-101 as arrays: the benchmark's graph hash, and pruning. No torch needed.

Operation codes: 0 output, 1 input, 2 conv3x3, 3 conv1x1, 4 maxpool3x3, 5 padding. The input is
the first vertex, the output the last real one, padding follows.
"""

from __future__ import annotations

import hashlib

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError

VERTICES = 7
EDGES = 9
OUTPUT, INPUT, PADDING = 0, 1, 5
INTERIOR = (2, 3, 4)
OPERATIONS = ("output", "input", "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
CODES = {name: code for code, name in enumerate(OPERATIONS)}


def graph_hash(adjacency: Array, operations: Array) -> str:
    """The benchmark's hash of a cell, equal for isomorphic cells: 32 hexadecimal digits.

    As ``nasbench/lib/graph_util.py`` defines it: each vertex begins with the MD5 of its out-degree,
    in-degree and label; as many times as there are vertices, it takes the MD5 of its
    predecessors' digests, its successors' digests (both sorted) and its own; the cell's hash is
    the MD5 of the sorted digests. Labels are -1 input, -2 output, 0 conv3x3, 1 conv1x1, 2 maxpool.

    Args:
        adjacency: ``[V, V]``, row to column, padded or not, pruned (see :func:`prune`).
        operations: ``[V]`` codes of this module.
    """
    codes = [int(code) for code in operations if code != PADDING]
    count = len(codes)
    matrix = np.asarray(adjacency)[:count, :count].astype(bool)
    sources = [np.flatnonzero(matrix[:, vertex]).tolist() for vertex in range(count)]
    targets = [np.flatnonzero(matrix[vertex]).tolist() for vertex in range(count)]
    digests = [
        _md5(str((len(targets[vertex]), len(sources[vertex]), code - 2)))
        for vertex, code in enumerate(codes)
    ]
    for _ in range(count):
        digests = [
            _md5(
                "|".join(
                    (
                        "".join(sorted(digests[source] for source in sources[vertex])),
                        "".join(sorted(digests[target] for target in targets[vertex])),
                        digests[vertex],
                    )
                )
            )
            for vertex in range(count)
        ]
    return _md5(str(sorted(digests)))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def prune(adjacency: Array, operations: Array) -> tuple[Array, Array]:
    """A cell without the vertices that no path from the input to the output passes.

    Args:
        adjacency: ``[V, V]`` with V at most 7, upper triangular, padded or not.
        operations: ``[V]`` codes.

    Returns:
        ``adjacency`` ``[7, 7]`` and ``operations`` ``[7]``, both uint8, padded at the end.

    Raises:
        NaspError: if the output cannot be reached from the input, or the cell is oversized.
    """
    if len(operations) > VERTICES:
        raise NaspError(f"a cell of {len(operations)} vertices; {VERTICES} are allowed")
    padded_adjacency, padded_operations = pad(adjacency, operations)
    pruned, codes, connected = prune_all(padded_adjacency[None], padded_operations[None])
    if not connected[0]:
        raise NaspError("the cell's output cannot be reached from its input: it is no architecture")
    return pruned[0], codes[0]


def pad(adjacency: Array, operations: Array) -> tuple[Array, Array]:
    """A cell ``[V, V]``, ``[V]`` as ``[7, 7]``, ``[7]``, padded at the end."""
    count = len(operations)
    matrix = np.zeros((VERTICES, VERTICES), dtype=np.uint8)
    matrix[:count, :count] = adjacency
    codes = np.full(VERTICES, PADDING, dtype=np.uint8)
    codes[:count] = operations
    return matrix, codes


def _reachable(adjacency: Array, first: Array) -> Array:
    """``[N, 7]`` bool: vertices that a path from ``first`` ``[N]`` leads to, itself included."""
    reached: Array = np.arange(VERTICES) == first[:, None]
    edges = adjacency.astype(bool)
    for _ in range(VERTICES - 1):
        reached = reached | (reached[:, :, None] & edges).any(axis=1)
    return reached


def prune_all(adjacency: Array, operations: Array) -> tuple[Array, Array, Array]:
    """Prune ``[N, 7, 7]`` and ``[N, 7]``; the third value says which output can be reached."""
    last = (operations != PADDING).sum(axis=1) - 1
    forward = _reachable(adjacency, np.zeros(len(operations), dtype=np.int64))
    kept = forward & _reachable(adjacency.transpose(0, 2, 1), last)
    connected = forward[np.arange(len(operations)), last]
    order = np.argsort(~kept, axis=1, kind="stable")
    kept = np.take_along_axis(kept, order, axis=1)
    codes = np.where(kept, np.take_along_axis(operations, order, axis=1), PADDING)
    matrix = np.take_along_axis(adjacency, order[:, :, None], axis=1)
    matrix = np.take_along_axis(matrix, order[:, None, :], axis=2)
    matrix = matrix * (kept[:, :, None] & kept[:, None, :])
    return matrix.astype(np.uint8), codes.astype(np.uint8), connected
