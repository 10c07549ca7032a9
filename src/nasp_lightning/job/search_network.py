"""Search a space with a predictor of its subnets' accuracies: the chain's third stage.

The predictor is fitted on labelled subnets as ``job=train_predictor`` does, with any framework;
then an evolution that costs no label (``search=nsga2_score|spos``) runs over its score, within
caps on parameters and multiply-adds. Nothing is scored twice. Written are

- ``best.json``, ``best_2.json``, …: architectures that :func:`nasp_lightning.network.create` builds
  and ``job=train_network`` trains;
- ``front.csv`` and ``front.png``: the Pareto front of predicted accuracy against costs;
- ``best.svg``: a drawing;
- ``predictor/``: the fit's run folder, from whose checkpoint a killed run goes on.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hydra.utils import get_class, instantiate
from rich.console import Console
from torch import nn

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.evaluator.base import Candidate, arrays_of
from nasp_lightning.evaluator.part.predictor import PredictorEvaluator
from nasp_lightning.evaluator.part.supernet import SpaceEvaluator
from nasp_lightning.job.search import make_strategy
from nasp_lightning.job.train_predictor import Fit, fit_and_rank
from nasp_lightning.network.build import options_of
from nasp_lightning.predictor.part.scoring import score_all
from nasp_lightning.run.chain import leave, product
from nasp_lightning.run.construction import constructing
from nasp_lightning.run.folder import config_hash, run_once, stem
from nasp_lightning.run.process import quiet_lightning
from nasp_lightning.run.provenance import source, versions
from nasp_lightning.search.base import Search
from nasp_lightning.search.nsga2 import pareto_front
from nasp_lightning.space.base import Space
from nasp_lightning.storage import csv_text, write_json, write_text

log = logging.getLogger(__name__)

Config = dict[str, Any]

FORMAT = "nasp_lightning.search_network/1"
ARCHITECTURE_FORMAT = "nasp_lightning.architecture/1"
COSTS = ("parameters", "flops")
SCALES = ("mse", "marginal_likelihood")  # losses whose scores are accuracies
CHUNK = 4096  # architectures encoded and scored at once


def run(config: Config, folder: Path, table: BenchmarkTable | None = None) -> Config:
    """Fit, evolve, write ``best.json`` and ``results.json``.

    Args:
        config: resolved config, as printed by ``nasp --cfg job --resolve job=search_network``.
        folder: the run's folder.
        table: the labelled subnets, if they are loaded already.

    Returns:
        The content of ``results.json``.

    Raises:
        NaspError: for whatever the user can put right.
    """
    results = run_once(config, folder, lambda: _search(config, folder, table))
    leave(config, "search", folder / "best.json")
    return results


def _search(config: Config, folder: Path, table: BenchmarkTable | None) -> Config:
    quiet_lightning()
    check_whole("job.count", config["job"]["count"])
    check_whole("seed", config["seed"], 0)
    strategy = make_strategy(config)
    check_search(config, strategy)
    if table is None:
        with constructing("benchmark"):
            table = instantiate(config["benchmark"]["table"])
    assert table is not None
    evaluator = make_evaluator(config, table)
    rng = np.random.default_rng(config["seed"])
    if (caps := getattr(strategy, "caps", None)) is not None:
        caps.check(evaluator, rng)  # before the fit, which takes longer
    write_text(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    fit = fit_and_rank(predictor_config(config), folder / "predictor", table)
    scored = PredictorEvaluator(evaluator, scorer(fit, evaluator.space))
    log.info("%s over the score of %s", *_names(config))
    began = time.perf_counter()
    strategy.run(scored, rng)
    seconds = time.perf_counter() - began
    found = Found(
        architectures=scored.history,
        scores=scored.accuracies,
        costs={name: evaluator.cost(name, scored.history) for name in COSTS},
        labels=known_labels(table, config, evaluator, scored.history),
    )
    chosen = np.argsort(-found.scores, kind="stable")[: config["job"]["count"]]
    described = [describe(config, table, fit, evaluator, found, place) for place in chosen]
    for number, content in enumerate(described, 1):
        write_json(folder / ("best.json" if number == 1 else f"best_{number}.json"), content)
    front = write_front(folder, evaluator.space, found)
    results = {
        "format": FORMAT,
        **source(config, table),
        "product": product("search", "best.json"),
        "space": evaluator.space.name,
        "search": stem(config["search"]["_target_"]),
        "caps": dict(config["search"].get("caps") or {}),
        "predictor": stem(config["predictor"]["_target_"]),
        "framework": stem(config["framework"]["_target_"]),
        "queried_labels": fit.results["queried_labels"],
        "kendall_tau": fit.results["kendall_tau"],
        "scored_architectures": len(found.architectures),
        "front_size": len(front),
        "fit_seconds": fit.results["fit_seconds"],
        "search_seconds": seconds,
        "best": {name: described[0][name] for name in ("text", "predicted", "costs", "label")},
        "versions": versions(),
    }
    draw(folder, evaluator.space, found, front, int(chosen[0]))
    write_json(folder / "results.json", results)
    _print(results, folder)
    return results


@dataclass(frozen=True)
class Found:
    """All that the evolution scored.

    Attributes:
        architectures: n of them.
        scores: ``[n]`` float64.
        costs: ``parameters`` and ``flops`` to ``[n]`` float64.
        labels: ``[n]`` float64 accuracies of those that have a label, NaN of the others.
    """

    architectures: list[Candidate]
    scores: Array
    costs: dict[str, Array]
    labels: Array


def check_search(config: Config, strategy: Search) -> None:
    """Refuse strategies that label, and predictors that read more than an architecture."""
    name = stem(config["search"]["_target_"])
    if strategy.needs_predictor:
        raise NaspError(
            f"search={name} labels what it proposes, and job=search_network has no labels but "
            "those of the benchmark: choose search=nsga2_score or search=spos"
        )
    if config["data"].get("features") is not None or stem(
        (config.get("estimation_code") or {}).get("_target_", "none.none")
    ) not in ("none",):
        raise NaspError(
            "job=search_network scores architectures of which nothing else is known: set "
            "data.features=null and estimation_code=none"
        )


def predictor_config(config: Config) -> Config:
    """What the fit is a run of: the config without what comes after it."""
    kept = {name: item for name, item in config.items() if name not in ("search", "network")}
    top_k = config["job"]["top_k"]
    target = "nasp_lightning.job.train_predictor.run"
    return {**kept, "job": {"_target_": target, "top_k": top_k}}


def make_evaluator(config: Config, table: BenchmarkTable) -> SpaceEvaluator:
    """Knows the space and what its networks cost.

    Raises:
        NaspError: if the network of the config cannot say what its architectures cost.
    """
    with constructing("space"):
        space: Space = instantiate(config["space"])
    with constructing("network"):
        kind: Any = get_class(config["network"]["_target_"])
    if not callable(getattr(kind, "costs", None)) or hasattr(kind, "subnet"):
        raise NaspError(
            f"network={stem(config['network']['_target_'])}: job=search_network needs the network "
            "of one architecture that knows its costs: choose network=mobilenet or network=darts"
        )
    options = network_options(config, table)
    if "space" in inspect.signature(kind.costs).parameters:
        options["space"] = space
    image = config["job"]["image"] or images_of(table).get("side")
    if image is not None:
        options["image"] = image

    def costs(operations: Array, adjacency: Array | None) -> dict[str, Array]:
        found: dict[str, Array] = kind.costs(operations, adjacency, **options)
        return found

    return SpaceEvaluator(space, costs)


def images_of(table: BenchmarkTable) -> Config:
    """What the table says of the images that its labels are from."""
    return dict((table.provenance.get("training") or {}).get("data") or {})


def network_options(config: Config, table: BenchmarkTable) -> Config:
    """Options of the network, its classes those of the labels' images."""
    options = {
        name: item
        for name, item in options_of(config["network"]).items()
        if name != "space"  # the config's own
    }
    classes = images_of(table).get("classes")
    return options if classes is None else {**options, "classes": classes}


