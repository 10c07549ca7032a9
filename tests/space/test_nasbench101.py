from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.space.nasbench101 import NASBench101, graph_hash, prune
from nasp_lightning.space.nasbench101_graph import EDGES, PADDING, VERTICES

SPACE = NASBench101()


def chain(*interior: int) -> tuple[Array, Array]:
    """Operations and adjacency of vertices in a row."""
    codes = np.full(VERTICES, PADDING, dtype=np.uint8)
    codes[: len(interior) + 2] = [1, *interior, 0]
    matrix = np.zeros((VERTICES, VERTICES), dtype=np.uint8)
    for vertex in range(len(interior) + 1):
        matrix[vertex, vertex + 1] = 1
    return codes, matrix


def as_networkx(adjacency: Array, operations: Array) -> nx.DiGraph:
    graph = nx.DiGraph()
    for vertex, code in enumerate(operations):
        if code != PADDING:
            graph.add_node(vertex, code=int(code))
    graph.add_edges_from(np.argwhere(adjacency).tolist())
    return graph


def isomorphic(first: nx.DiGraph, second: nx.DiGraph) -> bool:
    same = nx.algorithms.isomorphism.categorical_node_match("code", None)
    return bool(nx.is_isomorphic(first, second, node_match=same))


@pytest.fixture(scope="module")
def drawn() -> tuple[Array, Array]:
    return SPACE.sample(np.random.default_rng(0), 300)


# --- hash


def test_hash_of_known_cells() -> None:
    # Hashes of the benchmark: the first record of its files, and the chain of the example.
    codes, matrix = SPACE.from_string(
        "0100110001000000010010000010000001000000010000000;input,conv3x3-bn-relu,maxpool3x3,"
        "conv3x3-bn-relu,conv3x3-bn-relu,conv1x1-bn-relu,output"
    )
    assert graph_hash(matrix, codes) == "00005c142e6f48ac74fdcf73e3439874"


def test_hash_of_padded_and_unpadded_cell_agree(drawn: tuple[Array, Array]) -> None:
    for codes, matrix in zip(*drawn, strict=True):
        count = int((codes != PADDING).sum())
        assert graph_hash(matrix, codes) == graph_hash(matrix[:count, :count], codes[:count])


def test_hash_is_the_same_in_any_order(drawn: tuple[Array, Array]) -> None:
    rng = np.random.default_rng(1)
    for codes, matrix in zip(*drawn, strict=True):
        count = int((codes != PADDING).sum())
        order = [0, *(1 + rng.permutation(count - 2)), count - 1]
        permuted = matrix[np.ix_(order, order)]
        assert graph_hash(permuted, codes[order]) == graph_hash(matrix, codes)


def test_hashes_are_equal_just_for_isomorphic_cells() -> None:
    # All cells of four vertices with two kinds of operations.
    cells = []
    for bits in itertools.product((0, 1), repeat=6):
        matrix = np.zeros((4, 4), dtype=np.uint8)
        matrix[np.triu_indices(4, 1)] = bits
        if matrix[:3].any(axis=1).all() and matrix[:, 1:].any(axis=0).all():
            cells += [(matrix, np.array([1, a, b, 0])) for a in (2, 3) for b in (2, 3)]
    graphs = [as_networkx(*cell) for cell in cells]
    hashes = [graph_hash(*cell) for cell in cells]
    for first, second in itertools.combinations(range(len(cells)), 2):
        same = hashes[first] == hashes[second]
        assert same == isomorphic(graphs[first], graphs[second])


def read_graphs(data_dir: Path) -> list[tuple[str, Array, Array]]:
    path = data_dir / "nasbench101" / "graphs_423624.csv.gz"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    with gzip.open(path, "rt") as file:
        rows = [line.rstrip("\n").split(",") for line in itertools.islice(file, 1, None, 211)]
    found = []
    for digest, vertices, bits, interior in rows:
        matrix = np.array(list(bits), dtype=np.uint8).reshape(int(vertices), int(vertices))
        found.append((digest, matrix, np.array([1, *(int(digit) + 2 for digit in interior), 0])))
    return found


def test_hash_equals_the_published_one(data_dir: Path) -> None:
    graphs = read_graphs(data_dir)
    assert len(graphs) > 2000
    assert [graph_hash(matrix, codes) for _, matrix, codes in graphs] == [row[0] for row in graphs]


