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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from rich.console import Console
from torch import nn

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable, metric_name
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.evaluator.base import Candidate, arrays_of
from nasp_lightning.evaluator.part.predictor import PredictorEvaluator
from nasp_lightning.evaluator.part.supernet import SpaceEvaluator
from nasp_lightning.job import train_predictor
from nasp_lightning.job.base import Content, Job
from nasp_lightning.job.search import make_strategy
from nasp_lightning.job.train_predictor import Fit, fit_and_rank
from nasp_lightning.network.base import Costed
from nasp_lightning.network.build import options_of
from nasp_lightning.network.supernet import Supernet
from nasp_lightning.predictor.base import ClassicalPredictor, GradientPredictor
from nasp_lightning.predictor.part.scoring import score_all
from nasp_lightning.run.chain import leave
from nasp_lightning.run.config import Component, RunInfo
from nasp_lightning.run.folder import Config
from nasp_lightning.run.results import Best, NetworkSearchResults, Product
from nasp_lightning.search.base import Search
from nasp_lightning.search.nsga2 import pareto_front
from nasp_lightning.space.base import Space
from nasp_lightning.storage import csv_text, write_json, write_text
from nasp_lightning.study.settings import StudySettings

log = logging.getLogger(__name__)

ARCHITECTURE_FORMAT = "nasp_lightning.architecture/1"
COSTS = ("parameters", "flops")
SCALES = ("mse", "marginal_likelihood")  # losses whose scores are accuracies
CHUNK = 4096  # architectures encoded and scored at once


def run(config: Config, folder: Path, table: BenchmarkTable | None = None) -> Content:
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
    job = SearchNetwork(RunInfo.of(config), folder, table)
    content = job.once()
    leave(job.info.chain, "search", folder / "best.json")
    return content


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


class SearchNetwork(Job[NetworkSearchResults]):
    """The job; see :func:`run`."""

    writes_versions: ClassVar[bool] = False

    strategy: Search
    benchmark: BenchmarkTable
    evaluator: SpaceEvaluator
    rng: np.random.Generator
    fit: Fit

    def __init__(self, info: RunInfo, folder: Path, table: BenchmarkTable | None = None) -> None:
        super().__init__(info, folder)
        self.settings, self.table = StudySettings.of(info), table
        self.search: Component[Search] = info.component("search")
        self.network: Component[nn.Module] = info.component("network")

    def prepare(self) -> None:
        """Load the labels; make the strategy, and what knows the space and its costs."""
        settings, job = self.settings, self.info.job
        check_whole("job.count", job["count"])
        seed = self.info.check_seed()
        self.strategy = make_strategy(self.search)
        check_search(self.search, self.strategy, settings)
        self.benchmark = settings.benchmark.load() if self.table is None else self.table
        self.evaluator = make_evaluator(settings.space, self.network, job["image"], self.benchmark)
        self.rng = np.random.default_rng(seed)
        if self.strategy.caps is not None:
            self.strategy.caps.check(self.evaluator, self.rng)  # before the fit, which takes longer

    def describe(self) -> str:
        """Which strategy, over the score of which predictor."""
        return f"{self.search.name} over the score of {self.settings.predictor.name}"

    def do(self) -> NetworkSearchResults:
        """Fit the predictor, evolve over its score, write what was found."""
        self.fit = fit_and_rank(fitting(self.info), self.folder / "predictor", self.benchmark)
        found, seconds = self.evolve()
        chosen = np.argsort(-found.scores, kind="stable")[: self.info.job["count"]]
        described = [self.architecture(found, place) for place in chosen]
        for number, content in enumerate(described, 1):
            name = "best.json" if number == 1 else f"best_{number}.json"
            write_json(self.folder / name, content)
        front = write_front(self.folder, self.evaluator.space, found)
        draw(self.folder, self.evaluator.space, found, front, int(chosen[0]))
        settings, fitted = self.settings, self.fit.found
        source = settings.benchmark.table_source(self.benchmark, len(self.benchmark))
        caps = self.search.settings.get("caps") or {}
        return NetworkSearchResults(
            origin=self.info.origin(),
            benchmark=source.benchmark,
            source=source.source,
            source_file=source.source_file,
            source_sha256=source.source_sha256,
            partial=source.partial,
            data_hash=source.data_hash,
            product=Product(stage="search", name="best.json"),
            space=self.evaluator.space.name,
            search=self.search.name,
            caps=dict(caps),
            predictor=settings.predictor.name,
            framework=settings.framework.name,
            queried_labels=fitted.queried_labels,
            kendall_tau=fitted.scores.kendall_tau,
            scored_architectures=len(found.architectures),
            front_size=len(front),
            fit_seconds=fitted.fit_seconds or 0.0,
            search_seconds=seconds,
            best=Best(
                text=str(described[0]["text"]),
                predicted=float(found.scores[chosen[0]]),
                costs={name: int(values[chosen[0]]) for name, values in found.costs.items()},
                label=None if np.isnan(label := float(found.labels[chosen[0]])) else label,
            ),
        )

    def evolve(self) -> tuple[Found, float]:
        """All that the evolution scored, and its seconds."""
        evaluator = self.evaluator
        scored = PredictorEvaluator(evaluator, scorer(self.fit, evaluator.space))
        began = time.perf_counter()
        self.strategy.run(scored, self.rng)
        seconds = time.perf_counter() - began
        benchmark = self.settings.benchmark
        metric = metric_name(benchmark.dataset, "validation_accuracy", benchmark.epochs)
        history = scored.history
        found = Found(
            architectures=history,
            scores=scored.accuracies,
            costs={name: evaluator.cost(name, history) for name in COSTS},
            labels=known_labels(self.benchmark, metric, evaluator, history),
        )
        return found, seconds

    def architecture(self, found: Found, place: int) -> dict[str, object]:
        """The content of ``best.json``: all that is needed to build the network again."""
        item, label = found.architectures[place], found.labels[place]
        return {
            "format": ARCHITECTURE_FORMAT,
            "text": self.evaluator.space.to_string(item.operations, item.adjacency),
            "operations": item.operations.tolist(),
            "adjacency": None if item.adjacency is None else item.adjacency.tolist(),
            "space": dict(self.settings.space.settings),
            "network": {
                "_target_": self.network.target,
                **network_options(self.network, self.benchmark),
            },
            "predicted": float(found.scores[place]),
            "costs": {name: int(values[place]) for name, values in found.costs.items()},
            "label": None if np.isnan(label) else float(label),
            "predictor": self.settings.predictor.name,
            "kendall_tau": self.fit.found.scores.kendall_tau,
            "data": images_of(self.benchmark),
            "config_hash": self.info.config_hash,
        }

    def tell(self, results: NetworkSearchResults) -> None:
        """Print what was found and where it lies."""
        _print(results, self.folder)


