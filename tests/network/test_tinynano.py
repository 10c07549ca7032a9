from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from nasp_lightning.error import NaspError
from nasp_lightning.network.tinynano import TinyNanoNetwork
from nasp_lightning.shipped import conf_dir
from nasp_lightning.space.tinynano import TinyNano

TEXT = "split>1,2;dwconv3x3>3;expand>3;conv1x1>4;atten>5;output"
TINY: dict[str, Any] = {"widths": (4, 6), "cells": 2, "classes": 3}


def test_forward_and_backward() -> None:
    network = TinyNanoNetwork.from_string(TEXT, **TINY)
    logits = network(torch.randn(2, 3, 4, 4))
    assert logits.shape == (2, 3)
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 2])).backward()
    assert all(weight.grad is not None for weight in network.parameters())
    assert network.stem[0].weight.grad.any()


def test_any_member_is_built() -> None:
    space = TinyNano(slots=4, max_splits=2, mflops=1e6, count=None, widths=(4, 5))
    for operations, adjacency in zip(*space.sample(np.random.default_rng(0), 10), strict=True):
        network = TinyNanoNetwork(operations, adjacency, widths=(4, 5), cells=2)
        logits = network(torch.randn(2, 3, 4, 4))
        assert logits.isfinite().all()
        logits.sum().backward()


def test_the_empty_cells_network_by_hand() -> None:
    network = TinyNanoNetwork.from_string("output", widths=(4,), cells=3, classes=2).eval()
    batch = torch.randn(2, 3, 4, 4)
    stem = network.stem(batch)  # each cell doubles; the first one's output is added to the last's
    expected = network.classifier(10 * stem.mean((2, 3)))
    torch.testing.assert_close(network(batch), expected)


def test_one_cell_a_stage_is_not_added_to_itself() -> None:
    network = TinyNanoNetwork.from_string("output", widths=(4,), cells=1, classes=2).eval()
    batch = torch.randn(2, 3, 4, 4)
    expected = network.classifier(2 * network.stem(batch).mean((2, 3)))
    torch.testing.assert_close(network(batch), expected)


def test_published_options_are_the_defaults() -> None:
    network = TinyNanoNetwork.from_string(TEXT, **TINY)
    norms = [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert all((layer.eps, layer.momentum) == (1e-4, 0.003) for layer in norms)
    assert any(isinstance(layer, torch.nn.Mish) for layer in network.modules())
    assert not network.classifier.bias.any()  # Keras' initialisation
    others = TinyNanoNetwork.from_string(TEXT, activation="relu", norm_affine=False, **TINY)
    assert not any(isinstance(layer, torch.nn.Mish) for layer in others.modules())
    assert len(list(others.parameters())) < len(list(network.parameters()))


def test_config_takes_the_spaces_widths() -> None:
    config = OmegaConf.load(conf_dir() / "network" / "tinynano.yaml")
    alone = OmegaConf.create({"network": config}).network
    assert (list(alone.widths), alone.cells) == ([64, 128, 256], 3)
    joined = OmegaConf.create({"network": config, "space": {"widths": [4, 6], "cells": 1}})
    network = instantiate(joined.network)(*TinyNano().from_string(TEXT))
    assert network.classifier.in_features == 6
    assert network(torch.randn(2, 3, 4, 4)).shape == (2, 10)


@pytest.mark.parametrize(
    ("text", "options", "reason"),
    [
        ("split>1;output", {}, "split in slot 0 with 1 successor"),
        ("conv1x1>1;dwconv3x3;output", {}, "no path from its input to its output"),
        ("conv7x7>1;output", {}, "unknown operation 'conv7x7'"),
        ("conv1x1>1;conv1x1>0;output", {}, "cycle|no path"),
        (TEXT, {"widths": ()}, r"network\.widths"),
        (TEXT, {"widths": (4, 0)}, r"network\.widths=0"),
        (TEXT, {"activation": "tanh"}, r"network\.activation=tanh"),
    ],
)
def test_bad_input(text: str, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(NaspError, match=reason):
        TinyNanoNetwork.from_string(text, **options)


def test_bad_arrays() -> None:
    operations, adjacency = TinyNano().from_string(TEXT)
    with pytest.raises(NaspError, match=r"got uint8 .*None"):
        TinyNanoNetwork(operations, None)
    with pytest.raises(NaspError, match="at least two slots"):
        TinyNanoNetwork(operations[None], adjacency[None])
    adjacency[1, 0] = 1
    with pytest.raises(NaspError, match="cycle"):
        TinyNanoNetwork(operations, adjacency)
