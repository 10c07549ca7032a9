from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from torch import nn

from nasp_lightning.error import NaspError
from nasp_lightning.network.count import multiply_adds, on_meta, parameter_count
from nasp_lightning.network.mobilenet import MobileNetNetwork, cost_table
from nasp_lightning.network.mobilenet_supernet import MobileNetSupernet
from nasp_lightning.network.supernet import Supernet
from nasp_lightning.space.mobilenet import IDENTITY, MobileNet
from nasp_lightning.space.nasbench201 import NASBench201
from tests.network.tiny import TINY
from tests.tiny import compose_config


def tiny(**options: Any) -> MobileNetSupernet:
    torch.manual_seed(0)
    return MobileNetSupernet(TINY, classes=3, **options)


def trained(supernet: MobileNetSupernet) -> MobileNetSupernet:
    """After a few forward passes, so that running statistics differ between blocks."""
    supernet.train()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for operations in supernet.space.sample(np.random.default_rng(1), 20)[0]:
            supernet(torch.randn(4, 3, 8, 8, generator=generator), operations)
    return supernet


def bytes_of(module: nn.Module) -> int:
    tensors = {id(value): value for value in (*module.parameters(), *module.buffers())}
    return sum(value.numel() * value.element_size() for value in tensors.values())


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_subnets_cut_out_give_the_same_logits(affine: bool, training: bool) -> None:
    supernet = trained(tiny(norm_affine=affine)).train(training)
    batch = torch.randn(4, 3, 9, 8)
    for operations in TINY.sample(np.random.default_rng(0), 8)[0]:
        network = supernet.subnet(operations)
        assert isinstance(network, MobileNetNetwork)
        assert network.training is training
        inside = supernet(batch, operations)
        torch.testing.assert_close(network(batch), inside, rtol=0, atol=1e-5)
        assert inside.abs().max() > 1e-3


def test_a_subnet_has_weights_of_its_own() -> None:
    supernet = trained(tiny()).eval()
    operations, _ = TINY.from_string("1506")
    network, batch = supernet.subnet(operations), torch.randn(2, 3, 8, 8)
    before = supernet(batch, operations)
    with torch.no_grad():
        for value in network.state_dict().values():
            value.zero_()
    torch.testing.assert_close(supernet(batch, operations), before)
    shared = {value.data_ptr() for value in supernet.state_dict().values()}
    assert not shared & {value.data_ptr() for value in network.state_dict().values()}
    assert all(weight.requires_grad for weight in network.parameters())
    assert not any(value.is_meta for value in network.state_dict().values())


def test_cutting_out_draws_no_random_numbers() -> None:
    supernet = tiny()
    state = torch.get_rng_state()
    supernet.subnet(TINY.from_string("1506")[0])
    assert torch.equal(torch.get_rng_state(), state)


def test_architectures_share_the_weights_of_equal_choices() -> None:
    supernet, batch = tiny(), torch.randn(4, 3, 8, 8)
    first, second = (TINY.from_string(text)[0] for text in ("1506", "1520"))
    supernet(batch, first).sum().backward()
    used = {name for name, weight in supernet.named_parameters() if weight.grad is not None}
    chosen = {name for name in used if name.startswith("layers.")}
    assert {tuple(name.split(".")[1:3]) for name in chosen} == {("0", "1"), ("1", "5"), ("2", "0")}
    assert {name for name, _ in supernet.named_parameters() if "layers" not in name} <= used
    supernet.eval()
    before = supernet(batch, second)
    with torch.no_grad():
        supernet.layers[0][1].body[0][0].weight.mul_(2)
    assert not torch.allclose(supernet(batch, second), before)
    third = TINY.from_string("0520")[0]
    before = supernet(batch, third)
    with torch.no_grad():
        supernet.layers[0][1].body[0][0].weight.mul_(2)
    torch.testing.assert_close(supernet(batch, third), before)


