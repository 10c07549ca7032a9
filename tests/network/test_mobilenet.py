from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from torch import nn

from nasp_lightning.error import NaspError
from nasp_lightning.network.count import multiply_adds, on_meta, parameter_count
from nasp_lightning.network.mobilenet import InvertedResidual, MobileNetNetwork
from nasp_lightning.network.ops import PLAIN
from nasp_lightning.space.mobilenet import IDENTITY, Block, MobileNet
from nasp_lightning.space.nasbench201 import NASBench201
from tests.network.tiny import TINY
from tests.tiny import compose_config

RLNAS = "206220240442424200022"
TEXTS = ("1506", "0624", "0000", "5656")


def measured(network: nn.Module, image: int) -> tuple[int, int]:
    return parameter_count(network), multiply_adds(network, image)


def test_forward_and_backward() -> None:
    network = MobileNetNetwork.from_string("1506", space=TINY, classes=3)
    logits = network(torch.randn(2, 3, 8, 8))
    assert logits.shape == (2, 3)
    nn.functional.cross_entropy(logits, torch.tensor([0, 2])).backward()
    assert all(weight.grad is not None for weight in network.parameters())
    assert network.stem[0][0].weight.grad.any()


def test_an_inverted_residual_by_hand() -> None:
    batch = torch.randn(2, 4, 5, 5)
    block = InvertedResidual(4, 4, Block(3, 2), 1, PLAIN, "relu6").eval()
    expand, depthwise, project = block.body
    hidden = nn.functional.relu6(expand[1](nn.functional.conv2d(batch, expand[0].weight)))
    hidden = nn.functional.conv2d(hidden, depthwise[0].weight, padding=1, groups=8)
    hidden = nn.functional.relu6(depthwise[1](hidden))
    expected = batch + project[1](nn.functional.conv2d(hidden, project[0].weight))
    torch.testing.assert_close(block(batch), expected)
    for outputs, stride in ((5, 1), (4, 2)):  # nothing to add the input to
        other = InvertedResidual(4, outputs, Block(3, 2), stride, PLAIN, "relu6").eval()
        torch.testing.assert_close(other(batch), other.body(batch))


def test_the_identity_passes_images_on() -> None:
    network = MobileNetNetwork.from_string("1506", space=TINY, classes=3).eval()
    assert isinstance(network.layers[3], nn.Identity)
    batch = torch.randn(2, 3, 8, 8)
    features = network.layers[2](network.layers[1](network.layers[0](network.stem(batch))))
    torch.testing.assert_close(network(batch), network.head(features))


def test_dropout_acts_on_the_classifiers_inputs_in_training() -> None:
    network = MobileNetNetwork.from_string("1506", space=TINY, classes=3, dropout=0.5)
    assert network.head.dropout.p == 0.5
    batch = torch.randn(2, 3, 8, 8)
    assert not torch.equal(network(batch), network(batch))
    network.eval()
    assert torch.equal(network(batch), network(batch))


def test_published_options_are_the_defaults() -> None:
    network = MobileNetNetwork.from_string("0000", space=TINY)
    assert any(isinstance(part, nn.ReLU6) for part in network.modules())
    assert network.head.classifier.out_features == 1000
    assert not network.head.classifier.bias.any()
    spread = network.layers[1].body[1][0].weight.std().item()  # 18 depthwise 3×3 filters
    assert 0.75 < spread / (2 / (9 * 18)) ** 0.5 < 1.25
    other = MobileNetNetwork.from_string("0000", space=TINY, norm_affine=False, norm_momentum=0.3)
    norms = [part for part in other.modules() if isinstance(part, nn.BatchNorm2d)]
    assert all(norm.momentum == 0.3 and norm.weight is None for norm in norms)


# --- costs


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(("image", "affine"), [(8, True), (11, True), (8, False)])
def test_costs_are_those_of_the_module(text: str, image: int, affine: bool) -> None:
    operations, _ = TINY.from_string(text)
    options: dict[str, Any] = {"space": TINY, "classes": 3, "norm_affine": affine}
    costs = MobileNetNetwork.costs(operations[None], image=image, dropout=0.1, **options)
    network = on_meta(MobileNetNetwork, operations, **options)
    assert (costs["parameters"][0], costs["macs"][0]) == measured(network, image)
    assert costs["parameters"].dtype == costs["macs"].dtype == np.int64


