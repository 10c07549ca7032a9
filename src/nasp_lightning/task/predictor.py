"""Predictor regression as a LightningModule: loss, optimizer and phases; the maths is elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from nasp_lightning.data.architectures import Batch
from nasp_lightning.error import NaspError
from nasp_lightning.space.base import Graphs
from nasp_lightning.task.loss import RANKING_LOSSES, make_loss

OwnLoss = Callable[[Graphs, Tensor], Tensor]


@dataclass(frozen=True)
class Phase:
    """A stretch of training with an optimizer and a learning rate schedule of its own.

    Attributes:
        name: such as ``supervised`` or ``self_evolution``.
        epochs: how long.
        learning_rate: of the fresh optimizer; None: the optimizer's configured one.
    """

    name: str
    epochs: int
    learning_rate: float | None = None


class PredictorTask(LightningModule):
    """Trains a predictor on normalised accuracies.

    Args:
        predictor: a module from :class:`~nasp_lightning.space.base.Graphs` to scores ``[B]``. A
            method ``training_loss(graphs, labels)`` of it takes the place of ``loss``; one whose
            attribute ``pairwise`` is true only ranks.
        loss: ``mse``, ``logistic`` or ``hinge``.
        margin: of the hinge loss.
        optimizer: from parameters to an optimizer.
        schedule: from (epoch, epochs) of a phase to a factor of the learning rate.
        config: the run's resolved config, kept in every checkpoint.

    Attributes:
        phases: set by the framework before the fit.
        auxiliary: a further loss term that a framework adds to every step, or None.
    """

    def __init__(
        self,
        predictor: nn.Module,
        loss: str = "mse",
        margin: float = 0.1,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        schedule: Callable[[int, int], float] | None = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.predictor = predictor
        self.own_loss: OwnLoss | None = getattr(predictor, "training_loss", None)
        if self.own_loss is not None and loss != "mse":
            raise NaspError(
                f"task.loss={loss}: {type(predictor).__name__} has a loss of its own; leave "
                "task.loss at its default"
            )
        self.loss_name = loss if self.own_loss is None else "own"
        self.loss_function = make_loss(loss, margin)
        self.make_optimizer = optimizer or (lambda parameters: torch.optim.Adam(parameters, 1e-4))
        self.schedule = schedule or (lambda epoch, epochs: 1.0)
        self.phases: list[Phase] = [Phase("supervised", 300)]
        self.auxiliary: Callable[[], Tensor] | None = None
        self.save_hyperparameters({"config": config or {}})
        self._loss_sum = torch.zeros(())
        self._steps = 0

    @property
    def ranks_only(self) -> bool:
        """Whether the loss leaves the scores on a scale of their own."""
        return self.loss_name in RANKING_LOSSES or bool(getattr(self.predictor, "pairwise", False))

    def phase_of(self, epoch: int) -> tuple[int, int]:
        """Index of the phase that an epoch belongs to, and the epoch within it."""
        for index, phase in enumerate(self.phases):
            if epoch < phase.epochs:
                return index, epoch
            epoch -= phase.epochs
        return len(self.phases) - 1, self.phases[-1].epochs

    def forward(self, graphs: Any) -> Tensor:
        """Scores ``[B]`` on the normalised scale."""
        scores: Tensor = self.predictor(graphs)
        return scores

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of a batch, with what the framework adds."""
        if self.own_loss is None:
            loss = self.loss_function(self.predictor(batch.graphs), batch.labels)
        else:
            loss = self.own_loss(batch.graphs, batch.labels)
        self._loss_sum += loss.detach()
        self._steps += 1
        return loss if self.auxiliary is None else loss + self.auxiliary()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """A fresh optimizer; called again at the beginning of each phase."""
        return self.make_optimizer(self.predictor.parameters())

    def on_train_epoch_start(self) -> None:
        """Set the learning rate of this epoch."""
        index, epoch = self.phase_of(self.current_epoch)
        phase = self.phases[index]
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        base = optimizer.defaults["lr"] if phase.learning_rate is None else phase.learning_rate
        for group in optimizer.param_groups:
            group["lr"] = base * self.schedule(epoch, phase.epochs)
        self._loss_sum = torch.zeros((), device=self.device)
        self._steps = 0

    @property
    def epoch_loss(self) -> float:
        """Mean loss of this epoch's steps; callbacks act before the task logs it."""
        return float(self._loss_sum) / max(1, self._steps)

    def on_train_epoch_end(self) -> None:
        """Log the mean loss once an epoch; logging each step would double its cost.

        Raises:
            NaspError: if the loss is no longer finite.
        """
        loss = self.epoch_loss
        if not loss == loss or loss in (float("inf"), float("-inf")):
            raise NaspError(
                f"the training loss is {loss} in epoch {self.current_epoch}: lower optimizer.lr, "
                "or check the benchmark's labels"
            )
        self.log("train/loss", loss)
