from __future__ import annotations

import csv
import gzip
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.network.count import (
    PartCosts,
    measure_parts,
    multiply_adds,
    on_meta,
    parameter_count,
)
from nasp_lightning.network.nasbench201 import NASBench201Network
from nasp_lightning.network.tinynano import TinyNanoNetwork
from nasp_lightning.space import nasbench201
from nasp_lightning.space.tinynano import TinyNano
from nasp_lightning.space.tinynano_cost import network_cost
from nasp_lightning.space.tinynano_graph import from_arrays

TABLE = "nasbench201/nasbench201_15625.csv.gz"


def build(operations: Array, classes: int = 10) -> NASBench201Network:
    return NASBench201Network(operations, skip_dead=False, classes=classes)


@cache
def parts(classes: int = 10, image: int = 32) -> PartCosts:
    return measure_parts(lambda codes: build(codes, classes), 6, 5, image, biases=True)


def measured(network: torch.nn.Module, image: int = 32, biases: bool = True) -> tuple[int, int]:
    return parameter_count(network), multiply_adds(network, image, biases)


# --- NAS-Bench-201


def test_parts_give_the_benchmarks_table(data_dir: Path) -> None:
    with gzip.open(data_dir / TABLE, "rt") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15625
    operations = np.array([[int(digit) for digit in row["op_code"]] for row in rows])
    parameters = np.array([int(row["cifar10_params_derived"]) for row in rows])
    flops = np.array([float(row["cifar10_flops_M_derived"]) for row in rows])
    np.testing.assert_array_equal(parts().parameters(operations), parameters)
    np.testing.assert_allclose(parts().macs(operations) / 1e6, flops, rtol=0, atol=1e-9)


def test_parts_agree_with_the_spaces_formula() -> None:
    everything = nasbench201.all_operations()
    costs = parts(120, 16)
    for ours, formula in (
        (costs.parameters(everything), nasbench201.parameter_count(everything, "ImageNet16-120")),
        (costs.macs(everything), nasbench201.multiply_adds(everything, "ImageNet16-120")),
    ):
        np.testing.assert_array_equal(ours, formula)


def test_built_networks_cost_what_their_parts_do() -> None:
    drawn, _ = nasbench201.NASBench201().sample(np.random.default_rng(0), 2)
    for operations in drawn:
        found = measured(on_meta(build, operations))
        assert found == (
            parts().parameters(operations[None])[0],
            parts().macs(operations[None])[0],
        )


def test_classes_change_the_classifier_alone() -> None:
    operations = np.ones(6, dtype=np.uint8)
    small, large = (on_meta(build, operations, classes=classes) for classes in (10, 100))
    assert np.subtract(measured(large), measured(small)).tolist() == [90 * 65] * 2
    assert multiply_adds(large) == measured(large)[1] - 100


def test_dead_edges_are_counted_only_where_they_are_computed() -> None:
    dead = np.array([3, 0, 0, 1, 0, 0])
    networks = [
        NASBench201Network(dead, channels=2, cells=1, skip_dead=skip) for skip in (True, False)
    ]
    assert parameter_count(networks[0]) == parameter_count(networks[1])
    assert multiply_adds(networks[0], 8) < multiply_adds(networks[1], 8)


def test_unknown_operations_have_no_cost() -> None:
    costs = PartCosts((1, 2), np.zeros((5, 2), dtype=np.int64))
    with pytest.raises(NaspError, match="from 0 to 4"):
        costs.macs(np.full((1, 6), 5))
    with pytest.raises(NaspError, match=r"\[N, T\]"):
        costs.parameters(np.zeros(6, dtype=np.int64))


# --- Nano cells


@pytest.mark.parametrize(
    "text",
    [
        "output",
        "split>1,2;none>2;output",
        "split>1,2;dwconv3x3>3;expand>3;conv1x1>4;atten>5;output",
        "expand>1;split>2,3;split>4,5;atten>5;conv1x1>5;output",
    ],
)
def test_nano_networks_cost_what_the_space_says(text: str) -> None:
    space = TinyNano(max_splits=2, widths=(10, 7), cells=2, image=8, classes=3)  # odd channels too
    operations, adjacency = space.from_string(text)
    network = on_meta(TinyNanoNetwork, operations, adjacency, widths=(10, 7), cells=2, classes=3)
    cost = network_cost(from_arrays(operations, adjacency), space.macro)
    assert measured(network, 8, biases=False) == (cost.parameters, cost.macs)


def test_a_member_at_full_size() -> None:
    space = TinyNano()
    operations, adjacency = space.from_string("dwconv3x3>1;split>2,3;atten>4;dwconv3x3>4;output")
    costs = space.costs(operations[None], adjacency[None])
    network = on_meta(TinyNanoNetwork, operations, adjacency)
    assert measured(network, biases=False) == (costs["parameters"][0], costs["macs"][0])
    assert costs["macs"][0] < costs["flops"][0] < 35e6


# --- measuring


def test_counting_changes_nothing() -> None:
    network = NASBench201Network(np.ones(6, dtype=np.uint8), channels=2, cells=1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    multiply_adds(network, 8, biases=True)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not network.classifier._forward_hooks


def test_frozen_parameters_are_not_counted() -> None:
    layer = torch.nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    assert parameter_count(layer) == 6


def test_image_size_that_does_not_fit() -> None:
    with pytest.raises(NaspError, match="divisible by 4"):
        multiply_adds(NASBench201Network(np.ones(6, dtype=np.uint8), channels=2, cells=1), 6)
