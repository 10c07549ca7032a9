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

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.data.choosing import choose_top
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.evaluator.table import TableEvaluator, rows_of
from nasp_lightning.job.base import Content, Job
from nasp_lightning.metric.functional import (
    best_percent_in_top_k,
    bootstrap_interval,
    kendall_tau,
    kendall_tau_top_tenth,
)
from nasp_lightning.report.finished_search import print_search
from nasp_lightning.run.config import Component, RunInfo, Settings
from nasp_lightning.run.folder import Config
from nasp_lightning.run.repeats import Repeat, read_repeat, remove_repeats, watched, write_repeat
from nasp_lightning.run.search_results import Intervals, SearchResults
from nasp_lightning.study.curves import make_curves, measured, write_curves
from nasp_lightning.study.estimation_code import code_costs
from nasp_lightning.study.repeated import How, Repeated, RepeatedFit
from nasp_lightning.study.searched import MOST_REPEATS, describe_source, make_evaluator
from nasp_lightning.study.settings import StudySettings, make_data, make_space

log = logging.getLogger(__name__)

DRAW_TIES = 7  # tells the order of ties from the seed's other uses


def run(config: Config, folder: Path, table: BenchmarkTable | None = None) -> Content:
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
    return NPlusK(RunInfo.of(config), folder, table).once()


@dataclass(frozen=True)
class Plan:
    """N, K, and how often: of the groups ``data`` and ``job``, checked."""

    train_size: int
    top_k: int
    repeats: int
    how: How

    @property
    def labels(self) -> int:
        """N + K."""
        return self.train_size + self.top_k

    @property
    def words(self) -> str:
        """The settings that make it."""
        return f"data.train_size={self.train_size} + job.top_k={self.top_k}"

    @classmethod
    def of(cls, job: Settings, data: Settings) -> Plan:
        """Read and check the settings.

        Raises:
            NaspError: for one that cannot be.
        """
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
        if data.get("train_on_validation"):
            raise NaspError("data.train_on_validation=true does not go with job=n_plus_k")
        train_size = check_whole("data.train_size", data["train_size"], 2)
        how = How(job.get("batched"), chunk, bool(job.get("compile")))
        return cls(train_size, top_k, repeats, how)

    def check(self, evaluator: TableEvaluator) -> None:
        """Refuse more labels than there are architectures, or than the budget allows.

        Raises:
            NaspError: with the remedy.
        """
        if self.labels > evaluator.size:
            raise NaspError(
                f"{self.words} are {self.labels} labels, but the benchmark has {evaluator.size} "
                "architectures that can be evaluated: lower one of them"
            )
        if evaluator.budget is not None and self.labels > evaluator.budget:
            raise NaspError(
                f"{self.words} are {self.labels} labels, more than "
                f"evaluator.budget={evaluator.budget}: lower one of them, or raise the budget"
            )


