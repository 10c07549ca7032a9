from __future__ import annotations

from itertools import combinations, product

import networkx as nx
import numpy as np
import pytest

from nasp_lightning.array import Array
from nasp_lightning.space.darts_graph import (
    CELL_SIZE,
    PAIRS,
    SIZE,
    VERTICES,
    canonical_index,
    cell_index,
    cell_of,
    from_graph,
    ordered,
    to_graph,
    well_formed,
)


@pytest.fixture(scope="module")
def cells() -> tuple[Array, Array]:
    """Operations and inputs ``[400, 8]`` of random cells."""
    return cell_of(np.random.default_rng(0).integers(CELL_SIZE, size=400))


def test_size_is_the_literatures() -> None:
    assert CELL_SIZE == 180 * 7**8
    assert CELL_SIZE**2 == SIZE == 1_076_746_950_455_072_400 < 2**63


def test_numbers_and_cells_are_one_to_one(cells: tuple[Array, Array]) -> None:
    operations, inputs = cells
    index = cell_index(operations, inputs)
    assert len(set(index.tolist())) == 400
    again = cell_of(index)
    assert (again[0] == operations).all()
    assert (again[1] == inputs).all()
    ends = cell_of(np.array([0, CELL_SIZE - 1]))
    assert cell_index(*ends).tolist() == [0, CELL_SIZE - 1]
    assert ends[1][1].tolist() == [0, 1, 1, 2, 2, 3, 3, 4]
    assert ends[0][1].tolist() == 8 * [6]


def topologies() -> Array:
    """Inputs ``[180, 8]`` of all topologies."""
    return np.array([np.concatenate(pairs) for pairs in product(*PAIRS)])


def test_every_topology_has_its_numbers() -> None:
    inputs = topologies()
    assert len(inputs) == 180
    assert well_formed(np.repeat(inputs[:, None], 2, axis=1)).all()
    index = cell_index(np.zeros_like(inputs), inputs)
    assert len(set(index.tolist())) == 180
    assert (cell_of(index)[1] == inputs).all()


def test_graphs_and_edges_are_one_to_one(cells: tuple[Array, Array]) -> None:
    operations, inputs = (array.reshape(200, 2, 8) for array in cells)
    tokens, adjacency = to_graph(operations, inputs)
    assert tokens.shape == (200, VERTICES)
    assert not np.tril(adjacency).any()  # in topological order
    assert (adjacency[:, :-1].sum(2) > 0).all(), "everything leads somewhere"
    assert (adjacency[:, :, 1:].sum(1) > 0).all(), "everything is fed"
    again = from_graph(tokens, adjacency)
    assert (again[0] == operations).all()
    assert (again[1] == inputs).all()
    assert well_formed(inputs).all()
    assert not well_formed(inputs[:, :, ::-1]).any()


def test_the_graph_of_a_cell_by_hand() -> None:
    operations = np.tile(np.arange(8) % 7, (1, 2, 1))
    inputs = np.array([[[0, 1, 0, 2, 1, 3, 2, 4], [0, 1, 0, 1, 0, 1, 0, 1]]])
    tokens, adjacency = (array[0] for array in to_graph(operations, inputs))
    assert tokens[:3].tolist() == [1, 2, 3]
    assert tokens[3:11].tolist() == [4, 5, 6, 7, 8, 9, 10, 4]
    assert tokens[13:22].tolist() == [11, 12, 13, 14, 15, 16, 17, 11, 0]
    feeds = [np.flatnonzero(adjacency[:, vertex]).tolist() for vertex in range(22)]
    assert feeds[1] == feeds[2] == feeds[11] == feeds[12] == [0]
    assert feeds[3:11] == [[1], [2], [1], [3, 4], [2], [5, 6], [3, 4], [7, 8]]
    assert feeds[13:21] == 4 * [[11], [12]]
    assert feeds[21] == [*range(3, 11), *range(13, 21)]


def test_ordered_pairs_keep_their_operations() -> None:
    codes, inputs = ordered(np.arange(8)[None], np.array([[1, 0, 0, 2, 3, 1, 0, 4]]))
    assert inputs.tolist() == [[0, 1, 0, 2, 1, 3, 0, 4]]
    assert codes.tolist() == [[1, 0, 2, 3, 5, 4, 6, 7]]


def meaning(operations: Array, inputs: Array) -> tuple[object, ...]:
    """A cell without its nodes' order: the sorted expressions of its nodes.

    Isomorphic cells share it; cells that read different ones of equal nodes may as well.
    """
    states: list[object] = ["a", "b"]
    for node in range(4):
        edges = (2 * node, 2 * node + 1)
        terms = sorted(repr((int(operations[edge]), states[inputs[edge]])) for edge in edges)
        states.append(tuple(terms))
    return tuple(sorted(map(repr, states[2:])))


def as_networkx(operations: Array, inputs: Array) -> nx.DiGraph:
    graph = nx.DiGraph()
    for state in range(6):
        graph.add_node(state, kind=min(state, 2))
    for edge, (code, state) in enumerate(zip(operations.tolist(), inputs.tolist(), strict=True)):
        graph.add_edge(state, 2 + edge // 2, code=code)
    return graph


def test_canonical_numbers_are_equal_just_for_isomorphic_cells() -> None:
    # All topologies with three patterns of operations: many are the same but for the order.
    patterns = np.array([[0] * 8, [0, 1] * 4, [0, 0, 1, 1] * 2])
    operations, inputs = np.repeat(patterns, 180, axis=0), np.tile(topologies(), (3, 1))
    keys = canonical_index(operations, inputs)
    assert len(set(keys.tolist())) < 0.8 * len(keys)
    alike: dict[object, list[int]] = {}
    for row, cell in enumerate(zip(operations, inputs, strict=True)):
        alike.setdefault(meaning(*cell), []).append(row)
    assert sum(len(set(keys[rows])) for rows in alike.values()) == len(set(keys.tolist()))
    kinds = nx.algorithms.isomorphism.categorical_node_match("kind", None)
    codes = nx.algorithms.isomorphism.categorical_edge_match("code", None)
    graphs = [as_networkx(*cell) for cell in zip(operations, inputs, strict=True)]
    for rows in alike.values():
        for first, second in combinations(rows, 2):
            same = nx.is_isomorphic(graphs[first], graphs[second], kinds, codes)
            assert same == (keys[first] == keys[second])


def test_canonical_numbers_name_themselves(cells: tuple[Array, Array]) -> None:
    index = canonical_index(*cells)
    assert (canonical_index(*cell_of(index)) == index).all()
    assert (index <= cell_index(*cells)).all()
    assert [meaning(*cell) for cell in zip(*cells, strict=True)] == [
        meaning(*cell) for cell in zip(*cell_of(index), strict=True)
    ]


def test_independent_nodes_may_change_places() -> None:
    first = cell_of(np.array([0]))
    swapped = [array.reshape(1, 4, 2)[:, [1, 0, 2, 3]].reshape(1, 8).copy() for array in first]
    for choice in product(range(7), repeat=2):
        for cell in (first, swapped):
            cell[1][:] = [[0, 1, 0, 1, 0, 1, 0, 1]]
        first[0][0, :4] = [choice[0], 3, choice[1], 2]
        swapped[0][0, :4] = [choice[1], 2, choice[0], 3]
        assert canonical_index(*first) == canonical_index(*swapped)