def test_shares_by_vertices_are_those_of_the_space(data_dir: Path) -> None:
    counts = np.bincount([len(codes) for _, _, codes in read_graphs(data_dir)], minlength=8)[2:]
    drawn, _ = SPACE.sample(np.random.default_rng(0), 2000)
    found = np.bincount((drawn != PADDING).sum(axis=1), minlength=8)[2:]
    np.testing.assert_allclose(found / found.sum(), counts / counts.sum(), atol=0.03)


# --- pruning


def test_prune_removes_what_no_path_passes() -> None:
    codes, matrix = chain(2, 3, 4)
    matrix[1, 2] = 0  # 1 leads nowhere
    matrix[0, 3] = 1  # 2 leads to 3, and nothing leads to 2
    pruned, kept = prune(matrix, codes)
    assert kept.tolist() == [1, 4, 0, 5, 5, 5, 5]
    assert np.argwhere(pruned).tolist() == [[0, 1], [1, 2]]


def test_prune_agrees_with_networkx() -> None:
    rng = np.random.default_rng(0)
    connected = 0
    for _ in range(300):
        size = int(rng.integers(2, 8))
        matrix = np.triu(rng.integers(0, 2, (size, size)) * (rng.random((size, size)) < 0.7), 1)
        codes = np.array([1, *rng.choice([2, 3, 4], size - 2), 0])
        graph = as_networkx(matrix, codes)
        kept = nx.descendants(graph, 0) | {0}
        kept &= nx.ancestors(graph, size - 1) | {size - 1}
        if size - 1 not in kept:
            with pytest.raises(NaspError, match="cannot be reached"):
                prune(matrix, codes)
            continue
        connected += 1
        pruned, pruned_codes = prune(matrix, codes)
        order = sorted(kept)
        assert pruned_codes[: len(order)].tolist() == codes[order].tolist()
        assert (pruned_codes[len(order) :] == PADDING).all()
        expected = np.zeros((VERTICES, VERTICES), dtype=np.uint8)
        expected[: len(order), : len(order)] = matrix[np.ix_(order, order)]
        np.testing.assert_array_equal(pruned, expected)
    assert connected > 100


def test_prune_refuses_oversized_cells() -> None:
    with pytest.raises(NaspError, match="8 vertices"):
        prune(np.zeros((8, 8)), np.ones(8))


def test_key_is_that_of_the_pruned_cell() -> None:
    codes, matrix = chain(2, 3)
    loose = matrix.copy()
    loose[[1, 2], [2, 3]] = 0
    loose[1, 3] = 1  # vertex 2 hangs loose
    short, short_matrix = chain(2)
    np.testing.assert_array_equal(SPACE.key(codes, loose), SPACE.key(short, short_matrix))
    assert SPACE.key(codes, loose).shape == (16,)


# --- encoding


def test_shape_and_encoding(drawn: tuple[Array, Array]) -> None:
    shape = SPACE.shape
    assert (shape.tokens, shape.vertices, shape.vocabulary) == (7, 7, 6)
    assert (shape.padding_token, shape.published_padding_token) == (5, 0)
    graphs = SPACE.encode(*drawn)
    assert len(graphs) == 300
    assert {str(tensor.dtype) for tensor in (graphs.operations, graphs.adjacency)} == {
        "torch.uint8"
    }
    np.testing.assert_array_equal(graphs.operations.numpy(), drawn[0])
    np.testing.assert_array_equal(graphs.adjacency.numpy(), drawn[1])
    expected = [int((codes != PADDING).sum()) for codes in drawn[0]]
    assert graphs.vertices.tolist() == expected


def test_encoding_does_not_share_memory(drawn: tuple[Array, Array]) -> None:
    operations, adjacency = drawn[0].copy(), drawn[1].copy()
    operations.flags.writeable = adjacency.flags.writeable = False
    graphs = SPACE.encode(operations, adjacency)
    graphs.operations.fill_(0)
    assert (operations == drawn[0]).all()


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(NaspError, match=r"operations \[N, 7\] and adjacency"):
        SPACE.encode(np.zeros((2, 6)), np.zeros((2, 6, 6)))
    with pytest.raises(NaspError, match="None"):
        SPACE.encode(np.zeros((2, 7)))


def test_unknown_encoding() -> None:
    with pytest.raises(NaspError, match=r"space\.encoding=graph"):
        NASBench101("path")


# --- validation


