from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasp_lightning.predictor.multiview.live_graph import live_graphs
from nasp_lightning.predictor.multiview.random_network import RandomNetworks
from nasp_lightning.space.macro import Macro
from nasp_lightning.space.nasbench201 import NASBench201

SPACE = NASBench201()


def after(kind: str, state: Any, layer: Any, bias: Any) -> Any:
    """An operation with its short cut."""
    linear = state @ layer + bias
    return state + (np.maximum(linear, 0) if kind == "mean" else np.tanh(linear))


@pytest.mark.parametrize("kind", ["mean", "root"])
def test_a_chain_is_the_layers_one_after_another(kind: str) -> None:
    space = Macro()
    codes = np.array([[1, 2, 0, 0, 0, 0, 0, 1]], dtype=np.uint8)
    networks = RandomNetworks(kind, 3, 8, seed=4)
    last, total, *_ = networks.blocks(live_graphs(space.encode(codes), space.shape))
    layers, bias, state = networks.weights[0]
    states = []
    for code in (1, 2, 1):
        state = after(kind, state, layers[code], bias[code])
        states.append(state)
    np.testing.assert_allclose(last[0], state, atol=1e-5)
    np.testing.assert_allclose(total[0], np.sum(states, axis=0), atol=1e-5)


@pytest.mark.parametrize("kind", ["mean", "root"])
def test_isomorphic_cells_compute_the_same(kind: str) -> None:
    # conv3 then pool: through node 1, through node 2, and with a skip between.
    codes = np.array([[3, 0, 0, 0, 4, 0], [0, 3, 0, 0, 0, 4], [3, 0, 1, 0, 0, 4]], dtype=np.uint8)
    live = live_graphs(SPACE.encode(codes), SPACE.shape)
    for block in RandomNetworks(kind, 4, 16, seed=0).blocks(live):
        assert block.shape == (3, 16)
        np.testing.assert_allclose(block[1:], block[:1].repeat(2, 0), atol=1e-5)


def test_where_vectors_meet() -> None:
    """Node 3 gets a conv1 of the input, and the same again after a conv3 to node 1."""
    codes = np.array([[3, 0, 0, 2, 2, 0]], dtype=np.uint8)
    live = live_graphs(SPACE.encode(codes), SPACE.shape)
    for kind, parts in (("mean", 2.0), ("root", np.sqrt(2))):
        networks = RandomNetworks(kind, 4, 8, seed=1)
        (_, conv1, conv3, _), (_, bias1, bias3, _), start = networks.weights[0]
        left, right = start, after(kind, start, conv3, bias3)
        expected = (after(kind, left, conv1, bias1) + after(kind, right, conv1, bias1)) / parts
        np.testing.assert_allclose(networks.blocks(live)[0][0], expected, atol=1e-5)


def test_the_order_of_operations_counts_in_both_directions() -> None:
    codes = np.array([[3, 0, 0, 0, 4, 0], [4, 0, 0, 0, 3, 0]], dtype=np.uint8)
    live = live_graphs(SPACE.encode(codes), SPACE.shape)
    for block in RandomNetworks("mean", 4, 16, seed=0).blocks(live):
        assert np.abs(block[0] - block[1]).max() > 0.1


def test_a_cell_without_a_path_is_finite() -> None:
    live = live_graphs(SPACE.encode(np.zeros((1, 6), dtype=np.uint8)), SPACE.shape)
    blocks = RandomNetworks("root", 4, 8, seed=0).blocks(live)
    assert all((block == 0).all() for block in blocks)


def test_seeds_give_their_own_networks() -> None:
    first, same, other = (RandomNetworks("root", 2, 4, seed).weights[0][0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)
