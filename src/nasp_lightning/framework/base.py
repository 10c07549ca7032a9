"""What every training framework is: phases of one Lightning fit, driven by a callback."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from nasp_lightning.array import Array
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.data.labels import LabelScale
from nasp_lightning.data.split import Indices
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.framework.part.patience import Patience
from nasp_lightning.framework.part.state import State
from nasp_lightning.predictor.base import Predictor
from nasp_lightning.task.predictor import Phase, PredictorTask

log = logging.getLogger(__name__)


class Framework(Callback):
    """How a predictor is trained: a list of phases, and what happens in them.

    The first phase is the plain, supervised one, so that one fit yields both the plain result and
    the framework's. A phase begins with a fresh optimizer, and ends before its planned epochs where
    ``task.patience`` says so. State that a subclass keeps in :meth:`state_dict` survives a kill.

    Attributes:
        lockstep: whether several runs may be trained at once, each with a framework of its own:
            the sizes of its training sets and its phases must not depend on the seed, and of a
            trainer it may ask what :class:`~nasp_lightning.study.lockstep.Clock` has.
        needs_scores: whether it holds scores against labels, which a predictor that only compares
            pairs has none for.
        classical: whether it serves predictors without gradient training as well (:meth:`gather`).
        evaluate: called at the end of each phase but the last; its results are kept under the
            phase's name in ``phase_results``.
        ended: epochs of the phases that were ended before their planned ones, by their index.
    """

    lockstep: ClassVar[bool] = False
    needs_scores: ClassVar[bool] = False
    classical: ClassVar[bool] = False

    def __init__(self) -> None:
        self.patience = Patience()
        self.ended: dict[int, int] = {}
        self.evaluate: Callable[[], dict[str, object]] = dict
        self.phase_results: dict[str, dict[str, object]] = {}

    def further_phases(self) -> list[Phase]:
        """Phases after the supervised one."""
        return []

    def check_predictor(self, predictor: Predictor) -> None:
        """Refuse a predictor without what this framework needs of it.

        Raises:
            NaspError: says what is missing.
        """
        if self.needs_scores and predictor.pairwise:
            name = type(self).__module__.rpartition(".")[2]
            raise NaspError(
                f"framework={name} needs a predictor with scalar scores, but "
                f"{predictor.title} only compares pairs: use framework=supervised"
            )

    def check(self, task: PredictorTask, data: ArchitectureData) -> None:
        """Refuse what this framework cannot train, before any time is spent."""

    def gather(self, data: ArchitectureData, rank: Callable[[Indices], Array]) -> None:
        """Choose the training set of a predictor without gradient training.

        Args:
            data: whose training set it becomes; at first that of the split.
            rank: fits anew on the training set so far and gives the scores ``[k]`` of rows.
        """

    def queried_labels(self, data: ArchitectureData) -> int:
        """Accuracies of the benchmark used so far for fitting or evaluation."""
        return len(data.train_indices)

    def further_labels(self) -> list[Indices]:
        """Rows whose labels selected something, such as weights; some may be trained on too."""
        return []

    def selection_labels(self, data: ArchitectureData) -> int:
        """How many of :meth:`queried_labels` selected and were not trained on."""
        return len(np.setdiff1d(_rows(self.further_labels()), data.train_indices))

    def begin_phase(self, phase: Phase, task: PredictorTask, data: ArchitectureData) -> None:
        """Called before the first epoch of a phase, after its optimizer was made."""

    def end_epoch(self, phase: Phase, task: PredictorTask, data: ArchitectureData) -> None:
        """Called after each epoch."""

    def resume(self, phase: Phase, task: PredictorTask, data: ArchitectureData) -> None:
        """Called before an epoch that is not its phase's first: put back what no state holds."""

    def prepare(self, task: PredictorTask, data: ArchitectureData, supervised_epochs: int) -> int:
        """Set the task's phases; returns the number of epochs in all."""
        check_whole("trainer.max_epochs", supervised_epochs)
        self.check_predictor(task.predictor)
        self.check(task, data)
        self.patience = Patience(task.patience)
        task.phases = [Phase("supervised", supervised_epochs), *self.further_phases()]
        return sum(phase.epochs for phase in task.phases)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the phases again that a killed run had ended."""
        task, _ = self._parts(trainer, pl_module)
        for index, epochs in self.ended.items():
            _shorten(trainer, task, index, epochs)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a phase when its first epoch comes."""
        task, data = self._parts(trainer, pl_module)
        index, epoch = task.phase_of(trainer.current_epoch)
        if epoch > 0:
            self.resume(task.phases[index], task, data)
            return
        self.patience.begin()
        if index > 0:
            trainer.strategy.setup_optimizers(trainer)
        self.begin_phase(task.phases[index], task, data)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the framework act; evaluate where a phase but the last ends."""
        task, data = self._parts(trainer, pl_module)
        index, epoch = task.phase_of(trainer.current_epoch)
        if self.patience.spent(epoch, task.epoch_loss):
            self._end_early(trainer, task, index, epoch + 1)
        phase = task.phases[index]
        self.end_epoch(phase, task, data)
        if epoch == phase.epochs - 1 and index < len(task.phases) - 1:
            self.phase_results[phase.name] = {
                **self.evaluate(),
                "queried_labels": len(data.train_indices)
                if index == 0
                else self.queried_labels(data),
                "selection_labels": self.selection_labels(data),
                "queried_codes": data.queried_codes,
            }

    def _end_early(self, trainer: Trainer, task: PredictorTask, index: int, epochs: int) -> None:
        phase = task.phases[index]
        if epochs == phase.epochs:
            return
        log.info(
            "%s ends after %d of %d epochs: %d have not lowered its loss",
            *(phase.name, epochs, phase.epochs, self.patience.epochs),
        )
        self.ended[index] = epochs
        _shorten(trainer, task, index, epochs)

    def state_dict(self) -> dict[str, object]:
        """What a resumed run needs."""
        return {
            "phase_results": self.phase_results,
            "ended": self.ended,
            "patience": self.patience.state_dict(),
        }

    def load_state_dict(self, state_dict: State) -> None:
        """Take the state of a killed run."""
        results = state_dict["phase_results"]
        assert isinstance(results, dict)
        self.phase_results = results
        if "patience" in state_dict:  # not in checkpoints of before there was any
            ended, patience = state_dict["ended"], state_dict["patience"]
            assert isinstance(ended, dict)
            assert isinstance(patience, dict)
            self.ended = ended
            self.patience.load_state_dict(patience)

    @staticmethod
    def _parts(
        trainer: Trainer, pl_module: LightningModule
    ) -> tuple[PredictorTask, ArchitectureData]:
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(pl_module, PredictorTask)
        assert isinstance(data, ArchitectureData)
        return pl_module, data


def _rows(parts: list[Indices]) -> Indices:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


def _shorten(trainer: Trainer, task: PredictorTask, index: int, epochs: int) -> None:
    """Let a phase be of so many epochs, and the fit be so much shorter."""
    task.phases[index] = replace(task.phases[index], epochs=epochs)
    trainer.fit_loop.max_epochs = sum(phase.epochs for phase in task.phases)


def scale_by(data: ArchitectureData, rows: Indices) -> None:
    """Normalise labels by those of ``rows`` alone: the others are not bought yet."""
    data.scale = LabelScale.of(data.all_labels[rows])


def normalise_by(task: PredictorTask, data: ArchitectureData, rows: Indices) -> None:
    """:func:`scale_by`; checkpoints and predictors that know the labels' scale are told."""
    scale_by(data, rows)
    task.hparams["label_scale"] = [data.mean, data.std]
    task.predictor.set_label_scale(data.mean, data.std)