def test_valid_cells_pass(drawn: tuple[Array, Array]) -> None:
    SPACE.validate(*drawn)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ((0,), 2, "first vertex"),
        ((3,), 2, "last vertex"),
        ((1,), 0, "interior"),
        ((1,), 1, "interior"),
        ((1,), 7, "interior"),
        ((1,), PADDING, "padding before its end"),
        ((2, 1), 1, "upper triangular"),
        ((1, 1), 1, "upper triangular"),
        ((0, 1), 2, "other values"),
        ((3, 5), 1, "padded vertex"),
        ((1, 2), 0, "no path"),
    ],
)
def test_invalid_cell_is_named(place: tuple[int, ...], value: int, reason: str) -> None:
    codes, matrix = chain(2, 3)
    operations, adjacency = np.stack([codes, codes]), np.stack([matrix, matrix])
    (operations if len(place) == 1 else adjacency)[(1, *place)] = value
    with pytest.raises(NaspError, match=f"architecture 1 .*{reason}"):
        SPACE.validate(operations, adjacency)


def test_too_many_edges_and_no_vertices() -> None:
    codes, matrix = chain(2, 3, 4)
    full = np.zeros_like(matrix)
    full[:5, :5] = np.triu(np.ones((5, 5)), 1)
    with pytest.raises(NaspError, match="more than 9 edges"):
        SPACE.validate(codes[None], full[None])
    with pytest.raises(NaspError, match="fewer than two"):
        SPACE.validate(np.full((1, 7), PADDING), np.zeros((1, 7, 7), dtype=np.uint8))


# --- text


def test_text_goes_both_ways(drawn: tuple[Array, Array]) -> None:
    for codes, matrix in zip(*drawn, strict=True):
        text = SPACE.to_string(codes, matrix)
        assert "\n" not in text
        operations, adjacency = SPACE.from_string(text)
        np.testing.assert_array_equal(operations, codes)
        np.testing.assert_array_equal(adjacency, matrix)


def test_text_of_a_chain() -> None:
    assert SPACE.to_string(*chain(3)) == "010001000;input,conv1x1-bn-relu,output"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is no cell"),
        ("010001000", "is no cell"),
        ("0100010;input,maxpool3x3,output", "is no cell"),
        ("0x0001000;input,maxpool3x3,output", "is no cell"),
        ("010001000;input,maxpool5x5,output", "unknown operation 'maxpool5x5'"),
        ("010000000;input,maxpool3x3,output", "no path"),
        ("010001000;output,maxpool3x3,input", "first vertex"),
        ("0" * 64 + ";input" + ",maxpool3x3" * 6 + ",output", "8 vertices"),
    ],
)
def test_bad_text(text: str, reason: str) -> None:
    with pytest.raises(NaspError, match=reason):
        SPACE.from_string(text)


# --- sampling and mutation


def test_samples_are_pruned_and_vary(drawn: tuple[Array, Array]) -> None:
    for codes, matrix in zip(*drawn, strict=True):
        pruned, kept = prune(matrix, codes)
        np.testing.assert_array_equal(pruned, matrix)
        np.testing.assert_array_equal(kept, codes)
    assert len({graph_hash(matrix, codes) for codes, matrix in zip(*drawn, strict=True)}) > 270


def test_samples_repeat_with_their_seed() -> None:
    first, second = (SPACE.sample(np.random.default_rng(7), 20) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert SPACE.sample(np.random.default_rng(7), 0)[0].shape == (0, 7)


def test_mutants_are_new_valid_and_pruned(drawn: tuple[Array, Array]) -> None:
    rng = np.random.default_rng(0)
    for codes, matrix in zip(*drawn, strict=True):
        before = codes.copy(), matrix.copy()
        operations, adjacency = SPACE.mutate(rng, codes, matrix)
        SPACE.validate(operations[None], adjacency[None])
        np.testing.assert_array_equal(prune(adjacency, operations)[0], adjacency)
        assert graph_hash(adjacency, operations) != graph_hash(matrix, codes)
        np.testing.assert_array_equal(codes, before[0])
        np.testing.assert_array_equal(matrix, before[1])
        assert adjacency.sum() <= EDGES


def test_mutation_grows_the_smallest_cell_to_the_largest() -> None:
    rng = np.random.default_rng(0)
    codes, matrix = chain()
    sizes = set()
    for _ in range(500):
        codes, matrix = SPACE.mutate(rng, codes, matrix)
        sizes.add(int((codes != PADDING).sum()))
    assert max(sizes) == VERTICES
    assert len(sizes) > 3


def test_mutation_needs_a_graph() -> None:
    with pytest.raises(NaspError, match="adjacency"):
        SPACE.mutate(np.random.default_rng(0), chain(2)[0])
