"""Searches in the report: regret against the number of labels, as a table and as figures.

A strategy that can be stopped at any label (random, evolution, BONAS) gives one curve; ranking
("N + K") gives one point for each total budget that was run, and those of one family (the same
but for N) are joined.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasp_lightning.error import NaspError
from nasp_lightning.report.figure.style import look, save_figure, styled_figure
from nasp_lightning.report.method import departures, variant_text
from nasp_lightning.run.folder import stem
from nasp_lightning.storage import csv_text

if TYPE_CHECKING:  # the report starts without numpy
    import numpy.typing as npt
    from rich.console import Console

FORMAT = "nasp_lightning.search/1"
MARKS = (50, 100, 150, 200)
LEGEND_INSIDE = 6  # methods; the legend of more stands beside the figure
SAME = 1e-9  # regret below which the best was found
FIELDS = (
    *("method", "benchmark", "dataset", "source", "space_size", "labels", "repeats"),
    *("regret_mean", "regret_std", "regret_standard_error", "best_found_mean"),
    *("best_found_std", "best_reachable", "label_metric", "test_metric"),
    *("regret_low", "regret_high", "queried_codes", "code_labels"),
    *("found_best", "kendall_tau_mean", "kendall_tau_low", "kendall_tau_high"),
)


@dataclass(frozen=True)
class SearchRun:
    """One finished run of ``job=search``: its ``results.json`` and curves.

    Attributes:
        content: of ``results.json``.
        regret: ``[R, L]`` regret of each repeat after each label.
        best: ``[R, L]`` accuracy found, likewise.
    """

    folder: Path
    content: dict[str, Any]
    regret: npt.NDArray[Any]
    best: npt.NDArray[Any]


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
    """A strategy on a data set: what it is, and its points by rising number of labels."""

    name: str
    content: dict[str, Any]
    points: tuple[Point, ...]

    def at(self, labels: int) -> Point | None:
        """The point at exactly so many labels."""
        return next((point for point in self.points if point.labels == labels), None)


def find_searches(folders: Sequence[Path]) -> tuple[list[SearchRun], list[tuple[Path, str]]]:
    """Finished searches in folders, and those that are damaged, with the reason."""
    runs: dict[tuple[str, int], SearchRun] = {}
    damaged = []
    for path in folders:
        for file in sorted(path.rglob("results.json")) if path.is_dir() else [path]:
            content = _content(file)
            if content.get("format") != FORMAT:
                continue
            try:
                run = read_search(file.parent, content)
            except NaspError as error:
                damaged.append((file.parent, str(error)))
            else:
                runs.setdefault((content["config_hash"], content["seed"]), run)
    return list(runs.values()), damaged


def _content(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}  # the other half of the report names it
    return content if isinstance(content, dict) else {}


def read_search(folder: Path, content: dict[str, Any]) -> SearchRun:
    """One run with its curves.

    Raises:
        NaspError: if the curves are absent or damaged, or a field is missing.
    """
    import numpy as np

    needed = ("config_hash", "family_hash", "seed", "anytime", "search", "predictor", "settings")
    shown = ("benchmark", "dataset", "source", "space_size", "label_metric", "test_metric")
    for name in (*needed, *shown, "best_reachable", "labels", "variant", "data_hash"):
        if name not in content:
            raise NaspError(f"no {name}")
    try:
        with np.load(folder / "curves.npz", allow_pickle=False) as file:
            regret, best = file["regret"].astype(float), file["best"].astype(float)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise NaspError("curves.npz is absent or damaged") from error
    if regret.ndim != 2 or not regret.size or regret.shape != best.shape:
        raise NaspError("curves.npz is absent or damaged")
    return SearchRun(folder, content, regret, best)


def summarise_searches(runs: Sequence[SearchRun]) -> list[Method]:
    """Methods by benchmark and data set; seeds are put together, and budgets of one family."""

    def family(run: SearchRun) -> tuple[str, ...]:
        return (*_panel(run.content), run.content["family_hash"], run.content["data_hash"])

    methods = []
    for _, group in groupby(sorted(runs, key=lambda run: tuple(map(str, family(run)))), key=family):
        members = list(group)
        content = members[0].content
        methods.append(Method(_name(content), content, tuple(_points(members))))
    named = [
        (method.content["benchmark"], method.content["dataset"], method.name) for method in methods
    ]
    return sorted(
        (
            method
            if named.count(identity) == 1
            else Method(f"{method.name} [{method.content['family_hash'][:6]}]", *_rest(method))
            for method, identity in zip(methods, named, strict=True)
        ),
        key=lambda method: (*map(str, _panel(method.content)), method.name),
    )


def _rest(method: Method) -> tuple[dict[str, Any], tuple[Point, ...]]:
    return method.content, method.points


def _panel(content: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(content[name] for name in ("benchmark", "dataset", "source", "space_size"))


def _name(content: dict[str, Any]) -> str:
    if content["search"] == "n_plus_k":  # variants have names of their own in its experiments
        if content["anytime"]:
            return f"{content['name']}, N={content['settings'].get('train_size', '?')}"
        return f"{content['name']}, N+{content['settings'].get('top_k', '?')}"
    name = str(content["search"])
    evolution = content["settings"].get("evolution") or {}
    if "_target_" in evolution:  # of a search over a predictor's score
        name += f" {stem(evolution['_target_'])}"
    if content["predictor"]:
        name += f" {content['predictor']}"
        if content.get("loss") not in (None, "mse"):
            name += f" ({content['loss']})"
    if not content["anytime"]:
        name += f", N+{content['settings'].get('top_k', '?')}"
    predictor = str(content["predictor"] or "")
    own = departures(str(content["benchmark"]), predictor, content["variant"]) if predictor else {}
    return f"{name}, {variant_text(own)}" if own else name


def _points(runs: Sequence[SearchRun]) -> Iterator[Point]:
    import numpy as np

    from nasp_lightning.metric.functional import bootstrap_interval

    lengths = sorted({run.regret.shape[1] for run in runs})
    anytime = bool(runs[0].content["anytime"])
    begin = 1 + runs[0].content.get("begin", 0)
    for labels in range(begin, lengths[-1] + 1) if anytime else lengths:
        chosen = [
            run
            for run in runs
            if run.regret.shape[1] == labels or (anytime and run.regret.shape[1] > labels)
        ]
        regret = np.concatenate([run.regret[:, labels - 1] for run in chosen])
        best = np.concatenate([run.best[:, labels - 1] for run in chosen])
        several = len(regret) > 1
        yield Point(
            labels,
            len(regret),
            float(regret.mean()),
            float(regret.std(ddof=1)) if several else math.nan,
            float(best.mean()),
            float(best.std(ddof=1)) if several else math.nan,
            None if anytime or not several else bootstrap_interval(regret),
            *(_mean_of(chosen, "queried_codes"), _mean_of(chosen, "code_labels")),
            float((regret <= SAME).mean()),
            _mean_of(chosen, "kendall_tau_mean"),
            _only(chosen, "kendall_tau_interval"),
        )


def _only(runs: Sequence[SearchRun], name: str) -> tuple[float, float] | None:
    """An interval of the results, where one run stands alone; several's cannot be put together."""
    found = runs[0].content.get(name) if len(runs) == 1 else None
    return None if found is None else (float(found[0]), float(found[1]))


