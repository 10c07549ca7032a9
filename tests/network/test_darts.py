from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from nasp_lightning.error import NaspError
from nasp_lightning.network.count import multiply_adds, on_meta, parameter_count
from nasp_lightning.network.darts import AuxiliaryHead, DartsNetwork
from nasp_lightning.space.darts import Darts
from tests.space.genotypes import PUBLISHED, V2
from tests.tiny import compose_config

SPACE = Darts()
TINY: dict[str, Any] = {"channels": 2, "layers": 3, "classes": 3}


@pytest.mark.parametrize("name", PUBLISHED)
def test_costs_are_the_published_ones(name: str) -> None:
    text, millions, mega = PUBLISHED[name]
    operations, adjacency = SPACE.from_string(text)
    costs = DartsNetwork.costs(operations[None], adjacency[None])
    assert costs["parameters"][0] / 1e6 == pytest.approx(millions, abs=0.035)
    if mega is not None:
        assert costs["macs"][0] / 1e6 == pytest.approx(mega, abs=1.5)


def test_the_published_networks_parameters_to_the_last_one() -> None:
    plain = on_meta(DartsNetwork.from_string, V2, auxiliary=False)
    assert parameter_count(plain) == 3_349_342  # as DARTS' code prints
    assert len(plain.cells) == 20


def test_the_auxiliary_heads_parameters() -> None:
    head = on_meta(AuxiliaryHead, 576, 10)  # 1×1 to 128, 2×2 to 768, their norms, linear
    assert parameter_count(head) == 576 * 128 + 256 + 4 * 128 * 768 + 1536 + 769 * 10


@pytest.mark.parametrize(
    "options",
    [
        {"channels": 2, "layers": 3},
        {"channels": 3, "layers": 5, "classes": 7},
        {"channels": 4, "layers": 4, "stem_stride": 2},
    ],
)
def test_costs_are_those_of_the_built_network(options: dict[str, Any]) -> None:
    operations, adjacency = SPACE.sample(np.random.default_rng(0), 2)
    costs = DartsNetwork.costs(operations, adjacency, image=32, auxiliary=True, **options)
    for row in range(2):
        network = on_meta(DartsNetwork, operations[row], adjacency[row], auxiliary=False, **options)
        assert costs["parameters"][row] == parameter_count(network)
        assert costs["macs"][row] == multiply_adds(network, image=32)


def test_forward_and_backward() -> None:
    torch.manual_seed(0)
    network = DartsNetwork.from_string(V2, **TINY)
    logits, auxiliary = network(torch.randn(2, 3, 32, 32))
    assert logits.shape == auxiliary.shape == (2, 3)
    labels = torch.tensor([0, 2])
    loss = torch.nn.functional.cross_entropy
    (loss(logits, labels) + 0.4 * loss(auxiliary, labels)).backward()
    assert all(weight.grad is not None for weight in network.parameters())
    network.eval()
    assert network(torch.randn(2, 3, 16, 16)).shape == (2, 3)


def test_evaluation_and_no_head_give_one_tensor() -> None:
    batch = torch.randn(2, 3, 16, 16)
    network = DartsNetwork.from_string(V2, auxiliary=False, **TINY)
    assert isinstance(network(batch), torch.Tensor)
    assert network.auxiliary is None
    with_head = DartsNetwork.from_string(V2, **TINY)
    assert isinstance(with_head.eval()(batch), torch.Tensor)
    assert isinstance(with_head.train()(batch), tuple)  # small images have a head as well


def test_the_heads_features_are_the_published_ones() -> None:
    head = AuxiliaryHead(4, 3).eval()
    features = torch.randn(2, 4, 8, 8)
    windows = [
        features.relu()[:, :, down : down + 5, right : right + 5].mean((2, 3))
        for down in (0, 3)
        for right in (0, 3)
    ]
    pooled = torch.stack(windows, 2).view(2, 4, 2, 2)
    expected = head.classifier(head.widen(head.narrow(pooled)).flatten(1))
    torch.testing.assert_close(head(features), expected)
    assert head(torch.randn(2, 4, 12, 10)).shape == (2, 3)
    assert head(torch.randn(2, 4, 1, 1)).shape == (2, 3)


