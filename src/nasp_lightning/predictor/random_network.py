"""Architectures as random networks: what a cell's graph does to a vector.

Each operation is a random layer ``h → φ(W_op h + b_op)`` of width H, each edge hands its vector
on, and vectors that meet are added: a toy of the network itself, never trained. Two architectures
are alike if they compute alike. The graph is run from the input to the output and, with other
weights, from the output to the input; the last vector and the sum over all operations are kept.
It is the random-feature form of a graph network's Gaussian process (compare Du et al., "Graph
Neural Tangent Kernel", NeurIPS 2019), but follows the order of computation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nasp_lightning.predictor.live_graph import LiveGraphs

Array = npt.NDArray[Any]

# Activation, gain of the weights, and whether vectors that meet are divided by the square root of
# their number. The two rank about equally well, and better together.
KINDS = (("relu", np.sqrt(2.0), False), ("tanh", 1.0, True))
BIAS = 0.3  # standard deviation of b_op


class RandomNetworks:
    """Random layers for each operation, direction and kind of network.

    Args:
        operations: number K.
        width: H of each of the four networks (two kinds, two directions).
        seed: of the weights.
    """

    def __init__(self, operations: int, width: int, seed: int) -> None:
        rng = np.random.default_rng([seed, 5])
        self.weights: list[tuple[Array, Array, Array]] = []
        for _, gain, _ in KINDS:
            for _ in range(2):
                layers = rng.standard_normal((operations, width, width)) * gain / np.sqrt(width)
                bias = BIAS * rng.standard_normal((operations, width))
                start = rng.standard_normal(width)
                arrays = (np.asarray(x, dtype=np.float32) for x in (layers, bias, start))
                self.weights.append((next(arrays), next(arrays), next(arrays)))

    def blocks(self, live: LiveGraphs) -> list[Array]:
        """Eight times ``[N, H]`` float32: last vector and sum, for each direction and kind."""
        backward = LiveGraphs(
            live.kinds[:, ::-1], np.ascontiguousarray(live.edges.transpose(0, 2, 1)[:, ::-1, ::-1])
        )
        result: list[Array] = []
        for number, weights in enumerate(self.weights):
            kind, _, scaled = KINDS[number // 2]
            result += _run(live if number % 2 == 0 else backward, weights, kind, scaled)
        return result


def _run(
    live: LiveGraphs, weights: tuple[Array, Array, Array], activation: str, scaled: bool
) -> list[Array]:
    layers, bias, start = weights
    count, vertices = live.kinds.shape[:2]
    operations = live.kinds[:, :, : live.operations]
    if scaled:
        total = live.edges.sum(1, keepdims=True)
        edges = live.edges / np.sqrt(np.maximum(total, 1))
    else:
        edges = live.edges
    states = np.zeros((count, vertices, len(start)), dtype=np.float32)
    states[:, 0] = start
    for vertex in range(1, vertices):
        arriving = np.matmul(edges[:, None, :vertex, vertex], states[:, :vertex])[:, 0]
        if vertex == vertices - 1:
            return [arriving, states[:, 1:].sum(1)]
        for kind in range(operations.shape[2]):
            rows = np.flatnonzero(operations[:, vertex, kind])
            if len(rows):
                linear = arriving[rows] @ layers[kind] + bias[kind]
                states[rows, vertex] = (
                    np.maximum(linear, 0) if activation == "relu" else np.tanh(linear)
                )
    raise AssertionError("a graph has an input and an output")