def scorer(fit: Fit, space: Space) -> Callable[[Sequence[Candidate]], Array]:
    """Scores any architectures by a fitted predictor; as accuracies where it learnt those."""
    scale = fit.results["loss"] in SCALES and not getattr(fit.predictor, "ranks_only", False)

    def score(items: Sequence[Candidate]) -> Array:
        parts = []
        for start in range(0, len(items), CHUNK):
            graphs = space.encode(*arrays_of(items[start : start + CHUNK]))
            if isinstance(fit.predictor, nn.Module):
                parts.append(score_all(fit.predictor, graphs).double().numpy())
            else:
                parts.append(np.asarray(fit.predictor.score(graphs), dtype=np.float64))
        scores = np.concatenate(parts)
        return scores * fit.data.std + fit.data.mean if scale else scores

    return score


def known_labels(
    table: BenchmarkTable, config: Config, evaluator: SpaceEvaluator, items: Sequence[Candidate]
) -> Array:
    """``[n]`` labels of those architectures that the table has, NaN of the others."""
    benchmark = config["benchmark"]
    name = f"{benchmark['dataset']}/validation_accuracy/{benchmark['epochs']}"
    values = table.metric(name)[:, 0]
    known = {}
    for row, codes in enumerate(table.operations):
        matrix = None if table.adjacency is None else table.adjacency[row]
        known[evaluator.find(codes, matrix).key] = float(values[row])
    return np.array([known.get(item.key, np.nan) for item in items], dtype=np.float64)


