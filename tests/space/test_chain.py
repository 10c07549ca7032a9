from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.space.chain import Chain


class Blocks(Chain):
    name: ClassVar[str] = "blocks"
    operation_names: ClassVar[tuple[str, ...]] = ("skip", "conv3", "conv5", "conv7")
    layers: ClassVar[int] = 3


class Wide(Chain):
    name: ClassVar[str] = "wide"
    operation_names: ClassVar[tuple[str, ...]] = tuple(f"width{number}" for number in range(12))
    layers: ClassVar[int] = 20


def test_sizes_are_the_classes() -> None:
    space = Blocks()
    assert (space.size, space.encoding) == (64, "chain")
    shape = space.shape
    assert (shape.tokens, shape.vertices, shape.vocabulary, shape.chain) == (3, 3, 4, True)


def test_every_architecture_has_its_index_and_text() -> None:
    space = Blocks()
    every = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    assert space.index_of(every).tolist() == list(range(64))
    assert space.index_of(every).dtype == np.int64
    texts = [space.to_string(row) for row in every]
    assert (texts[0], texts[27], texts[63]) == ("000", "123", "333")
    assert [space.from_string(text)[0].tolist() for text in texts] == every.tolist()


def test_more_than_ten_operations_and_a_space_beyond_64_bits() -> None:
    space = Wide()
    operations, _ = space.sample(np.random.default_rng(0), 50)
    assert operations.max() == 11
    text = space.to_string(operations[0])
    assert len(text.split("-")) == 20
    np.testing.assert_array_equal(space.from_string(text)[0], operations[0])
    assert space.size == 12**20
    last = np.full((1, 20), 11)
    assert space.index_of(last).tolist() == [12**20 - 1]


@pytest.mark.parametrize("text", ["", "01", "0123", "014", "01x", "0-1-2"])
def test_text_errors(text: str) -> None:
    with pytest.raises(NaspError, match="is no architecture; expected 3 codes from 0 to 3"):
        Blocks().from_string(text)


def test_encoding_and_validation() -> None:
    space = Blocks()
    graphs = space.encode(np.array([[0, 1, 2], [3, 3, 3]]))
    assert graphs.operations.tolist() == [[0, 1, 2], [3, 3, 3]]
    assert graphs.adjacency[1].tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert graphs.vertices.tolist() == [3, 3]
    with pytest.raises(NaspError, match=r"blocks: architecture 1 has operation 4 in layer 2"):
        space.encode(np.array([[0, 1, 2], [0, 0, 4]]))
    with pytest.raises(NaspError, match=r"integers \[N, 3\], not float64 \[1, 3\]"):
        space.encode(np.zeros((1, 3)))


def test_mutation_changes_one_layer_to_every_other_operation() -> None:
    rng = np.random.default_rng(0)
    parent = np.array([0, 2, 1], dtype=np.uint8)
    seen = set()
    for _ in range(300):
        child, _ = Blocks().mutate(rng, parent)
        (layer,) = np.flatnonzero(child != parent)
        seen.add((int(layer), int(child[layer])))
    assert len(seen) == 9


def test_boxes_are_named_after_the_operations() -> None:
    skip, wide = Blocks().boxes(np.array([0, 3, 1]))[:2]
    assert (skip.text, skip.kind, skip.size) == ("skip", None, 0)
    assert (wide.text, wide.kind, wide.size) == ("conv7", "conv7", 1)


def test_a_fair_sample_holds_every_operation_of_a_layer_once() -> None:
    class Uneven(Blocks):
        choices = np.array([4, 2, 1])

    operations, adjacency = Blocks().fair_sample(np.random.default_rng(0))
    assert adjacency is None
    assert operations.shape == (4, 3)
    assert operations.dtype == np.uint8
    for column in operations.T:
        assert sorted(column) == [0, 1, 2, 3]
    drawn = np.stack([Uneven().fair_sample(np.random.default_rng(s))[0] for s in range(50)])
    assert (np.sort(drawn[:, :, 0], axis=1) == [0, 1, 2, 3]).all()
    assert (np.sort(drawn[:, :, 1], axis=1) == [0, 0, 1, 1]).all()
    assert (drawn[:, :, 2] == 0).all()
    odd = type("Odd", (Blocks,), {"choices": np.array([3, 2, 1])})()
    twice = [
        int((odd.fair_sample(np.random.default_rng(s))[0][:, 1] == 0).sum()) for s in range(200)
    ]
    assert set(twice) == {1, 2}  # of two codes one comes twice, either as often
    assert 60 < twice.count(2) < 140
