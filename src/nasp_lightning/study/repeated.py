"""Fits of one study by many seeds: one after another, or all as one computation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lightning.pytorch import Trainer, seed_everything

from nasp_lightning.array import Array
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.data.split import Indices
from nasp_lightning.error import NaspError
from nasp_lightning.predictor.base import ClassicalPredictor, GradientPredictor
from nasp_lightning.run.construction import constructing
from nasp_lightning.run.process import set_threads
from nasp_lightning.study.classical import check_classical, fit_classical
from nasp_lightning.study.estimation_code import ask_for_all, check_reads
from nasp_lightning.study.lockstep import Run, train_lockstep, why_not_lockstep
from nasp_lightning.study.neural import fit, make_task
from nasp_lightning.study.ranking import check_scores
from nasp_lightning.study.settings import StudySettings
from nasp_lightning.study.study import new_predictor

log = logging.getLogger(__name__)

CHUNK = 50  # runs in one computation: more gain little and take more memory (experiments/speed)


@dataclass(frozen=True)
class How:
    """How repeats are computed.

    Attributes:
        batched: whether runs are one computation; None: where that is possible.
        chunk: how many at once, or None for the default.
        compiled: whether ``torch.compile`` fuses the one computation's steps.
    """

    batched: bool | None = None
    chunk: int | None = None
    compiled: bool = False


@dataclass(frozen=True)
class RepeatedFit:
    """What the fit of one seed leaves.

    Attributes:
        data: its split, and the codes that it used.
        labelled: ``[N]`` rows whose labels it used, in the order in which they were bought.
        scores: ``[space]`` float64, higher is better.
    """

    data: ArchitectureData
    labelled: Indices
    scores: Array


class Repeated:
    """A study's predictor, to be fitted by many seeds.

    Args:
        settings: of the study; their seed only stands in for the check of what is possible.
        folder: the run's, for the trainer.
        data: of any seed.
        how: the repeats are computed.

    Attributes:
        batched: whether they are one computation.
        chunk: how many seeds a call of :meth:`fit` should get.
        compiled: whether its steps are compiled.
        loss: name of what is minimised.

    Raises:
        NaspError: for a setting that cannot be, or if ``batched`` asks for what is not possible.
    """

    def __init__(
        self,
        settings: StudySettings,
        folder: Path,
        data: ArchitectureData,
        how: How,
    ) -> None:
        self.settings, self.folder, self.data = settings.unwatched(), folder, data
        predictor = new_predictor(settings.predictor, data)
        self.neural = isinstance(predictor, GradientPredictor)
        reason: str | None = None
        if isinstance(predictor, GradientPredictor):
            check_reads(settings, predictor, data)
            run, _ = self.prepare(settings.seed)
            self.loss = run.task.loss_name
            if how.batched is not False:
                reason = why_not_lockstep(run, dict(settings.training.trainer))
        else:
            check_classical(settings)
            self.loss = predictor.loss
            reason = f"{settings.predictor.word} has no gradient training"
        self._decide(how, reason)
        if self.batched:
            with constructing("trainer"):
                trainer = Trainer(
                    logger=False, enable_checkpointing=False, **settings.training.trainer
                )
            self.device = trainer.strategy.root_device
            self.data.graphs = self.data.graphs.to(self.device)

    def _decide(self, how: How, reason: str | None) -> None:
        """How the repeats are computed, given what speaks against one computation, if anything."""
        if how.batched and reason is not None:
            raise NaspError(f"job.batched=true: {reason}; set job.batched=false")
        self.compiled = how.compiled and self.neural  # of others there is nothing to compile
        if self.compiled and (how.batched is False or reason is not None):
            raise NaspError(
                f"job.compile=true: {reason or 'job.batched is false'}, and only repeats that are "
                "one computation are compiled; leave it out"
            )
        if how.batched is None and reason is not None:
            log.info("one repeat after another: %s", reason)
        self.batched = how.batched is not False and reason is None
        self.chunk = (how.chunk or CHUNK) if self.batched else 1

    def fit(self, seeds: Sequence[int]) -> list[RepeatedFit]:
        """Fit by each of the seeds."""
        if not self.neural:
            return [self._fit_classical(seed) for seed in seeds]
        if not self.batched:
            return [self._fit_alone(seed) for seed in seeds]
        prepared = [self.prepare(seed) for seed in seeds]
        runs = [run for run, _ in prepared]
        for run in runs:
            run.task.to(self.device)
        set_threads(self.settings.info.threads, fitting=False)
        clip = self.settings.training.trainer.get("gradient_clip_val")
        train_lockstep(runs, prepared[0][1], clip, self.compiled)
        return [_ranked(run) for run in runs]

    def prepare(self, seed: int) -> tuple[Run, int]:
        """A run before its first step, as ``job=train_predictor`` has it, and its epochs."""
        settings, data = self.settings.with_seed(seed), self.data.with_seed(seed)
        seed_everything(seed, workers=False, verbose=False)
        predictor = new_predictor(settings.predictor, data)
        assert isinstance(predictor, GradientPredictor)
        framework = settings.framework.build()
        task = make_task(settings, predictor, data)
        epochs = framework.prepare(task, data, settings.training.trainer["max_epochs"])
        ask_for_all(settings.predictor.word, predictor, data)
        return Run(task, data, framework), epochs

    def _fit_alone(self, seed: int) -> RepeatedFit:
        run, epochs = self.prepare(seed)
        set_threads(self.settings.info.threads, fitting=True)
        fit(self.settings, self.folder, run.task, run.data, run.framework, epochs)
        set_threads(self.settings.info.threads, fitting=False)
        return _ranked(run)

    def _fit_classical(self, seed: int) -> RepeatedFit:
        settings, data = self.settings.with_seed(seed), self.data.with_seed(seed)
        seed_everything(seed, workers=False, verbose=False)
        set_threads(settings.info.threads, fitting=True)
        predictor = new_predictor(settings.predictor, data)
        assert isinstance(predictor, ClassicalPredictor)
        fitted = fit_classical(settings, data, predictor)
        return RepeatedFit(data, data.train_indices, check_scores(fitted.scores))


def _ranked(run: Run) -> RepeatedFit:
    scores = run.data.scores(run.task.predictor).double().numpy()
    return RepeatedFit(run.data, _labelled(run), check_scores(scores))


def _labelled(run: Run) -> Indices:
    """Rows whose labels a run used, those that chose among weights included."""
    rows = np.concatenate([run.data.train_indices, *run.framework.further_labels()])
    _, first = np.unique(rows, return_index=True)
    unique: Indices = rows[np.sort(first)]
    assert len(unique) == run.framework.queried_labels(run.data)
    return unique
