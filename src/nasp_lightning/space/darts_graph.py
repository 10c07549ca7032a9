"""DARTS cells as arrays: edges' operations and inputs, one graph of both cells, and numbers.

*Edges* are ``operations [N, 2, 8]`` (codes of :data:`darts_genotype.OPERATIONS`) and ``inputs
[N, 2, 8]`` (states), of the normal and the reduction cell; a node's two edges stand together,
the lower input first.

The *graph* has 22 vertices: the input; the normal cell's two inputs and eight operations; the
reduction cell's; the output. The input feeds the cells' inputs; an operation is fed by the cell's
input that it reads, or by both operations of the node that it reads; every operation feeds the
output, since a cell concatenates all its nodes. Tokens: 0 output, 1 input, 2 and 3 a cell's
inputs (c_{k-2}, c_{k-1}), 4 to 10 the normal cell's operations, 11 to 17 the reduction cell's.
"""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.space.darts_genotype import EDGES, INPUTS, NODES, OPERATIONS

OUTPUT, INPUT, FIRST_INPUT, FIRST_OPERATION = 0, 1, 2, 4
VOCABULARY = FIRST_OPERATION + 2 * len(OPERATIONS)
BLOCK = INPUTS + EDGES  # vertices of a cell
VERTICES = 2 * BLOCK + 2

# The two inputs of each node, by their number; of a cell 1 · 3 · 6 · 10 topologies.
PAIRS = tuple(np.array(list(combinations(range(INPUTS + node), 2))) for node in range(NODES))
TOPOLOGIES = tuple(len(pairs) for pairs in PAIRS)
CELL_SIZE = int(np.prod(TOPOLOGIES)) * len(OPERATIONS) ** EDGES
SIZE: int = CELL_SIZE**2

_PLACES = np.array([1 + BLOCK * cell + INPUTS + edge for cell in (0, 1) for edge in range(EDGES)])
_STATE = np.array([*range(INPUTS), *(INPUTS + edge // 2 for edge in range(EDGES))])


def to_graph(operations: Array, inputs: Array) -> tuple[Array, Array]:
    """Tokens ``[N, 22]`` and adjacency ``[N, 22, 22]``, both uint8, of edges ``[N, 2, 8]``."""
    count = len(operations)
    tokens = np.zeros((count, VERTICES), dtype=np.uint8)
    adjacency = np.zeros((count, VERTICES, VERTICES), dtype=np.uint8)
    tokens[:, 0] = INPUT
    for cell in (0, 1):
        start = 1 + BLOCK * cell
        block = slice(start, start + BLOCK)
        tokens[:, start : start + INPUTS] = range(FIRST_INPUT, FIRST_INPUT + INPUTS)
        first = FIRST_OPERATION + cell * len(OPERATIONS)
        tokens[:, start + INPUTS : start + BLOCK] = operations[:, cell] + first
        adjacency[:, 0, start : start + INPUTS] = 1
        adjacency[:, start + INPUTS : start + BLOCK, -1] = 1
        reads = _STATE[None, :, None] == inputs[:, cell][:, None, :]
        adjacency[:, block, start + INPUTS : start + BLOCK] = reads
    return tokens, adjacency


def from_graph(tokens: Array, adjacency: Array) -> tuple[Array, Array]:
    """Edges ``[N, 2, 8]`` of graphs; meaningless where a graph is none of the space.

    :func:`to_graph` of them gives the same graphs exactly if those are of the space (and each
    node's inputs are two and in order, which :func:`well_formed` says).
    """
    count = len(tokens)
    codes = tokens[:, _PLACES].reshape(count, 2, EDGES).astype(np.int64)
    codes -= FIRST_OPERATION + len(OPERATIONS) * np.arange(2)[:, None]
    inputs = np.empty((count, 2, EDGES), dtype=np.int64)
    for cell in (0, 1):
        start = 1 + BLOCK * cell
        reads = adjacency[:, start : start + BLOCK, start + INPUTS : start + BLOCK]
        inputs[:, cell] = _STATE[reads.argmax(axis=1)]
    return codes.clip(0, len(OPERATIONS) - 1), inputs


def well_formed(inputs: Array) -> Array:
    """``[N]`` bool: each node reads two earlier states, the lower one first."""
    low, high = inputs[..., 0::2], inputs[..., 1::2]
    fits = (low >= 0) & (low < high) & (high < INPUTS + np.arange(NODES))
    return np.asarray(fits.all(axis=(1, 2)))


def ordered(operations: Array, inputs: Array) -> tuple[Array, Array]:
    """The same edges ``[..., 8]``, each node's lower input first."""
    shape = (*inputs.shape[:-1], NODES, 2)
    pairs = inputs.reshape(shape)
    order = pairs.argsort(axis=-1, kind="stable")
    codes = np.take_along_axis(operations.reshape(shape), order, axis=-1)
    return codes.reshape(inputs.shape), np.take_along_axis(pairs, order, -1).reshape(inputs.shape)


def cell_index(operations: Array, inputs: Array) -> Array:
    """``[M]`` int64 number of well-formed cells ``[M, 8]``, below :data:`CELL_SIZE`."""
    index = np.zeros(len(operations), dtype=np.int64)
    for node, count in enumerate(TOPOLOGIES):
        low, high = inputs[:, 2 * node], inputs[:, 2 * node + 1]
        table = np.zeros((INPUTS + node, INPUTS + node), dtype=np.int64)
        table[tuple(PAIRS[node].T)] = np.arange(count)
        index = index * count + table[low, high]
        for edge in (2 * node, 2 * node + 1):
            index = index * len(OPERATIONS) + operations[:, edge]
    return index


def cell_of(index: Array) -> tuple[Array, Array]:
    """Operations and inputs ``[M, 8]`` int64 of cells' numbers; inverse of :func:`cell_index`."""
    left = np.asarray(index, dtype=np.int64)
    operations = np.empty((len(left), EDGES), dtype=np.int64)
    inputs = np.empty_like(operations)
    for node in reversed(range(NODES)):
        for edge in (2 * node + 1, 2 * node):
            left, operations[:, edge] = np.divmod(left, len(OPERATIONS))
        left, pair = np.divmod(left, TOPOLOGIES[node])
        inputs[:, 2 * node : 2 * node + 2] = PAIRS[node][pair]
    return operations, inputs


def canonical_index(operations: Array, inputs: Array) -> Array:
    """``[M]`` int64: the least number of all cells that are the same but for their nodes' order.

    Nodes that do not read each other may stand in any order; the cell's output then holds the
    same channels in another order, and a network trained from scratch is the same network.
    """
    best = np.full(len(operations), CELL_SIZE, dtype=np.int64)
    nodes = operations.reshape(-1, NODES, 2), inputs.reshape(-1, NODES, 2)
    for order in permutations(range(NODES)):  # order[new] = old
        renamed = np.array([0, 1, *(INPUTS + order.index(node) for node in range(NODES))])
        codes, read = nodes[0][:, order], renamed[nodes[1][:, order]]
        possible = (read < INPUTS + np.arange(NODES)[:, None]).all(axis=(1, 2))
        if possible.any():
            edges = ordered(codes[possible].reshape(-1, EDGES), read[possible].reshape(-1, EDGES))
            best[possible] = np.minimum(best[possible], cell_index(*edges))
    return best
