"""Search a benchmark many times within a budget of labels; leave the curves in a run folder."""

from __future__ import annotations

import logging
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.table import TableEvaluator, rows_of
from nasp_lightning.job.base import Content, Job
from nasp_lightning.report.finished_search import print_search
from nasp_lightning.run.config import Component, RunInfo, Settings
from nasp_lightning.run.folder import Config
from nasp_lightning.run.repeats import Repeat, read_repeat, remove_repeats, watched, write_repeat
from nasp_lightning.run.results import Codes
from nasp_lightning.run.search_results import SearchResults
from nasp_lightning.search.base import Search, whole
from nasp_lightning.study.curves import (
    budgets,
    make_curves,
    measured,
    recommended,
    write_curves,
)
from nasp_lightning.study.estimation_code import code_costs
from nasp_lightning.study.front import front_results, write_fronts
from nasp_lightning.study.levels import TableLevels
from nasp_lightning.study.searched import MOST_REPEATS, describe_source, make_evaluator
from nasp_lightning.study.settings import StudySettings, make_space
from nasp_lightning.study.surrogate import TableSurrogate

log = logging.getLogger(__name__)

CODES = "queried_codes"  # of a repeat, beside what the strategy returned
JOB_SETTINGS = ("repeats",)  # of the group `search`, that are not the strategy's


def run(config: Config, folder: Path, table: BenchmarkTable | None = None) -> Content:
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
    return SearchJob(RunInfo.of(config), folder, table).once()


class SearchJob(Job[SearchResults]):
    """The job; see :func:`run`."""

    strategy: Search
    evaluator: TableEvaluator
    surrogate: TableSurrogate | None
    repeats: int

    def __init__(self, info: RunInfo, folder: Path, table: BenchmarkTable | None = None) -> None:
        super().__init__(info, folder)
        self.settings, self.table = StudySettings.of(info), table
        self.search: Component[Search] = info.component("search")
        self.chosen: Component[TableEvaluator] = info.component("evaluator")
        self.hashes = search_hashes(info)

    def prepare(self) -> None:
        """Load the table; make the strategy, its evaluator, and a predictor where it needs one."""
        settings = self.settings
        self.strategy = strategy = make_strategy(self.search)
        self.repeats = count_repeats(self.search.settings.get("repeats"))
        self.info.check_seed()
        space = make_space(settings.space, settings.predictor if strategy.needs_predictor else None)
        table = settings.benchmark.load() if self.table is None else self.table
        chosen = (self.chosen, settings.benchmark)
        self.evaluator = make_evaluator(*chosen, table, space, strategy.labels)
        strategy.check(self.evaluator)
        self.surrogate = None
        if strategy.needs_predictor:
            parts = (settings, table, space, self.folder)
            if strategy.needs_levels:
                self.surrogate = TableLevels(*parts, levels=1 + len(self.evaluator.fidelities))
            else:
                self.surrogate = TableSurrogate(*parts)
        elif settings.code_name is not None:
            raise NaspError(
                f"estimation_code={settings.code_name}: {self.search.word} has no predictor that "
                "could read it; set estimation_code=none"
            )
        if self.surrogate is not None and strategy.needs_posterior:
            self.surrogate.check_posterior()

    def describe(self) -> str:
        """What is searched, how, with how many labels, how often."""
        if self.settings.training.logger is not None:
            log.warning("job=search writes files only: logger is left out")
        evaluator = self.evaluator
        for name, metric in evaluator.lower_metrics.items():
            if metric != evaluator.label_metric:
                log.warning(
                    "evaluator.fidelities: labels at %s are %s, while full ones are %s: the source "
                    "has no other",
                    *(name, metric, evaluator.label_metric),
                )
        unit = "label equivalents" if evaluator.fidelities else "labels"
        return (
            f"{describe_source(self.settings.benchmark, evaluator)}; {self.search.name}, "
            f"{self.strategy.labels} {unit}, {self.repeats} repeats; run folder {self.folder}"
        )

    def do(self) -> SearchResults:
        """All repeats but those that a killed run left, and what they found."""
        key, finished = self.info.config_hash, []
        for number in watched(range(self.repeats), "search"):
            repeat = read_repeat(self.folder, number, key)
            if repeat is None:
                repeat = self.repeat(number)
                write_repeat(self.folder, number, key, repeat)
            finished.append(repeat)
        evaluator, labels = self.evaluator, self.strategy.labels
        curves = make_curves(finished, evaluator, labels)
        write_curves(self.folder, curves)
        write_fronts(self.folder, finished, evaluator)
        surrogate, settings = self.surrogate, self.settings
        neural = surrogate is not None and surrogate.neural
        return SearchResults(
            origin=self.info.origin(),
            method_hash=self.hashes[0],
            family_hash=self.hashes[1],
            source=settings.benchmark.table_source(evaluator.table, evaluator.size),
            repeats=self.repeats,
            search=self.search.name,
            settings=_own_settings(self.search),
            anytime=self.strategy.anytime,
            labels=labels,
            predictor=None if surrogate is None else settings.predictor.name,
            estimation_code=settings.code_name,
            loss=settings.loss if neural else None,
            variant={} if surrogate is None else dict(settings.variant),
            label_metric=evaluator.label_metric,
            label_reduction=evaluator.reduction,
            test_metric=evaluator.test_metric,
            best_reachable=evaluator.best,
            found=measured(curves, finished, evaluator),
            budgets=budgets(finished, evaluator),
            recommended=recommended(curves, self.strategy.recommend, evaluator),
            front=front_results(
                [repeat.rows for repeat in finished],
                [repeat.labels for repeat in finished],
                evaluator,
                curves.marks,
                curves.counts,
            ),
            codes=None if surrogate is None else _codes(surrogate, finished, labels),
        )

    def repeat(self, number: int) -> Repeat:
        """One search, its randomness a function of the seed and the repeat's number."""
        evaluator, surrogate = self.evaluator, self.surrogate
        evaluator.reset()
        if surrogate is not None:
            surrogate.restart()
        began = time.perf_counter()
        rng = np.random.default_rng(self.info.seed * MOST_REPEATS + number)
        with _few_threads(self.info.threads, surrogate):
            extras = self.strategy.run(evaluator, rng, surrogate)
        if surrogate is not None:
            extras = {**extras, CODES: np.array(surrogate.data.queried_codes)}
        lower = evaluator.fidelities
        return Repeat(
            rows=rows_of(evaluator.history),
            labels=evaluator.accuracies,
            seconds=np.nan if evaluator.seconds is None else evaluator.seconds,
            wall_seconds=time.perf_counter() - began,
            extras=extras,
            spent_at=evaluator.spent_at,
            bought=np.array([len(evaluator.lower_history(name)[0]) for name in lower], dtype=int),
            spent=evaluator.spent,
        )

    def keep(self, results: SearchResults) -> Content:
        """Write the results, and delete the repeats that they were made of."""
        content = super().keep(results)
        remove_repeats(self.folder)
        return content

    def tell(self, results: SearchResults) -> None:
        """Print what was found beside what random search would have found in expectation."""
        print_search(results, self.folder)


