"""Estimation Codes in a job: made from the config, asked for where they are read, counted."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from torch import nn

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.data.architectures import ArchitectureData, CodeSource
from nasp_lightning.error import NaspError
from nasp_lightning.estimation_code.base import EstimationCode
from nasp_lightning.predictor.part.watch import reads_features, watch
from nasp_lightning.run.construction import constructing
from nasp_lightning.run.folder import stem

log = logging.getLogger(__name__)

Config = dict[str, Any]

TRIED = 8  # architectures that a predictor is tried on


def make_code(config: Config, table: BenchmarkTable) -> EstimationCode | None:
    """The Estimation Code of a config, or None where it has none.

    Raises:
        NaspError: for a setting that cannot be.
    """
    settings = _chosen(config)
    if settings is None:
        return None
    with constructing("estimation_code"):
        code: EstimationCode = instantiate(settings)(table=table)
    return code


def code_name(config: Config) -> str | None:
    """Which Estimation Code a config has, such as ``train``; None for none."""
    settings = _chosen(config)
    return None if settings is None else stem(settings["_target_"])


def _chosen(config: Config) -> Config | None:
    """The group's settings; with ``estimation_code=none`` an experiment's own may be left of it."""
    settings: Config = config.get("estimation_code") or {}
    return settings if "_target_" in settings else None


def check_reads(config: Config, predictor: nn.Module, data: ArchitectureData) -> None:
    """Refuse extra inputs for a neural predictor that does not read them.

    Raises:
        NaspError: with the remedy.
    """
    if not data.shape.features:
        return
    few = data.graphs[torch.from_numpy(data.split.train[:TRIED])]
    if not reads_features(predictor, few, data.shape.features):
        raise _unread(config)


def fit_watched(config: Config, data: ArchitectureData, predictor: Any, labels: Any) -> None:
    """Fit a classical predictor on ``data.train_indices``; refuse extra inputs that it ignores.

    Args:
        config: for the message.
        data: whose graphs it is fitted on.
        predictor: see :class:`~nasp_lightning.predictor.base.ClassicalPredictor`.
        labels: ``[n]`` normalised labels.

    Raises:
        NaspError: with the remedy.
    """
    data.need(data.train_indices)
    graphs = data.graphs[torch.from_numpy(data.train_indices)]
    seen: list[bool] = []
    if data.shape.features:
        graphs = watch(graphs, seen)
    if getattr(predictor, "needs_labels", True):
        predictor.fit(graphs, labels)
    if data.shape.features and not seen:
        predictor.score(graphs[:TRIED])
        if not seen:
            raise _unread(config)


def _unread(config: Config) -> NaspError:
    name, code = stem(config["predictor"]["_target_"]), code_name(config)
    if code is None:
        given, remedy = f"data.features={config['data'].get('features')}", "data.features=null"
    else:
        given, remedy = f"estimation_code={code}", "estimation_code=none"
    return NaspError(
        f"predictor={name} ranks by the graph alone and would ignore {given}: set {remedy}, or "
        "choose a predictor that takes extra inputs, such as siamese"
    )


def ask_for_all(config: Config, predictor: Any, data: ArchitectureData) -> None:
    """Have every architecture's code for a predictor that ranks by all; one with a shortlist waits.

    Computed ones take time, so the user is told how many there are.
    """
    if not data.shape.features or getattr(predictor, "shortlists", False):
        return
    if isinstance(data.code, EstimationCode) and data.code.on_networks:
        count, cost = len(data.table), data.code.cost
        log.warning(
            "predictor=%s ranks by the codes of all architectures: %d are computed, where they "
            "are not kept yet (cost: %s each%s); predictor=siamese asks for those of its "
            "shortlist only",
            *(stem(config["predictor"]["_target_"]), count, data.code.describe_cost()),
            "" if cost is None else f", {cost * count:.3g} labels in all",
        )
    data.need(np.arange(len(data.table)))


def code_costs(code: CodeSource | None, codes: float, labels: int) -> Config:
    """Entries of ``results.json``: the cost of ``codes`` architectures' codes beside ``labels``.

    Returns:
        ``code_cost``: label equivalents of one code, or None where it is not stated;
        ``code_labels``: those of all, and ``budget``: labels and codes together, None where the
        cost of one is not stated.
    """
    cost = None if code is None else code.cost
    spent = 0.0 if not codes else None if cost is None else cost * codes
    return {
        "queried_codes": codes,
        "code_cost": cost,
        "code_labels": spent,
        "budget": None if spent is None else labels + spent,
    }