def check_search(search: Component[Search], strategy: Search, settings: StudySettings) -> None:
    """Refuse strategies that label, and predictors that read more than an architecture."""
    if strategy.needs_predictor:
        raise NaspError(
            f"{search.word} labels what it proposes, and job=search_network has no labels but "
            "those of the benchmark: choose search=nsga2_score or search=spos"
        )
    if settings.data.settings.get("features") is not None or settings.code is not None:
        raise NaspError(
            "job=search_network scores architectures of which nothing else is known: set "
            "data.features=null and estimation_code=none"
        )


def fitting(info: RunInfo) -> RunInfo:
    """The run that the fit is: the config without what comes after it."""
    kept = {name: item for name, item in info.plain.items() if name not in ("search", "network")}
    target = f"{train_predictor.__name__}.{train_predictor.run.__name__}"
    return RunInfo.of({**kept, "job": {"_target_": target, "top_k": info.job["top_k"]}})


def make_evaluator(
    space: Component[Space], network: Component[nn.Module], image: int | None, table: BenchmarkTable
) -> SpaceEvaluator:
    """Knows the space and what its networks cost.

    Args:
        space: its choice.
        network: of an architecture.
        image: pixels for which costs are counted; None: those of the labels' images.
        table: the labels.

    Raises:
        NaspError: if the network cannot say what its architectures cost.
    """
    built, kind = space.build(), network.kind()
    if not isinstance(kind, type) or not issubclass(kind, Costed) or issubclass(kind, Supernet):
        raise NaspError(
            f"{network.word}: job=search_network needs the network "
            "of one architecture that knows its costs: choose network=mobilenet or network=darts"
        )
    options: dict[str, Any] = network_options(network, table)
    if "space" in inspect.signature(kind.costs).parameters:
        options["space"] = built
    side = image or images_of(table).get("side")
    if side is not None:
        options["image"] = side

    def costs(operations: Array, adjacency: Array | None) -> dict[str, Array]:
        return kind.costs(operations, adjacency, **options)

    return SpaceEvaluator(built, costs)


def images_of(table: BenchmarkTable) -> dict[str, object]:
    """What the table says of the images that its labels are from."""
    training = table.provenance.get("training") or {}
    found = training.get("data") if isinstance(training, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def network_options(network: Component[nn.Module], table: BenchmarkTable) -> dict[str, object]:
    """Options of the network, its classes those of the labels' images."""
    options = {
        name: item
        for name, item in options_of(network.settings).items()
        if name != "space"  # the config's own
    }
    classes = images_of(table).get("classes")
    return options if classes is None else {**options, "classes": classes}


def scorer(fit: Fit, space: Space) -> Callable[[Sequence[Candidate]], Array]:
    """Scores any architectures by a fitted predictor; as accuracies where it learnt those."""
    predictor = fit.predictor
    scale = fit.found.loss in SCALES and not predictor.ranks_only

    def score(items: Sequence[Candidate]) -> Array:
        parts = []
        for start in range(0, len(items), CHUNK):
            graphs = space.encode(*arrays_of(items[start : start + CHUNK]))
            if isinstance(predictor, ClassicalPredictor):
                parts.append(np.asarray(predictor.score(graphs), dtype=np.float64))
            elif isinstance(predictor, GradientPredictor):
                parts.append(score_all(predictor, graphs).double().numpy())
        scores = np.concatenate(parts)
        return fit.data.scale.restore(scores) if scale else scores

    return score


def known_labels(
    table: BenchmarkTable, metric: str, evaluator: SpaceEvaluator, items: Sequence[Candidate]
) -> Array:
    """``[n]`` labels of those architectures that the table has, NaN of the others."""
    values = table.metric(metric)[:, 0]
    known = {}
    for row, codes in enumerate(table.operations):
        matrix = None if table.adjacency is None else table.adjacency[row]
        known[evaluator.find(codes, matrix).key] = float(values[row])
    return np.array([known.get(item.key, np.nan) for item in items], dtype=np.float64)


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


def _print(results: NetworkSearchResults, folder: Path) -> None:
    console = Console(width=None if Console().is_terminal else 110)
    best, costs = results.best, results.best.costs
    console.print(
        f"{results.scored_architectures} architectures scored by {results.predictor} "
        f"({results.queried_labels} labels, Kendall's tau {results.kendall_tau:.3f}); best "
        f"predicted {best.predicted:.4f} with {costs['parameters'] / 1e6:.2f} M "
        f"parameters and {costs['flops'] / 1e6:.1f} M multiply-adds",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"best architecture: {folder / 'best.json'}", highlight=False, soft_wrap=True)
