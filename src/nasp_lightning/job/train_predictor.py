"""Fit one predictor on a benchmark, rank the whole space, leave everything in a run folder."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from hydra.utils import instantiate
from lightning.pytorch import Trainer, seed_everything
from torch import nn

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.callbacks.checkpoint import checkpoint_path
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.error import check_whole
from nasp_lightning.framework.base import Framework
from nasp_lightning.logger import closed_on_failure
from nasp_lightning.predictor.base import adopt
from nasp_lightning.run.construction import constructing
from nasp_lightning.run.folder import method_hash, run_once, stem
from nasp_lightning.run.process import quiet_lightning, set_threads
from nasp_lightning.run.provenance import source, versions
from nasp_lightning.run.recipe import not_followed
from nasp_lightning.run.variant import variant
from nasp_lightning.storage import atomic_path, locked, write_json, write_text
from nasp_lightning.study.estimation_code import (
    ask_for_all,
    check_reads,
    code_costs,
    code_name,
)
from nasp_lightning.study.neural import check_checkpoint, fit, make_logger, make_task
from nasp_lightning.study.parts import make_data, make_space
from nasp_lightning.study.ranking import ranking_results

log = logging.getLogger(__name__)

Config = dict[str, Any]


def run(config: Config, folder: Path, table: BenchmarkTable | None = None) -> Config:
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
    return run_once(config, folder, lambda: _fit_and_rank(config, folder, table).results)


@dataclass(frozen=True)
class Fit:
    """A fitted predictor with its data and results.

    Attributes:
        results: content of ``results.json``.
        scores: ``[N]`` predicted accuracy (rank losses: scores) of the whole space.
        data: the split and the true accuracies.
        predictor: the fitted module.
    """

    results: Config
    scores: Array
    data: ArchitectureData
    predictor: Any

    def rank(self) -> Array:
        """``[N]`` rows of the benchmark, best predicted first."""
        return np.argsort(-self.scores, kind="stable")

    def plot(self) -> Any:
        """Predicted against true accuracy, as a matplotlib figure."""
        from nasp_lightning.report.figure.plot import scatter

        test = self.data.split.test
        title = f"Kendall's tau {self.results['kendall_tau']:.3f}"
        return scatter(self.scores[test], self.data.true_accuracy[test], title)


def fit_and_rank(config: Config, folder: Path, table: BenchmarkTable | None = None) -> Fit:
    """As :func:`run`, and returns the fitted predictor too."""
    with locked(folder / ".run"):
        return _fit_and_rank(config, folder, table)


@closed_on_failure()
def _fit_and_rank(config: Config, folder: Path, table: BenchmarkTable | None) -> Fit:
    quiet_lightning()
    set_threads(config.get("threads"), fitting=True)
    with constructing("predictor"):
        make_predictor = instantiate(config["predictor"])
    with constructing("space"):
        space = make_space(config, make_predictor)
    if table is None:
        with constructing("benchmark"):
            table = instantiate(config["benchmark"]["table"])
    assert table is not None
    data = make_data(config, table, space)
    seed_everything(config["seed"], workers=False, verbose=False)
    with constructing("predictor"):
        made = make_predictor(shape=data.shape)
    predictor = adopt(made, stem(config["predictor"]["_target_"]))
    predictor.set_label_scale(data.mean, data.std)
    top_k = config["job"]["top_k"]
    check_whole("job.top_k", top_k)
    if not isinstance(predictor, nn.Module):
        return _fit_and_rank_classical(config, folder, table, data, predictor, top_k)
    check_reads(config, predictor, data)
    with constructing("framework"):
        framework: Framework = instantiate(config["framework"])
    task = make_task(config, predictor, data)
    max_epochs = framework.prepare(task, data, config["trainer"]["max_epochs"])

    def evaluate() -> Config:
        set_threads(config.get("threads"), fitting=False)
        scores = data.scores(predictor).double().numpy()
        set_threads(config.get("threads"), fitting=True)
        return ranking_results(scores, data, top_k)

    framework.evaluate = evaluate
    if checkpoint_path(folder).exists():  # before anything of another run is overwritten
        check_checkpoint(checkpoint_path(folder), config)
    describe(config, table, data, folder)
    ask_for_all(config, predictor, data)
    trainer, fit_seconds = fit(config, folder, task, data, framework, max_epochs)

    set_threads(config.get("threads"), fitting=False)
    began, waited = time.perf_counter(), data.code_seconds
    normalised = data.scores(predictor).double().numpy()
    rank_seconds = time.perf_counter() - began - (data.code_seconds - waited)
    scores = normalised if task.ranks_only else normalised * data.std + data.mean
    final = ranking_results(scores, data, top_k)
    queried = framework.queried_labels(data)
    costs = code_costs(data.code, data.queried_codes, queried)
    results = {
        **identity(config, table, data),
        "encoding": space.encoding,
        "loss": task.loss_name,
        **final,
        "queried_labels": queried,
        **costs,
        "fit_seconds": fit_seconds,
        "rank_seconds": rank_seconds,
        "code_seconds": data.code_seconds,
        "phases": {
            **{name: with_costs(phase, data) for name, phase in framework.phase_results.items()},
            task.phases[-1].name: {**final, "queried_labels": queried, **costs},
        },
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }
    write_predictions(folder, scores, data)
    write_json(folder / "results.json", results)
    summarise(config, results, folder)
    send_dashboard(trainer, results, scores, data)
    return Fit(results, scores, data, predictor)


def with_costs(phase: Config, data: ArchitectureData) -> Config:
    """A finished phase's results with the cost of its codes."""
    codes = phase.get("queried_codes", 0)
    return {**phase, **code_costs(data.code, codes, phase["queried_labels"])}


