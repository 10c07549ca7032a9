"""Search a benchmark many times within a budget of labels; leave the curves in a run folder."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hydra.utils import get_class, instantiate
from rich.console import Console
from rich.table import Table

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.evaluator.table import TableEvaluator, rows_of
from nasp_lightning.report.finished import cost_text
from nasp_lightning.run.construction import constructing
from nasp_lightning.run.folder import config_hash, method_hash, run_once, stem
from nasp_lightning.run.process import quiet_lightning
from nasp_lightning.run.provenance import source, versions
from nasp_lightning.run.repeats import Repeat, read_repeat, remove_repeats, watched, write_repeat
from nasp_lightning.run.variant import variant
from nasp_lightning.search.base import Search, whole
from nasp_lightning.search.random import expected_accuracy
from nasp_lightning.storage import atomic_path, csv_text, write_json, write_text
from nasp_lightning.study.estimation_code import code_costs, code_name
from nasp_lightning.study.front import front_results
from nasp_lightning.study.parts import make_space
from nasp_lightning.study.surrogate import TableSurrogate

log = logging.getLogger(__name__)

Config = dict[str, Any]

FORMAT = "nasp_lightning.search/1"
MARKS = (10, 20, 50, 100, 150, 200, 300, 500, 1000)  # labels at which results.json has the regret
MOST_REPEATS = 1000  # repeat i of seed s draws from 1000 s + i
CODES = "queried_codes"  # of a repeat, beside what the strategy returned
JOB_SETTINGS = ("repeats",)  # of the group `search`, that are not the strategy's


def run(config: Config, folder: Path, table: BenchmarkTable | None = None) -> Config:
    """Repeat a search, write ``results.json`` and ``curves.npz``.

    Each finished repeat is kept, so that a run that was killed goes on with the next one.

    Args:
        config: resolved config, as printed by ``nasp --cfg job --resolve job=search``.
        folder: the run's folder.
        table: the benchmark, if it is loaded already.

    Returns:
        The content of ``results.json``.

    Raises:
        NaspError: for whatever the user can put right.
    """
    return run_once(config, folder, lambda: _search(config, folder, table))


def _search(config: Config, folder: Path, table: BenchmarkTable | None) -> Config:
    quiet_lightning()
    strategy = make_strategy(config)
    repeats = count_repeats(config)
    with constructing("space"):
        space = make_space(config, predictor_class(config) if strategy.needs_predictor else None)
    if table is None:
        with constructing("benchmark"):
            table = instantiate(config["benchmark"]["table"])
    assert table is not None
    evaluator = make_evaluator(config, table, space, strategy.labels)
    strategy.check(evaluator)
    surrogate = TableSurrogate(config, table, space, folder) if strategy.needs_predictor else None
    if surrogate is None and code_name(config) is not None:
        raise NaspError(
            f"estimation_code={code_name(config)}: search={stem(config['search']['_target_'])} has "
            "no predictor that could read it; set estimation_code=none"
        )
    if surrogate is not None and stem(config["search"]["_target_"]) == "bonas":
        surrogate.check_posterior()
    describe(config, evaluator, strategy, repeats, folder)
    key = config_hash(config)
    finished = []
    for number in watched(range(repeats), "search"):
        repeat = read_repeat(folder, number, key)
        if repeat is None:
            evaluator.reset()
            if surrogate is not None:
                surrogate.data.coded[:] = False
            began = time.perf_counter()
            rng = np.random.default_rng(config["seed"] * MOST_REPEATS + number)
            extras = strategy.run(evaluator, rng, surrogate)
            if surrogate is not None:
                extras = {**extras, CODES: np.array(surrogate.data.queried_codes)}
            repeat = Repeat(
                rows=rows_of(evaluator.history),
                labels=evaluator.accuracies,
                seconds=np.nan if evaluator.seconds is None else evaluator.seconds,
                wall_seconds=time.perf_counter() - began,
                extras=extras,
            )
            write_repeat(folder, number, key, repeat)
        finished.append(repeat)
    curves = make_curves(finished, evaluator)
    results = {
        **identity(config, evaluator, strategy, surrogate, repeats),
        **measured(curves, finished, evaluator),
        **front_results(curves.rows, curves.labels, evaluator, label_marks(strategy.labels)),
        **(code_results(surrogate, finished, strategy.labels) if surrogate is not None else {}),
        "versions": versions(),
    }
    write_curves(folder, curves)
    write_fronts(folder, finished, evaluator)
    write_json(folder / "results.json", results)
    remove_repeats(folder)
    print_summary(results, folder)
    return results


def make_strategy(config: Config) -> Search:
    """The strategy of a config."""
    with constructing("search"):
        strategy: Search = instantiate(_own(config["search"]))
    return strategy


def _own(settings: Config) -> Config:
    """What a strategy, and the one within it, are built from."""
    return {
        name: _own(item) if isinstance(item, dict) and "_target_" in item else item
        for name, item in settings.items()
        if name not in JOB_SETTINGS
    }


def count_repeats(config: Config) -> int:
    """``search.repeats``, checked; the seed too, since both make the repeats' seeds."""
    repeats, seed = whole("repeats", config["search"].get("repeats")), config["seed"]
    if repeats > MOST_REPEATS:
        raise NaspError(
            f"search.repeats={repeats}: at most {MOST_REPEATS}; further ones are further seeds, "
            "such as -m seed=0,1,2, which the report puts together"
        )
    check_whole("seed", seed, 0)
    return repeats