def check_growing(name: str, data: ArchitectureData) -> None:
    """Refuse what cannot be trained on while labels are bought.

    Args:
        name: the framework's, for the message.
        data: it must not train on its validation set.

    Raises:
        NaspError: with the remedy.
    """
    if data.train_on_validation:
        raise NaspError(f"data.train_on_validation=true does not go with {name}")


def candidate_rows(data: ArchitectureData) -> Indices:
    """Rows whose label can be bought: those that have one, the validation set's apart.

    Of halves (``data.pool_size``) only the training half's.
    """
    known = ~np.isnan(data.all_labels)
    if data.split.pool is not None:
        known &= np.isin(np.arange(len(known)), data.split.pool)
    known[data.split.validation] = False
    return np.flatnonzero(known)


def train_on(data: ArchitectureData, labelled: Indices, rows: Indices) -> None:
    """Train on ``rows`` from the next epoch on.

    Args:
        data: whose training set it becomes.
        labelled: ``[n]`` rows whose labels are bought.
        rows: ``[k]`` of them, in the order and as often as they come in an epoch.
    """
    data.train_indices = labelled
    device = data.graphs.operations.device
    labels = data.normalise(data.all_labels[rows])
    data.set_training(torch.from_numpy(rows).to(device), labels.to(device))
