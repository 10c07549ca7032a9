"""Kendall's tau against the number of training labels, one figure for each benchmark."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from nasp_lightning.report.figure.style import (
    COLOURS,
    look,
    require_matplotlib,
    save_figure,
    styled_figure,
)
from nasp_lightning.report.row import Row

if TYPE_CHECKING:  # the report starts without numpy
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from nasp_lightning.array import Array

WIDTH = 8.6  # of a figure, inches
LETTERS = 100  # of a method's name in one line
PALE = 0.45  # opacity of what is shown for orientation only
MARGIN = 0.13  # decades left and right of the first and last split
LEAST_RANGE = 0.1  # of Kendall's tau on the vertical axis
SCATTER_POINTS = 5000  # more hide each other


@dataclass(frozen=True)
class Series:
    """One method of one test set: its rows by training size, and how it is drawn.

    Attributes:
        place: position among the methods of a split, 0 in their middle.
        slot: width of one place in decades, so that neighbours' error bars do not overlap.
    """

    method: str
    rows: tuple[Row, ...]
    colour: str
    marker: str
    place: float
    slot: float = 0.0

    def x(self, row: Row, aside: float = 0.0) -> float:
        """Training size of the split, moved to the method's place and ``aside`` places more."""
        return row.train_size * float(10 ** ((self.place + aside) * self.slot))


