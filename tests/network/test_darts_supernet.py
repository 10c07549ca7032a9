from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.network.count import multiply_adds, on_meta, parameter_count
from nasp_lightning.network.darts import DartsNetwork
from nasp_lightning.network.darts_supernet import DartsSupernet
from nasp_lightning.space.darts import Darts
from nasp_lightning.space.macro import Macro
from tests.tiny import compose_config

SPACE = Darts()
TINY: dict[str, Any] = {"channels": 2, "layers": 3, "classes": 3}


@pytest.fixture(scope="module")
def drawn() -> tuple[Array, Array]:
    return SPACE.sample(np.random.default_rng(0), 6)


@pytest.fixture
def supernet(drawn: tuple[Array, Array]) -> DartsSupernet:
    """A tiny one whose weights and statistics are not those it began with."""
    torch.manual_seed(0)
    supernet = DartsSupernet(SPACE, **TINY)
    for operations, adjacency in zip(*drawn, strict=True):
        supernet(3 * torch.randn(4, 3, 8, 8), operations, adjacency)
    for weight in supernet.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    return supernet.eval()


@pytest.mark.parametrize("options", [TINY, {**TINY, "layers": 5, "stem_stride": 2}])
def test_a_subnet_gives_the_supernets_logits(
    options: dict[str, Any], drawn: tuple[Array, Array]
) -> None:
    torch.manual_seed(0)
    supernet = DartsSupernet(SPACE, **options)
    batch = torch.randn(4, 3, 16, 16)
    for pair in zip(*drawn, strict=True):
        supernet(batch, *pair)
    supernet.eval()
    seen = []
    for pair in zip(*drawn, strict=True):
        network = supernet.subnet(*pair)
        assert isinstance(network, DartsNetwork)
        with torch.no_grad():
            inside, outside = supernet(batch, *pair), network(batch)
        torch.testing.assert_close(outside, inside, rtol=0, atol=1e-5)
        seen.append(inside)
    assert not torch.allclose(seen[0], seen[1])


def test_a_subnet_has_weights_of_its_own(
    supernet: DartsSupernet, drawn: tuple[Array, Array]
) -> None:
    pair = drawn[0][0], drawn[1][0]
    network = supernet.subnet(*pair)
    assert not network.training
    assert network.drop_path_rate == 0
    theirs = {weight.data_ptr() for weight in supernet.state_dict().values()}
    assert not theirs & {weight.data_ptr() for weight in network.state_dict().values()}
    assert all(weight.requires_grad for weight in network.parameters())
    batch = torch.randn(2, 3, 8, 8)
    before = supernet(batch, *pair)
    network.train()
    network(batch).sum().backward()
    assert all(weight.grad is None for weight in supernet.parameters())
    torch.testing.assert_close(supernet(batch, *pair), before)
    assert supernet.train().subnet(*pair).training


def test_cutting_out_draws_no_random_numbers(
    supernet: DartsSupernet, drawn: tuple[Array, Array]
) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    supernet.subnet(drawn[0][0], drawn[1][0])
    assert torch.rand(1) == expected


def test_only_one_path_is_computed(supernet: DartsSupernet, drawn: tuple[Array, Array]) -> None:
    supernet.train()
    supernet(torch.randn(2, 3, 8, 8), drawn[0][0], drawn[1][0]).sum().backward()
    touched = sum(weight.numel() for weight in supernet.parameters() if weight.grad is not None)
    assert touched == parameter_count(supernet.subnet(drawn[0][0], drawn[1][0]))


def test_weights_are_there_once() -> None:
    # 14 edges of a cell, seven operations on each; reductions' skips that read an input are dense.
    supernet = on_meta(DartsSupernet, SPACE)
    operations, adjacency = SPACE.sample(np.random.default_rng(0), 200)
    largest = int(supernet.costs(operations, adjacency)["parameters"].max())
    assert parameter_count(supernet) < 8 * largest
    supernet_bytes = sum(weight.numel() * 4 for weight in supernet.state_dict().values())
    assert supernet_bytes == pytest.approx(4 * parameter_count(supernet), rel=0.1)


@pytest.mark.parametrize(
    ("options", "image"), [(TINY, None), ({**TINY, "layers": 4, "stem_stride": 2}, 64)]
)
def test_costs_are_the_cut_out_modules(
    options: dict[str, Any], image: int | None, drawn: tuple[Array, Array]
) -> None:
    supernet = DartsSupernet(SPACE, image=16, **options)
    costs = supernet.costs(*drawn, image)
    assert costs["parameters"].dtype == costs["macs"].dtype == np.int64
    for row, pair in enumerate(list(zip(*drawn, strict=True))[:3]):
        network = supernet.subnet(*pair)
        assert costs["parameters"][row] == parameter_count(network)
        assert costs["macs"][row] == multiply_adds(network, image or 16)


def test_costs_of_thousands_take_milliseconds(supernet: DartsSupernet) -> None:
    drawn = SPACE.sample(np.random.default_rng(0), 2000)
    supernet.costs(*drawn)
    seconds = []
    for _ in range(5):
        start = time.process_time()
        supernet.costs(*drawn)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.2


def test_bad_input(supernet: DartsSupernet, drawn: tuple[Array, Array]) -> None:
    with pytest.raises(NaspError, match="network=darts_supernet needs space=darts, not macro"):
        DartsSupernet(Macro(), **TINY)
    with pytest.raises(NaspError, match=r"network\.layers=1"):
        DartsSupernet(SPACE, layers=1)
    with pytest.raises(NaspError, match="image=33"):
        DartsSupernet(SPACE, image=33)
    with pytest.raises(NaspError, match="architectures of darts"):
        supernet(torch.randn(2, 3, 8, 8), drawn[0][0])
    with pytest.raises(NaspError, match="architectures of darts"):
        supernet.subnet(drawn[0][0][:8], drawn[1][0])
    with pytest.raises(NaspError, match="divisible by 4"):
        supernet(torch.randn(2, 3, 6, 6), drawn[0][0], drawn[1][0])
    with pytest.raises(NaspError, match="image=6"):
        supernet.costs(*drawn, image=6)


def test_configs(drawn: tuple[Array, Array]) -> None:
    for name in ("darts_supernet", "darts_supernet_mini"):
        build = instantiate(compose_config(f"+network={name}")["network"])
        with torch.device("meta"):
            supernet = build(space=SPACE, classes=5)
            logits = supernet(torch.empty(2, 3, 32, 32), drawn[0][0], drawn[1][0])
        assert logits.shape == (2, 5)