def _mean_of(runs: Sequence[SearchRun], name: str) -> float | None:
    """Mean over repeats of an entry of the results, None where a run lacks it."""
    values = [run.content.get(name) for run in runs]
    if any(value is None for value in values):
        return None
    repeats = [len(run.regret) for run in runs]
    weighted = sum(float(value or 0) * count for value, count in zip(values, repeats, strict=True))
    return weighted / sum(repeats)


def print_regret(methods: Sequence[Method], console: Console) -> None:
    """A table for each data set: mean regret in percentage points, ± its standard error."""
    from rich.table import Table
    from rich.text import Text

    for key, group in groupby(methods, key=lambda method: _panel(method.content)):
        listed = list(group)
        content = listed[0].content
        table = Table(
            title=f"{key[0]}, {key[1]}, source {key[2]} ({key[3]} architectures): regret in points "
            f"of {content['test_metric']}, best reachable {100 * content['best_reachable']:.2f} %"
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
    own = [point.labels for item in methods if not item.content["anytime"] for point in item.points]
    return sorted(
        {*own} if all(not item.content["anytime"] for item in methods) else {*MARKS, *own}
    )


def _shown(point: Point | None) -> str:
    return "" if point is None else _percent(point.regret_mean, point.error, 3)


def _percent(mean: float, spread: float, digits: int) -> str:
    text = f"{100 * mean:.{digits}f}"
    return text if math.isnan(spread) else f"{text} ± {100 * spread:.{digits}f}"


def regret_csv(methods: Sequence[Method]) -> str:
    """Every method at :data:`MARKS` and at its own budgets, unrounded; accuracies are fractions."""
    lines: list[list[object]] = []
    for method in methods:
        content = method.content
        for point in method.points:
            between = content["anytime"] and point.labels not in MARKS
            if between and point is not method.points[-1]:
                continue
            numbers = (point.regret_mean, point.regret_std, point.error)
            found = (point.best_mean, point.best_std, content["best_reachable"])
            lines.append(
                [
                    *(method.name, *_panel(content), point.labels, point.repeats),
                    *("" if math.isnan(value) else repr(value) for value in (*numbers, *found)),
                    *(content["label_metric"], content["test_metric"]),
                    *(("", "") if point.interval is None else map(repr, point.interval)),
                    *(point.codes, point.code_labels, point.found_best, point.tau),
                    *(("", "") if point.tau_interval is None else map(repr, point.tau_interval)),
                ]
            )
    return csv_text(FIELDS, lines)


def plot_regret(methods: Sequence[Method], folder: Path, logarithmic: bool = False) -> list[Path]:
    """Write ``<benchmark>_<dataset>_<source>_<size>_regret.png`` and ``.svg``.

    Lines are means over repeats, bands one standard error; marks are budgets of strategies that
    cannot be stopped before, with 95 % bootstrap intervals, those of one budget side by side.

    Args:
        methods: of :func:`summarise_searches`.
        folder: where to.
        logarithmic: both axes, instead of linear ones.

    Raises:
        NaspError: if matplotlib is not installed or the folder cannot be written.
    """
    names = list(dict.fromkeys(method.name for method in methods))  # one colour in all figures
    written = []
    for key, panel in groupby(methods, key=lambda method: _panel(method.content)):
        group = list(panel)
        with styled_figure(7.2 if len(group) <= LEGEND_INSIDE else 10.4, 4.6) as figure:
            _draw(figure, group, names, logarithmic)
            written += save_figure(figure, folder, f"{'_'.join(map(str, key))}_regret")
    return written


def _draw(figure: Any, methods: Sequence[Method], names: Sequence[str], logarithmic: bool) -> None:
    axes = figure.subplots()
    if logarithmic:
        axes.set_xscale("log")
        axes.set_yscale("log")
    marks = [method for method in methods if not method.content["anytime"]]
    for method in methods:
        colour, marker, dashes = look(names.index(method.name))
        labels = [point.labels for point in method.points]
        means = [100 * point.regret_mean for point in method.points]
        errors = [0.0 if math.isnan(p.error) else 100 * p.error for p in method.points]
        if method.content["anytime"]:
            axes.plot(labels, means, color=colour, ls=dashes, linewidth=1.6, label=method.name)
            low = [mean - error for mean, error in zip(means, errors, strict=True)]
            high = [mean + error for mean, error in zip(means, errors, strict=True)]
            axes.fill_between(labels, low, high, color=colour, alpha=0.2, linewidth=0)
        else:
            bars: Any = errors
            if all(point.interval is not None for point in method.points):
                ends = [point.interval or (0.0, 0.0) for point in method.points]
                bars = [
                    [mean - 100 * low for mean, (low, _) in zip(means, ends, strict=True)],
                    [100 * high - mean for mean, (_, high) in zip(means, ends, strict=True)],
                ]
            places = _places(method, marks, logarithmic)
            style = {"marker": marker, "ls": dashes, "markersize": 6, "capsize": 2.5}
            axes.errorbar(places, means, bars, color=colour, label=method.name, lw=1.2, **style)
    _dress(axes, methods, logarithmic)
    if len(methods) <= LEGEND_INSIDE:
        axes.legend(frameon=False, fontsize=9)
    else:
        figure.legend(loc="outside right upper", frameon=False, fontsize=9)


def _places(method: Method, marks: Sequence[Method], logarithmic: bool) -> list[float]:
    """Where a method's marks stand: those of one budget side by side, in the middle at it."""
    at: dict[int, list[Method]] = {}
    for other in marks:
        for point in other.points:
            at.setdefault(point.labels, []).append(other)
    gaps = [later - earlier for earlier, later in pairwise(sorted(at))]
    step = min([0.012 * max(at), *(0.6 * gap / len(marks) for gap in gaps)])
    places = []
    for labels in (point.labels for point in method.points):
        aside = at[labels].index(method) - (len(at[labels]) - 1) / 2
        places.append(labels * 1.02**aside if logarithmic else labels + step * aside)
    return places


def _dress(axes: Any, methods: Sequence[Method], logarithmic: bool) -> None:
    shown = [
        100 * point.regret_mean
        for method in methods
        for point in method.points
        if point.labels >= 10 or len(method.points) == 1
    ]
    if logarithmic:
        from matplotlib.ticker import ScalarFormatter

        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(ScalarFormatter())
        positive = [value for value in shown if value > 0]
        if positive:
            axes.set_ylim(max(min(positive) / 1.5, 1e-3), 1.5 * max(positive))
    elif shown:  # the first few labels would take most of the height
        top = 1.1 * max(max(shown), 1e-3)
        axes.set_ylim(-0.02 * top, top)
    content = methods[0].content
    axes.set_xlabel("labels")
    axes.set_ylabel(f"regret (points of {content['test_metric'].replace('_', ' ')})")
    axes.set_title(
        f"{content['benchmark']}, {content['dataset']}: best reachable "
        f"{100 * content['best_reachable']:.2f} %",
        fontsize=11,
    )
    axes.grid(alpha=0.25, linewidth=0.6)
