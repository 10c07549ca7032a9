"""Fits of a framework on the tiny benchmark, without a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn

from nasp_lightning.callbacks.checkpoint import ClockCheckpoint, checkpoint_path
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.framework.base import Framework
from nasp_lightning.predictor.base import GradientPredictor
from nasp_lightning.space.base import Graphs
from nasp_lightning.task.predictor import PredictorTask
from nasp_lightning.task.schedule import cosine
from tests.tiny import space, tiny_table


class Linear(GradientPredictor):
    """A linear predictor of the operations, with an offset."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(6, 5))
        self.offset = nn.Parameter(torch.zeros(()))

    def forward(self, graphs: Graphs) -> Tensor:
        one_hot = nn.functional.one_hot(graphs.operations.long(), 5).float()
        return (one_hot * self.table).sum((1, 2)) + self.offset


class Stuck(Linear):
    """One whose training loss never falls."""

    def training_loss(self, graphs: Graphs, labels: Tensor) -> Tensor:
        return 1 + 0 * self(graphs).sum()


def adam(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, 0.03)


def make_data(count: int = 100, **settings: Any) -> ArchitectureData:
    return ArchitectureData(
        tiny_table(count), space(), **{"train_size": 40, "validation_size": 20, **settings}
    )


def fit(
    framework: Framework,
    data: ArchitectureData,
    epochs: int,
    predictor: nn.Module | None = None,
    loss: str = "mse",
    callbacks: tuple[Callback, ...] = (),
    checkpoint: Any = None,
) -> Trainer:
    """Train through all phases; the task is ``trainer.lightning_module``."""
    torch.manual_seed(0)
    task = PredictorTask(predictor or Linear(), loss, optimizer=adam, schedule=cosine)
    total = framework.prepare(task, data, epochs)
    return train(task, data, total, [*callbacks[:1], framework, *callbacks[1:]], checkpoint)


def train(
    task: PredictorTask,
    data: ArchitectureData,
    epochs: int,
    callbacks: list[Callback],
    checkpoint: Any = None,
) -> Trainer:
    """Train a prepared task on this machine's CPU, from a checkpoint if one is given."""
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=1,
        logger=False,
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
    trainer.fit(task, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    return trainer


class Killed(Exception):
    """Stands for a kill."""


class Killer(Callback):
    """Stops a fit before an epoch, if one is named."""

    def __init__(self, kill: int | None = None) -> None:
        self.kill = kill

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.current_epoch == self.kill:
            raise Killed


def train_in(
    folder: Path | None,
    task: PredictorTask,
    framework: Framework,
    data: ArchitectureData,
    epochs: int,
    recorder: Callback,
) -> None:
    """Train through all phases; with a folder, from and to the checkpoint there."""
    clock = [] if folder is None else [ClockCheckpoint(folder, every_seconds=0)]
    total = framework.prepare(task, data, epochs)
    saved = None if folder is None else checkpoint_path(folder)
    torch.manual_seed(1)
    train(
        task,
        data,
        total,
        [*clock, framework, recorder],
        saved if saved is not None and saved.exists() else None,
    )
