"""A tiny classifier and its fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn

from nasp_lightning.data.base import ImageBatch
from nasp_lightning.data.images import ImageData
from nasp_lightning.task.classifier import Classifier


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
