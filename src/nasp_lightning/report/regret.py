"""Searches in the report: regret against the number of labels, as a table and as figures.

A strategy that can be stopped at any label (random, evolution, BONAS) gives one curve; ranking
("N + K") gives one point for each total budget that was run, and those of one family (the same
but for N) are joined.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from nasp_lightning.report.collect import SearchRun
from nasp_lightning.report.method import departures, variant_text
from nasp_lightning.run.folder import stem
from nasp_lightning.run.search_results import SearchResults
from nasp_lightning.storage import csv_text

if TYPE_CHECKING:
    from rich.console import Console

MARKS = (50, 100, 150, 200)
SAME = 1e-9  # regret below which the best was found
FIELDS = (
    *("method", "benchmark", "dataset", "source", "space_size", "labels", "repeats"),
    *("regret_mean", "regret_std", "regret_standard_error", "best_found_mean"),
    *("best_found_std", "best_reachable", "label_metric", "test_metric"),
    *("regret_low", "regret_high", "queried_codes", "code_labels"),
    *("found_best", "kendall_tau_mean", "kendall_tau_low", "kendall_tau_high"),
)


@dataclass(frozen=True)
class Point:
    """Regret after a number of labels, over all repeats, as fractions.

    ``interval`` is the 95 % bootstrap interval of its mean where a strategy has that point alone.
    ``codes`` are the architectures whose Estimation Codes a repeat used in the mean, and
    ``code_labels`` what these cost in labels; None where that is not stated. ``found_best`` is the
    share of repeats that found the best of all, ``tau`` Kendall's of the final ranking of the whole
    space, and ``tau_interval`` its bootstrap interval; None where a search ranks no space.
    """

    labels: int
    repeats: int
    regret_mean: float
    regret_std: float
    best_mean: float
    best_std: float
    interval: tuple[float, float] | None = None
    codes: float | None = None
    code_labels: float | None = None
    found_best: float | None = None
    tau: float | None = None
    tau_interval: tuple[float, float] | None = None

    @property
    def error(self) -> float:
        """Standard error of the mean regret; NaN for one repeat."""
        return self.regret_std / math.sqrt(self.repeats)


@dataclass(frozen=True)
class Method:
    """A strategy on a data set: what it is, and its points by rising number of labels.

    Attributes:
        results: of one of its runs, for everything that they have in common.
    """

    name: str
    results: SearchResults
    points: tuple[Point, ...]

    def at(self, labels: int) -> Point | None:
        """The point at exactly so many labels."""
        return next((point for point in self.points if point.labels == labels), None)

    @property
    def panel(self) -> tuple[str, str, str, int]:
        """Which table and figure it belongs to: benchmark, data set, source, size of the space."""
        return panel(self.results)


def panel(results: SearchResults) -> tuple[str, str, str, int]:
    """Benchmark, data set, source and size of the space: one table or figure for each."""
    source = results.source
    return source.benchmark, source.dataset, source.source, source.space_size


def summarise_searches(runs: Sequence[SearchRun]) -> list[Method]:
    """Methods by benchmark and data set; seeds are put together, and budgets of one family."""
    methods = []
    for _, group in groupby(sorted(runs, key=_family), key=_family):
        members = list(group)
        results = members[0].results
        methods.append(Method(_name(results), results, tuple(_points(members))))
        handed = [run.handed_over for run in members]
        if given := [run for run in handed if run is not None]:
            name = f"{_name(results)}, recommended"
            methods.append(Method(name, results, tuple(_points(given))))
    named = [(*method.panel[:2], method.name) for method in methods]
    told_apart = [
        method
        if named.count(identity) == 1
        else replace(method, name=f"{method.name} [{method.results.family_hash[:6]}]")
        for method, identity in zip(methods, named, strict=True)
    ]
    return sorted(told_apart, key=lambda method: (*map(str, method.panel), method.name))


def _family(run: SearchRun) -> tuple[str, ...]:
    results = run.results
    return (*map(str, panel(results)), results.family_hash, results.source.data_hash)


def _name(results: SearchResults) -> str:
    settings = results.settings
    if results.search == "n_plus_k":  # variants have names of their own in its experiments
        if results.anytime:
            return f"{results.origin.name}, N={settings.get('train_size', '?')}"
        return f"{results.origin.name}, N+{settings.get('top_k', '?')}"
    name = results.search + _lower_labels(results)
    evolution = settings.get("evolution")
    if isinstance(evolution, dict) and "_target_" in evolution:  # over a predictor's score
        name += f" {stem(evolution['_target_'])}"
    if results.predictor:
        name += f" {results.predictor}"
        if results.loss not in (None, "mse"):
            name += f" ({results.loss})"
    if not results.anytime:
        name += f", N+{settings.get('top_k', '?')}"
    if not results.predictor:
        return name
    own = departures(results.source.benchmark, results.predictor, results.variant)
    return f"{name}, {variant_text(own)}" if own else name


def _lower_labels(results: SearchResults) -> str:
    """Which accuracies at lower training budgets a search bought, beside full labels."""
    metrics, bought = results.budgets.fidelity_metrics, results.budgets.fidelity_labels_mean
    used = [name for name, mean in (bought or {}).items() if mean]
    told = [f"{(metrics or {}).get(name, '').replace('_', ' ')} at {name}" for name in used]
    return f" + {', '.join(told)}" if told else ""


def _points(runs: Sequence[SearchRun]) -> Iterator[Point]:
    lengths = sorted({run.regret.shape[1] for run in runs})
    anytime = runs[0].results.anytime
    begin = 1 + max(run.begin for run in runs)
    for labels in range(begin, lengths[-1] + 1) if anytime else lengths:
        chosen = [
            run
            for run in runs
            if run.regret.shape[1] == labels or (anytime and run.regret.shape[1] > labels)
        ]
        yield _point(chosen, labels, alone=not anytime)


def _point(runs: Sequence[SearchRun], labels: int, alone: bool) -> Point:
    """Runs after a number of labels; ``alone``: their only point, which has intervals."""
    import numpy as np

    from nasp_lightning.metric.functional import bootstrap_interval

    regret = np.concatenate([run.regret[:, labels - 1] for run in runs])
    best = np.concatenate([run.best[:, labels - 1] for run in runs])
    several = len(regret) > 1
    codes = [run.results.codes for run in runs]
    return Point(
        labels=labels,
        repeats=len(regret),
        regret_mean=float(regret.mean()),
        regret_std=float(regret.std(ddof=1)) if several else math.nan,
        best_mean=float(best.mean()),
        best_std=float(best.std(ddof=1)) if several else math.nan,
        interval=bootstrap_interval(regret) if alone and several else None,
        codes=_mean_of(runs, [None if code is None else code.queried_codes for code in codes]),
        code_labels=_mean_of(runs, [None if code is None else code.code_labels for code in codes]),
        found_best=float((regret <= SAME).mean()),
        tau=_mean_of(runs, [run.results.intervals.kendall_tau_mean for run in runs]),
        tau_interval=_tau_interval(runs),
    )


def _tau_interval(runs: Sequence[SearchRun]) -> tuple[float, float] | None:
    """Of the results, where one run stands alone; several's cannot be put together."""
    found = runs[0].results.intervals.kendall_tau_interval if len(runs) == 1 else None
    return None if found is None else (found[0], found[1])


