"""Sequences against the published layout, back to graphs, and the symbols that may follow."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.nao.sequence import SequenceEncoding
from nasp_lightning.space.base import Graphs
from nasp_lightning.space.nasbench101 import NASBench101
from nasp_lightning.space.nasbench201 import NASBench201

from . import checks

PUBLISHED_ORDER = (3, 2, 4, 0)  # conv1x1, conv3x3, maxpool, output


def assert_same(one: Graphs, other: Graphs) -> None:
    assert torch.equal(one.operations, other.operations)
    assert torch.equal(one.adjacency, other.adjacency)
    assert torch.equal(one.vertices, other.vertices)


def random_sequences(sequence: SequenceEncoding, count: int) -> Tensor:
    """Sequences drawn symbol by symbol among those that are allowed."""
    torch.manual_seed(0)
    drawn = torch.zeros((count, 0), dtype=torch.long)
    for _ in range(sequence.length):
        allowed = sequence.allowed(drawn)
        drawn = torch.cat([drawn, torch.multinomial(allowed.float(), 1)], 1)
    return drawn


def test_published_layout_of_nasbench101() -> None:
    """Column by column, bits + 1, then conv1x1 3, conv3x3 4, maxpool 5, output 6; padding 0."""
    space = NASBench101()
    operations, adjacency = space.sample(np.random.default_rng(0), 200)
    sequence = SequenceEncoding(space.shape, PUBLISHED_ORDER)
    found = sequence.encode(space.encode(operations, adjacency))
    assert (sequence.length, sequence.vocabulary) == (27, 7)
    ids = {3: 3, 2: 4, 4: 5, 0: 6}
    for row in range(200):
        expected = []
        for column in range(1, 7):
            if operations[row, column] == 5:
                expected += [0] * (column + 1)
                continue
            expected += [int(adjacency[row, before, column]) + 1 for before in range(column)]
            expected.append(ids[int(operations[row, column])])
        assert found[row].tolist() == expected


def test_published_layout_of_nasbench201() -> None:
    space = NASBench201()
    sequence = SequenceEncoding(space.shape)
    operations, _ = space.from_string(
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"
    )
    found = sequence.encode(space.encode(operations[None]))
    assert (sequence.length, sequence.vocabulary) == (12, 8)
    assert found[0].tolist() == [2, 6, 1, 3, 2, 4, 2, 7, 1, 3, 2, 5]


@pytest.mark.parametrize(
    ("name", "length", "vocabulary"),
    [("nasbench101", 27, 7), ("edge", 12, 8), ("node", 35, 9), ("macro", 8, 6)],
)
def test_invertible(name: str, length: int, vocabulary: int) -> None:
    shape, graphs = checks.batch(name, 300)
    sequence = SequenceEncoding(shape)
    encoded = sequence.encode(graphs)
    assert encoded.shape == (300, length)
    assert sequence.vocabulary == vocabulary
    assert int(encoded.max()) < vocabulary
    assert_same(sequence.decode(encoded), graphs)


def test_invertible_on_small_cells() -> None:
    graphs = checks.padded_cells(20, vertices=4)
    sequence = SequenceEncoding(NASBench101().shape)
    encoded = sequence.encode(graphs)
    assert not encoded[:, 9:].any()
    assert_same(sequence.decode(encoded), graphs)


def test_invertible_on_the_benchmark(data_dir: Path) -> None:
    from nasp_lightning.benchmark.nasbench101 import load_table

    path = data_dir / "nasbench101" / "nasbench101_20001.tfrecord"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    table = load_table("official", str(path), partial=True)
    graphs = NASBench101().encode(table.operations, table.adjacency)
    sequence = SequenceEncoding(NASBench101().shape)
    encoded = sequence.encode(graphs)
    assert_same(sequence.decode(encoded), graphs)
    for place in range(sequence.length):
        allowed = sequence.allowed(encoded[:, :place])
        assert bool(allowed.gather(1, encoded[:, place : place + 1]).all())


@pytest.mark.parametrize("name", checks.SPACES)
def test_allowed_holds_every_architecture_and_leads_to_one(name: str) -> None:
    shape, graphs = checks.batch(name, 100)
    sequence = SequenceEncoding(shape)
    encoded = sequence.encode(graphs)
    for place in range(sequence.length):
        allowed = sequence.allowed(encoded[:, :place])
        assert bool(allowed.gather(1, encoded[:, place : place + 1]).all())
    drawn = random_sequences(sequence, 200)
    assert torch.equal(sequence.encode(sequence.decode(drawn)), drawn)


def test_drawn_cells_of_nasbench101_end_with_their_output() -> None:
    sequence = SequenceEncoding(NASBench101().shape)
    graphs = sequence.decode(random_sequences(sequence, 500))
    last = graphs.operations.gather(1, (graphs.vertices.long() - 1)[:, None])
    assert not last.any()
    assert bool(((graphs.operations == 0).sum(1) == 1).all())
    assert set(graphs.vertices.tolist()) == {2, 3, 4, 5, 6, 7}


def test_drawn_cells_of_nasbench201_belong_to_the_space() -> None:
    space = NASBench201()
    sequence = SequenceEncoding(space.shape)
    graphs = sequence.decode(random_sequences(sequence, 200))
    assert_same(space.encode(graphs.operations.numpy()), graphs)


def test_padding_without_an_output_token() -> None:
    shape, graphs = checks.batch("nasbench101", 50)
    shape = dataclasses.replace(shape, output_token=None)
    sequence = SequenceEncoding(shape)
    small = checks.padded_cells(20, vertices=4)
    for cells in (graphs, small):
        encoded = sequence.encode(cells)
        assert_same(sequence.decode(encoded), cells)
        for place in range(sequence.length):
            allowed = sequence.allowed(encoded[:, :place])
            assert bool(allowed.gather(1, encoded[:, place : place + 1]).all())


def test_wrong_sequences_are_refused() -> None:
    shape, graphs = checks.batch("nasbench101", 3)
    sequence = SequenceEncoding(shape)
    encoded = sequence.encode(graphs)
    with pytest.raises(NaspError, match=r"have 27 symbols; got \[3, 26\]"):
        sequence.decode(encoded[:, 1:])
    encoded[1, 4] = 2
    with pytest.raises(NaspError, match="sequence 1 has symbol 2 at place 4, where an operation"):
        sequence.decode(encoded)
    encoded[1, 4], encoded[0, 0] = 3, 7
    with pytest.raises(NaspError, match=r"sequence 0 has symbol 7 at place 0, where 1 \(no edge\)"):
        sequence.decode(encoded)


def test_order_is_checked() -> None:
    with pytest.raises(NaspError, match=r"order=\[3, 2\].*\[0, 2, 3, 4\]"):
        SequenceEncoding(NASBench101().shape, (3, 2))


def test_unknown_places_of_tokens_are_refused() -> None:
    shape = dataclasses.replace(NASBench201().shape, edges=None)
    with pytest.raises(NaspError, match=r"choose another space\.encoding"):
        SequenceEncoding(shape)
