"""Estimation Codes in a study: asked for where they are read, refused where not, counted."""

from __future__ import annotations

import logging

import numpy as np
import torch

from nasp_lightning.array import Array
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.data.code_source import CodeSource
from nasp_lightning.error import NaspError
from nasp_lightning.estimation_code.base import EstimationCode
from nasp_lightning.predictor.base import ClassicalPredictor, GradientPredictor, Predictor
from nasp_lightning.predictor.part.watch import reads_features, watch
from nasp_lightning.run.results import Codes
from nasp_lightning.study.settings import StudySettings

log = logging.getLogger(__name__)

TRIED = 8  # architectures that a predictor is tried on


def check_reads(
    settings: StudySettings, predictor: GradientPredictor, data: ArchitectureData
) -> None:
    """Refuse extra inputs for a neural predictor that does not read them.

    Raises:
        NaspError: with the remedy.
    """
    if not data.shape.features:
        return
    few = data.graphs[torch.from_numpy(data.split.train[:TRIED])]
    if not reads_features(predictor, few, data.shape.features):
        raise _unread(settings)


def fit_watched(
    settings: StudySettings, data: ArchitectureData, predictor: ClassicalPredictor, labels: Array
) -> None:
    """Fit a classical predictor on ``data.train_indices``; refuse extra inputs that it ignores.

    Args:
        settings: for the message.
        data: whose graphs it is fitted on.
        predictor: to be fitted.
        labels: ``[n]`` normalised labels.

    Raises:
        NaspError: with the remedy.
    """
    data.need(data.train_indices)
    graphs = data.graphs[torch.from_numpy(data.train_indices)]
    seen: list[bool] = []
    if data.shape.features:
        graphs = watch(graphs, seen)
    if predictor.needs_labels:
        predictor.fit(graphs, labels)
    if data.shape.features and not seen:
        predictor.score(graphs[:TRIED])
        if not seen:
            raise _unread(settings)


def _unread(settings: StudySettings) -> NaspError:
    code = settings.code_name
    if code is None:
        features = settings.data.settings.get("features")
        given, remedy = f"data.features={features}", "data.features=null"
    else:
        given, remedy = f"estimation_code={code}", "estimation_code=none"
    return NaspError(
        f"{settings.predictor.word} ranks by the graph alone and would ignore {given}: set "
        f"{remedy}, or choose a predictor that takes extra inputs, such as siamese"
    )


def ask_for_all(word: str, predictor: Predictor, data: ArchitectureData) -> None:
    """Have every architecture's code for a predictor that ranks by all; one with a shortlist waits.

    Computed ones take time, so the user is told how many there are.

    Args:
        word: the predictor's on the command line, for the message.
        predictor: to be ranked by.
        data: whose codes they are.
    """
    if not data.shape.features or predictor.shortlists:
        return
    if isinstance(data.code, EstimationCode) and data.code.on_networks:
        count, cost = len(data.table), data.code.cost
        log.warning(
            "%s ranks by the codes of all architectures: %d are computed, where they "
            "are not kept yet (cost: %s each%s); predictor=siamese asks for those of its "
            "shortlist only",
            *(word, count, data.code.describe_cost()),
            "" if cost is None else f", {cost * count:.3g} labels in all",
        )
    data.need(np.arange(len(data.table)))


def code_costs(code: CodeSource | None, codes: float, labels: int) -> Codes:
    """The cost of ``codes`` architectures' codes beside ``labels``."""
    cost = None if code is None else code.cost
    spent = 0.0 if not codes else None if cost is None else cost * codes
    return Codes(
        queried_codes=codes,
        code_cost=cost,
        code_labels=spent,
        budget=None if spent is None else labels + spent,
    )
