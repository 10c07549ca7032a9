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

# Gain of the weights, and whether vectors that meet are divided by the square root of their number.
ACTIVATIONS = {"relu": (np.sqrt(2.0), False), "tanh": (1.0, True)}
BIAS = 0.3  # standard deviation of b_op


class RandomNetworks:
    """Random layers for each operation, in both directions.

    Args:
        activation: ``relu`` or ``tanh``.
        operations: number K.
        width: H.
        seed: of the weights.
    """

    def __init__(self, activation: str, operations: int, width: int, seed: int) -> None:
        rng = np.random.default_rng([seed, 5, list(ACTIVATIONS).index(activation)])
        gain, self.scaled = ACTIVATIONS[activation]
        self.activation = activation
        self.weights: list[tuple[Array, Array, Array]] = []
        for _ in range(2):
            layers = rng.standard_normal((operations, width, width)) * gain / np.sqrt(width)
            bias = BIAS * rng.standard_normal((operations, width))
            start = rng.standard_normal(width)
            arrays = [np.asarray(values, dtype=np.float32) for values in (layers, bias, start)]
            self.weights.append((arrays[0], arrays[1], arrays[2]))

    def blocks(self, live: LiveGraphs) -> list[Array]:
        """Four times ``[N, H]`` float32: last vector and sum, in each direction."""
        reverse = np.ascontiguousarray(live.edges.transpose(0, 2, 1)[:, ::-1, ::-1])
        backward = LiveGraphs(live.kinds[:, ::-1], reverse)
        result: list[Array] = []
        for graphs, weights in zip((live, backward), self.weights, strict=True):
            result += _run(graphs, weights, self.activation, self.scaled)
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
