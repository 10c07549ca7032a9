from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.space.nasbench201 import (
    EDGES,
    SIZE,
    NASBench201,
    all_operations,
    from_index,
    index_of,
    isomorphism_key,
    multiply_adds,
    parameter_count,
)
from nasp_lightning.space.spikenas import SpikeNAS

TEXT = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|none~2|"


def test_index_is_the_order_of_the_digits() -> None:
    operations = all_operations()
    assert operations.shape == (SIZE, 6)
    np.testing.assert_array_equal(index_of(operations), np.arange(SIZE))
    np.testing.assert_array_equal(from_index(index_of(operations[::-1])), operations[::-1])
    assert index_of(np.array([[4, 2, 1, 2, 1, 1]]))[0] == int("421211", 5)


def test_text_round_trip() -> None:
    space = NASBench201()
    operations, adjacency = space.from_string(TEXT)
    assert operations.tolist() == [4, 2, 1, 2, 1, 0]
    assert adjacency is None
    assert space.to_string(operations) == TEXT
    assert space.from_string(TEXT.replace("|+|", "| + |"))[0].tolist() == [4, 2, 1, 2, 1, 0]
    for row in all_operations()[::397]:
        assert space.from_string(space.to_string(row))[0].tolist() == row.tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT.replace("none", "conv_7x7"), "unknown operation 'conv_7x7'"),
        (TEXT[:-1], "is no architecture"),
        (TEXT.replace("none~2", "none~1"), "is no architecture"),
        ("", "is no architecture"),
    ],
)
def test_text_errors(text: str, message: str) -> None:
    with pytest.raises(NaspError, match=message):
        NASBench201().from_string(text)


def test_edge_encoding() -> None:
    space = NASBench201()
    assert (space.shape.tokens, space.shape.vertices, space.shape.vocabulary) == (6, 4, 5)
    graphs = space.encode(all_operations())
    assert graphs.operations.dtype == graphs.adjacency.dtype == graphs.vertices.dtype == torch.uint8
    assert graphs.adjacency.shape == (SIZE, 4, 4)
    assert int(graphs.operations.max()) == 4
    assert (graphs.vertices == 6).all()
    row = space.encode(np.array([[4, 0, 1, 2, 0, 3]]))
    assert row.adjacency[0].tolist() == [[0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    full = graphs.adjacency[(graphs.operations != 0).all(dim=1)]
    assert (full == torch.ones(4, 4).triu(1)).all()


def test_node_encoding_is_the_line_graph() -> None:
    space = NASBench201("node")
    assert (space.shape.tokens, space.shape.vertices, space.shape.vocabulary) == (8, 8, 7)
    assert space.shape.padding_token is None
    graphs = space.encode(np.array([[4, 0, 1, 2, 0, 3], [0, 0, 0, 0, 0, 0]]))
    assert graphs.operations.tolist() == [[1, 6, 2, 3, 4, 2, 5, 0], [1, 2, 2, 2, 2, 2, 2, 0]]
    cell = nx.DiGraph([("in", 0), *EDGES, (3, "out")])
    lines = nx.line_graph(cell)
    order = [("in", 0), *EDGES, (3, "out")]
    expected = nx.to_numpy_array(lines, nodelist=order, dtype=int)
    for adjacency in graphs.adjacency:
        assert adjacency.tolist() == expected.tolist()
    assert (graphs.vertices == 8).all()


def test_encoding_does_not_share_memory_with_the_table() -> None:
    operations = np.zeros((2, 6), dtype=np.uint8)
    graphs = NASBench201().encode(operations)
    operations[:] = 3
    assert int(graphs.operations.sum()) == 0


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        (
            np.array([[0, 0, 0, 0, 0, 0], [0, 0, 5, 0, 0, 0]]),
            "architecture 1 has operation 5 on edge 2",
        ),
        (np.array([[0, -1, 0, 0, 0, 0]]), "operation -1"),
        (np.zeros((2, 5), dtype=int), r"\[2, 5\]"),
        (np.zeros((2, 6)), "float64"),
    ],
)
def test_validation(operations: np.ndarray, message: str) -> None:
    with pytest.raises(NaspError, match=message):
        NASBench201().validate(operations)


def test_no_adjacency_and_no_unknown_encoding() -> None:
    with pytest.raises(NaspError, match="topology is fixed"):
        NASBench201().encode(np.zeros((1, 6), dtype=np.uint8), np.zeros((1, 4, 4)))
    with pytest.raises(NaspError, match=r"space\.encoding=edge\|node"):
        NASBench201("tree")


