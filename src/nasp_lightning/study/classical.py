"""Predictors without gradient training in a study: fit, score the space, calibrate."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import numpy as np
import torch

from nasp_lightning.array import Array
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.data.split import Indices
from nasp_lightning.error import NaspError
from nasp_lightning.framework.base import Framework
from nasp_lightning.predictor.base import ClassicalPredictor, Probabilistic
from nasp_lightning.run.results import Calibration
from nasp_lightning.study.estimation_code import ask_for_all, fit_watched
from nasp_lightning.study.settings import StudySettings

LEVEL = 0.9  # of the prediction interval whose coverage is reported
CALIBRATION_SIZE = 2000  # held-out architectures that it is counted on, at most


@dataclass(frozen=True)
class ClassicalFit:
    """What fitting and ranking gave.

    Attributes:
        scores: ``[N]`` predicted accuracy (``ranks_only``: scores) of the whole space.
        queried_labels: labels that were asked for.
        fit_seconds: of fitting, the framework's choices included.
        rank_seconds: of scoring the space.
        calibration: of the prediction intervals, where the predictor has any.
    """

    scores: Array
    queried_labels: int
    fit_seconds: float
    rank_seconds: float
    calibration: Calibration | None


def fit_classical(
    settings: StudySettings, data: ArchitectureData, predictor: ClassicalPredictor
) -> ClassicalFit:
    """Fit a classical predictor on the training labels and score the whole space.

    Args:
        settings: the study's; its framework may choose the labels, settings of the gradient
            training have no effect.
        data: labels and graphs.
        predictor: to be fitted.

    Raises:
        NaspError: if the framework does not fit.
    """
    kind = check_classical(settings)
    began = time.perf_counter()
    if predictor.needs_labels and kind.gather is not Framework.gather:
        settings.framework.build().gather(data, _Anew(settings, data, predictor))
    queried = len(data.train_indices) if predictor.needs_labels else 0
    fit_watched(settings, data, predictor, data.training_labels.double().cpu().numpy())
    fit_seconds = time.perf_counter() - began
    ask_for_all(settings.predictor.word, predictor, data)
    began = time.perf_counter()
    scores = np.asarray(predictor.score(data.graphs), dtype=np.float64)
    rank_seconds = time.perf_counter() - began
    if not predictor.ranks_only:
        scores = data.scale.restore(scores)
    sure = predictor if isinstance(predictor, Probabilistic) else None
    return ClassicalFit(
        scores=scores,
        queried_labels=queried,
        fit_seconds=fit_seconds,
        rank_seconds=rank_seconds,
        calibration=None if sure is None else calibrate(data, sure),
    )


class _Anew:
    """Ranks rows by a copy of the predictor, fitted on the training set of the moment."""

    def __init__(
        self, settings: StudySettings, data: ArchitectureData, predictor: ClassicalPredictor
    ) -> None:
        self._settings, self._data, self._blank = settings, data, copy.deepcopy(predictor)

    def __call__(self, rows: Indices) -> Array:
        fitted, data = copy.deepcopy(self._blank), self._data
        fit_watched(self._settings, data, fitted, data.training_labels.double().cpu().numpy())
        data.need(rows)
        return np.asarray(fitted.score(data.graphs[torch.from_numpy(rows)]), dtype=np.float64)


def check_classical(settings: StudySettings) -> type[Framework]:
    """The framework's class; refuse one that trains by gradients.

    Settings of the framework that an experiment has for another one are not looked at.

    Raises:
        NaspError: with the remedy.
    """
    kind = settings.framework.kind()
    if not isinstance(kind, type) or not issubclass(kind, Framework):
        raise NaspError(f"{settings.framework.word} is no framework (nasp_lightning.framework)")
    if not kind.classical:
        raise NaspError(
            f"{settings.framework.word} trains by gradients, which "
            f"{settings.predictor.word} does not have: set framework=supervised or "
            "batch_top_sampling, or choose a neural predictor"
        )
    return kind


def calibrate(data: ArchitectureData, predictor: Probabilistic) -> Calibration | None:
    """How many held-out labels lie in their prediction intervals.

    The labels are of the training metric (one run, where training has one run), of test
    architectures that were not trained on; None where there is none.
    """
    test = data.split.test
    held_out = test[~np.isin(test, data.train_indices) & ~np.isnan(data.all_labels[test])]
    if not len(held_out):
        return None
    if len(held_out) > CALIBRATION_SIZE:
        rng = np.random.default_rng([data.seed, 2])
        held_out = rng.choice(held_out, CALIBRATION_SIZE, replace=False)
    low, high = predictor.interval(data.graphs[torch.from_numpy(held_out)], LEVEL)
    labels = data.normalise(data.all_labels[held_out]).double().numpy()
    return Calibration(
        level=LEVEL,
        coverage=float(((low <= labels) & (labels <= high)).mean()),
        mean_width=float((high - low).mean() * data.std),
        metric=data.train_metric.quantity,
        architectures=len(held_out),
    )
