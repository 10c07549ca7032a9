from __future__ import annotations

from importlib import import_module
from pathlib import Path

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
