from __future__ import annotations

import pytest
import torch
from torch import nn

from nasp_lightning.error import NaspError
from nasp_lightning.network.ops import (
    Attention,
    ConvNorm,
    Expand,
    Norm,
    Reduction,
    ReLUConvNorm,
    Split,
    activation,
    check_positive,
    initialise,
)


def images(channels: int, size: int = 4) -> torch.Tensor:
    return torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(0))


def test_attention_by_its_definition() -> None:
    layer, batch = Attention(8), images(8)
    gates = []
    for image in batch:
        means = image.mean((1, 2))
        query, key, value = (
            nn.functional.mish(part.weight @ means)
            for part in (layer.query, layer.key, layer.value)
        )
        mixed = torch.softmax(query[:, None] * key[None], dim=1) @ value
        gates.append(((layer.gate.weight @ mixed + 3) / 6).clamp(0, 1))
    expected = batch * torch.stack(gates)[:, :, None, None]
    torch.testing.assert_close(layer(batch), expected)


def test_attention_of_few_channels() -> None:
    assert Attention(3)(images(3)).shape == (2, 3, 4, 4)


def test_expand_sums_its_input_at_each_step() -> None:
    layer, batch = Expand(3).eval(), images(3)
    first = layer.steps[0](batch) + batch
    second = layer.steps[1](first) + batch
    third = layer.steps[2](second) + batch
    torch.testing.assert_close(layer(batch), torch.cat([first, second, third], 1))
    assert layer.steps[0][0].groups == 3


def test_split_of_even_and_odd_channels() -> None:
    batch = images(6)
    first, second = Split(6)(batch)
    assert torch.equal(torch.cat([first, second], 1), batch)
    assert not list(Split(6).parameters())
    odd = Split(5)(images(5))
    assert [part.shape[1] for part in odd] == [3, 3]


def test_reduction_halves_the_pixels() -> None:
    layer = Reduction(4, 8).eval()
    assert layer(images(4)).shape == (2, 8, 2, 2)
    for step in layer.body:
        nn.init.zeros_(step[1].weight)
    torch.testing.assert_close(layer(images(4)), layer.shortcut(images(4)))


def test_order_of_layers() -> None:
    assert [type(layer).__name__ for layer in ReLUConvNorm(2, 3, 3)] == [
        "ReLU",
        "Conv2d",
        "BatchNorm2d",
    ]
    assert [type(layer).__name__ for layer in ConvNorm(2, 3, 1)] == [
        "Conv2d",
        "BatchNorm2d",
        "Mish",
    ]
    assert len(ConvNorm(2, 3, 1, active=None)) == 2
    assert ConvNorm(2, 3, 3)[0].bias is None


def test_norm_options() -> None:
    layer = Norm(1e-3, 0.2, affine=False, track=False).layer(3)
    assert (layer.eps, layer.momentum) == (1e-3, 0.2)
    assert layer.weight is None
    assert layer.running_mean is None


def test_initialisations() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), nn.Linear(16, 16))
    kept = network[0].weight.clone()
    initialise(network, "torch")
    assert torch.equal(network[0].weight, kept)
    initialise(network, "glorot")
    bound = (6 / (9 * 8 + 9 * 16)) ** 0.5
    assert bound * 0.98 < network[0].weight.abs().max() <= bound
    assert not network[2].bias.any()
    initialise(network, "he")
    assert network[0].weight.std().item() == pytest.approx((2 / (9 * 16)) ** 0.5, rel=0.1)
    assert (network[1].weight == 1).all()


def test_unknown_words() -> None:
    with pytest.raises(NaspError, match=r"network\.activation=gelu: choose one of mish"):
        activation("gelu")
    with pytest.raises(NaspError, match=r"network\.initialisation=zero"):
        initialise(nn.Identity(), "zero")
    with pytest.raises(NaspError, match=r"network\.cells=0"):
        check_positive(classes=2, cells=0)
    with pytest.raises(NaspError, match=r"network\.cells=1\.5"):
        check_positive(cells=1.5)  # type: ignore[arg-type]


def test_a_stride_halves_the_pixels() -> None:
    layer = ConvNorm(4, 4, 3, active="relu6", depthwise=True, stride=2).eval()
    assert layer(images(4, 5)).shape == (2, 4, 3, 3)
    assert 0 <= layer(100 * images(4, 5)).min() <= layer(100 * images(4, 5)).max() <= 6
    assert ConvNorm(4, 6, 3).eval()(images(4, 5)).shape == (2, 6, 5, 5)


def test_proxyless_start() -> None:
    network = nn.Sequential(nn.Conv2d(64, 64, 3, bias=False), nn.Linear(100, 20))
    before = network[1].weight.clone()
    initialise(network, "proxyless")
    assert torch.equal(network[1].weight, before)
    assert not network[1].bias.any()
    assert network[0].weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
