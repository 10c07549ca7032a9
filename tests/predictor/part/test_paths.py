from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from nasp_lightning.predictor.part import paths as module
from nasp_lightning.predictor.part.paths import longest_kept, path_encoding, path_names
from nasp_lightning.space.darts import Darts
from nasp_lightning.space.macro import Macro
from nasp_lightning.space.nasbench101 import NASBench101
from nasp_lightning.space.nasbench201 import EDGES, NASBench201, all_operations
from nasp_lightning.space.tinynano import TinyNano

SPACES = [NASBench101(), NASBench201(), NASBench201("node"), Macro(), Darts(), TinyNano()]


def listed(operations: Any, adjacency: Any) -> set[str]:
    """Paths of a NAS-Bench-101 cell, one by one."""
    last = int((operations != 5).sum()) - 1

    def walk(vertex: int, passed: list[str]) -> list[list[str]]:
        if vertex == last:
            return [passed]
        token = [str(int(operations[vertex]))] if vertex else []
        after = np.flatnonzero(adjacency[vertex])
        return [found for end in after for found in walk(int(end), [*passed, *token])]

    return {"path/" + "-".join(tokens) for tokens in walk(0, [])}


@pytest.mark.parametrize("longest", [None, 5])
def test_against_listing_the_paths_of_cells(longest: int | None) -> None:
    space = NASBench101()
    operations, adjacency = space.sample(np.random.default_rng(0), 60)
    bits = path_encoding(space.encode(operations, adjacency), space.shape, longest)
    names = np.array(path_names(space.shape, longest))
    assert len(names) == (40 if longest is None else 364), "as published"
    for row, cell in enumerate(zip(operations, adjacency, strict=True)):
        assert set(names[bits[row] > 0]) == listed(*cell) & set(names)


@pytest.mark.parametrize("encoding", ["edge", "node"])
def test_against_listing_the_paths_of_edges(encoding: str) -> None:
    space, plain = NASBench201(encoding), NASBench201()
    cells = np.random.default_rng(0).permutation(all_operations())[:200]
    bits = path_encoding(space.encode(cells), space.shape, 3)
    names = np.array(path_names(space.shape, 3))
    shift = 2 if encoding == "node" else 0  # of a token from its code
    for row, cell in enumerate(cells):
        routes = [[(0, 3)], [(0, 1), (1, 3)], [(0, 2), (2, 3)], [(0, 1), (1, 2), (2, 3)]]
        codes = [[int(cell[EDGES.index(edge)]) for edge in route] for route in routes]
        found = {"path/" + "-".join(str(code + shift) for code in c) for c in codes if 0 not in c}
        assert set(names[bits[row] > 0]) == found
    short = path_encoding(plain.encode(cells), plain.shape)
    assert short.shape == (200, 1 + 4 + 16), "one and two operations, none left out"


@pytest.mark.parametrize("space", SPACES, ids=lambda space: f"{space.name}-{space.encoding}")
def test_every_space_is_encoded(space: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = space.encode(*space.sample(np.random.default_rng(0), 30))
    bits = path_encoding(graphs, space.shape)
    names = path_names(space.shape)
    assert bits.shape == (30, len(names))
    assert bits.dtype == np.float32
    assert set(np.unique(bits)) <= {0.0, 1.0}
    assert len(np.unique(bits, axis=0)) > 5
    assert len(set(names)) == len(names) <= 2_001
    monkeypatch.setattr(module, "CHUNK", 7)
    np.testing.assert_array_equal(path_encoding(graphs, space.shape), bits)


def test_how_long_paths_are_kept() -> None:
    assert longest_kept(NASBench101().shape) == 3
    assert longest_kept(NASBench201().shape) == 2


def test_a_chain_has_its_places_and_extra_inputs_are_appended() -> None:
    space = Macro()
    operations, _ = space.sample(np.random.default_rng(0), 9)
    extra = torch.arange(18.0).reshape(9, 2)
    graphs = dataclasses.replace(space.encode(operations), features=extra)
    shape = dataclasses.replace(space.shape, features=2)
    bits = path_encoding(graphs, shape)
    names = path_names(shape)
    assert names[:2] == ["place0/0", "place0/1"]
    assert names[-2:] == ["extra/0", "extra/1"]
    np.testing.assert_array_equal(bits[:, :-2].reshape(9, 8, 3).argmax(2), operations)
    np.testing.assert_array_equal(bits[:, -2:], extra.numpy())