def _few_threads(
    threads: int | None, surrogate: TableSurrogate | None
) -> AbstractContextManager[object]:
    """One thread for NumPy's products: a classical predictor's are small, more take longer."""
    if surrogate is None or surrogate.neural:
        return nullcontext()
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(threads or 1, user_api="blas")
    return limits


def search_hashes(info: RunInfo) -> tuple[str, str]:
    """What all seeds and numbers of repeats share, and what all numbers of labels share too."""
    free = {"train_size": None}
    return (
        info.changed_method_hash(search={"repeats": None}),
        info.changed_method_hash(search={"repeats": None, **free}, data=free),
    )


def make_strategy(search: Component[Search]) -> Search:
    """The strategy of a choice of ``search``."""
    own: Component[Search] = Component(search.group, _own(search.settings))
    return own.build()


def _own(settings: Settings) -> dict[str, object]:
    """What a strategy, and the one within it, are built from."""
    return {
        name: _own(item) if isinstance(item, dict) and "_target_" in item else item
        for name, item in settings.items()
        if name not in JOB_SETTINGS
    }


def _own_settings(search: Component[Search]) -> dict[str, object]:
    return {
        name: item
        for name, item in search.settings.items()
        if name not in ("_target_", *JOB_SETTINGS)
    }


def count_repeats(repeats: object) -> int:
    """``search.repeats``, checked: with the seed it makes the repeats' seeds."""
    count = whole("repeats", repeats)
    if count > MOST_REPEATS:
        raise NaspError(
            f"search.repeats={count}: at most {MOST_REPEATS}; further ones are further seeds, "
            "such as -m seed=0,1,2, which the report puts together"
        )
    return count


def _codes(surrogate: TableSurrogate, repeats: list[Repeat], labels: int) -> Codes:
    """What the extra inputs that a repeat used cost, in the mean."""
    codes = float(np.mean([float(repeat.extras.get(CODES, 0)) for repeat in repeats]))
    return code_costs(surrogate.data.code, codes, labels)
