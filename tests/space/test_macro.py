from __future__ import annotations

import numpy as np
import pytest
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.space.macro import SIZE, Macro, index_of


def test_text_round_trip_and_order() -> None:
    space = Macro()
    operations, adjacency = space.from_string("02012100")
    assert operations.tolist() == [0, 2, 0, 1, 2, 1, 0, 0]
    assert adjacency is None
    assert space.to_string(operations) == "02012100"
    assert index_of(operations[None])[0] == int("02012100", 3)
    assert int("2" * 8, 3) == SIZE - 1


@pytest.mark.parametrize("text", ["2012100", "020121003", "02012103", "", "0201210x"])
def test_text_errors(text: str) -> None:
    with pytest.raises(NaspError, match="is no architecture"):
        Macro().from_string(text)


def test_encoding_is_a_chain() -> None:
    space = Macro()
    assert space.shape.chain
    assert (space.shape.tokens, space.shape.vertices, space.shape.vocabulary) == (8, 8, 3)
    operations, _ = space.sample(np.random.default_rng(0), 5)
    graphs = space.encode(operations)
    np.testing.assert_array_equal(graphs.operations.numpy(), operations)
    assert graphs.operations.dtype == graphs.adjacency.dtype == torch.uint8
    path = torch.diag(torch.ones(7), 1)
    assert (graphs.adjacency == path).all()
    assert (graphs.vertices == 8).all()


def test_validation() -> None:
    with pytest.raises(NaspError, match="architecture 1 has operation 3 in layer 7"):
        Macro().validate(np.array([[0] * 8, [0] * 7 + [3]]))
    with pytest.raises(NaspError, match=r"\[1, 7\]"):
        Macro().validate(np.zeros((1, 7), dtype=int))
    with pytest.raises(NaspError, match="topology is fixed"):
        Macro().validate(np.zeros((1, 8), dtype=int), np.zeros((1, 8, 8)))


def test_mutation_changes_one_layer() -> None:
    rng = np.random.default_rng(0)
    parent = np.array([0, 2, 0, 1, 2, 1, 0, 0], dtype=np.uint8)
    seen = set()
    for _ in range(300):
        child, _ = Macro().mutate(rng, parent)
        (layer,) = np.flatnonzero(child != parent)
        assert child[layer] < 3
        seen.add((int(layer), int(child[layer])))
    assert len(seen) == 16