def test_its_memory_is_the_shared_weights_once() -> None:
    """The parts that all share, and each block once: no more for any number of architectures."""
    supernet = tiny()
    six = [supernet.subnet(np.full(4, code)) for code in range(IDENTITY)]  # each block in one
    shared = bytes_of(six[0].stem) + bytes_of(six[0].head)
    blocks = sum(bytes_of(network.layers) for network in six)
    assert bytes_of(supernet) == shared + blocks
    for operations in TINY.sample(np.random.default_rng(0), 5)[0]:
        supernet(torch.randn(2, 3, 8, 8), operations)
    assert bytes_of(supernet) == shared + blocks
    assert len(supernet.state_dict()) == len({v.data_ptr() for v in supernet.state_dict().values()})


def test_costs_are_those_of_the_modules_cut_out() -> None:
    supernet = tiny()
    operations, _ = TINY.sample(np.random.default_rng(0), 6)
    for image in (None, 12):
        costs = supernet.costs(operations, image=image)
        networks = [supernet.subnet(row) for row in operations]
        assert costs["parameters"].tolist() == [parameter_count(n) for n in networks]
        assert costs["macs"].tolist() == [multiply_adds(n, image or 8) for n in networks]


def test_the_published_supernet() -> None:
    supernet = on_meta(MobileNetSupernet)
    assert isinstance(supernet, Supernet)
    assert isinstance(supernet.space, MobileNet)
    smallest = supernet.space.from_string("066606660666066606660")[0]
    costs = supernet.costs(smallest[None])
    assert (costs["parameters"][0], costs["macs"][0]) == (3_304_488, 182_479_200)
    uniform = supernet.costs(np.full((6, 21), np.arange(6)[:, None]))["parameters"]
    (fixed, _), _ = cost_table(supernet.space, 1000, 224)
    assert parameter_count(supernet) == uniform.sum() - 5 * fixed == 27_684_320


def test_it_learns() -> None:
    """Paths drawn uniformly: the loss of architectures that share weights goes down."""
    supernet, rng = tiny(), np.random.default_rng(0)
    labels = torch.arange(12) % 3
    batch = 0.1 * torch.randn(12, 3, 8, 8) + labels[:, None, None, None] - 1.0
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.02, momentum=0.9)
    losses = []
    for operations in TINY.sample(rng, 150)[0]:
        loss = nn.functional.cross_entropy(supernet(batch, operations), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:5])


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ([0, 6, 6], r"operations must be integers \[N, 4\]"),
        ([0, 0, 6, 0], "the identity .6. in layer 2, the first of stage 1"),
        ([0, 7, 0, 0], "operation 7 in layer 1"),
    ],
)
def test_architectures_that_are_none(operations: list[int], message: str) -> None:
    supernet, codes = tiny(), np.array(operations)
    for call in (lambda: supernet(torch.randn(1, 3, 8, 8), codes), lambda: supernet.subnet(codes)):
        with pytest.raises(NaspError, match=message):
            call()
    with pytest.raises(NaspError, match=message):
        supernet.costs(codes[None])


def test_images_and_spaces_that_do_not_fit() -> None:
    with pytest.raises(NaspError, match="too small"):
        tiny()(torch.randn(2, 3, 3, 3), np.zeros(4, dtype=int))
    with pytest.raises(NaspError, match="space nasbench201"):
        MobileNetSupernet(NASBench201())
    with pytest.raises(NaspError, match=r"network\.classes=0"):
        MobileNetSupernet(TINY, classes=0)


def test_the_configs_build_the_small_twin() -> None:
    config = compose_config("+network=mobilenet_supernet", "space=mobilenet_mini")
    space = instantiate(config["space"])
    supernet = instantiate(config["network"])(space=space, classes=10)
    operations, _ = space.sample(np.random.default_rng(0), 1)
    assert supernet(torch.randn(2, 3, 64, 64), operations[0]).shape == (2, 10)
    assert bytes_of(supernet) < 4 * 2**20