def describe(
    config: Config,
    table: BenchmarkTable,
    fit: Fit,
    evaluator: SpaceEvaluator,
    found: Found,
    place: int,
) -> Config:
    """The content of ``best.json``: all that is needed to build the network again."""
    item = found.architectures[place]
    label = found.labels[place]
    return {
        "format": ARCHITECTURE_FORMAT,
        "text": evaluator.space.to_string(item.operations, item.adjacency),
        "operations": item.operations.tolist(),
        "adjacency": None if item.adjacency is None else item.adjacency.tolist(),
        "space": config["space"],
        "network": {
            "_target_": config["network"]["_target_"],
            **network_options(config, table),
        },
        "predicted": float(found.scores[place]),
        "costs": {name: int(values[place]) for name, values in found.costs.items()},
        "label": None if np.isnan(label) else float(label),
        "predictor": stem(config["predictor"]["_target_"]),
        "kendall_tau": fit.results["kendall_tau"],
        "data": images_of(table),
        "config_hash": config_hash(config),
    }


def write_front(folder: Path, space: Space, found: Found) -> Array:
    """``front.csv``: the front of score against both costs; returns its places, best first."""
    objectives = np.stack([-found.scores, *(found.costs[name] for name in COSTS)], axis=1)
    front = np.flatnonzero(pareto_front(objectives))
    front = front[np.argsort(-found.scores[front], kind="stable")]
    lines: list[list[object]] = []
    for place in front:
        item, label = found.architectures[place], found.labels[place]
        costs = [int(found.costs[name][place]) for name in COSTS]
        name = space.to_string(item.operations, item.adjacency)
        known = "" if np.isnan(label) else f"{label:.6f}"
        lines.append([name, f"{found.scores[place]:.6f}", *costs, known])
    write_text(
        folder / "front.csv", csv_text(["architecture", "predicted", *COSTS, "label"], lines)
    )
    return front


def draw(folder: Path, space: Space, found: Found, front: Array, best: int) -> None:
    """``front.png`` and ``best.png`` (and ``.svg``), where matplotlib is installed."""
    from nasp_lightning.report.figure.drawing import draw_architecture, draw_front

    try:
        draw_front(folder, found.scores, found.costs["flops"], front)
        item = found.architectures[best]
        draw_architecture(folder, "best", space, item.operations, item.adjacency)
    except NaspError as error:
        log.warning("no drawings: %s", error)


def _names(config: Config) -> tuple[str, str]:
    return stem(config["search"]["_target_"]), stem(config["predictor"]["_target_"])


def _print(results: Config, folder: Path) -> None:
    console = Console(width=None if Console().is_terminal else 110)
    best = results["best"]
    console.print(
        f"{results['scored_architectures']} architectures scored by {results['predictor']} "
        f"({results['queried_labels']} labels, Kendall's tau {results['kendall_tau']:.3f}); best "
        f"predicted {best['predicted']:.4f} with {best['costs']['parameters'] / 1e6:.2f} M "
        f"parameters and {best['costs']['flops'] / 1e6:.1f} M multiply-adds",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"best architecture: {folder / 'best.json'}", highlight=False, soft_wrap=True)