class NPlusK(Job[SearchResults]):
    """The job; see :func:`run`."""

    plan: Plan
    data: ArchitectureData
    evaluator: TableEvaluator
    repeated: Repeated

    def __init__(self, info: RunInfo, folder: Path, table: BenchmarkTable | None = None) -> None:
        super().__init__(info, folder)
        self.settings, self.table = StudySettings.of(info), table
        self.chosen: Component[TableEvaluator] = info.component("evaluator")
        self.hashes = plan_hashes(info)

    def prepare(self) -> None:
        """Check the plan, load the table, find out how the repeats can be computed."""
        self.plan = Plan.of(self.info.job, self.settings.data.settings)
        self.info.check_seed()
        settings = self.settings
        space = make_space(settings.space, settings.predictor)
        table = settings.benchmark.load() if self.table is None else self.table
        chosen = (self.chosen, settings.benchmark)
        self.evaluator = make_evaluator(*chosen, table, space, self.plan.labels)
        self.plan.check(self.evaluator)
        self.data = make_data(settings, table, space)
        self.repeated = Repeated(settings, self.folder, self.data, self.plan.how)

    def describe(self) -> str:
        """What is searched, N, K, how often and how."""
        plan, repeated = self.plan, self.repeated
        at_once = f"{repeated.chunk} at once" if repeated.batched else "one after another"
        return (
            f"{describe_source(self.settings.benchmark, self.evaluator)}; N = {plan.train_size}, "
            f"K = {plan.top_k}, {plan.repeats} repeats, {at_once}; run folder {self.folder}"
        )

    def do(self) -> SearchResults:
        """All repeats, and what they found."""
        settings, evaluator, data, plan = self.settings, self.evaluator, self.data, self.plan
        finished = self.repeat()
        curves = make_curves(finished, evaluator)
        write_curves(self.folder, curves)
        codes = float(np.mean([float(repeat.extras["codes"]) for repeat in finished]))
        return SearchResults(
            origin=self.info.origin(),
            method_hash=self.hashes[0],
            family_hash=self.hashes[1],
            source=settings.benchmark.table_source(evaluator.table, evaluator.size),
            repeats=plan.repeats,
            search="n_plus_k",
            settings={"train_size": plan.train_size, "top_k": plan.top_k},
            anytime=False,
            labels=plan.labels,
            predictor=settings.predictor.name,
            estimation_code=settings.code_name,
            loss=self.repeated.loss,
            variant=dict(settings.variant),
            label_metric=evaluator.label_metric,
            label_reduction=evaluator.reduction,
            test_metric=evaluator.test_metric,
            best_reachable=evaluator.best,
            found=measured(curves, finished, evaluator),
            codes=code_costs(data.code, codes, plan.labels),
            intervals=self.intervals(curves.best[:, -1], finished),
        )

    def repeat(self) -> list[Repeat]:
        """All repeats: those that a killed run left, and the others in chunks."""
        key, plan = self.info.config_hash, self.plan
        found = {number: read_repeat(self.folder, number, key) for number in range(plan.repeats)}
        missing = [number for number, repeat in found.items() if repeat is None]
        first = self.info.seed * MOST_REPEATS
        chunks = _chunks(missing, self.repeated.chunk)
        for chunk in watched(chunks, "n_plus_k", "parts of the repeats"):
            began = time.perf_counter()
            fits = self.repeated.fit([first + number for number in chunk])
            share = (time.perf_counter() - began) / len(chunk)
            for number, fitted in zip(chunk, fits, strict=True):
                repeat = evaluate_top(fitted, self.evaluator, plan.top_k, share)
                write_repeat(self.folder, number, key, repeat)
                found[number] = repeat
        return [repeat for repeat in found.values() if repeat is not None]

    def intervals(self, best: Array, repeats: Sequence[Repeat]) -> Intervals:
        """Intervals over the repeats, what was evaluated, correlations.

        Args:
            best: ``[R]`` mean test accuracy of what each repeat found.
            repeats: R of them.
        """
        evaluator, top_k = self.evaluator, self.plan.top_k
        tau = np.array([float(repeat.extras["tau"]) for repeat in repeats])
        top = np.array([evaluator.truth[item.rows[-top_k:]].max() for item in repeats])
        true = np.array([evaluator.truth[item.rows].max() for item in repeats])
        low, high = bootstrap_interval(best)
        return Intervals(
            framework=self.settings.framework.name,
            batched=self.repeated.batched,
            compiled=self.repeated.compiled,
            best_found_interval=[low, high],
            regret_interval=[evaluator.best - high, evaluator.best - low],
            interval="95 % percentile bootstrap of the mean over the repeats",
            # Not what a user would find: the best by true accuracy, whichever label each had.
            best_true_in_all_mean=float(true.mean()),
            best_true_in_top_k_mean=float(top.mean()),
            kendall_tau_mean=float(tau.mean()),
            kendall_tau_std=float(tau.std(ddof=1)) if len(tau) > 1 else None,
            kendall_tau_interval=list(bootstrap_interval(tau)),
            best_percent_in_top_k_mean=_mean(repeats, "best_percent"),
            kendall_tau_top_tenth_mean=_mean(repeats, "tau_top_tenth"),
        )

    def keep(self, results: SearchResults) -> Content:
        """Write the results, and delete the repeats that they were made of."""
        content = super().keep(results)
        remove_repeats(self.folder)
        return content

    def tell(self, results: SearchResults) -> None:
        """Print what was found beside what random search would have found in expectation."""
        print_search(results, self.folder)


def plan_hashes(info: RunInfo) -> tuple[str, str]:
    """What all seeds and numbers of repeats share, and what all N share too."""
    how = {"repeats": None, "batched": None, "chunk": None}
    return (
        info.changed_method_hash(job=how),
        info.changed_method_hash(job=how, data={"train_size": None}),
    )


def _mean(repeats: Sequence[Repeat], name: str) -> float | None:
    """Mean of an extra; None where a repeat that an older version had kept lacks it."""
    found = [float(repeat.extras[name]) for repeat in repeats if name in repeat.extras]
    return float(np.mean(found)) if len(found) == len(repeats) else None


def _chunks(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]


def evaluate_top(
    fitted: RepeatedFit, evaluator: TableEvaluator, top_k: int, seconds: float
) -> Repeat:
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
    ranking = fitted.scores[test], data.true_accuracy[test]
    return Repeat(
        rows=rows_of(evaluator.history),
        labels=evaluator.accuracies,
        seconds=np.nan if evaluator.seconds is None else evaluator.seconds,
        wall_seconds=seconds,
        extras={
            "tau": np.array(kendall_tau(*ranking)),
            "best_percent": np.array(best_percent_in_top_k(*ranking, top_k)),
            "tau_top_tenth": np.array(kendall_tau_top_tenth(*ranking)),
            "codes": np.array(data.queried_codes),
        },
    )
