from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from nasp_lightning.predictor.part import features as module
from nasp_lightning.predictor.part.features import feature_names, graph_features, live_operations
from nasp_lightning.space.macro import Macro
from nasp_lightning.space.nasbench101 import NASBench101
from nasp_lightning.space.nasbench201 import NASBench201, all_operations
from nasp_lightning.space.spikenas import SpikeNAS

SPACES = [NASBench101(), NASBench201(), NASBench201("node"), SpikeNAS(), Macro()]


def table(space: Any, operations: Any, adjacency: Any = None, places: bool = False) -> Any:
    """Features of native arrays as a mapping from name to ``[N]``."""
    values = graph_features(space.encode(operations, adjacency), space.shape, places)
    names = feature_names(space.shape, places)
    assert values.shape == (len(operations), len(names))
    assert len(set(names)) == len(names)
    return dict(zip(names, values.T, strict=True))


def sample101(count: int, seed: int = 0) -> tuple[Any, Any]:
    return NASBench101().sample(np.random.default_rng(seed), count)


def reference(operations: Any, adjacency: Any) -> dict[str, float]:
    """Features of one NAS-Bench-101 cell by listing its paths one by one."""
    last = int((operations != 5).sum()) - 1

    def walk(path: list[int]) -> list[list[int]]:
        if path[-1] == last:
            return [path]
        after = np.flatnonzero(adjacency[path[-1]])
        return [found for vertex in after for found in walk([*path, int(vertex)])]

    paths = walk([0])
    inner = [[int(operations[vertex]) for vertex in path[1:-1]] for path in paths]
    edges = {edge for path in paths for edge in pairwise(path)}
    vertices = {vertex for path in paths for vertex in path[1:-1]}
    lengths = [len(path) for path in inner]
    least = [path for path in inner if len(path) == min(lengths)]
    ops = {0: "input", last: "output", **{v: str(operations[v]) for v in vertices}}
    result: dict[str, float] = {
        "vertices": len(vertices),
        "edges": len(edges),
        "shortest": min(lengths),
        "longest": max(lengths),
    }
    for length in range(6):
        result[f"paths/{length}"] = lengths.count(length)
    for token in (2, 3, 4):
        counts = [path.count(token) for path in inner]
        result |= {
            f"count/{token}": sum(operations[vertex] == token for vertex in vertices),
            f"shortest/{token}": float(np.mean([path.count(token) for path in least])),
            f"mean/{token}": float(np.mean(counts)),
            f"most/{token}": max(counts),
            f"fewest/{token}": min(counts),
            f"path/{token}": inner.count([token]),
            f"into/{token}": sum(ops[end] == str(token) for _, end in edges),
            f"out/{token}": sum(ops[begin] == str(token) for begin, _ in edges),
        }
    for name in feature_names(NASBench101().shape):
        if name.startswith("edge/"):
            ends = tuple(name.removeprefix("edge/").split("-"))
            result[name] = sum((ops[begin], ops[end]) == ends for begin, end in edges)
    return result


def test_nasbench101_equals_listing_all_paths() -> None:
    operations, adjacency = sample101(200)
    values = table(NASBench101(), operations, adjacency)
    assert len(values) == 49
    for row in range(len(operations)):
        expected = reference(operations[row], adjacency[row])
        assert set(expected) == set(values)
        for name, value in expected.items():
            assert values[name][row] == pytest.approx(np.log1p(value), abs=1e-5), (row, name)


def test_isomorphic_cells_have_equal_features() -> None:
    operations, adjacency = sample101(300, seed=1)
    rng = np.random.default_rng(0)
    changed = 0
    others, matrices = operations.copy(), adjacency.copy()
    for row in range(len(operations)):
        count = int((operations[row] != 5).sum())
        order = topological_order(adjacency[row][:count, :count], rng)
        matrices[row][:count, :count] = adjacency[row][np.ix_(order, order)]
        others[row][:count] = operations[row][order]
        changed += order != list(range(count))
    assert changed > 100
    shape = NASBench101().shape
    before = graph_features(NASBench101().encode(operations, adjacency), shape)
    after = graph_features(NASBench101().encode(others, matrices), shape)
    np.testing.assert_allclose(before, after, atol=1e-6)