def test_any_architecture_is_built() -> None:
    for operations, adjacency in zip(*SPACE.sample(np.random.default_rng(1), 6), strict=True):
        network = DartsNetwork(operations, adjacency, auxiliary=False, **TINY)
        logits = network(torch.randn(2, 3, 8, 8))
        assert logits.isfinite().all()
        logits.sum().backward()


def test_reductions_stand_at_a_third_and_two_thirds() -> None:
    network = on_meta(DartsNetwork.from_string, V2, channels=4)
    halving = [layer for layer, cell in enumerate(network.cells) if "MaxPool2d" in repr(cell)]
    assert halving == [6, 13]
    assert network.head_after == 13
    assert network.classifier.in_features == 16 * 4


# --- drop path


def test_drop_path_spares_identities_and_evaluation() -> None:
    torch.manual_seed(0)
    batch = torch.randn(4, 3, 16, 16)
    network = DartsNetwork.from_string(V2, auxiliary=False, **TINY)
    assert network.drop_path_rate == 0
    first = network(batch)
    torch.testing.assert_close(network(batch), first)  # nothing is drawn
    network.drop_path_rate = 0.5
    assert not torch.equal(network(batch), network(batch))
    network.eval()
    torch.testing.assert_close(network(batch), network(batch), rtol=0, atol=0)
    network.train()
    network.drop_path_rate = 0.0
    torch.testing.assert_close(network(batch), first)


def test_drop_path_is_no_weight() -> None:
    network = DartsNetwork.from_string(V2, drop_path=0.2, **TINY)
    assert network.drop_path_rate == 0.2
    assert not any("rate" in name for name in network.state_dict())


# --- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 2}, "network.layers=2: it must be a whole number, at least 3"),
        ({"channels": 0}, "network.channels=0"),
        ({"classes": 1.5}, "network.classes=1.5"),
        ({"stem_stride": 0}, "network.stem_stride=0"),
        ({"drop_path": 1.0}, "network.drop_path=1.0: give a rate from 0 to less than 1"),
        ({"drop_path": -0.1}, "network.drop_path=-0.1"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(NaspError, match=message):
        DartsNetwork.from_string(V2, **{**TINY, **options})


def test_architectures_and_images_that_cannot_be() -> None:
    with pytest.raises(NaspError, match="architectures of darts are whole numbers"):
        DartsNetwork(np.zeros(6, dtype=np.uint8), None, **TINY)
    network = DartsNetwork.from_string(V2, **TINY)
    with pytest.raises(NaspError, match="divisible by 4"):
        network(torch.randn(2, 3, 30, 30))
    operations, adjacency = SPACE.sample(np.random.default_rng(0), 1)
    with pytest.raises(NaspError, match=r"image=30.* needs a multiple of 4 pixels"):
        DartsNetwork.costs(operations, adjacency, image=30)


def test_configs() -> None:
    operations, adjacency = SPACE.from_string(V2)
    build = instantiate(compose_config("+network=darts")["network"])
    with torch.device("meta"):
        network = build(operations, adjacency)
    assert parameter_count(network) - parameter_count(network.auxiliary) == 3_349_342
    mini = instantiate(compose_config("+network=darts_mini")["network"])
    logits, auxiliary = mini(operations, adjacency)(torch.randn(2, 3, 32, 32))
    assert logits.shape == auxiliary.shape == (2, 10)


def test_a_compiled_network_is_not_compiled_for_each_rate() -> None:
    compiled = []

    def backend(graph: Any, _: Any) -> Any:
        compiled.append(graph)
        return graph.forward

    torch.compiler.reset()
    network = DartsNetwork.from_string(V2, drop_path=0.01, **TINY)
    fast = torch.compile(network, backend=backend, fullgraph=True)
    batch = torch.randn(2, 3, 16, 16)
    for rate in (0.01, 0.05, 0.2):
        network.drop_path_rate = rate
        fast(batch)
    assert len(compiled) == 1
