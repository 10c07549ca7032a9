"""Predictors without gradient training in a run: fit on the labels, score the space, calibrate."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hydra.utils import get_class, instantiate

from nasp_lightning.array import Array
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.data.split import Indices
from nasp_lightning.error import NaspError
from nasp_lightning.framework.base import Framework
from nasp_lightning.predictor.base import ClassicalPredictor, Probabilistic
from nasp_lightning.run.construction import constructing
from nasp_lightning.run.folder import stem
from nasp_lightning.study.estimation_code import ask_for_all, code_costs, fit_watched

LEVEL = 0.9  # of the prediction interval whose coverage is reported
CALIBRATION_SIZE = 2000  # held-out architectures that it is counted on, at most


@dataclass(frozen=True)
class ClassicalFit:
    """What fitting and ranking gave.

    Attributes:
        scores: ``[N]`` predicted accuracy (``ranks_only``: scores) of the whole space.
        results: entries of ``results.json`` beside those of every run.
    """

    scores: Array
    results: dict[str, Any]


def fit_classical(config: dict[str, Any], data: ArchitectureData, predictor: Any) -> ClassicalFit:
    """Fit a classical predictor on the training labels and score the whole space.

    Args:
        config: the run's; its framework may choose the labels, settings of the gradient training
            (``trainer``, ``optimizer``, ``scheduler``, ``task``) have no effect.
        data: labels and graphs.
        predictor: see :class:`~nasp_lightning.predictor.base.ClassicalPredictor`.

    Raises:
        NaspError: if the predictor or the framework does not fit.
    """
    kind = check_classical(config, predictor)
    needs_labels = bool(getattr(predictor, "needs_labels", True))
    began = time.perf_counter()
    if needs_labels and kind.gather is not Framework.gather:
        with constructing("framework"):
            framework: Framework = instantiate(config["framework"])
        framework.gather(data, _Anew(config, data, predictor))
    queried = len(data.train_indices) if needs_labels else 0
    fit_watched(config, data, predictor, data.training_labels.double().cpu().numpy())
    fit_seconds = time.perf_counter() - began
    ask_for_all(config, predictor, data)
    began = time.perf_counter()
    scores = np.asarray(predictor.score(data.graphs), dtype=np.float64)
    rank_seconds = time.perf_counter() - began
    if not getattr(predictor, "ranks_only", False):
        scores = scores * data.std + data.mean
    results: dict[str, Any] = {
        "loss": str(getattr(predictor, "loss", "mse")),
        "train_labels": queried,
        "queried_labels": queried,
        **code_costs(data.code, data.queried_codes, queried),
        "fit_seconds": fit_seconds,
        "rank_seconds": rank_seconds,
        "code_seconds": data.code_seconds,
    }
    if isinstance(predictor, Probabilistic):
        results["calibration"] = calibration(data, predictor)
    return ClassicalFit(scores, results)


class _Anew:
    """Ranks rows by a copy of the predictor, fitted on the training set of the moment."""

    def __init__(self, config: dict[str, Any], data: ArchitectureData, predictor: Any) -> None:
        self._config, self._data, self._blank = config, data, copy.deepcopy(predictor)

    def __call__(self, rows: Indices) -> Array:
        fitted, data = copy.deepcopy(self._blank), self._data
        fit_watched(self._config, data, fitted, data.training_labels.double().cpu().numpy())
        data.need(rows)
        return np.asarray(fitted.score(data.graphs[torch.from_numpy(rows)]), dtype=np.float64)


def check_classical(config: dict[str, Any], predictor: Any) -> type[Framework]:
    """The framework's class; refuse one that trains by gradients, and what is no such predictor.

    Settings of the framework that an experiment has for another one are not looked at.
    """
    name = stem(config["predictor"]["_target_"])
    if not isinstance(predictor, ClassicalPredictor):
        raise NaspError(
            f"predictor {name} is neither a torch.nn.Module nor has it the methods fit and score "
            "(see nasp_lightning/predictor/base.py)"
        )
    with constructing("framework"):
        kind: type[Framework] = get_class(config["framework"]["_target_"])
    if not kind.classical:
        raise NaspError(
            f"framework={stem(config['framework']['_target_'])} trains by gradients, which "
            f"predictor={name} does not have: set framework=supervised or batch_top_sampling, or "
            "choose a neural predictor"
        )
    return kind


def calibration(data: ArchitectureData, predictor: Probabilistic) -> dict[str, Any] | None:
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
    return {
        "level": LEVEL,
        "coverage": float(((low <= labels) & (labels <= high)).mean()),
        "mean_width": float((high - low).mean() * data.std),
        "metric": data.train_metric.quantity,
        "architectures": len(held_out),
    }