def topological_order(adjacency: Any, rng: np.random.Generator) -> list[int]:
    """A random one, with the input first and the output last."""
    count = len(adjacency)
    order = [0]
    while len(order) < count - 1:
        ready = [
            vertex
            for vertex in range(1, count - 1)
            if vertex not in order and set(np.flatnonzero(adjacency[:, vertex])) <= set(order)
        ]
        order.append(int(rng.choice(ready)))
    return [*order, count - 1]


def test_dead_vertices_change_nothing() -> None:
    space = NASBench101()
    plain = space.from_string("010001000;input,conv3x3-bn-relu,output")
    # Vertex 2 is fed and feeds nothing; vertex 3 feeds the output and nothing feeds it.
    matrix = np.zeros((7, 7), np.uint8)
    for begin, end in ((0, 1), (1, 2), (1, 4), (3, 4)):
        matrix[begin, end] = 1
    codes = np.array([1, 2, 3, 4, 0, 5, 5], np.uint8)
    values = graph_features(
        space.encode(np.stack([plain[0], codes]), np.stack([plain[1], matrix])), space.shape
    )
    np.testing.assert_array_equal(values[0], values[1])
    matrix[2, 4] = 1  # now vertex 2 counts
    alive = graph_features(space.encode(codes[None], matrix[None]), space.shape)
    assert not np.array_equal(alive[0], values[0])


@pytest.mark.parametrize("places", [False, True])
def test_dead_edges_of_nasbench201_change_nothing(places: bool) -> None:
    space = NASBench201()
    # Edge 0→1 is none, so what leaves node 1 (edges 1→2 and 1→3) is dead.
    base = np.array([0, 3, 0, 1, 0, 2])
    cells = np.stack([np.where([0, 0, 1, 0, 1, 0], code, base) for code in range(5)])
    values = graph_features(space.encode(cells.astype(np.uint8)), space.shape, places)
    np.testing.assert_array_equal(values, np.tile(values[0], (5, 1)))
    live = live_operations(space.encode(cells.astype(np.uint8)), space.shape)
    np.testing.assert_array_equal(live, np.tile([False, True, False, True, False, True], (5, 1)))


def test_swapped_middle_nodes_are_isomorphic() -> None:
    space = NASBench201()
    operations = all_operations()
    operations = operations[operations[:, 2] == 0]  # no edge 1→2
    swapped = operations[:, [1, 0, 2, 3, 5, 4]]
    first, second = (graph_features(space.encode(x), space.shape) for x in (operations, swapped))
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_cells_without_a_path_are_all_zero() -> None:
    space = NASBench201()
    values = graph_features(space.encode(np.array([[3, 3, 3, 0, 0, 0]], np.uint8)), space.shape)
    assert not values.any()


def test_both_encodings_of_nasbench201_agree() -> None:
    operations = all_operations()[::7]
    edge = table(NASBench201(), operations, places=True)
    node = table(NASBench201("node"), operations, places=True)
    for name, values in edge.items():
        group, _, tokens = name.partition("/")
        renamed = "-".join(
            str(int(token) + 2) if token.isdigit() else token for token in tokens.split("-")
        )
        other = name if group == "paths" or not tokens else f"{group}/{renamed}"
        np.testing.assert_allclose(values, node[other], atol=1e-6, err_msg=name)


def test_chain_has_places_and_counts_of_its_beginnings() -> None:
    values = table(Macro(), np.array([[0, 2, 0, 1, 2, 1, 0, 0]], np.uint8))
    assert values["first3/0"][0] == 2
    assert values["first8/0"][0] == 4
    assert values["first8/1"][0] == 2
    assert values["place1/2"][0] == 1
    assert values["place1/0"][0] == 0


@pytest.mark.parametrize("space", SPACES, ids=lambda space: f"{space.name}-{space.encoding}")
def test_chunks_and_extra_inputs(space: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    import torch

    operations, adjacency = space.sample(np.random.default_rng(2), 50)
    graphs = space.encode(operations, adjacency)
    whole = graph_features(graphs, space.shape)
    monkeypatch.setattr(module, "CHUNK", 7)
    np.testing.assert_array_equal(graph_features(graphs, space.shape), whole)
    extra = torch.arange(100.0).reshape(50, 2)
    shape = replace(space.shape, features=2)
    more = graph_features(replace(graphs, features=extra), shape)
    np.testing.assert_array_equal(more[:, -2:], extra.numpy())
    assert more.shape[1] == len(feature_names(shape))
