from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nasp_lightning.data.base import ImageBatch
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.part.supernet import (
    Calibration,
    SpaceEvaluator,
    SupernetEvaluator,
    accuracy,
    recalibrate,
)
from nasp_lightning.search.spos import SPOS
from nasp_lightning.space.darts import Darts
from tests.evaluator.fake_images import FakeImages, tiny_supernet


def evaluator(**settings: Any) -> SupernetEvaluator:
    return SupernetEvaluator(tiny_supernet(20), FakeImages(), Calibration(2, 24), **settings)


def test_recalibration_gives_the_statistics_of_the_images():
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Dropout(0.9))
    images = 2 + 3 * torch.randn(64, 3, 5, 5)
    batches = [ImageBatch(part, torch.zeros(32)) for part in images.split(32)]
    network[0].running_mean.fill_(100)
    recalibrate(network, batches)
    means = torch.stack([part.mean((0, 2, 3)) for part in images.split(32)]).mean(0)
    torch.testing.assert_close(network[0].running_mean, means)
    assert network[0].momentum == 0.1
    assert not network.training
    assert not network[0].training
    before = network[0].running_var.clone()
    recalibrate(network, [])
    torch.testing.assert_close(network[0].running_var, before)


def test_accuracy_is_the_share_of_right_answers():
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    loader = FakeImages().held_out_loader(5)
    assert accuracy(network, list(loader)) == 1.0  # the mean colour is the class
    wrong = [ImageBatch(-batch.images, batch.labels) for batch in FakeImages().held_out_loader(5)]
    assert accuracy(network, wrong) < 0.2


def test_a_label_is_that_of_the_cut_out_network():
    table = evaluator(budget=3)
    items = table.sample(np.random.default_rng(0), 3)
    labels = table.evaluate(items)
    network = table.supernet.subnet(items[1].operations)
    recalibrate(network, list(FakeImages().plain_loader("train", 24)))
    assert labels[1] == accuracy(network, list(FakeImages().held_out_loader(24)))
    assert table.seconds is not None
    assert table.seconds > 0
    with pytest.raises(NaspError, match=r"evaluator\.budget=3"):
        table.evaluate(table.sample(np.random.default_rng(1), 1))


def test_labels_change_no_weight_of_the_supernet():
    table = evaluator()
    before = {name: value.clone() for name, value in table.supernet.state_dict().items()}
    items = table.sample(np.random.default_rng(0), 2)
    first, _ = table.labels(items)
    again, _ = table.labels(items)
    np.testing.assert_array_equal(first, again)
    for name, value in table.supernet.state_dict().items():
        torch.testing.assert_close(value, before[name])


def test_costs_are_the_networks_and_any_strategy_runs():
    table = evaluator()
    SPOS(6, 3, 3, 3, 3, caps={"flops": 15_000}).run(table, np.random.default_rng(0))
    assert table.labels_used == 18
    assert table.cost("flops", table.history).max() <= 15_000
    for item in table.history[:3]:
        network = table.supernet.subnet(item.operations)
        count = sum(weight.numel() for weight in network.parameters())
        assert table.cost("parameters", [item])[0] == count
    with pytest.raises(NaspError, match=r"search.cost=watts: .* have parameters, flops"):
        table.cost("watts", table.history)


def test_a_cap_below_the_smallest_network():
    with pytest.raises(
        NaspError, match=r"search.caps.flops=10: the smallest network .* has [\d,]+"
    ):
        SPOS(6, 3, 3, 3, 3, caps={"flops": 10}).run(evaluator(), np.random.default_rng(0))


def test_data_without_held_out_images():
    with pytest.raises(NaspError, match=r"no images are held out; set data\.held_out above 0"):
        SupernetEvaluator(tiny_supernet(), FakeImages(held_out=0))


def test_cells_that_are_the_same_are_one_architecture():
    space = Darts()
    free = SpaceEvaluator(space, lambda *arrays: {"macs": np.zeros(len(arrays[0]))})
    operations, adjacency = space.sample(np.random.default_rng(0), 5)
    codes, matrix = space.canonical(operations, adjacency)
    for row in range(5):
        one = free.find(operations[row], adjacency[row])
        assert one.key == free.find(codes[row], matrix[row]).key
    with pytest.raises(NaspError, match="no accuracies"):
        free.evaluate(free.sample(np.random.default_rng(0), 1))


@pytest.mark.parametrize("settings", [{"batches": -1}, {"batch_size": 1}, {"test_batch": 0}])
def test_calibration_that_cannot_be(settings: dict[str, int]):
    with pytest.raises(NaspError, match=r"job\.calibration\."):
        Calibration(**settings)
