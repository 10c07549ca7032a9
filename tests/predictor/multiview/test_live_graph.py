from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasp_lightning.predictor.multiview.live_graph import as_cells, live_graphs
from nasp_lightning.space.base import Shape
from nasp_lightning.space.macro import Macro
from nasp_lightning.space.nasbench101 import NASBench101
from nasp_lightning.space.nasbench201 import NASBench201

CELLS = NASBench201()


def edges_of(text: str, space: Any = CELLS) -> dict[tuple[str, str], int]:
    """The live graph of one cell of six digits, with its vertices named by their operations."""
    codes = np.array([[int(digit) for digit in text]], dtype=np.uint8)
    live = live_graphs(space.encode(codes), space.shape)
    names = ["skip", "conv1", "conv3", "pool", "in", "out"]
    kind = [names[row.argmax()] if row.any() else "" for row in live.kinds[0]]
    found: dict[tuple[str, str], int] = {}
    for begin, end in np.argwhere(live.edges[0]):
        edge = (kind[begin], kind[end])
        found[edge] = found.get(edge, 0) + int(live.edges[0][begin, end])
    return found


def test_dead_operations_are_gone() -> None:
    # 0→1 conv3 ends in node 1, which feeds nothing; 0→3 conv1 is all that lives.
    assert edges_of("300200") == {("in", "conv1"): 1, ("conv1", "out"): 1}


def test_identities_become_the_paths_through_them() -> None:
    # 0→1 skip, 1→3 conv3, 0→3 skip: the input feeds a convolution and the output.
    assert edges_of("100130") == {("in", "conv3"): 1, ("conv3", "out"): 1, ("in", "out"): 1}
    # 0→3 skip and 0→1→3 skips: twice from the input to the output.
    assert edges_of("100110") == {("in", "out"): 2}


def test_isomorphic_cells_are_one() -> None:
    # A chain of skip and conv3 through node 1, and through node 2.
    assert edges_of("100030") == edges_of("010003") == edges_of("000300")


def test_encodings_of_a_cell_agree() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 5, (40, 6)).astype(np.uint8)
    by_encoding = []
    for encoding in ("edge", "node", "dataflow"):
        space = NASBench201(encoding)
        live = live_graphs(space.encode(codes), space.shape)
        # Counts of edges between kinds; kinds are in the order of the operations in all three.
        pairs = np.einsum("nvk,nvw,nwl->nkl", live.kinds, live.edges, live.kinds)
        if encoding == "dataflow":  # splits and sums come first, and are contracted
            assert not live.kinds[:, :, :3].any()
            kept = [2, 3, 4, 5, 6, 7]
            pairs = pairs[:, kept][:, :, kept]
        by_encoding.append(pairs)
    np.testing.assert_array_equal(by_encoding[0], by_encoding[1])
    np.testing.assert_array_equal(by_encoding[0], by_encoding[2])


def test_a_chain_is_a_path_without_its_identities() -> None:
    space = Macro()
    live = live_graphs(space.encode(np.array([[0, 1, 0, 0, 2, 1, 0, 0]], np.uint8)), space.shape)
    assert live.operations == 3
    assert live.edges.sum() == 4  # input, 1, 2, 1, output
    order = [0]
    while live.edges[0, order[-1]].any():
        order.append(int(live.edges[0, order[-1]].argmax()))
    assert [int(live.kinds[0, vertex].argmax()) for vertex in order] == [3, 1, 2, 1, 4]


def test_cells_have_an_edge_or_none() -> None:
    codes = np.array([[1, 0, 0, 1, 1, 0]], dtype=np.uint8)
    cells = as_cells(live_graphs(CELLS.encode(codes), CELLS.shape))
    assert cells.direct.tolist() == [1]
    assert not cells.onehots.any()


def test_a_space_without_identities_keeps_its_live_graph() -> None:
    space = NASBench101()
    operations, adjacency = space.sample(np.random.default_rng(0), 20)
    graphs = space.encode(operations, adjacency)
    live = live_graphs(graphs, space.shape)
    assert ((live.edges == 0) | (live.edges == 1)).all()
    assert (live.kinds[:, 0, 3] == 1).all()


@pytest.mark.parametrize("encoding", ["edge", "node", "dataflow"])
def test_identities_are_operations(encoding: str) -> None:
    shape: Shape = NASBench201(encoding).shape
    assert set(shape.identity_tokens) <= set(shape.operation_tokens or ())
