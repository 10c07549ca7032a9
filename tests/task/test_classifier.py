from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn

from nasp_lightning.data.base import ImageBatch
from nasp_lightning.data.images import ImageData
from nasp_lightning.error import NaspError
from nasp_lightning.task.classifier import Classifier, check_loss, parameter_groups
from nasp_lightning.task.schedule import cosine, linear
from tests.image.test_cifar import write_columns


class Tiny(nn.Module):
    """A stand-in for a network, with an auxiliary head and dropped paths."""

    def __init__(self, auxiliary: bool = True) -> None:
        super().__init__()
        self.drop_path_rate = 0.0
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, stride=8), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4, 10)
        self.auxiliary = nn.Linear(4, 10) if auxiliary else None

    def forward(self, images: Tensor) -> Any:
        features = self.body(images).mean((2, 3))
        if self.training and self.auxiliary is not None:
            return self.head(features), self.auxiliary(features)
        return self.head(features)


class Watch(Callback):
    """Notes rates of learning and of dropped paths."""

    def __init__(self) -> None:
        self.learning: list[float] = []
        self.dropped: list[float] = []
        self.values: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
        self.learning.append(trainer.optimizers[0].param_groups[0]["lr"])
        self.dropped.append(module.network.drop_path_rate)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        self.values.append(module.epoch_values())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_columns(tmp_path_factory.mktemp("images"), count=40)


def trainer_of(epochs: int, watch: Watch) -> Trainer:
    return Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        callbacks=[watch],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def fit(folder: Path, task: Classifier, epochs: int = 2, **options: Any) -> Watch:
    watch = Watch()
    data = ImageData("cifar10", folder, partial=True, **{"batch_size": 10, **options})
    trainer_of(epochs, watch).fit(task, datamodule=data)
    return watch


def sgd(groups: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, 0.1, weight_decay=0.01)


def batch_of(count: int = 6) -> ImageBatch:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 3, 32, 32, generator=generator)
    return ImageBatch(images, torch.arange(count) % 10)


def test_the_loss_is_the_recipes() -> None:
    task = Classifier(Tiny(), label_smoothing=0.1, auxiliary_weight=0.4)
    batch = batch_of()
    loss = task.loss(batch).detach()
    features = task.network.body(batch.images).mean((2, 3))  # type: ignore[operator]
    logits, auxiliary = task.network.head(features), task.network.auxiliary(features)  # type: ignore[operator]

    def smoothed(logits: Tensor) -> Tensor:
        soft = 0.9 * F.one_hot(batch.labels, 10) + 0.1 / 10
        return -(soft * logits.detach().log_softmax(1)).sum(1).mean()

    torch.testing.assert_close(loss, smoothed(logits) + 0.4 * smoothed(auxiliary))
    sums = task.counts.sums(torch.device("cpu")).tolist()
    assert sums[0] == pytest.approx(float(smoothed(logits)), rel=1e-5)  # without the auxiliary
    assert sums[1:] == [float((logits.argmax(1) == batch.labels).sum()), 1, 6]


@pytest.mark.parametrize(
    ("rate", "schedule", "wanted"),
    [
        ("step", linear, [0.1 * (1 - step / 8) for step in range(8)]),
        ("epoch", linear, [0.1] * 4 + [0.05] * 4),
        ("step", cosine, [0.05 * (1 + math.cos(math.pi * step / 8)) for step in range(8)]),
    ],
)
def test_the_learning_rate_follows_the_schedule(
    folder: Path, rate: str, schedule: Any, wanted: list[float]
) -> None:
    watch = fit(folder, Classifier(Tiny(), sgd, schedule, rate=rate))
    assert watch.learning == pytest.approx(wanted)
    assert [values["learning_rate"] for values in watch.values] == pytest.approx(wanted[3::4])


def test_dropped_paths_rise_linearly(folder: Path) -> None:
    watch = fit(folder, Classifier(Tiny(), sgd, drop_path=0.2), epochs=4)
    assert watch.dropped[::4] == pytest.approx([0.0, 0.05, 0.1, 0.15])


def test_an_epochs_values_are_its_means(folder: Path) -> None:
    task = Classifier(Tiny(), lambda groups: torch.optim.SGD(groups, 0.0))
    watch = fit(folder, task, epochs=1, held_out=10, pad=0, flip=0.0, batch_size=30)
    values = watch.values[0]
    data = ImageData("cifar10", folder, partial=True, batch_size=30, held_out=10, pad=0, flip=0.0)
    task.network.train()
    images, labels = next(iter(data.plain_loader("train", 30)))
    logits, _ = task.network(images)
    assert values["train/loss"] == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-4)
    assert values["train/accuracy"] == pytest.approx(
        float((logits.argmax(1) == labels).float().mean())
    )
    assert set(values) == set(task.metric_names)
    assert task.trained_images == 30
    assert task.last_values == values
    assert task.phase_name(0) == "training"


def test_accuracies_are_of_the_images_evaluated(folder: Path) -> None:
    task, watch = Classifier(Tiny(), sgd), Watch()
    trainer = trainer_of(1, watch)
    data = ImageData("cifar10", folder, partial=True, batch_size=10, held_out=10)
    trainer.fit(task, datamodule=data)
    trainer.test(task, dataloaders=data.plain_loader("test", 7), verbose=False)
    with torch.inference_mode():
        images, labels = next(iter(data.plain_loader("test", 40)))
        task.network.eval()
        assert task.tested == [int((task(images).argmax(1) == labels).sum()) / 40]


def test_weight_decay_is_where_it_is_wanted(folder: Path) -> None:
    network = Tiny()
    every = parameter_groups(network, "all")
    assert [len(group["params"]) for group in every] == [8]
    decayed, others = parameter_groups(network, "weights")
    assert {id(item) for item in decayed["params"]} == {
        *(id(network.body[0].weight), id(network.head.weight)),
        id(network.auxiliary.weight),  # type: ignore[union-attr]
    }
    assert len(others["params"]) == 5
    optimizer = Classifier(network, sgd, decay="weights").configure_optimizers()
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01, 0.0]


def test_the_memory_format_is_the_networks() -> None:
    task = Classifier(Tiny(), channels_last=True)
    assert task.formatted(batch_of().images).is_contiguous(memory_format=torch.channels_last)
    weight = task.network.body[0].weight  # type: ignore[index]
    assert weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"rate": "day"}, "task.rate=day: choose step or epoch"),
        ({"decay": "most"}, "task.decay=most: choose all or weights"),
        ({"label_smoothing": 1.0}, "task.label_smoothing=1.0"),
        ({"drop_path": -0.1}, "task.drop_path=-0.1"),
        ({"ema_decay": 1}, "task.ema_decay=1"),
    ],
)
def test_an_option_that_cannot_be_is_one_sentence(options: dict[str, Any], told: str) -> None:
    with pytest.raises(NaspError) as error:
        Classifier(Tiny(), **options)
    assert told in str(error.value)


def test_a_network_that_drops_no_paths() -> None:
    with pytest.raises(NaspError, match=r"task.drop_path=0.2: Linear drops no paths"):
        Classifier(nn.Linear(2, 2), drop_path=0.2)


def test_a_loss_that_is_not_finite_names_epoch_and_remedy(folder: Path) -> None:
    check_loss(3.0, 0)
    task = Classifier(Tiny(), lambda groups: torch.optim.SGD(groups, 1e25))
    with pytest.raises(NaspError, match=r"is nan in epoch 0: lower optimizer.lr, clip gradients"):
        fit(folder, task)
