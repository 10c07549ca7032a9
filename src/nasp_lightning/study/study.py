"""A study: one predictor, trained by one framework on one benchmark, and how well it ranks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import seed_everything
from lightning.pytorch.loggers import Logger

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.callbacks.checkpoint import checkpoint_path
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.error import check_whole
from nasp_lightning.predictor.base import (
    ClassicalPredictor,
    GradientPredictor,
    Predictor,
    adopt,
)
from nasp_lightning.run.config import Component
from nasp_lightning.run.process import set_threads
from nasp_lightning.run.results import Calibration, PhaseResults, Scores
from nasp_lightning.space.base import Space
from nasp_lightning.study.classical import check_classical, fit_classical
from nasp_lightning.study.estimation_code import ask_for_all, check_reads, code_costs
from nasp_lightning.study.neural import check_checkpoint, fit, make_task
from nasp_lightning.study.ranking import rank_scores
from nasp_lightning.study.settings import StudySettings, make_data, make_space

SCORES = tuple(Scores.__dataclass_fields__)


@dataclass(frozen=True)
class Fitted:
    """A fitted predictor and what it gave.

    Attributes:
        predictor: the fitted one.
        data: its split, and the codes that it used.
        scores: ``[N]`` predicted accuracy (rank losses: scores) of the whole space.
        loss: name of what was minimised.
        phases: after each phase of the fit, the last one last.
        fit_seconds: over all attempts.
        rank_seconds: of ranking the whole space.
        calibration: of the prediction intervals, where there are any.
        logger: a third party's, still open, or None.
    """

    predictor: Predictor
    data: ArchitectureData
    scores: Array
    loss: str
    phases: dict[str, PhaseResults]
    fit_seconds: float
    rank_seconds: float
    calibration: Calibration | None = None
    logger: Logger | None = None

    @property
    def final(self) -> PhaseResults:
        """After the last phase."""
        return list(self.phases.values())[-1]


class Study:
    """A predictor's study on a benchmark.

    Args:
        settings: read from a config.
        table: the benchmark.
        space: encodes it.
        data: the split, its labels and codes.
    """

    def __init__(
        self,
        settings: StudySettings,
        table: BenchmarkTable,
        space: Space,
        data: ArchitectureData,
    ) -> None:
        self.settings, self.table, self.space, self.data = settings, table, space, data

    @classmethod
    def open(cls, settings: StudySettings, table: BenchmarkTable | None = None) -> Study:
        """Load what the settings name.

        Args:
            settings: of the study.
            table: the benchmark, if it is loaded already.

        Raises:
            NaspError: for whatever the user can put right.
        """
        space = make_space(settings.space, settings.predictor)
        table = settings.benchmark.load() if table is None else table
        return cls(settings, table, space, make_data(settings, table, space))

    def fit(self, folder: Path, top_k: int, begin: Callable[[], None]) -> Fitted:
        """Fit and rank the whole space; a killed fit goes on from the folder's checkpoint.

        Args:
            folder: the run's.
            top_k: predicted top architectures to look into.
            begin: called when all that can be checked is checked, before time is spent.

        Raises:
            NaspError: for whatever the user can put right.
        """
        settings, data = self.settings, self.data
        seed_everything(settings.seed, workers=False, verbose=False)
        predictor = new_predictor(settings.predictor, data)
        check_whole("job.top_k", top_k)
        if isinstance(predictor, GradientPredictor):
            return self._fit_neural(predictor, folder, top_k, begin)
        assert isinstance(predictor, ClassicalPredictor)
        check_classical(settings)
        begin()
        fitted = fit_classical(settings, data, predictor)
        queried = fitted.queried_labels
        final = PhaseResults(
            scores=_labelled(rank_scores(fitted.scores, data, top_k), queried),
            queried_labels=queried,
            selection_labels=0,
            codes=code_costs(data.code, data.queried_codes, queried),
        )
        return Fitted(
            predictor=predictor,
            data=data,
            scores=fitted.scores,
            loss=predictor.loss,
            phases={settings.framework.name: final},
            fit_seconds=fitted.fit_seconds,
            rank_seconds=fitted.rank_seconds,
            calibration=fitted.calibration,
        )

    def _fit_neural(
        self, predictor: GradientPredictor, folder: Path, top_k: int, begin: Callable[[], None]
    ) -> Fitted:
        settings, data, threads = self.settings, self.data, self.settings.info.threads
        check_reads(settings, predictor, data)
        framework = settings.framework.build()
        task = make_task(settings, predictor, data)
        max_epochs = framework.prepare(task, data, settings.training.trainer["max_epochs"])

        def evaluate() -> dict[str, Any]:
            set_threads(threads, fitting=False)
            scores = data.scores(predictor).double().numpy()
            set_threads(threads, fitting=True)
            return dict(vars(rank_scores(scores, data, top_k)))

        framework.evaluate = evaluate
        if checkpoint_path(folder).exists():  # before anything of another run is overwritten
            check_checkpoint(checkpoint_path(folder), settings.info.config_hash)
        begin()
        ask_for_all(settings.predictor.word, predictor, data)
        trainer, fit_seconds = fit(settings, folder, task, data, framework, max_epochs)
        set_threads(threads, fitting=False)
        began, waited = time.perf_counter(), data.code_seconds
        normalised = data.scores(predictor).double().numpy()
        rank_seconds = time.perf_counter() - began - (data.code_seconds - waited)
        scores = normalised if task.ranks_only else data.scale.restore(normalised)
        queried = framework.queried_labels(data)
        # callbacks of the user's own may stop or select by anything
        known = not settings.training.own_callbacks
        final = PhaseResults(
            scores=rank_scores(scores, data, top_k),
            queried_labels=queried,
            selection_labels=framework.selection_labels(data) if known else None,
            codes=code_costs(data.code, data.queried_codes, queried),
        )
        phases = {name: _phase(item, data, known) for name, item in framework.phase_results.items()}
        return Fitted(
            predictor=predictor,
            data=data,
            scores=scores,
            loss=task.loss_name,
            phases={**phases, task.phases[-1].name: final},
            fit_seconds=fit_seconds,
            rank_seconds=rank_seconds,
            logger=trainer.logger,
        )


def new_predictor(
    predictor: Component[object], data: ArchitectureData
) -> GradientPredictor | ClassicalPredictor:
    """A predictor before its fit, told the labels' scale."""
    made = adopt(predictor.build(shape=data.shape), predictor.name)
    made.set_label_scale(data.mean, data.std)
    return made


def _labelled(scores: Scores, queried: int) -> Scores:
    """The scores of a predictor that was fitted on so many labels: one may need none."""
    return Scores(**{**vars(scores), "train_labels": queried})


def _phase(found: dict[str, Any], data: ArchitectureData, known: bool) -> PhaseResults:
    """A finished phase as its framework kept it, with the cost of its codes.

    Args:
        found: what it kept; in a checkpoint of an older version some keys are missing.
        data: its split and codes.
        known: whether nothing but the framework can have selected anything.
    """
    labels, codes = found["queried_labels"], found.get("queried_codes", 0)
    return PhaseResults(
        scores=Scores(**{name: found[name] for name in SCORES if name in found}),
        queried_labels=labels,
        selection_labels=found.get("selection_labels") if known else None,
        codes=code_costs(data.code, codes, labels),
        ranking_seconds=found.get("ranking_seconds"),
    )
