from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nasp_lightning.data.base import ImageBatch
from nasp_lightning.data.images import ImageData
from nasp_lightning.error import NaspError
from nasp_lightning.network.supernet import Supernet
from nasp_lightning.space.chain import Chain
from nasp_lightning.task.classifier import Classifier
from nasp_lightning.task.supernet import SupernetTask, batch_statistics
from tests.task.classifiers import batch_of, fit, sgd


class TinyChain(Chain):
    """Three layers of three operations."""

    name = "tiny_chain"
    operation_names = ("a", "b", "c")
    layers = 3


class TinySupernet(Supernet):
    """A stand-in: each operation is a convolution of its own."""

    drop_path_rate = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.space = TinyChain()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), nn.BatchNorm2d(4))
        self.choices = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(4, 4, 1) for _ in range(3)) for _ in range(3)
        )
        self.head = nn.Linear(4, 10)

    def forward(self, images: Tensor, operations: Any, adjacency: Any = None) -> Tensor:
        features = self.stem(images)
        for layer, code in zip(self.choices, operations, strict=True):
            features = layer[int(code)](features).relu() + features  # type: ignore[index]
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits

    def subnet(self, operations: Any, adjacency: Any = None) -> nn.Module:
        raise NotImplementedError

    def costs(self, operations: Any, adjacency: Any = None, image: Any = None) -> Any:
        raise NotImplementedError


def changed(before: nn.Module, after: nn.Module) -> set[tuple[int, int]]:
    """Layers and operations whose weights differ."""
    return {
        (layer, code)
        for layer in range(3)
        for code in range(3)
        if not torch.equal(
            before.choices[layer][code].weight,  # type: ignore[index, union-attr]
            after.choices[layer][code].weight,  # type: ignore[index, union-attr]
        )
    }


def test_a_steps_path_follows_from_seed_epoch_and_step() -> None:
    task, other = SupernetTask(TinySupernet(), seed=1), SupernetTask(TinySupernet(), seed=2)
    paths = [task.paths(epoch, step)[0][0] for epoch in range(2) for step in range(300)]
    again = [task.paths(epoch, step)[0][0] for epoch in range(2) for step in range(300)]
    np.testing.assert_array_equal(paths, again)
    assert not np.array_equal(paths[:300], paths[300:])
    assert not np.array_equal(paths[:300], [other.paths(0, step)[0][0] for step in range(300)])
    shares = np.stack([(np.array(paths) == code).mean(0) for code in range(3)])
    np.testing.assert_allclose(shares, 1 / 3, atol=0.08)  # uniform


def test_one_step_trains_one_path(folder: Path) -> None:
    task = SupernetTask(TinySupernet(), optimizer=sgd)
    before = copy.deepcopy(task.network)
    fit(folder, task, epochs=1, batch_size=40)
    path = task.paths(0, 0)[0][0]
    # Weight decay and momentum leave the others alone, too.
    assert changed(before, task.network) == {(layer, int(code)) for layer, code in enumerate(path)}


def test_strict_fairness_adds_the_gradients_of_all_operations(folder: Path) -> None:
    options: dict[str, Any] = {"pad": 0, "flip": 0.0, "batch_size": 40}
    plain = lambda groups: torch.optim.SGD(groups, 0.1)  # noqa: E731
    task = SupernetTask(TinySupernet(), optimizer=plain, strict_fairness=True)
    before = copy.deepcopy(task.network)
    paths = task.paths(0, 0)
    assert {tuple(sorted(column)) for column in np.stack([p for p, _ in paths]).T} == {(0, 1, 2)}
    watch = fit(folder, task, epochs=1, **options)
    assert changed(before, task.network) == {
        (layer, code) for layer in range(3) for code in range(3)
    }

    data = ImageData("cifar10", folder, partial=True, **options)
    batch = next(iter(data.train_dataloader()))
    total = sum(
        nn.functional.cross_entropy(before(batch.images, path), batch.labels) for path, _ in paths
    )
    assert isinstance(total, Tensor)
    total.backward()
    head = before.head
    torch.testing.assert_close(
        task.network.head.weight,  # type: ignore[union-attr]
        head.weight - 0.1 * head.weight.grad,  # type: ignore[operator]
        rtol=1e-4,
        atol=1e-6,
    )
    assert watch.values[0]["train/loss"] == pytest.approx(float(total) / 3, rel=1e-4)
    assert task.trained_images == 40  # each image once, though it passed three paths


def test_strict_fairness_clips_the_step(folder: Path) -> None:
    plain = lambda groups: torch.optim.SGD(groups, 1.0)  # noqa: E731
    task = SupernetTask(TinySupernet(), optimizer=plain, strict_fairness=True, gradient_clip=0.01)
    before = copy.deepcopy(task.network)
    fit(folder, task, epochs=1, batch_size=40)
    moved = [
        (new - old).square().sum()
        for new, old in zip(task.network.parameters(), before.parameters(), strict=True)
    ]
    assert float(torch.stack(moved).sum().sqrt()) == pytest.approx(0.01, rel=1e-3)


def test_a_batchs_own_statistics_leave_the_running_ones_alone() -> None:
    network, batch = TinySupernet(), batch_of(8)
    path = np.zeros(3, np.uint8)
    with torch.no_grad():
        network.train()
        wanted = copy.deepcopy(network)(batch.images, path)
        network.eval()
        state = copy.deepcopy(network.state_dict())
        with batch_statistics(network):
            found = network(batch.images, path)
    torch.testing.assert_close(found, wanted)
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert not network.stem[1].training
    assert network.stem[1].track_running_stats


def test_every_evaluated_subnet_is_counted() -> None:
    task = SupernetTask(TinySupernet(), evaluated_subnets=3)
    batch: ImageBatch = batch_of(8)
    right = task.count_right(batch)
    assert right.shape == (3,)
    with torch.no_grad(), batch_statistics(task.network):
        logits = task.network(batch.images, *task.evaluated[2])
    assert int(right[2]) == int((logits.argmax(1) == batch.labels).sum())
    again = SupernetTask(TinySupernet(), evaluated_subnets=3)
    np.testing.assert_array_equal(task.evaluated[1][0], again.evaluated[1][0])


def test_what_does_not_go_with_a_supernet_is_one_sentence() -> None:
    with pytest.raises(NaspError, match="trains a supernet, and Linear is none"):
        SupernetTask(nn.Linear(2, 2))
    with pytest.raises(NaspError, match=r"task.compile=true: a supernet takes another path"):
        SupernetTask(TinySupernet(), compile=True)
    with pytest.raises(NaspError, match=r"task.evaluated_subnets=0"):
        SupernetTask(TinySupernet(), evaluated_subnets=0)
    assert SupernetTask.kind == "supernet" != Classifier.kind
