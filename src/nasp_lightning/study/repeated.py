"""Fits of one config by many seeds: one after another, or all as one computation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hydra.utils import instantiate
from lightning.pytorch import Trainer, seed_everything
from torch import nn

from nasp_lightning.array import Array
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.data.split import Indices
from nasp_lightning.error import NaspError
from nasp_lightning.framework.base import Framework
from nasp_lightning.predictor.base import adopt
from nasp_lightning.run.construction import constructing
from nasp_lightning.run.folder import stem
from nasp_lightning.run.process import set_threads
from nasp_lightning.study.classical import check_classical, fit_classical
from nasp_lightning.study.estimation_code import ask_for_all, check_reads
from nasp_lightning.study.lockstep import Run, train_lockstep, why_not_lockstep
from nasp_lightning.study.neural import fit, make_task, without_callbacks
from nasp_lightning.study.ranking import check_scores

log = logging.getLogger(__name__)

Config = dict[str, Any]

CHUNK = 50  # runs in one computation: more gain little and take more memory (experiments/speed)


@dataclass(frozen=True)
class Fitted:
    """What one fit leaves.

    Attributes:
        data: its split, and the codes that it used.
        labelled: ``[N]`` rows whose labels it used, in the order in which they were bought.
        scores: ``[space]`` float64, higher is better.
    """

    data: ArchitectureData
    labelled: Indices
    scores: Array


class Repeated:
    """A config's predictor, to be fitted by many seeds.

    Args:
        config: resolved config; its ``seed`` only stands in for the check of what is possible.
        folder: the run's, for the trainer.
        data: of any seed.
        batched: whether runs are one computation; None: where that is possible.
        chunk: how many at once, or None.
        compiled: whether ``torch.compile`` fuses the one computation's steps.

    Attributes:
        batched: whether they are.
        chunk: how many seeds a call of :meth:`fit` should get.
        loss: name of what is minimised.

    Raises:
        NaspError: for a setting that cannot be, or if ``batched`` asks for what is not possible.
    """

    def __init__(
        self,
        config: Config,
        folder: Path,
        data: ArchitectureData,
        batched: bool | None = None,
        chunk: int | None = None,
        compiled: bool = False,
    ) -> None:
        self.config, self.folder, self.data = without_callbacks(config), folder, data
        predictor = self._new_predictor(config, data)
        self.neural = isinstance(predictor, nn.Module)
        reason: str | None = None
        if self.neural:
            check_reads(config, predictor, data)
            run, _ = self.prepare(config["seed"])
            self.loss = run.task.loss_name
            if batched is not False:
                reason = why_not_lockstep(run, config["trainer"])
        else:
            check_classical(config, predictor)
            self.loss = str(getattr(predictor, "loss", "mse"))
            reason = f"predictor={stem(config['predictor']['_target_'])} has no gradient training"
        if batched and reason is not None:
            raise NaspError(f"job.batched=true: {reason}; set job.batched=false")
        self.compiled = compiled and self.neural  # of others there is nothing to compile
        if self.compiled and (batched is False or reason is not None):
            raise NaspError(
                f"job.compile=true: {reason or 'job.batched is false'}, and only repeats that are "
                "one computation are compiled; leave it out"
            )
        if batched is None and reason is not None:
            log.info("one repeat after another: %s", reason)
        self.batched = batched is not False and reason is None
        self.chunk = (chunk or CHUNK) if self.batched else 1
        if self.batched:
            with constructing("trainer"):
                trainer = Trainer(logger=False, enable_checkpointing=False, **config["trainer"])
            self.device = trainer.strategy.root_device
            self.data.graphs = self.data.graphs.to(self.device)

    def fit(self, seeds: Sequence[int]) -> list[Fitted]:
        """Fit by each of the seeds."""
        if not self.neural:
            return [self._fit_classical(seed) for seed in seeds]
        if not self.batched:
            return [self._fit_alone(seed) for seed in seeds]
        prepared = [self.prepare(seed) for seed in seeds]
        runs = [run for run, _ in prepared]
        for run in runs:
            run.task.to(self.device)
        set_threads(self.config.get("threads"), fitting=False)
        clip = self.config["trainer"].get("gradient_clip_val")
        train_lockstep(runs, prepared[0][1], clip, self.compiled)
        return [self._ranked(run) for run in runs]

    def prepare(self, seed: int) -> tuple[Run, int]:
        """A run before its first step, as ``job=train_predictor`` has it, and its epochs."""
        config, data = with_seed(self.config, seed), self.data.with_seed(seed)
        seed_everything(seed, workers=False, verbose=False)
        predictor = self._new_predictor(config, data)
        with constructing("framework"):
            framework: Framework = instantiate(config["framework"])
        task = make_task(config, predictor, data)
        epochs = framework.prepare(task, data, config["trainer"]["max_epochs"])
        ask_for_all(config, predictor, data)
        return Run(task, data, framework), epochs

    def _new_predictor(self, config: Config, data: ArchitectureData) -> Any:
        with constructing("predictor"):
            made = instantiate(config["predictor"])(shape=data.shape)
        predictor = adopt(made, stem(config["predictor"]["_target_"]))
        predictor.set_label_scale(data.mean, data.std)
        return predictor

    def _fit_alone(self, seed: int) -> Fitted:
        run, epochs = self.prepare(seed)
        set_threads(self.config.get("threads"), fitting=True)
        fit(self.config, self.folder, run.task, run.data, run.framework, epochs)
        set_threads(self.config.get("threads"), fitting=False)
        return self._ranked(run)

    def _ranked(self, run: Run) -> Fitted:
        scores = run.data.scores(run.task.predictor).double().numpy()
        return Fitted(run.data, _labelled(run), check_scores(scores))

    def _fit_classical(self, seed: int) -> Fitted:
        config, data = with_seed(self.config, seed), self.data.with_seed(seed)
        seed_everything(seed, workers=False, verbose=False)
        set_threads(self.config.get("threads"), fitting=True)
        fitted = fit_classical(config, data, self._new_predictor(config, data))
        return Fitted(data, data.train_indices, check_scores(fitted.scores))


def with_seed(config: Config, seed: int) -> Config:
    """The config of another seed, its parts' own seeds included."""
    parts = {
        key: {**value, "seed": seed} if isinstance(value, dict) and "seed" in value else value
        for key, value in config.items()
    }
    return {**parts, "seed": seed}


def _labelled(run: Run) -> Indices:
    """Rows whose labels a run used, those that chose among weights included."""
    rows = np.concatenate([run.data.train_indices, *run.framework.further_labels()])
    _, first = np.unique(rows, return_index=True)
    unique: Indices = rows[np.sort(first)]
    assert len(unique) == run.framework.queried_labels(run.data)
    return unique
