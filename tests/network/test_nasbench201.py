from __future__ import annotations

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from nasp_lightning.error import NaspError
from nasp_lightning.network.nasbench201 import NASBench201Network
from nasp_lightning.shipped import conf_dir
from nasp_lightning.space.nasbench201 import NASBench201

TEXT = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"
TINY = {"channels": 2, "cells": 1}


def test_forward_and_backward() -> None:
    network = NASBench201Network.from_string(TEXT, classes=3, **TINY)
    logits = network(torch.randn(2, 3, 8, 8))
    assert logits.shape == (2, 3)
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 2])).backward()
    assert all(weight.grad is not None for weight in network.parameters())
    assert network.stem[0].weight.grad.any()


def test_any_architecture_is_built() -> None:
    operations, _ = NASBench201().sample(np.random.default_rng(0), 10)
    for codes in [*operations, np.zeros(6, dtype=np.uint8)]:
        logits = NASBench201Network(codes, **TINY)(torch.randn(2, 3, 8, 8))
        assert logits.isfinite().all()
        logits.sum().backward()


def test_dead_edges_change_no_output() -> None:
    operations, _ = NASBench201().sample(np.random.default_rng(1), 8)
    batch = torch.randn(2, 3, 8, 8)
    for codes in operations:
        networks = [NASBench201Network(codes, skip_dead=skip, **TINY) for skip in (True, False)]
        networks[1].load_state_dict(networks[0].state_dict())
        torch.testing.assert_close(networks[0](batch), networks[1](batch))


def test_stages_double_their_channels() -> None:
    network = NASBench201Network.from_string(TEXT, channels=2, cells=2)
    assert len(network.body) == 2 + 1 + 2 + 1 + 2
    assert network.classifier.in_features == 8
    shapes = []
    for block in network.body:
        block.register_forward_hook(lambda *call: shapes.append(tuple(call[2].shape[1:])))
    network(torch.randn(2, 3, 8, 8))
    assert shapes == [(2, 8, 8)] * 2 + [(4, 4, 4)] * 3 + [(8, 2, 2)] * 3


def test_options_reach_the_layers() -> None:
    network = NASBench201Network.from_string(
        TEXT, norm_eps=1e-3, norm_momentum=0.2, norm_affine=False, norm_track=False, **TINY
    )
    norms = [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert len(norms) > 5
    assert all((layer.eps, layer.momentum) == (1e-3, 0.2) for layer in norms)
    assert all(layer.weight is None and layer.running_mean is None for layer in norms)


def test_config() -> None:
    config = OmegaConf.load(conf_dir() / "network" / "nasbench201.yaml")
    build = instantiate(config, channels=2, cells=1)
    assert isinstance(build(np.ones(6, dtype=np.uint8)), NASBench201Network)


@pytest.mark.parametrize(
    ("text", "options", "reason"),
    [
        ("|nor_conv_5x5~0|+|none~0|none~1|+|none~0|none~1|none~2|", {}, "unknown operation"),
        ("conv", {}, "is no architecture"),
        (TEXT, {"channels": 0}, r"network\.channels=0"),
        (TEXT, {"initialisation": "ones"}, r"network\.initialisation=ones"),
    ],
)
def test_bad_input(text: str, options: dict[str, object], reason: str) -> None:
    with pytest.raises(NaspError, match=reason):
        NASBench201Network.from_string(text, **options)


def test_bad_arrays_and_images() -> None:
    with pytest.raises(NaspError, match="architecture 0 has operation 5"):
        NASBench201Network(np.full(6, 5, dtype=np.uint8))
    with pytest.raises(NaspError, match="topology is fixed"):
        NASBench201Network(np.ones(6, dtype=np.uint8), np.eye(4))
    network = NASBench201Network.from_string(TEXT, **TINY)
    for wrong in (torch.zeros(2, 1, 8, 8), torch.zeros(2, 3, 6, 8), torch.zeros(3, 8, 8)):
        with pytest.raises(NaspError, match="divisible by 4"):
            network(wrong)
    with pytest.raises(NaspError, match="uint8"):
        network(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