def _fit_and_rank_classical(
    config: Config,
    folder: Path,
    table: BenchmarkTable,
    data: ArchitectureData,
    predictor: Any,
    top_k: int,
) -> Fit:
    """The same for a predictor that is no module: no Lightning, no phases, no checkpoint."""
    from nasp_lightning.study.classical import check_classical, fit_classical

    check_classical(config, predictor)
    describe(config, table, data, folder)
    classical = fit_classical(config, data, predictor)
    final = {**ranking_results(classical.scores, data, top_k), **classical.results}
    results = {
        **identity(config, table, data),
        "encoding": data.space.encoding,
        **final,
        "phases": {stem(config["framework"]["_target_"]): final},
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }
    write_predictions(folder, classical.scores, data)
    write_json(folder / "results.json", results)
    summarise(config, results, folder)
    logger = make_logger(config, folder)
    if logger is not None:
        from nasp_lightning.logger import finish

        finish(logger, results, classical.scores, data)
    return Fit(results, classical.scores, data, predictor)


def identity(config: Config, table: BenchmarkTable, data: ArchitectureData) -> Config:
    """What a number is a number of: config, benchmark, split, protocol."""
    return {
        "format": "nasp_lightning.results/1",
        **source(config, table),
        "method_hash": method_hash(config),
        "dataset": data.dataset,
        "epochs": data.epochs,
        "space_size": len(table),
        "split": data.split_name,
        "train_size": data.train_size,
        "test_size": data.test_size,
        "validation_size": data.validation_size,
        "train_on_validation": data.train_on_validation,
        "predictor": stem(config["predictor"]["_target_"]),
        "framework": stem(config["framework"]["_target_"]),
        "estimation_code": code_name(config),
        "loss": config["task"]["loss"],
        "variant": variant(config),
        "train_metric": data.train_metric.quantity,
        "train_reduction": data.train_metric.reduction,
        "test_metric": data.test_metric.quantity,
        "test_reduction": data.test_metric.reduction,
    }


def describe(config: Config, table: BenchmarkTable, data: ArchitectureData, folder: Path) -> None:
    """Write the resolved config and say what begins."""
    write_text(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    write_json(folder / "versions.json", versions())
    log.info(
        "%s: %d architectures (%s%s), %s on %s; split %s, seed %d; run folder %s",
        *(config["benchmark"]["name"], len(table), config["benchmark"]["source"]),
        ", PARTIAL" if table.provenance.get("partial") else "",
        *(data.train_metric.quantity, data.dataset, data.split_name, data.seed, folder),
    )
    predictor = stem(config["predictor"]["_target_"])
    if told := not_followed(config["benchmark"]["name"], predictor, variant(config)):
        log.info("%s", told)


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


def summarise(config: Config, results: Config, folder: Path) -> None:
    """Print the summary table with the published number beside the measured one."""
    from nasp_lightning.report.finished import print_summary

    print_summary(results, folder)


def send_dashboard(
    trainer: Trainer, results: Config, scores: Array, data: ArchitectureData
) -> None:
    """Hand the final table and scatter to the logger, and finish its run."""
    from nasp_lightning.logger import finish

    if trainer.logger is not None:
        finish(trainer.logger, results, scores, data)
