from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.space import base
from nasp_lightning.space.base import (
    Architecture,
    Graphs,
    Indexed,
    Keyed,
    Listed,
    Space,
    stacked,
    unstacked,
)
from tests.tiny import space, tiny_table


def graphs(features: bool = False) -> Graphs:
    return Graphs(
        torch.arange(12, dtype=torch.uint8).reshape(4, 3),
        torch.zeros(4, 3, 3, dtype=torch.uint8),
        torch.full((4,), 3, dtype=torch.uint8),
        torch.arange(8.0).reshape(4, 2) if features else None,
    )


@pytest.mark.parametrize("features", [False, True])
def test_graphs_are_cut_as_one(features: bool) -> None:
    whole = graphs(features)
    assert len(whole) == 4
    for index in (slice(1, 3), torch.tensor([1, 2])):
        part = whole[index]
        assert len(part) == 2
        assert part.operations.tolist() == whole.operations[1:3].tolist()
        assert part.adjacency.shape == (2, 3, 3)
        assert part.vertices.tolist() == [3, 3]
        if features:
            assert part.features is not None
            assert part.features.tolist() == [[2.0, 3.0], [4.0, 5.0]]
        else:
            assert part.features is None


def test_graphs_move_as_one() -> None:
    moved = graphs(features=True).to("meta")
    assert moved.features is not None
    parts = (moved.operations, moved.adjacency, moved.vertices, moved.features)
    assert all(part.device.type == "meta" for part in parts)


def test_an_unknown_encoding_is_named() -> None:
    with pytest.raises(NaspError, match=r"no encoding 'wrong'; choose space.encoding=edge\|node"):
        type(space())(encoding="wrong")


def every_space() -> list[type[Space]]:
    found = []
    for path in sorted(Path(base.__file__).parent.glob("*.py")):
        module = import_module(f"nasp_lightning.space.{path.stem}")
        for item in vars(module).values():
            if isinstance(item, type) and issubclass(item, Space) and "name" in vars(item):
                found.append(item)
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("kind", every_space(), ids=lambda kind: kind.name)
def test_every_space_keeps_the_protocol(kind: type[Space]) -> None:
    """Sampled architectures are members, survive text, mutate into others and encode by shape."""
    member = kind()
    operations, adjacency = member.sample(np.random.default_rng(0), 5)
    member.validate(operations, adjacency)
    row = None if adjacency is None else adjacency[0]
    text = member.to_string(operations[0], row)
    again, graph = member.from_string(text)
    assert member.to_string(again, graph) == text
    changed, other = member.mutate(np.random.default_rng(1), operations[0], row)
    member.validate(changed[None], None if other is None else other[None])
    assert member.to_string(changed, other) != text
    for encoding in kind.encodings:
        chosen = kind(encoding=encoding)
        shape, encoded = chosen.shape, chosen.encode(operations, adjacency)
        assert encoded.operations.shape == (5, shape.tokens)
        assert encoded.operations.dtype == torch.uint8
        assert encoded.adjacency.shape == (5, shape.vertices, shape.vertices)
        assert int(encoded.operations.max()) < shape.vocabulary
        assert not torch.tril(encoded.adjacency).any()


def test_the_tiny_benchmark_is_of_its_space() -> None:
    table = tiny_table(20)
    space().validate(table.operations, table.adjacency)


def test_architectures_are_stacked_and_unstacked() -> None:
    operations = np.arange(6, dtype=np.uint8).reshape(2, 3)
    adjacency = np.zeros((2, 3, 3), dtype=np.uint8)
    assert unstacked(operations)[1].adjacency is None
    assert stacked(unstacked(operations))[1] is None
    for before, after in zip(
        (operations, adjacency), stacked(unstacked(operations, adjacency)), strict=True
    ):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("kind", every_space(), ids=lambda kind: kind.name)
def test_what_a_space_can_is_told_by_its_type(kind: type[Space]) -> None:
    member = kind()
    operations, adjacency = member.sample(np.random.default_rng(0), 5)
    item = unstacked(operations, adjacency)[0]
    assert member.size is None or member.size > 0
    assert isinstance(member.from_string(member.to_string(*item)), Architecture)
    assert isinstance(member.mutate(np.random.default_rng(0), *item), Architecture)
    if isinstance(member, Keyed):
        assert item.adjacency is not None
        assert member.key(item.operations, item.adjacency).shape == (16,)
    if isinstance(member, Indexed):
        assert member.index_of(operations).shape == (5,)
    if isinstance(member, Listed):
        assert len(member.members()[0]) == member.size


def test_a_space_without_layers_has_no_fair_sample() -> None:
    with pytest.raises(NaspError, match="the space nasbench201 has no layers of choices"):
        space().fair_sample(np.random.default_rng(0))


def texts(member: Space, items: list[Architecture]) -> list[str]:
    return [member.to_string(*item) for item in items]


@pytest.mark.parametrize("kind", every_space(), ids=lambda kind: kind.name)
def test_neighbours_are_what_mutations_make(kind: type[Space]) -> None:
    member, rng = kind(), np.random.default_rng(0)
    for item in unstacked(*member.sample(rng, 2)):
        around = member.neighbours(rng, *item)
        member.validate(*stacked(around))
        names = texts(member, around)
        assert len(set(names)) == len(names)
        assert member.to_string(*item) not in names
        mutants = texts(member, [member.mutate(rng, *item) for _ in range(100)])
        assert np.mean([name in names for name in mutants]) > 0.9
        if member.shape.fixed_topology or member.shape.chain or member.name == "nasbench101":
            assert set(mutants) <= set(names), "all of them, where they can be listed"


def test_every_single_place_is_changed() -> None:
    around = space().neighbours(np.random.default_rng(0), np.array([3, 0, 1, 2, 4, 0]))
    assert len(around) == 24
    assert {int((item.operations != [3, 0, 1, 2, 4, 0]).sum()) for item in around} == {1}


def test_places_of_which_not_all_operations_are_allowed() -> None:
    """In such a chain only what the space accepts is a neighbour."""

    class Odd(type(space())):  # type: ignore[misc]
        name = "odd"

        def validate(self, operations: Any, adjacency: Any = None) -> None:
            super().validate(operations, adjacency)
            if (np.asarray(operations)[:, 0] == 4).any():
                raise NaspError("not there")

    around = Odd().neighbours(np.random.default_rng(0), np.zeros(6, dtype=np.uint8))
    assert len(around) == 23
    assert 4 not in {int(item.operations[0]) for item in around}
