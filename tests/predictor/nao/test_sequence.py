"""Sequences against the published layout."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.nao.sequence import SequenceEncoding
from nasp_lightning.space.nasbench101 import NASBench101
from nasp_lightning.space.nasbench201 import NASBench201
from tests.predictor import checks


def test_published_layout_of_nasbench101() -> None:
    """Column by column, bits + 1, then operations from 3, the output last; padding 0."""
    space = NASBench101()
    operations, adjacency = space.sample(np.random.default_rng(0), 200)
    sequence = SequenceEncoding(space.shape)
    found = sequence.encode(space.encode(operations, adjacency))
    assert (sequence.length, sequence.vocabulary) == (27, 7)
    ids = {2: 3, 3: 4, 4: 5, 0: 6}
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
def test_sizes(name: str, length: int, vocabulary: int) -> None:
    shape, graphs = checks.batch(name, 300)
    sequence = SequenceEncoding(shape)
    encoded = sequence.encode(graphs)
    assert encoded.shape == (300, length)
    assert sequence.vocabulary == vocabulary
    assert int(encoded.max()) < vocabulary


def test_padding_is_zero() -> None:
    graphs = checks.padded_cells(20, vertices=4)
    sequence = SequenceEncoding(NASBench101().shape)
    encoded = sequence.encode(graphs)
    assert not encoded[:, 9:].any()


def test_unknown_places_of_tokens_are_refused() -> None:
    shape = dataclasses.replace(NASBench201().shape, edges=None)
    with pytest.raises(NaspError, match=r"choose another space\.encoding"):
        SequenceEncoding(shape)