def test_published_costs() -> None:
    """RLNAS' searched network is published with 5.3 M parameters and 473 M multiply-adds.

    Its code counts 2 · 1728 − 1 operations for each class in the classifier, hence 1.7 M more.
    """
    operations, _ = MobileNet().from_string(RLNAS)
    costs = MobileNetNetwork.costs(operations[None])
    assert (costs["parameters"][0], costs["macs"][0]) == (5_255_648, 471_521_184)
    assert measured(on_meta(MobileNetNetwork, operations), 224) == (5_255_648, 471_521_184)
    assert round((costs["macs"][0] + 1727 * 1000) / 1e6) == 473


def test_thousands_of_architectures_in_milliseconds() -> None:
    operations, _ = MobileNet().sample(np.random.default_rng(0), 5000)
    started = time.process_time()
    costs = MobileNetNetwork.costs(operations)
    assert time.process_time() - started < 0.25  # about 0.01 s on an idle core
    assert costs["macs"].shape == (5000,)
    assert 3.3e6 < costs["parameters"].min() < costs["parameters"].max() < 8.4e6


def test_costs_of_other_architectures_are_refused() -> None:
    with pytest.raises(NaspError, match="identity"):
        MobileNetNetwork.costs(np.full((1, 4), IDENTITY), space=TINY)
    with pytest.raises(NaspError, match="images of 1×1 pixels are too small"):
        MobileNetNetwork.costs(np.zeros((1, 4), dtype=int), image=1, space=TINY)


# --- bad input


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ([0, 6, 6], r"operations must be integers \[N, 4\], not int64 \[1, 3\]"),
        ([6, 0, 0, 0], "the identity .6. in layer 0, the first of stage 0"),
        ([0, 7, 0, 0], "operation 7 in layer 1"),
    ],
)
def test_architectures_that_are_none(operations: list[int], message: str) -> None:
    with pytest.raises(NaspError, match=message):
        MobileNetNetwork(np.array(operations), space=TINY)


def test_images_that_do_not_fit() -> None:
    network = MobileNetNetwork.from_string("1506", space=TINY, classes=3).eval()
    assert network(torch.randn(1, 3, 4, 7)).shape == (1, 3)  # need not be divisible
    with pytest.raises(NaspError, match=r"3×8 pixels are too small .* reduce them 4 times"):
        network(torch.randn(1, 3, 3, 8))
    with pytest.raises(NaspError, match=r"expected real numbers \[B, 3, H, W\]"):
        network(torch.randn(1, 1, 8, 8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 0}, "network.classes=0"),
        ({"dropout": 1.0}, "network.dropout=1.0"),
        ({"activation": "gelu"}, "network.activation=gelu"),
        ({"initialisation": "zeros"}, "network.initialisation=zeros"),
        ({"space": NASBench201()}, "space nasbench201: a MobileNet has architectures of"),
    ],
)
def test_options_that_do_not_exist(options: dict[str, Any], message: str) -> None:
    with pytest.raises(NaspError, match=message):
        MobileNetNetwork(np.zeros(4, dtype=np.uint8), **{"space": TINY, **options})


# --- configs


def test_the_configs_build_networks_of_their_space() -> None:
    config = compose_config("+network=mobilenet", "space=mobilenet_mini", "network.classes=10")
    build = instantiate(config["network"])
    space = instantiate(config["space"])
    operations, adjacency = space.sample(np.random.default_rng(0), 1)
    network = build(operations[0], adjacency)
    assert network(torch.randn(2, 3, 64, 64)).shape == (2, 10)
    costs = build.func.costs(operations, adjacency, **build.keywords)
    assert (costs["parameters"][0], costs["macs"][0]) == measured(network, space.image)


def test_the_configs_defaults_are_the_classs() -> None:
    config = compose_config("+network=mobilenet", "space=mobilenet")["network"]
    build = instantiate(config)
    published = on_meta(MobileNetNetwork, MobileNet().from_string(RLNAS)[0])
    ours = on_meta(build, MobileNet().from_string(RLNAS)[0])
    assert str(ours) == str(published)