def predictor_class(config: Config) -> Any:
    """Class of the config's predictor, which says what encodings it prefers."""
    with constructing("predictor"):
        return get_class(config["predictor"]["_target_"])


def make_evaluator(
    config: Config, table: BenchmarkTable, space: Any, labels: int
) -> TableEvaluator:
    """The evaluator of a config; without a budget of its own, the planned labels are the bound."""
    benchmark, settings = config["benchmark"], dict(config["evaluator"])
    if settings.get("budget") is None:
        settings["budget"] = labels
    with constructing("evaluator"):
        evaluator: TableEvaluator = instantiate(settings)(
            table=table,
            space=space,
            dataset=benchmark["dataset"],
            epochs=benchmark["epochs"],
            reduction=benchmark["reduction"],
            failed_below=benchmark["failed_below"],
        )
    return evaluator


def describe(
    config: Config, evaluator: TableEvaluator, strategy: Search, repeats: int, folder: Path
) -> None:
    """Write the resolved config and say what begins."""
    write_text(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    write_json(folder / "versions.json", versions())
    if (config.get("logger") or {}).get("_target_"):
        log.warning("job=search writes files only: logger is left out")
    log.info(
        "%s: %d architectures (%s%s), %s on %s; %s, %d labels, %d repeats; run folder %s",
        *(config["benchmark"]["name"], evaluator.size, config["benchmark"]["source"]),
        ", PARTIAL" if evaluator.table.provenance.get("partial") else "",
        *(evaluator.label_metric, evaluator.dataset, stem(config["search"]["_target_"])),
        *(strategy.labels, repeats, folder),
    )


@dataclass(frozen=True)
class Curves:
    """What was found after each label; R repeats of L labels.

    Attributes:
        rows: ``[R, L]`` int64, rows of the table in the order of their evaluation.
        labels: ``[R, L]`` float64, what the search saw.
        best: ``[R, L]`` float64, mean test accuracy of the architecture with the best label so far.
        regret: ``[R, L]`` float64, best reachable accuracy minus ``best``.
    """

    rows: Array
    labels: Array
    best: Array
    regret: Array


def make_curves(repeats: list[Repeat], evaluator: TableEvaluator) -> Curves:
    """Trajectories of what validation accuracy selects, judged by mean test accuracy."""
    rows = np.stack([repeat.rows for repeat in repeats])
    labels = np.stack([repeat.labels for repeat in repeats])
    risen = labels > np.maximum.accumulate(
        np.concatenate([np.full((len(labels), 1), -np.inf), labels[:, :-1]], axis=1), axis=1
    )
    places = np.maximum.accumulate(np.where(risen, np.arange(labels.shape[1]), 0), axis=1)
    best = evaluator.truth[np.take_along_axis(rows, places, axis=1)]
    return Curves(rows, labels, best, evaluator.best - best)


def identity(
    config: Config,
    evaluator: TableEvaluator,
    strategy: Search,
    surrogate: TableSurrogate | None,
    repeats: int,
) -> Config:
    """What a number is a number of: config, benchmark, budget, protocol."""
    search = {**config["search"], "repeats": None}
    method = {**config, "search": search}
    small = {**config["data"], "train_size": None}
    family = {**method, "search": {**search, "train_size": None}, "data": small}
    return {
        "format": FORMAT,
        **source(config, evaluator.table),
        "method_hash": method_hash(method),
        "family_hash": method_hash(family),
        "dataset": evaluator.dataset,
        "epochs": evaluator.epochs,
        "space_size": evaluator.size,
        "repeats": repeats,
        "search": stem(config["search"]["_target_"]),
        "settings": {
            name: item
            for name, item in config["search"].items()
            if name not in ("_target_", *JOB_SETTINGS)
        },
        "anytime": strategy.anytime,
        "labels": strategy.labels,
        "predictor": stem(config["predictor"]["_target_"]) if surrogate is not None else None,
        "estimation_code": code_name(config),
        "loss": config["task"]["loss"] if surrogate is not None and surrogate.neural else None,
        "variant": variant(config) if surrogate is not None else {},
        "label_metric": evaluator.label_metric,
        "label_reduction": evaluator.reduction,
        "test_metric": evaluator.test_metric,
        "best_reachable": evaluator.best,
    }


def label_marks(labels: int) -> list[int]:
    """Numbers of labels that results have numbers for."""
    return sorted({mark for mark in MARKS if mark < labels} | {labels})


def measured(curves: Curves, repeats: list[Repeat], evaluator: TableEvaluator) -> Config:
    """Means and standard deviations over the repeats."""
    marks = label_marks(curves.best.shape[1])
    rows = evaluator.rows
    expected = expected_accuracy(evaluator.row_labels[rows], evaluator.truth[rows], marks)
    seconds = np.array([repeat.seconds for repeat in repeats])
    return {
        "best_found_mean": float(curves.best[:, -1].mean()),
        "best_found_std": _deviation(curves.best[:, -1]),
        "regret_mean": float(curves.regret[:, -1].mean()),
        "regret_std": _deviation(curves.regret[:, -1]),
        "regret_at": {
            str(mark): {
                "mean": float(curves.regret[:, mark - 1].mean()),
                "std": _deviation(curves.regret[:, mark - 1]),
                "random_expected": evaluator.best - float(accuracy),
            }
            for mark, accuracy in zip(marks, expected, strict=True)
        },
        # What even a search that labelled all would lose by selecting on validation accuracy.
        "regret_of_best_label": evaluator.best
        - float(evaluator.truth[rows[evaluator.row_labels[rows].argmax()]]),
        "found_best_share": float((curves.regret[:, -1] <= 0).mean()),
        "training_seconds_mean": float(seconds.mean()) if np.isfinite(seconds).all() else None,
        "wall_seconds_mean": float(np.mean([repeat.wall_seconds for repeat in repeats])),
    }


def code_results(surrogate: TableSurrogate, repeats: list[Repeat], labels: int) -> Config:
    """What the extra inputs that a repeat used cost, in the mean."""
    codes = float(np.mean([float(repeat.extras.get(CODES, 0)) for repeat in repeats]))
    return code_costs(surrogate.data.code, codes, labels)


def _deviation(values: Array) -> float | None:
    return float(values.std(ddof=1)) if len(values) > 1 else None


def write_curves(folder: Path, curves: Curves) -> None:
    """``curves.npz``: see :class:`Curves`, with mean and standard deviation of the regret."""
    regret = curves.regret
    with atomic_path(folder / "curves.npz") as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            rows=curves.rows.astype(np.int32),
            labels=curves.labels.astype(np.float32),
            best=curves.best.astype(np.float32),
            regret=regret.astype(np.float32),
            regret_mean=regret.mean(axis=0),
            regret_std=regret.std(axis=0, ddof=1) if len(regret) > 1 else regret[0] * np.nan,
        )


