"""Batch Top Sampling: labels are bought where the predictor expects the best, a little at a time.

Zhang et al., "Siamese-NAS" (arXiv 2210.00546), section 3.4 and Algorithm 2, after its published
code. A share λ of ``data.train_size`` labels is random. While training goes on, the rest is
bought in equal updates: each ranks a random tenth of the space (by Siamese-Ranking, or however
the predictor ranks) and takes the best that have no label yet. ``trainer.max_epochs`` are the
epochs of all stretches together; their plan is in
:mod:`~nasp_lightning.framework.part.sampling_plan`.

Example:
    ``python -m nasp_lightning +experiment=nb201_siamese_bts``
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer

from nasp_lightning.array import Array
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.data.choosing import buy, draw_subset, split_chunks
from nasp_lightning.data.split import Indices
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.framework.base import (
    Framework,
    candidate_rows,
    check_growing,
    normalise_by,
    scale_by,
    train_on,
)
from nasp_lightning.framework.part.sampling_plan import (
    SCHEDULES,
    Plan,
    draw_batches,
    initial_size,
    make_plan,
)
from nasp_lightning.framework.part.state import State, read_number, read_rows
from nasp_lightning.task.predictor import Phase, PredictorTask

# Tell the draws from the seed's other uses.
DRAW_SUBSET, DRAW_BATCHES, DRAW_SELECTION = 4, 5, 6


class BatchTopSampling(Framework):
    """Top sampling as a Lightning callback, for any predictor that ranks.

    Labels are only read when their architecture is bought, those of the normalisation included:
    it is that of the random pool. ``data.train_indices`` are the bought ones so far. A predictor
    without gradient training is fitted anew before each update.

    Args:
        initial: λ, share of the labels that are random; from 2 on, their number; 1: all, which
            is the published recipe without sampling.
        updates: K, how often labels are bought.
        share: of the space that an update ranks.
        schedule: ``official`` or ``paper``.
        warm_up: α, share of the epochs before the first update.
        replacement: batches are drawn with replacement, as many in an epoch as the whole budget
            makes (published); False: an epoch passes once through the pool.
        final_factor: of the learning rate in the official schedule's last stretch.
        selection_epochs: further epochs, after each of which a random share of the space is
            ranked and one label bought, its best predicted one's; the weights of the best such
            label are kept. Published: 3. The labels are part of ``data.train_size``.

    Attributes:
        labelled: ``[n]`` rows in the pool.
        selected: ``[k]`` rows whose labels chose among weights.
        ranking_seconds: spent in the rankings of updates and selection, without finding codes.

    Raises:
        NaspError: for a setting that cannot be.
    """

    lockstep: ClassVar[bool] = True
    classical: ClassVar[bool] = True

    def __init__(
        self,
        initial: float = 0.3,
        updates: int = 10,
        share: float = 0.1,
        schedule: str = "official",
        warm_up: float = 0.2,
        replacement: bool = True,
        final_factor: float = 0.1,
        selection_epochs: int = 0,
    ) -> None:
        super().__init__()
        _check_numbers(initial, share, warm_up, final_factor)
        check_whole("framework.updates", updates)
        check_whole("framework.selection_epochs", selection_epochs, 0)
        if schedule not in SCHEDULES:
            raise NaspError(
                f"framework.schedule={schedule!r} is unknown: choose " + "|".join(SCHEDULES)
            )
        if not isinstance(replacement, bool):
            raise NaspError(f"framework.replacement={replacement}: it must be true or false")
        self.initial, self.updates, self.share = initial, updates, share
        self.schedule, self.warm_up, self.replacement = schedule, warm_up, replacement
        self.final_factor, self.selection_epochs = final_factor, selection_epochs
        self.plan: Plan | None = None
        self.labelled = self.selected = np.zeros(0, dtype=np.int64)
        self.ranking_seconds = 0.0
        self.best_label: float | None = None
        self.best_weights: dict[str, torch.Tensor] = {}
        self._next_epoch = 0

    def check(self, task: PredictorTask, data: ArchitectureData) -> None:
        """Refuse early stopping, and budgets beyond the space."""
        check_growing("top sampling", data)
        if task.patience is not None:
            raise NaspError(
                f"task.patience={task.patience} does not go with top sampling, whose "
                "labels are bought in epochs planned before: set task.patience=null"
            )
        self._check_budget(data)

    def _check_budget(self, data: ArchitectureData) -> None:
        eligible = len(candidate_rows(data))
        if data.train_size > eligible:
            raise NaspError(
                f"data.train_size={data.train_size}: the benchmark has {eligible} architectures "
                "to buy labels of; choose fewer labels, or a smaller data.validation_size"
            )

    def gather(self, data: ArchitectureData, rank: Callable[[Indices], Array]) -> None:
        """Algorithm 2 with a predictor that is fitted anew before each update.

        Raises:
            NaspError: for a budget that cannot be, or ``selection_epochs``.
        """
        if self.selection_epochs:
            raise NaspError(
                f"framework.selection_epochs={self.selection_epochs} chooses among the weights of "
                "a training, which this predictor does not have: set it to 0"
            )
        check_growing("top sampling", data)
        self._check_budget(data)
        first = initial_size(data.train_size, self.initial)
        self.labelled = data.split.train[:first]
        scale_by(data, self.labelled)
        train_on(data, self.labelled, self.labelled)
        for number, count in enumerate(split_chunks(data.train_size - first, self.updates)):
            if count:
                self.labelled = self._bought(data, number, count, rank)
                train_on(data, self.labelled, self.labelled)

    def prepare(self, task: PredictorTask, data: ArchitectureData, supervised_epochs: int) -> int:
        """Begin with the random pool; returns the number of epochs in all."""
        super().prepare(task, data, supervised_epochs)
        self.plan = plan = make_plan(
            data.train_size,
            supervised_epochs,
            self.initial,
            self.updates,
            self.schedule,
            self.warm_up,
            self.selection_epochs,
        )
        rate = task.make_optimizer(task.predictor.parameters()).defaults["lr"] * self.final_factor
        phases = [
            Phase("warm_up", plan.warm_up),
            Phase("sampling", plan.sampling),
            Phase("final", plan.final, rate),
            Phase("selection", self.selection_epochs, rate),
        ]
        task.phases = [phase for phase in phases if phase.epochs]
        self.labelled = data.split.train[: plan.initial]
        normalise_by(task, data, self.labelled)
        self._begin_epoch(data, 0)
        return sum(phase.epochs for phase in task.phases)

    def queried_labels(self, data: ArchitectureData) -> int:
        """Labels bought so far, for training and for the selection of weights."""
        return len(np.union1d(self.labelled, self.selected))

    def further_labels(self) -> list[Indices]:
        """Rows whose labels chose among weights."""
        return [self.selected]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put back the training set of a resumed run, before its first batch is fetched."""
        _, data = self._parts(trainer, pl_module)
        self._begin_epoch(data, self._next_epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Evaluate where a stretch ends; buy what is due; set the next epoch's batches."""
        super().on_train_epoch_end(trainer, pl_module)
        task, data = self._parts(trainer, pl_module)
        assert self.plan is not None
        done = trainer.current_epoch + 1
        index, epoch = task.phase_of(trainer.current_epoch)
        phase = task.phases[index]
        if phase.name in self.phase_results and epoch == phase.epochs - 1:
            self.phase_results[phase.name]["ranking_seconds"] = self.ranking_seconds
        for number, due in enumerate(self.plan.updates):
            if due == done:
                self._update(task, data, number)
        if phase.name == "selection":
            self._select(task, data, epoch)
        self._begin_epoch(data, done)

    def _update(self, task: PredictorTask, data: ArchitectureData, number: int) -> None:
        """Buy the labels of one update."""
        assert self.plan is not None
        count = self.plan.chunks[number]
        if not count:
            return
        self.labelled = self._bought(data, number, count, partial(self._rank, task, data))

    def _bought(
        self, data: ArchitectureData, number: int, count: int, rank: Callable[[Indices], Array]
    ) -> Indices:
        """The pool after an update; no label is read here."""
        generator = np.random.default_rng([data.seed, DRAW_SUBSET, number])
        return buy(self.labelled, candidate_rows(data), self.share, count, generator, rank)

    def _select(self, task: PredictorTask, data: ArchitectureData, epoch: int) -> None:
        """Buy the label of the best predicted architecture; keep or put back the best weights."""
        generator = np.random.default_rng([data.seed, DRAW_SELECTION, epoch])
        rows = draw_subset(candidate_rows(data), self.labelled, self.share, 1, generator)
        top = rows[np.argmax(self._rank(task, data, rows))]
        self.selected = np.append(self.selected, top)
        label = float(data.all_labels[top])
        if self.best_label is None or label > self.best_label:
            self.best_label = label
            self.best_weights = {
                name: value.detach().cpu().clone()
                for name, value in task.predictor.state_dict().items()
            }
        if epoch == self.selection_epochs - 1:
            task.predictor.load_state_dict(self.best_weights)

    def _rank(self, task: PredictorTask, data: ArchitectureData, rows: Indices) -> Array:
        """``[k]`` scores of rows of the space."""
        began, waited = time.perf_counter(), data.code_seconds
        with task.predictor.choosing():
            scores: Array = data.scores(task.predictor, rows).numpy()
        self.ranking_seconds += time.perf_counter() - began - (data.code_seconds - waited)
        return scores

    def _begin_epoch(self, data: ArchitectureData, epoch: int) -> None:
        """Set what an epoch trains on."""
        assert self.plan is not None
        rows = self.labelled
        if self.replacement:
            generator = np.random.default_rng([data.seed, DRAW_BATCHES, epoch])
            budget = data.train_size - self.selection_epochs
            rows = draw_batches(self.labelled, data.batch_size, budget, generator)
        train_on(data, self.labelled, rows)
        self._next_epoch = epoch

    def state_dict(self) -> dict[str, object]:
        """The pool, what rankings used, and the weights that selection keeps."""
        return {
            **super().state_dict(),
            "labelled": torch.from_numpy(self.labelled),
            "selected": torch.from_numpy(self.selected),
            "ranking_seconds": self.ranking_seconds,
            "best_label": self.best_label,
            "best_weights": self.best_weights,
            "next_epoch": self._next_epoch,
        }

    def load_state_dict(self, state_dict: State) -> None:
        """Take the state of a killed run."""
        super().load_state_dict(state_dict)
        self.labelled, self.selected = (
            read_rows(state_dict, "labelled"),
            read_rows(state_dict, "selected"),
        )
        self.ranking_seconds = read_number(state_dict, "ranking_seconds")
        best, weights = state_dict["best_label"], state_dict["best_weights"]
        assert best is None or isinstance(best, float)
        assert isinstance(weights, dict)
        self.best_label, self.best_weights = best, weights
        self._next_epoch = int(read_number(state_dict, "next_epoch"))


def _check_numbers(initial: float, share: float, warm_up: float, final_factor: float) -> None:
    numbers = {
        "initial": initial,
        "share": share,
        "warm_up": warm_up,
        "final_factor": final_factor,
    }
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise NaspError(f"framework.{name}={value}: it must be a number above 0")
    if initial > 1 and initial != int(initial):
        raise NaspError(
            f"framework.initial={initial}: it is a share up to 1, or a whole number of labels"
        )
    for name in ("share", "warm_up"):
        if numbers[name] > 1:
            raise NaspError(f"framework.{name}={numbers[name]}: it is a share, at most 1")
