from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nasp_lightning.benchmark import csv
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.estimation_code.proxy import NetworkProxies, ProxyCode, grasp, snip, synflow
from nasp_lightning.image.cifar import load_cifar
from nasp_lightning.network.nasbench201 import NASBench201Network
from tests.estimation_code.networks import table, tiny_images, tiny_network

INPUTS = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(8) % 10


def network() -> nn.Module:
    torch.manual_seed(0)
    made = tiny_network(np.zeros(6, int))
    made[3] = nn.Identity()
    return made


def loss_at(made: nn.Module, weights: list[torch.Tensor]) -> torch.Tensor:
    names = ("0.weight", "6.weight")
    parameters = dict(zip(names, weights, strict=True))
    logits = torch.func.functional_call(made, parameters, (INPUTS.double(),))
    return nn.functional.cross_entropy(logits, LABELS)


def test_synflow_of_linear_layers_is_the_sum_over_paths() -> None:
    torch.manual_seed(0)
    first, second = nn.Linear(3, 4, bias=False), nn.Linear(4, 2, bias=False)
    made = nn.Sequential(first, nn.BatchNorm1d(4), nn.ReLU(), second)
    # Every layer's Σ θ ∂R/∂θ is R: the flow is conserved.
    flow = (second.weight.abs() @ first.weight.abs()).sum().item()
    assert synflow(made, (3,)) == pytest.approx(2 * flow, rel=1e-5)


def test_snip_is_the_sum_of_weights_times_gradients() -> None:
    made = network()
    made.zero_grad()
    nn.functional.cross_entropy(made(INPUTS), LABELS).backward()
    layers = [made[0], made[6]]
    expected = sum((layer.weight * layer.weight.grad).abs().sum().item() for layer in layers)
    assert snip(network(), INPUTS, LABELS) == pytest.approx(expected, rel=1e-4)


def test_grasp_is_minus_weights_times_hessian_times_gradient() -> None:
    made = network().double()
    weights = [made[0].weight.detach().clone(), made[6].weight.detach().clone()]

    def gradient(at: list[torch.Tensor]) -> list[torch.Tensor]:
        leaves = [value.clone().requires_grad_() for value in at]
        return list(torch.autograd.grad(loss_at(made, leaves), leaves))

    g = gradient(weights)
    step = 1e-5  # Hg by central differences along g
    up = gradient([w + step * d for w, d in zip(weights, g, strict=True)])
    down = gradient([w - step * d for w, d in zip(weights, g, strict=True)])
    product = [(a - b) / (2 * step) for a, b in zip(up, down, strict=True)]
    expected = -sum((w * h).sum().item() for w, h in zip(weights, product, strict=True))
    assert grasp(made, INPUTS.double(), LABELS) == pytest.approx(expected, rel=1e-3)


def test_a_network_is_left_as_it_was() -> None:
    made = network().eval()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    synflow(made)
    snip(made, INPUTS, LABELS)
    grasp(made, INPUTS, LABELS)
    assert all(torch.equal(before[name], value) for name, value in made.state_dict().items())
    assert not made.training
    assert all(parameter.grad is None for parameter in made.parameters())


def test_an_operation_that_takes_no_part_counts_nothing() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = network(), nn.Conv2d(3, 3, 3)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.used(inputs)

    assert synflow(Idle()) == pytest.approx(synflow(network()))
    for proxy in (snip, grasp):
        torch.manual_seed(0)
        assert proxy(Idle(), INPUTS, LABELS) == pytest.approx(proxy(network(), INPUTS, LABELS))


def test_computed_proxies_are_codes(tmp_path: Path) -> None:
    names = ["synflow", "snip", "grasp"]
    options = {"images": tiny_images(), "batch_size": 8, "folder": tmp_path}
    code = ProxyCode(table(), names, network=tiny_network, **options)
    codes = code.codes(np.arange(6))
    assert codes.shape == (6, 3)
    raw = ProxyCode(table(), names, network=tiny_network, transform="none", **options)
    values = raw.codes(np.arange(6)).astype(float)
    np.testing.assert_allclose(codes, np.sign(values) * np.log1p(np.abs(values)), rtol=1e-5)
    assert code.cost == pytest.approx(3 * 8 / (200 * 50_000))
    assert ProxyCode(table(), network=tiny_network, **options).cost == 0
    assert len(list(tmp_path.rglob("*.json"))) == 6