def write_fronts(folder: Path, repeats: list[Repeat], evaluator: TableEvaluator) -> None:
    """``fronts.csv``: the Pareto front of each repeat, where the strategy has one."""
    if not all("front" in repeat.extras for repeat in repeats):
        return
    lines: list[list[object]] = []
    width = repeats[0].extras["front_cost"][:1].size
    costs = ["cost", *(f"cost_{number}" for number in range(2, width + 1))]
    for number, repeat in enumerate(repeats):
        rows = repeat.extras["front_cost"].reshape(len(repeat.extras["front"]), -1)
        for place, cost in zip(repeat.extras["front"], rows, strict=True):
            row = int(repeat.rows[place])
            item = evaluator.architectures(np.array([row]))[0]
            name = evaluator.space.to_string(item.operations, item.adjacency)
            accuracy = float(evaluator.truth[row])
            lines.append([number, name, f"{repeat.labels[place]:.6f}", f"{accuracy:.6f}", *cost])
    fields = ["repeat", "architecture", "label", "test_accuracy", *costs]
    write_text(folder / "fronts.csv", csv_text(fields, lines))


def print_summary(results: Config, folder: Path) -> None:
    """Print what was found, beside what random search would have found in expectation."""
    table = Table(
        title=f"{results['benchmark']} {results['dataset']}: {results['search']}"
        + (f" with {results['predictor']}" if results["predictor"] else "")
    )
    for column in ("labels", "regret", "± standard error", "random search, expected"):
        table.add_column(column, justify="right")
    for mark, values in results["regret_at"].items():
        if not results["anytime"] and int(mark) != results["labels"]:
            continue
        error = (
            ""
            if values["std"] is None
            else f"{100 * values['std'] / results['repeats'] ** 0.5:.3f}"
        )
        table.add_row(
            mark, f"{100 * values['mean']:.3f}", error, f"{100 * values['random_expected']:.3f}"
        )
    console = Console(width=None if Console().is_terminal else 110)
    console.print(table)
    spread = results["best_found_std"]
    console.print(
        f"mean test accuracy of what was found: {100 * results['best_found_mean']:.2f}"
        + ("" if spread is None else f" ± {100 * spread:.2f}")
        + f" %; best reachable: {100 * results['best_reachable']:.2f} %",
        highlight=False,
    )
    console.print(
        f"{results['repeats']} repeats of {results['labels']} labels, "
        f"{results['wall_seconds_mean']:.2f} s each",
        highlight=False,
    )
    if results["training_seconds_mean"] is not None:
        hours = results["training_seconds_mean"] / 3600
        console.print(
            f"training that a repeat would have cost: {hours:,.0f} hours", highlight=False
        )
    if results.get("queried_codes"):
        console.print(f"in the mean, {cost_text(results)}", highlight=False)
    console.print(f"results: {folder / 'results.json'}", highlight=False, soft_wrap=True)