def plot_rows(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Write ``<benchmark>_<dataset>_<source>.png`` and ``.svg`` for each benchmark that was run.

    Filled markers are means over seeds with standard deviations as error bars; hollow markers
    beside them are published numbers, pale where they are not comparable with the run. Splits
    with a test set of their own (424/100) have a panel of their own.

    Raises:
        NaspError: if matplotlib is not installed or the folder cannot be written.
    """
    require_matplotlib()
    written = []
    for rows_of_figure in _figures(rows):
        names = dict.fromkeys(row.method for row in rows_of_figure)
        lines = math.ceil((len(names) + 2) / _legend_columns(names))
        with styled_figure(WIDTH, 4.8 + 0.19 * max(0, lines - 3)) as figure:
            _draw(figure, rows_of_figure)
            row = rows_of_figure[0]
            stem = f"{row.benchmark}_{row.dataset}_{row.source}_{row.space_size}"
            written += save_figure(figure, folder, stem)
    return written


def _figures(rows: Sequence[Row]) -> Iterator[list[Row]]:
    run = [row for row in rows if row.seeds]
    for _, group in groupby(run, key=lambda r: (r.benchmark, r.dataset, r.source, r.space_size)):
        yield list(group)


def _draw(figure: Figure, rows: Sequence[Row]) -> None:
    test_sizes = sorted({row.test_size for row in rows}, key=lambda size: (size != "all", size))
    widths = [1 + len({r.train_size for r in rows if r.test_size == size}) for size in test_sizes]
    panels = figure.subplots(1, len(test_sizes), sharey=True, squeeze=False, width_ratios=widths)[0]
    methods = list(dict.fromkeys(row.method for row in rows))
    for panel, test_size in zip(panels, test_sizes, strict=True):
        shown = [row for row in rows if row.test_size == test_size]
        for series in _series(shown, methods, _slot(shown, len(methods))):
            _draw_series(panel, series)
        _dress(panel, shown, test_size)
    panels[0].set_ylabel("Kendall's tau (mean ± std over seeds)")
    row = rows[0]
    figure.suptitle(f"{row.benchmark}, {row.dataset}, source {row.source}", fontsize=11)
    low, high = panels[0].get_ylim()
    spare = max(0.0, (LEAST_RANGE - (high - low)) / 2)  # a gap of 0.005 should look like one
    panels[0].set_ylim(low - spare, high + spare)
    _legend(figure, rows, methods)


def _slot(rows: Sequence[Row], methods: int) -> float:
    """Decades for each method beside its neighbour: readable, and no split touches the next."""
    places = sorted({math.log10(row.train_size) for row in rows})
    nearest = min((b - a for a, b in pairwise(places)), default=2 * MARGIN)
    span = places[-1] - places[0] + 2 * MARGIN
    return min(0.13 * span / (len(places) + 1), 0.75 * nearest / methods)


def _series(rows: Sequence[Row], methods: Sequence[str], slot: float = 0.0) -> Iterator[Series]:
    for index, method in enumerate(methods):
        yield Series(
            method,
            tuple(row for row in rows if row.method == method),
            *look(index)[:2],
            index - (len(methods) - 1) / 2,
            slot,
        )


def _draw_series(panel: Axes, series: Series) -> None:
    taus = [row.scores["kendall_tau"] for row in series.rows]
    panel.errorbar(
        [series.x(row, -0.2) for row in series.rows],
        [tau.mean for tau in taus],
        yerr=[math.nan if tau.deviation is None else tau.deviation for tau in taus],
        color=series.colour,
        marker=series.marker,
        markersize=5,
        linewidth=1.2,
        elinewidth=1.2,
        capsize=2.5,
        zorder=3,
    )
    for row in series.rows:
        if row.published is not None:
            panel.plot(
                [series.x(row, 0.25)],
                [row.published.kendall_tau],
                color=series.colour,
                marker=series.marker,
                markersize=6,
                markerfacecolor="white",
                markeredgewidth=1.2,
                linestyle="none",
                alpha=PALE if row.reasons else 1.0,
                zorder=4,
            )


def _dress(panel: Axes, rows: Sequence[Row], test_size: str) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    sizes = sorted({row.train_size for row in rows})
    panel.set_xscale("log")
    panel.set_xlim(sizes[0] / 10**MARGIN, sizes[-1] * 10**MARGIN)
    panel.xaxis.set_major_locator(FixedLocator(sizes))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xticklabels([f"{size:,}" for size in sizes])
    panel.grid(axis="y", color="0.9", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.set_xlabel("training labels of the split")
    tested = f"all {rows[0].space_size:,}" if test_size == "all" else test_size
    panel.set_title(f"ranking {tested} architectures", fontsize=10)


def _legend_columns(names: Iterable[str]) -> int:
    """As many as the figure is wide enough for, three at most."""
    longest = 0.55 + 0.07 * min(
        LETTERS, max(map(len, names))
    )  # inches: the mark, and letters of 9 points
    return max(1, min(3, int(WIDTH / longest)))


def _legend(figure: Figure, rows: Sequence[Row], methods: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            color=series.colour,
            marker=series.marker,
            label=textwrap.fill(series.method, LETTERS),
        )
        for series in _series(rows, methods)
    ]
    papers = [row for row in rows if row.published is not None]
    for shown, opacity, label in (
        (any(not row.reasons for row in papers), None, "published"),
        (any(row.reasons for row in papers), PALE, "published, not comparable"),
    ):
        if shown:
            handles.append(
                Line2D(
                    [],
                    [],
                    color="0.3",
                    marker="o",
                    markerfacecolor="white",
                    linestyle="none",
                    alpha=opacity,
                    label=label,
                )
            )
    columns = _legend_columns(methods)
    figure.legend(
        handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9
    )


def scatter(predicted: Array, true: Array, title: str = "") -> Figure:
    """Predicted against true accuracy, as a figure that a notebook shows.

    Above 5,000 architectures hexagons coloured by their count take the place of points, so that
    a whole space shows its density.

    Args:
        predicted: ``[N]`` predicted accuracies (rank losses: scores).
        true: ``[N]`` true accuracies, fractions.
        title: above the panel.

    Returns:
        A ``matplotlib.figure.Figure``; ``figure.savefig("scatter.png")`` writes it.

    Raises:
        NaspError: if matplotlib is not installed.
    """
    with styled_figure(5.2, 4.6) as figure:
        panel = figure.subplots()
        if len(predicted) > SCATTER_POINTS:
            drawn = panel.hexbin(predicted, true, gridsize=70, bins="log", mincnt=1)
            figure.colorbar(drawn, ax=panel, label="architectures")
        else:
            panel.scatter(predicted, true, s=9, color=COLOURS[0], alpha=PALE, linewidths=0)
        panel.set_xlabel("predicted")
        panel.set_ylabel("true accuracy")
        panel.set_title(title, fontsize=10)
    return figure
