"""Fit one predictor on a benchmark, rank the whole space, leave everything in a run folder."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.job.base import Content, Job
from nasp_lightning.logger import closed_on_failure, finish
from nasp_lightning.predictor.base import GradientPredictor, Predictor
from nasp_lightning.report.finished import print_summary
from nasp_lightning.run.config import RunInfo
from nasp_lightning.run.folder import Config
from nasp_lightning.run.process import quiet_lightning, set_threads
from nasp_lightning.run.recipe import not_followed
from nasp_lightning.run.results import FitResults
from nasp_lightning.storage import atomic_path, locked
from nasp_lightning.study.neural import make_logger
from nasp_lightning.study.settings import StudySettings
from nasp_lightning.study.study import Fitted, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)


def run(config: Config, folder: Path, table: BenchmarkTable | None = None) -> Content:
    """Fit, rank, write: ``results.json`` and what it rests on.

    A run that was killed goes on from its checkpoint.

    Args:
        config: resolved config, as printed by ``nasp --cfg job --resolve``.
        folder: the run's folder.
        table: the benchmark, if it is loaded already.

    Returns:
        The content of ``results.json``.

    Raises:
        NaspError: for whatever the user can put right.
    """
    return TrainPredictor(RunInfo.of(config), folder, table).once()


@dataclass(frozen=True)
class Fit:
    """A fitted predictor with its data and results.

    Attributes:
        found: what ``results.json`` holds, as an object.
        scores: ``[N]`` predicted accuracy (rank losses: scores) of the whole space.
        data: the split and the true accuracies.
        predictor: the fitted one.
    """

    found: FitResults
    scores: Array
    data: ArchitectureData
    predictor: Predictor

    @cached_property
    def results(self) -> Content:
        """The content of ``results.json``."""
        return self.found.to_json()

    def rank(self) -> Array:
        """``[N]`` rows of the benchmark, best predicted first."""
        return np.argsort(-self.scores, kind="stable")

    def plot(self) -> Figure:
        """Predicted against true accuracy, as a matplotlib figure."""
        from nasp_lightning.report.figure.plot import scatter

        test = self.data.split.test
        title = f"Kendall's tau {self.found.scores.kendall_tau:.3f}"
        figure: Figure = scatter(self.scores[test], self.data.true_accuracy[test], title)
        return figure


def fit_and_rank(info: RunInfo, folder: Path, table: BenchmarkTable | None = None) -> Fit:
    """As :func:`run`, and returns the fitted predictor too."""
    job = TrainPredictor(info, folder, table)
    with locked(folder / ".run"):
        job.run()
    return Fit(job.found, job.fitted.scores, job.fitted.data, job.fitted.predictor)


class TrainPredictor(Job[FitResults]):
    """The job; see :func:`run`."""

    study: Study
    fitted: Fitted
    found: FitResults

    def __init__(self, info: RunInfo, folder: Path, table: BenchmarkTable | None = None) -> None:
        super().__init__(info, folder)
        self.settings, self.table = StudySettings.of(info), table

    @closed_on_failure()
    def run(self) -> Content:
        """Fit, rank, keep, tell; a study says when it begins, after its own checks."""
        quiet_lightning()
        self.prepare()
        results = self.do()
        content = self.keep(results)
        self.tell(results)
        self.show(content)
        return content

    def prepare(self) -> None:
        """Open the study."""
        set_threads(self.info.threads, fitting=True)
        self.study = Study.open(self.settings, self.table)

    def describe(self) -> str:
        """Benchmark, labels, split, seed and folder."""
        study, data, benchmark = self.study, self.study.data, self.settings.benchmark
        partial = ", PARTIAL" if study.table.provenance.get("partial") else ""
        return (
            f"{benchmark.name}: {len(study.table)} architectures ({benchmark.source}{partial}), "
            f"{data.train_metric.quantity} on {data.dataset}; split {data.split_name}, seed "
            f"{data.seed}; run folder {self.folder}"
        )

    def begin(self) -> None:
        """Write the resolved config and say what begins."""
        super().begin()
        settings = self.settings
        if told := not_followed(settings.benchmark.name, settings.predictor.name, settings.variant):
            log.info("%s", told)

    def do(self) -> FitResults:
        """Fit and rank; scores and truth go to ``predictions.npz``."""
        self.fitted = self.study.fit(self.folder, self.info.job["top_k"], self.begin)
        write_predictions(self.folder, self.fitted.scores, self.study.data)
        self.found = self.results()
        return self.found

    def results(self) -> FitResults:
        """What is known of the fit, and what its numbers are numbers of."""
        settings, data, fitted, table = (
            self.settings,
            self.study.data,
            self.fitted,
            self.study.table,
        )
        final = fitted.final
        return FitResults(
            origin=self.info.origin(),
            method_hash=self.info.method_hash,
            source=settings.benchmark.table_source(table, len(table)),
            split=data.split_name,
            train_size=data.train_size,
            test_size=data.test_size,
            validation_size=data.validation_size,
            pool_size=data.pool_size,
            train_on_validation=data.train_on_validation,
            predictor=settings.predictor.name,
            framework=settings.framework.name,
            estimation_code=settings.code_name,
            encoding=self.study.space.encoding,
            loss=fitted.loss,
            variant=dict(settings.variant),
            train_metric=data.train_metric.quantity,
            train_reduction=data.train_metric.reduction,
            test_metric=data.test_metric.quantity,
            test_reduction=data.test_metric.reduction,
            scores=final.scores,
            queried_labels=final.queried_labels,
            selection_labels=final.selection_labels,
            codes=final.codes,
            fit_seconds=fitted.fit_seconds,
            rank_seconds=fitted.rank_seconds,
            code_seconds=data.code_seconds,
            phases=fitted.phases,
            calibration=fitted.calibration,
            threads=torch.get_num_threads(),
        )

    def tell(self, results: FitResults) -> None:
        """Print the summary table with the published number beside the measured one."""
        print_summary(results.to_json(), self.folder)

    def show(self, content: Content) -> None:
        """Hand the final table and scatter to the dashboard, and finish its run."""
        logger = self.fitted.logger
        if not isinstance(self.fitted.predictor, GradientPredictor):
            training = self.settings.training
            logger = make_logger(training.logger, self.folder, self.info.plain)
        if logger is not None:
            finish(logger, content, self.fitted.scores, self.study.data)


def write_predictions(folder: Path, scores: Array, data: ArchitectureData) -> None:
    """``predictions.npz``: score and truth of the space, and the split's rows."""
    with atomic_path(folder / "predictions.npz") as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            scores=scores.astype(np.float32),
            true_accuracy=data.true_accuracy.astype(np.float32),
            train=data.train_indices,
            validation=data.split.validation,
            test=data.split.test,
        )
