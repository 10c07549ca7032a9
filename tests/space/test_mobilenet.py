from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.shipped import conf_dir
from nasp_lightning.space.mobilenet import BLOCKS, IDENTITY, OPERATIONS, MobileNet

FIRSTS = [0, 4, 8, 12, 16, 20]  # layers without an identity, by RLNAS' code
RLNAS = "2 0 -1 2 2 0 2 4 0 4 4 2 4 2 4 2 0 0 0 2 2"  # its searched architecture, as published
TINY: dict[str, Any] = {"widths": (8, 12), "depths": (1, 2), "strides": (1, 2), "image": 8}


def every(space: MobileNet) -> Array:
    grid = np.meshgrid(*[np.arange(count) for count in space.choices], indexing="ij")
    return np.stack(grid, -1).reshape(-1, space.layers)


def test_the_published_space() -> None:
    space = MobileNet()
    assert (space.layers, space.reduction, space.size) == (21, 32, 6**6 * 7**15)
    assert (
        *("mb3_k3", "mb6_k3", "mb3_k5", "mb6_k5", "mb3_k7", "mb6_k7"),
        "identity",
    ) == OPERATIONS
    assert [layer for layer, place in enumerate(space.places) if place.first] == FIRSTS
    assert [space.places[layer].stride for layer in FIRSTS] == [2, 2, 2, 1, 2, 1]
    assert sum(place.stride for place in space.places) == 21 + 4
    shape = space.shape
    assert (shape.tokens, shape.vocabulary, shape.chain) == (21, 7, True)
    assert (space.places[0].inputs, space.places[-1].inputs, space.places[-1].outputs) == (
        *(24, 256),
        432,
    )


def test_the_configs_sizes_are_the_defaults() -> None:
    config = OmegaConf.load(conf_dir() / "space" / "mobilenet.yaml")
    assert vars(instantiate(config)) == vars(MobileNet())


def test_published_text_and_ours() -> None:
    space = MobileNet()
    operations, adjacency = space.from_string(RLNAS)
    assert adjacency is None
    assert operations[2] == IDENTITY
    assert BLOCKS[operations[7]] == (7, 3)
    text = space.to_string(operations)
    assert text == "206220240442424200022"
    np.testing.assert_array_equal(space.from_string(text)[0], operations)


def test_every_architecture_has_its_index_and_text() -> None:
    space = MobileNet(**TINY)
    operations = every(space)
    assert space.size == len(operations) == 6 * 6 * 7
    assert space.index_of(operations).tolist() == list(range(space.size))
    texts = {space.to_string(row) for row in operations}
    assert len(texts) == space.size
    large = MobileNet(widths=(4,) * 5, depths=(9,) * 5, strides=(1,) * 5)
    last = (large.choices - 1)[None]
    assert large.index_of(last).tolist() == [large.size - 1]


def test_samples_take_every_allowed_choice_equally_often() -> None:
    space = MobileNet()
    operations, _ = space.sample(np.random.default_rng(0), 7000)
    space.validate(operations)
    assert operations.dtype == np.uint8
    for layer, count in enumerate(space.choices):
        share = np.bincount(operations[:, layer], minlength=7) / len(operations)
        assert share[count:].sum() == 0
        np.testing.assert_allclose(share[:count], 1 / count, atol=0.025)


def test_mutation_takes_every_other_allowed_choice_of_every_layer() -> None:
    space, rng = MobileNet(**TINY), np.random.default_rng(0)
    parent = np.array([5, 0, IDENTITY], dtype=np.uint8)
    seen = set()
    for _ in range(400):
        child, _ = space.mutate(rng, parent)
        (layer,) = np.flatnonzero(child != parent)
        space.validate(child[None])
        seen.add((int(layer), int(child[layer])))
    assert len(seen) == 5 + 5 + 6
    assert parent.tolist() == [5, 0, IDENTITY]


def test_identities_where_the_shape_changes_are_refused() -> None:
    space = MobileNet(**TINY)
    with pytest.raises(NaspError, match=r"architecture 1 has the identity \(6\) in layer 1, the f"):
        space.validate(np.array([[0, 0, 6], [0, 6, 0]]))
    with pytest.raises(NaspError, match="in layer 0, the first of stage 0"):
        space.from_string("600")
    with pytest.raises(NaspError, match="in layer 4"):
        MobileNet().encode(np.full((1, 21), 6) * (np.arange(21) > 0))


@pytest.mark.parametrize("text", ["", "20", "0000", "007", "0 0 -2", "0x1"])
def test_text_errors(text: str) -> None:
    with pytest.raises(NaspError, match="expected 3 codes from 0 to 6, such as 012"):
        MobileNet(**TINY).from_string(text)


def test_the_errors_example_is_an_architecture() -> None:
    with pytest.raises(NaspError, match=r"such as (\d{21})") as error:
        MobileNet().from_string("0")
    assert MobileNet().from_string(str(error.value).split("such as ")[1][:21])


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        (np.zeros((2, 20), dtype=int), r"integers \[N, 21\], not int64 \[2, 20\]"),
        (np.full((1, 21), 7), "operation 7 in layer 0; codes are 0 to 6: mb3_k3, mb6_k3"),
        (np.zeros((1, 21)), "not float64"),
    ],
)
def test_validation(operations: Array, message: str) -> None:
    with pytest.raises(NaspError, match=message):
        MobileNet().validate(operations)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (8, 8), "depths": (1,)}, r"space.widths=\[8, 8\], space.depths=\[1\]"),
        ({"widths": (), "depths": (), "strides": ()}, "one number of each for every stage"),
        ({"widths": (8, 0), "depths": (1, 1), "strides": (1, 1)}, "space.widths=0"),
        ({"stem_width": 1.5}, "space.stem_width=1.5"),
        ({"image": 31}, "space.image=31: it must be a whole number, at least 32"),
        ({"encoding": "node"}, "no encoding 'node'"),
    ],
)
def test_sizes_of_no_network(options: dict[str, Any], message: str) -> None:
    with pytest.raises(NaspError, match=message):
        MobileNet(**options)


def test_boxes_tell_the_architecture() -> None:
    space = MobileNet(**TINY)
    boxes = space.boxes(np.array([5, 2, 6]))
    assert [box.text for box in boxes] == [
        *("conv 3×3", "MB1 3×3", "MB6 7×7", "MB3 5×5", "identity", "conv 1×1"),
    ]
    assert [box.size for box in boxes[2:5]] == [1, 0.5, 0]
    assert [box.group for box in boxes[1:5]] == ["24\n4²", "8\n4²", "12\n2²", "12\n2²"]
    with pytest.raises(NaspError, match="operation 7"):
        space.boxes(np.array([0, 0, 7]))
