"""Fits of a framework on the tiny benchmark, without a run folder."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn

from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.framework.base import Framework
from nasp_lightning.space.base import Graphs
from nasp_lightning.task.predictor import PredictorTask
from nasp_lightning.task.schedule import cosine
from tests.tiny import space, tiny_table


class Linear(nn.Module):
    """A linear predictor of the operations, with an offset."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(6, 5))
        self.offset = nn.Parameter(torch.zeros(()))

    def forward(self, graphs: Graphs) -> Tensor:
        one_hot = nn.functional.one_hot(graphs.operations.long(), 5).float()
        return (one_hot * self.table).sum((1, 2)) + self.offset


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
    trainer = Trainer(
        max_epochs=total,
        accelerator="cpu",
        logger=False,
        callbacks=[*callbacks[:1], framework, *callbacks[1:]],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    trainer.fit(task, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    return trainer
