"""N + K: predictors trained on N labels rank a benchmark, their top K are evaluated; many runs.

The protocol of Siamese-NAS (arXiv 2210.00546, section 4 and Figures 5 to 7). Unlike
``job=search search=ranking`` the N labels are those of any training framework, such as Batch Top
Sampling; run r of seed 0 is the run of ``job=train_predictor seed=r``. Where the predictor allows
it, all runs are trained as one computation (:mod:`~nasp_lightning.study.lockstep`).

Example:
    ``python -m nasp_lightning job=n_plus_k +experiment=spikenas_siamese_bts``
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hydra.utils import instantiate

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.evaluator.table import TableEvaluator, rows_of
from nasp_lightning.framework.part.sampling_plan import choose_top
from nasp_lightning.job.search import (
    FORMAT,
    MOST_REPEATS,
    make_curves,
    make_evaluator,
    measured,
    print_summary,
    write_curves,
)
from nasp_lightning.metric.functional import bootstrap_interval, kendall_tau
from nasp_lightning.run.construction import constructing
from nasp_lightning.run.folder import config_hash, method_hash, run_once, stem
from nasp_lightning.run.process import quiet_lightning
from nasp_lightning.run.provenance import source, versions
from nasp_lightning.run.repeats import Repeat, read_repeat, remove_repeats, watched, write_repeat
from nasp_lightning.run.variant import variant
from nasp_lightning.storage import write_json, write_text
from nasp_lightning.study.estimation_code import code_costs, code_name
from nasp_lightning.study.parts import make_data, make_space
from nasp_lightning.study.repeated import Fitted, Repeated

log = logging.getLogger(__name__)

Config = dict[str, Any]

DRAW_TIES = 7  # tells the order of ties from the seed's other uses


def run(config: Config, folder: Path, table: BenchmarkTable | None = None) -> Config:
    """Train, rank and evaluate R times; write ``results.json`` and ``curves.npz``.

    Finished repeats are kept, so that a run that was killed goes on with the next ones.

    Args:
        config: resolved config, as printed by ``nasp --cfg job --resolve job=n_plus_k``.
        folder: the run's folder.
        table: the benchmark, if it is loaded already.

    Returns:
        The content of ``results.json``.

    Raises:
        NaspError: for whatever the user can put right.
    """
    return run_once(config, folder, lambda: _evaluate(config, folder, table))


@dataclass(frozen=True)
class Settings:
    """Of the group ``job``, checked."""

    repeats: int
    top_k: int
    batched: bool | None
    chunk: int | None
    compiled: bool

    @classmethod
    def of(cls, config: Config) -> Settings:
        """The settings of a config.

        Raises:
            NaspError: for one that cannot be.
        """
        job = config["job"]
        repeats = check_whole("job.repeats", job["repeats"])
        if repeats > MOST_REPEATS:
            raise NaspError(
                f"job.repeats={repeats}: at most {MOST_REPEATS}; further ones are further seeds, "
                "such as -m seed=0,1, which the report puts together"
            )
        top_k, chunk = check_whole("job.top_k", job["top_k"]), job.get("chunk")
        if chunk is not None:
            check_whole("job.chunk", chunk)
        for name in ("batched", "compile"):
            if job.get(name) not in (None, True, False):
                raise NaspError(f"job.{name}={job[name]}: it must be true, false or null")
        check_whole("seed", config["seed"], 0)
        if config["data"].get("train_on_validation"):
            raise NaspError("data.train_on_validation=true does not go with job=n_plus_k")
        return cls(repeats, top_k, job.get("batched"), chunk, bool(job.get("compile")))


def _evaluate(config: Config, folder: Path, table: BenchmarkTable | None) -> Config:
    quiet_lightning()
    settings = Settings.of(config)
    with constructing("predictor"):
        make_predictor = instantiate(config["predictor"])
    with constructing("space"):
        space = make_space(config, make_predictor)
    if table is None:
        with constructing("benchmark"):
            table = instantiate(config["benchmark"]["table"])
    assert table is not None
    labels = _plan(config, settings)
    evaluator = make_evaluator(config, table, space, labels)
    _check_budget(config, settings, evaluator)
    data = make_data(config, table, space)
    how = (settings.batched, settings.chunk, settings.compiled)
    repeated = Repeated(config, folder, data, *how)
    _describe(config, evaluator, settings, repeated, folder)
    finished = _repeat(config, folder, settings, repeated, evaluator)
    curves = make_curves(finished, evaluator)
    results = {
        **_identity(config, evaluator, settings, data, repeated),
        **measured(curves, finished, evaluator),
        **_further(curves.best[:, -1], finished, evaluator, settings, data),
        "versions": versions(),
    }
    write_curves(folder, curves)
    write_json(folder / "results.json", results)
    remove_repeats(folder)
    print_summary(results, folder)
    return results


def _plan(config: Config, settings: Settings) -> int:
    """N + K."""
    return check_whole("data.train_size", config["data"]["train_size"], 2) + settings.top_k


def _check_budget(config: Config, settings: Settings, evaluator: TableEvaluator) -> None:
    labels = _plan(config, settings)
    plan = f"data.train_size={config['data']['train_size']} + job.top_k={settings.top_k}"
    if labels > evaluator.size:
        raise NaspError(
            f"{plan} are {labels} labels, but the benchmark has {evaluator.size} architectures "
            "that can be evaluated: lower one of them"
        )
    if evaluator.budget is not None and labels > evaluator.budget:
        raise NaspError(
            f"{plan} are {labels} labels, more than evaluator.budget={evaluator.budget}: lower "
            "one of them, or raise the budget"
        )


def _repeat(
    config: Config,
    folder: Path,
    settings: Settings,
    repeated: Repeated,
    evaluator: TableEvaluator,
) -> list[Repeat]:
    """All repeats: those that a killed run left, and the others in chunks."""
    key = config_hash(config)
    found = {number: read_repeat(folder, number, key) for number in range(settings.repeats)}
    missing = [number for number, repeat in found.items() if repeat is None]
    first = config["seed"] * MOST_REPEATS
    for chunk in watched(_chunks(missing, repeated.chunk), "n_plus_k", "parts of the repeats"):
        began = time.perf_counter()
        fits = repeated.fit([first + number for number in chunk])
        share = (time.perf_counter() - began) / len(chunk)
        for number, fitted in zip(chunk, fits, strict=True):
            repeat = evaluate_top(fitted, evaluator, settings.top_k, share)
            write_repeat(folder, number, key, repeat)
            found[number] = repeat
    return [repeat for repeat in found.values() if repeat is not None]


def _chunks(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]


def evaluate_top(fitted: Fitted, evaluator: TableEvaluator, top_k: int, seconds: float) -> Repeat:
    """Have the evaluator count the training labels and those of the predicted top K.

    Args:
        fitted: scores of the space and the labelled rows, in the order in which they were bought.
        evaluator: with room for N + K labels; it is reset.
        top_k: K best predicted of those without a label; ties in a random order.
        seconds: that the repeat took.
    """
    data = fitted.data
    evaluator.reset()
    bought = evaluator.evaluate_rows(fitted.labelled)
    assert np.allclose(bought, data.all_labels[fitted.labelled])
    rows = np.random.default_rng([data.seed, DRAW_TIES]).permutation(evaluator.rows)
    evaluator.evaluate_rows(choose_top(fitted.scores[rows], rows, fitted.labelled, top_k))
    test = data.split.test
    return Repeat(
        rows=rows_of(evaluator.history),
        labels=evaluator.accuracies,
        seconds=np.nan if evaluator.seconds is None else evaluator.seconds,
        wall_seconds=seconds,
        extras={
            "tau": np.array(kendall_tau(fitted.scores[test], data.true_accuracy[test])),
            "codes": np.array(data.queried_codes),
        },
    )


def _identity(
    config: Config,
    evaluator: TableEvaluator,
    settings: Settings,
    data: ArchitectureData,
    repeated: Repeated,
) -> Config:
    """What a number is a number of; ``family_hash`` is that of all N and K."""
    how = {"repeats": None, "batched": None, "chunk": None}
    method = {**config, "job": {**config["job"], **how}}
    free = {**config["data"], "train_size": None}
    family = {**method, "data": free}
    return {
        "format": FORMAT,
        **source(config, evaluator.table),
        "method_hash": method_hash(method),
        "family_hash": method_hash(family),
        "dataset": evaluator.dataset,
        "epochs": evaluator.epochs,
        "space_size": evaluator.size,
        "repeats": settings.repeats,
        "search": "n_plus_k",
        "settings": {"train_size": data.train_size, "top_k": settings.top_k},
        "anytime": False,
        "labels": data.train_size + settings.top_k,
        "predictor": stem(config["predictor"]["_target_"]),
        "framework": stem(config["framework"]["_target_"]),
        "estimation_code": code_name(config),
        "loss": repeated.loss,
        "variant": variant(config),
        "batched": repeated.batched,
        "compiled": repeated.compiled,
        "label_metric": evaluator.label_metric,
        "label_reduction": evaluator.reduction,
        "test_metric": evaluator.test_metric,
        "best_reachable": evaluator.best,
    }


def _further(
    best: Array,
    repeats: Sequence[Repeat],
    evaluator: TableEvaluator,
    settings: Settings,
    data: ArchitectureData,
) -> Config:
    """Intervals, what was evaluated, correlations, codes."""
    tau = np.array([float(repeat.extras["tau"]) for repeat in repeats])
    codes = float(np.mean([float(repeat.extras["codes"]) for repeat in repeats]))
    top = np.array([evaluator.truth[item.rows[-settings.top_k :]].max() for item in repeats])
    true = np.array([evaluator.truth[item.rows].max() for item in repeats])
    low, high = bootstrap_interval(best)
    return {
        "best_found_interval": [low, high],
        "regret_interval": [evaluator.best - high, evaluator.best - low],
        "interval": "95 % percentile bootstrap of the mean over the repeats",
        # Not what a user would find: the best by true accuracy, whichever label each had.
        "best_true_in_all_mean": float(true.mean()),
        "best_true_in_top_k_mean": float(top.mean()),
        "kendall_tau_mean": float(tau.mean()),
        "kendall_tau_std": float(tau.std(ddof=1)) if len(tau) > 1 else None,
        "kendall_tau_interval": list(bootstrap_interval(tau)),
        **code_costs(data.code, codes, data.train_size + settings.top_k),
    }


def _describe(
    config: Config,
    evaluator: TableEvaluator,
    settings: Settings,
    repeated: Repeated,
    folder: Path,
) -> None:
    write_text(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    write_json(folder / "versions.json", versions())
    at_once = f"{repeated.chunk} at once" if repeated.batched else "one after another"
    log.info(
        "%s: %d architectures (%s%s), %s on %s; N = %d, K = %d, %d repeats, %s; run folder %s",
        *(config["benchmark"]["name"], evaluator.size, config["benchmark"]["source"]),
        ", PARTIAL" if evaluator.table.provenance.get("partial") else "",
        *(evaluator.label_metric, evaluator.dataset, config["data"]["train_size"]),
        *(settings.top_k, settings.repeats, at_once, folder),
    )