def test_sampling_covers_and_repeats_by_seed() -> None:
    space = NASBench201()
    first, _ = space.sample(np.random.default_rng(3), 4000)
    again, _ = space.sample(np.random.default_rng(3), 4000)
    np.testing.assert_array_equal(first, again)
    space.validate(first)
    for edge in range(6):
        shares = np.bincount(first[:, edge], minlength=5) / 4000
        assert np.abs(shares - 0.2).max() < 0.03


def test_mutation_changes_one_edge_to_any_other_operation() -> None:
    space = NASBench201()
    rng = np.random.default_rng(0)
    parent = np.array([4, 2, 1, 2, 1, 0], dtype=np.uint8)
    seen = set()
    for _ in range(500):
        child, _ = space.mutate(rng, parent)
        (edge,) = np.flatnonzero(child != parent)
        seen.add((int(edge), int(child[edge])))
    assert len(seen) == 6 * 4
    assert parent.tolist() == [4, 2, 1, 2, 1, 0]


def test_isomorphism() -> None:
    key = isomorphism_key
    assert len({key(row) for row in all_operations()}) == 5390
    # conv on 0→3 alone, directly or by way of skip connections
    direct = key([0, 0, 0, 3, 0, 0])
    assert direct == key([3, 0, 0, 0, 1, 0]) == key([1, 0, 0, 0, 3, 0]) == key([0, 1, 0, 0, 0, 3])
    assert direct == key([0, 0, 4, 3, 4, 0])  # what nothing feeds does not count
    assert direct != key([0, 0, 0, 2, 0, 0])
    assert key([0, 0, 0, 0, 0, 0]) == key([3, 0, 3, 0, 0, 0])


def test_parameters_and_multiply_adds() -> None:
    rows = np.array([[4, 2, 1, 2, 1, 1], [3, 3, 4, 0, 3, 4], [3, 3, 3, 3, 3, 3]])
    assert parameter_count(rows).tolist() == [129_306, 802_426, 1_531_546]
    assert parameter_count(rows[:1], "cifar100")[0] == 135_156
    assert parameter_count(rows[:1], "ImageNet16-120")[0] == 136_456
    assert multiply_adds(rows)[:2].tolist() == [15_647_370, 113_951_370]
    assert multiply_adds(rows[:2], "ImageNet16-120").tolist() == [3_919_480, 28_495_480]
    assert multiply_adds(rows[:1], "cifar100")[0] == 15_653_220


def test_spikenas_has_its_own_operations() -> None:
    space = SpikeNAS()
    text = "|conv_3x3_low~0|+|zero~0|skip_connect~1|+|zero~0|conv_3x3_high~1|conv_3x3_middle~2|"
    assert space.from_string(text)[0].tolist() == [2, 0, 1, 0, 4, 3]
    assert space.to_string(np.array([2, 0, 1, 0, 4, 3])) == text
    with pytest.raises(NaspError, match="space spikenas: unknown operation 'nor_conv_3x3'"):
        space.from_string(text.replace("conv_3x3_low", "nor_conv_3x3"))


def test_dataflow_encoding_is_the_published_one() -> None:
    """Siamese-NAS's code (nas201.py); its paths between operations are those of the line graph."""
    space = NASBench201("dataflow")
    assert (space.shape.tokens, space.shape.vertices, space.shape.vocabulary) == (10, 10, 9)
    assert space.shape.padding_token is None
    graphs = space.encode(np.array([[4, 0, 1, 2, 3, 0]]))
    assert graphs.operations.tolist() == [[1, 8, 2, 4, 5, 3, 6, 7, 4, 0]]
    assert graphs.vertices.tolist() == [10]
    edges = [(0, 1), (0, 3), (0, 6), (1, 2), (2, 4), (2, 7)]
    edges += [(3, 5), (4, 5), (5, 8), (6, 9), (7, 9), (8, 9)]
    assert [tuple(edge) for edge in np.argwhere(graphs.adjacency[0].numpy())] == sorted(edges)
    flow = nx.DiGraph(edges)
    places = dict(zip((1, 3, 4, 6, 7, 8), EDGES, strict=True))
    for place, (_, target) in places.items():
        ahead = nx.descendants(flow, place) & set(places)
        cell = nx.DiGraph(EDGES)
        wanted = {
            other
            for other, (source, _) in places.items()
            if source == target or source in nx.descendants(cell, target)
        }
        assert ahead == wanted


def test_dataflow_features_see_the_same_cells() -> None:
    from nasp_lightning.predictor.part.features import graph_features

    operations = all_operations()[::17]
    node, flow = (NASBench201(name) for name in ("node", "dataflow"))
    dead = graph_features(node.encode(operations), node.shape)[:, 4:6].sum(1) == 0
    flow_features = graph_features(flow.encode(operations), flow.shape)
    np.testing.assert_array_equal(flow_features[:, 6:8].sum(1) == 0, dead)