def _mean_of(runs: Sequence[SearchRun], values: Sequence[float | None]) -> float | None:
    """Mean over repeats of a value of each run, None where a run lacks it."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    repeats = [len(run.regret) for run in runs]
    weighted = sum(value * count for value, count in zip(known, repeats, strict=True))
    return weighted / sum(repeats)


def print_regret(methods: Sequence[Method], console: Console) -> None:
    """A table for each data set: mean regret in percentage points, ± its standard error."""
    from rich.table import Table
    from rich.text import Text

    for key, group in groupby(methods, key=lambda method: method.panel):
        listed = list(group)
        results = listed[0].results
        table = Table(
            title=f"{key[0]}, {key[1]}, source {key[2]} ({key[3]} architectures): regret in points "
            f"of {results.test_metric}, best reachable {100 * results.best_reachable:.2f} %"
        )
        table.add_column("search")
        marks = _marks(listed)
        for mark in marks:
            table.add_column(f"{mark} labels", justify="right")
        table.add_column("best found at the end", justify="right")
        table.add_column("repeats", justify="right")
        for method in listed:
            last = method.points[-1]
            table.add_row(
                Text(method.name),
                *[_shown(method.at(mark)) for mark in marks],
                f"{_percent(last.best_mean, last.best_std, 2)} ({last.labels})",
                str(last.repeats),
            )
        console.print(table)


def _marks(methods: Sequence[Method]) -> list[int]:
    """Numbers of labels that a table has columns for."""
    own = [point.labels for item in methods if not item.results.anytime for point in item.points]
    return sorted({*own} if all(not item.results.anytime for item in methods) else {*MARKS, *own})


def _shown(point: Point | None) -> str:
    return "" if point is None else _percent(point.regret_mean, point.error, 3)


def _percent(mean: float, spread: float, digits: int) -> str:
    text = f"{100 * mean:.{digits}f}"
    return text if math.isnan(spread) else f"{text} ± {100 * spread:.{digits}f}"


def regret_csv(methods: Sequence[Method]) -> str:
    """Every method at :data:`MARKS` and at its own budgets, unrounded; accuracies are fractions."""
    lines: list[list[object]] = []
    for method in methods:
        results = method.results
        for point in method.points:
            between = results.anytime and point.labels not in MARKS
            if between and point is not method.points[-1]:
                continue
            numbers = (point.regret_mean, point.regret_std, point.error)
            found = (point.best_mean, point.best_std, results.best_reachable)
            lines.append(
                [
                    *(method.name, *method.panel, point.labels, point.repeats),
                    *("" if math.isnan(value) else repr(value) for value in (*numbers, *found)),
                    *(results.label_metric, results.test_metric),
                    *(("", "") if point.interval is None else map(repr, point.interval)),
                    *(point.codes, point.code_labels, point.found_best, point.tau),
                    *(("", "") if point.tau_interval is None else map(repr, point.tau_interval)),
                ]
            )
    return csv_text(FIELDS, lines)