def test_columns_are_normal_scores() -> None:
    costs = {"proxy/synflow": np.array([1e9, 1.0, np.nan, 5.0, 5.0, 1e30]), "flops": np.ones(6)}
    costs["cifar10/train_seconds/200"] = np.ones((6, 3))
    code = ProxyCode(replace(table(), costs=costs), ["synflow", "flops"])
    found = code.codes(np.array([0, 1, 3, 4, 5]))
    assert found[:, 0].argsort(kind="stable").tolist() == [1, 2, 3, 0, 4]
    assert found[:, 0].mean() == pytest.approx(0, abs=0.01)  # ties share their mean rank
    assert (found[:, 1] == 0).all()
    assert code.cost == 0
    with pytest.raises(NaspError, match="hold NaN"):
        code.codes(np.array([2]))
    with pytest.raises(NaspError, match=r"has no 'nwot' \(it has flops, synflow\)"):
        ProxyCode(replace(table(), costs=costs), ["nwot"])


def test_proxies_of_the_shipped_file(data_dir: Path) -> None:
    path = data_dir / "nasbench201" / "zero_cost_proxies_9445.csv.gz"
    code = ProxyCode(table(), ["synflow", "grasp"], path=path, missing="keep")
    assert code.codes(np.arange(6)).shape == (6, 2)
    assert np.isfinite(code.codes(np.arange(6))).any()


def shipped(data_dir: Path, count: int) -> tuple[BenchmarkTable, np.ndarray]:
    """The shipped proxies, and rows at even distances of synflow's rank."""
    path = data_dir / "nasbench201" / "zero_cost_proxies_9445.csv.gz"
    found = csv.load_table(path, "zero_cost_proxies", benchmark="zero_cost_proxies")
    order = found.costs["proxy/synflow"].argsort()
    return found, order[np.linspace(1000, len(order) - 1, count).astype(int)]


def test_synflow_ranks_as_the_shipped_file_does(data_dir: Path) -> None:
    found, rows = shipped(data_dir, 4)
    computed = [synflow(NASBench201Network(found.operations[row])) for row in rows]
    expected = found.costs["proxy/synflow"][rows]  # the file has its logarithm
    assert (np.argsort(computed) == np.argsort(expected)).all()
    assert np.log(computed) == pytest.approx(expected, rel=0.15)


@pytest.mark.slow
def test_proxies_rank_as_the_shipped_file_does(data_dir: Path, tmp_path: Path) -> None:
    from scipy.stats import spearmanr

    found, rows = shipped(data_dir, 12)
    images = load_cifar("cifar10", data_dir / "cifar10", train=False)
    names = ["synflow", "snip", "grasp"]
    code = ProxyCode(
        found, names, network=NASBench201Network, images=images, batch_size=32, folder=tmp_path
    )
    computed = code.codes(rows)
    for column, name in enumerate(names):
        rank = spearmanr(computed[:, column], found.costs[f"proxy/{name}"][rows]).statistic
        assert rank > (0.3 if name == "grasp" else 0.9), name  # grasp differs from batch to batch


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    for names in ([], "synflow", ["snip", "snip"]):
        with pytest.raises(NaspError, match=r"write a list of different names"):
            ProxyCode(table(), names)
    with pytest.raises(NaspError, match=r"nwot is not computed on networks; choose of synflow"):
        NetworkProxies(table(), tiny_network, tiny_images, ["nwot"])
    with pytest.raises(NaspError, match=r"estimation_code.transform=square"):
        ProxyCode(table(), transform="square")
    with pytest.raises(NaspError, match=r"transform=normal needs the values of the whole space"):
        ProxyCode(table(), network=tiny_network, transform="normal", images=tiny_images)
    with pytest.raises(NaspError, match=r"estimation_code.path=nowhere.csv: there is no such file"):
        ProxyCode(table(), path="nowhere.csv")
    with pytest.raises(NaspError, match=r"9445.csv.gz is not under NASP_DATA: set estimation_code"):
        ProxyCode(table())
