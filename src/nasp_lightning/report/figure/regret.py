"""Figures of searches: regret against the number of labels, one for each data set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from nasp_lightning.report.figure.style import look, save_figure, styled_figure
from nasp_lightning.report.regret import Method

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEGEND_INSIDE = 6  # methods; the legend of more stands beside the figure


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
    for key, panel in groupby(methods, key=lambda method: method.panel):
        group = list(panel)
        with styled_figure(7.2 if len(group) <= LEGEND_INSIDE else 10.4, 4.6) as figure:
            _draw(figure, group, names, logarithmic)
            written += save_figure(figure, folder, f"{'_'.join(map(str, key))}_regret")
    return written


def _draw(
    figure: Figure, methods: Sequence[Method], names: Sequence[str], logarithmic: bool
) -> None:
    axes = figure.subplots()
    if logarithmic:
        axes.set_xscale("log")
        axes.set_yscale("log")
    marks = [method for method in methods if not method.results.anytime]
    for method in methods:
        colour, marker, dashes = look(names.index(method.name))
        labels = [point.labels for point in method.points]
        means = [100 * point.regret_mean for point in method.points]
        errors = [0.0 if math.isnan(p.error) else 100 * p.error for p in method.points]
        if method.results.anytime:
            axes.plot(labels, means, color=colour, ls=dashes, linewidth=1.6, label=method.name)
            low = [mean - error for mean, error in zip(means, errors, strict=True)]
            high = [mean + error for mean, error in zip(means, errors, strict=True)]
            axes.fill_between(labels, low, high, color=colour, alpha=0.2, linewidth=0)
        else:
            axes.errorbar(
                places(method, marks, logarithmic),
                means,
                _bars(method, means, errors),
                color=colour,
                label=method.name,
                lw=1.2,
                marker=marker,
                ls=dashes,
                markersize=6,
                capsize=2.5,
            )
    _dress(axes, methods, logarithmic)
    if len(methods) <= LEGEND_INSIDE:
        axes.legend(frameon=False, fontsize=9)
    else:
        figure.legend(loc="outside right upper", frameon=False, fontsize=9)


def _bars(
    method: Method, means: Sequence[float], errors: Sequence[float]
) -> Sequence[float] | list[list[float]]:
    """Error bars in points: the intervals where all marks have one, else standard errors."""
    if any(point.interval is None for point in method.points):
        return errors
    ends = [point.interval or (0.0, 0.0) for point in method.points]
    return [
        [mean - 100 * low for mean, (low, _) in zip(means, ends, strict=True)],
        [100 * high - mean for mean, (_, high) in zip(means, ends, strict=True)],
    ]


def places(method: Method, marks: Sequence[Method], logarithmic: bool) -> list[float]:
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


def _dress(axes: Axes, methods: Sequence[Method], logarithmic: bool) -> None:
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
    results = methods[0].results
    axes.set_xlabel("labels")
    axes.set_ylabel(f"regret (points of {results.test_metric.replace('_', ' ')})")
    axes.set_title(
        f"{results.source.benchmark}, {results.source.dataset}: best reachable "
        f"{100 * results.best_reachable:.2f} %",
        fontsize=11,
    )
    axes.grid(alpha=0.25, linewidth=0.6)
