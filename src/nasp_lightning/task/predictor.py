"""Predictor regression as a LightningModule: loss, optimizer and phases; the maths is elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import torch
from hydra.utils import get_class
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from nasp_lightning.data.architectures import Batch
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.predictor.base import GradientPredictor, OwnLoss, adopt
from nasp_lightning.space.base import Graphs, Shape
from nasp_lightning.task.loss import RANKING_LOSSES, make_loss


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
        predictor: a module from :class:`~nasp_lightning.space.base.Graphs` to scores ``[B]``;
            adopted where it is no :class:`~nasp_lightning.predictor.base.GradientPredictor`. Its
            own loss takes the place of ``loss``, unless that is a ranking loss which the own one
            goes by (``rank_by``).
        loss: ``mse``, ``logistic`` or ``hinge``.
        margin: of the hinge loss.
        patience: epochs without a lower training loss that end a phase before its planned ones,
            see :mod:`~nasp_lightning.framework.part.patience`; None: none do.
        optimizer: from parameters to an optimizer.
        schedule: from (epoch, epochs) of a phase to a factor of the learning rate.
        config: the run's resolved config, kept in every checkpoint.
        shape: of the encoding that the predictor was built for, kept likewise.
        label_scale: mean and deviation that normalised the labels, kept likewise.

    Attributes:
        phases: set by the framework before the fit.
        auxiliary: a further loss term that a framework adds to every step, or None.
        label_floor: to which a framework raises lower normalised labels, or None.
        metric_names: columns of ``metrics.csv`` behind epoch and phase.
        shown: metrics that the progress bar shows, with their labels.
    """

    metric_names: ClassVar[tuple[str, ...]] = ("train/loss", "monitor/kendall_tau")
    shown: ClassVar[Mapping[str, str]] = {"train/loss": "loss", "monitor/kendall_tau": "tau"}

    def __init__(
        self,
        predictor: nn.Module,
        loss: str = "mse",
        margin: float = 0.1,
        patience: int | None = None,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        schedule: Callable[[int, int], float] | None = None,
        config: dict[str, object] | None = None,
        shape: Shape | None = None,
        label_scale: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        super().__init__()
        if patience is not None:
            check_whole("task.patience", patience)
        self.predictor, self.patience = _adopted(predictor), patience
        self.own_loss: OwnLoss | None = self.predictor.own_loss
        self.loss_function = make_loss(loss, margin)
        if self.own_loss is not None and loss != "mse" and not self._ranked_by(loss):
            raise NaspError(
                f"task.loss={loss}: {self.predictor.title} has a loss of its own; leave "
                "task.loss at its default"
            )
        self.loss_name = "own" if self.own_loss is not None and loss == "mse" else loss
        self.make_optimizer = optimizer or (lambda parameters: torch.optim.Adam(parameters, 1e-4))
        self.schedule = schedule or (lambda epoch, epochs: 1.0)
        self.phases: list[Phase] = [Phase("supervised", 300)]
        self.auxiliary: Callable[[], Tensor] | None = None
        self.label_floor: float | None = None
        kept = {"config": config or {}, "shape": asdict(shape) if shape else None}
        self.save_hyperparameters({**kept, "label_scale": list(label_scale)})
        self._loss_sum = torch.zeros(())
        self._steps = 0

    @classmethod
    def load(cls, path: str | Path) -> PredictorTask:
        """The fitted task of a run's ``checkpoint.ckpt``, with its predictor in eval mode.

        Scores are on the normalised scale; ``hparams["label_scale"]`` leads back to accuracies.

        Raises:
            NaspError: if the file is damaged, or names something that is no predictor.
        """
        remedy = "choose the checkpoint.ckpt of a run of this project"
        try:
            content = torch.load(path, weights_only=True, map_location="cpu")
            kept = content["hyper_parameters"]
            settings = dict(kept["config"]["predictor"])
            shape = Shape(**kept["shape"])
            weights = content["state_dict"]
        except Exception as error:
            raise NaspError(
                f"{path} is damaged or no checkpoint of a predictor: {remedy}"
            ) from error
        target, _ = settings.pop("_target_"), settings.pop("_partial_", None)
        try:
            kind = get_class(target)
        except Exception as error:
            raise NaspError(f"{path} was made by {target}, which cannot be imported") from error
        if not issubclass(kind, nn.Module):  # a file may not name anything to be called
            raise NaspError(f"{path} names {target}, which is no predictor: {remedy}")
        scale = (float(kept["label_scale"][0]), float(kept["label_scale"][1]))
        predictor = _adopted(kind(shape=shape, **settings))
        predictor.set_label_scale(*scale)
        task_settings = kept["config"]["task"]
        task = cls(
            predictor,
            task_settings["loss"],
            task_settings["margin"],
            config=kept["config"],
            shape=shape,
            label_scale=scale,
        )
        task.load_state_dict(weights)
        return task.eval()

    @property
    def ranks_only(self) -> bool:
        """Whether the loss leaves the scores on a scale of their own."""
        ranks = self.predictor.pairwise or self.predictor.ranks_only
        return ranks or self.loss_name in RANKING_LOSSES

    def _ranked_by(self, loss: str) -> bool:
        """Whether the predictor's own loss goes by this ranking loss from now on."""
        return loss in RANKING_LOSSES and self.predictor.rank_by(self.loss_function)

    def phase_of(self, epoch: int) -> tuple[int, int]:
        """Index of the phase that an epoch belongs to, and the epoch within it."""
        for index, phase in enumerate(self.phases):
            if epoch < phase.epochs:
                return index, epoch
            epoch -= phase.epochs
        return len(self.phases) - 1, self.phases[-1].epochs

    def forward(self, graphs: Graphs) -> Tensor:
        """Scores ``[B]`` on the normalised scale."""
        scores: Tensor = self.predictor(graphs)
        return scores

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of a batch, with what the framework adds."""
        loss = self.batch_loss(batch.graphs, batch.labels)
        self._loss_sum += loss.detach()
        self._steps += 1
        return loss if self.auxiliary is None else loss + self.auxiliary()

    def batch_loss(self, graphs: Graphs, labels: Tensor) -> Tensor:
        """Loss of graphs and their labels ``[B]``."""
        if self.label_floor is not None:
            labels = labels.clamp(min=self.label_floor)
        if self.own_loss is None:
            return self.loss_function(self.predictor(graphs), labels)
        return self.own_loss(graphs, labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """A fresh optimizer; called again at the beginning of each phase."""
        return self.make_optimizer(self.predictor.parameters())

    def on_train_epoch_start(self) -> None:
        """Set the learning rate of this epoch."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        for group in optimizer.param_groups:
            group["lr"] = self.learning_rate(self.current_epoch, optimizer.defaults["lr"])
        self._loss_sum = torch.zeros((), device=self.device)
        self._steps = 0

    def learning_rate(self, epoch: int, configured: float) -> float:
        """Of an epoch of the fit; ``configured`` is the optimizer's."""
        index, within = self.phase_of(epoch)
        phase = self.phases[index]
        base = configured if phase.learning_rate is None else phase.learning_rate
        return base * self.schedule(within, phase.epochs)

    @property
    def epoch_loss(self) -> float:
        """Mean loss of this epoch's steps; callbacks act before the task logs it."""
        return float(self._loss_sum) / max(1, self._steps)

    def epoch_values(self) -> dict[str, float]:
        """What is known of this epoch beside what callbacks log."""
        return {"train/loss": self.epoch_loss}

    def phase_name(self, epoch: int) -> str:
        """Name of the phase that an epoch belongs to."""
        return self.phases[self.phase_of(epoch)[0]].name

    def on_train_epoch_end(self) -> None:
        """Log the mean loss once an epoch; logging each step would double its cost.

        Raises:
            NaspError: if the loss is no longer finite.
        """
        loss = self.epoch_loss
        check_loss(loss, self.current_epoch)
        self.log("train/loss", loss)


def _adopted(predictor: nn.Module) -> GradientPredictor:
    """The predictor itself, or the module with the contract's defaults.

    Raises:
        NaspError: if it has a part of the contract without its base class, or is not trained by
            gradients.
    """
    name = type(predictor).__name__
    found = adopt(predictor, name)
    if not isinstance(found, GradientPredictor):
        raise NaspError(f"predictor {name} has no gradient training, which this task is")
    return found


def check_loss(loss: float, epoch: int) -> None:
    """Refuse to go on with an epoch's mean loss that is not finite.

    Raises:
        NaspError: with the remedy.
    """
    if not math.isfinite(loss):
        raise NaspError(
            f"the training loss is {loss} in epoch {epoch}: lower optimizer.lr, or check the "
            "benchmark's labels"
        )
