"""Figures of what is known before a training against the accuracy after it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasp_lightning.report.figure.style import COLOURS, save_figure, styled_figure
from nasp_lightning.report.values import Values

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HIDDEN = 0.1  # worst share that a figure does not show
WIDE = 20  # a column whose greatest number is so many times its median is drawn by rank
POINTS = 4_000  # more hide each other


def plot(values: Values, folder: Path, across: int = 4) -> list[Path]:
    """Write ``<benchmark>_<dataset>_<source>_<columns>.png`` and ``.svg``, a panel a column.

    Raises:
        NaspError: if matplotlib is not installed or the folder cannot be written.
    """
    names = list(values.columns)
    down = math.ceil(len(names) / across)
    across = min(across, len(names))
    with styled_figure(3.1 * across + 0.6, 2.8 * down + 0.6) as figure:
        axes = np.atleast_1d(figure.subplots(down, across, sharey=True)).ravel()
        for place, (name, panel) in enumerate(zip(names, axes, strict=False)):
            _draw(panel, values, name)
            if place % across == 0:
                panel.set_ylabel(f"{values.metric.split('/')[1].replace('_', ' ')} (%)")
        for panel in axes[len(names) :]:
            panel.set_visible(False)
        axes[0].legend(frameon=False, fontsize=8, markerscale=2.5)
        benchmark, dataset, source = values.name
        count = int(np.isfinite(values.accuracy).sum())
        figure.suptitle(
            f"{benchmark}, {dataset}, source {source}: {count:,} architectures, without the "
            f"worst {HIDDEN:.0%}"
        )
        parts = "_".join(names if len(names) <= 2 else [names[0].partition("_")[0], "and_others"])
        return save_figure(figure, folder, f"{'_'.join(values.name)}_{parts}")


def _draw(panel: Axes, values: Values, name: str) -> None:
    given = values.columns[name]
    known = np.flatnonzero(np.isfinite(given) & np.isfinite(values.accuracy))
    if len(known) > POINTS:
        known = np.random.default_rng(0).choice(known, POINTS, replace=False)
    scores, accuracy = given[known], values.accuracy[known]
    minus = "minus " if name.startswith("loss_") else ""
    by_rank = np.abs(scores).max() > WIDE * max(float(np.median(np.abs(scores))), 1e-12)
    if by_rank:
        scores = scores.argsort(kind="stable").argsort(kind="stable") / len(scores)
    for share, colour in zip((1.0, 0.5, 0.1), (COLOURS[4], COLOURS[0], COLOURS[1]), strict=True):
        inside = accuracy >= np.quantile(accuracy, 1 - share)
        label = "all" if share == 1 else f"best {share:.0%}"
        panel.scatter(
            scores[inside],
            100 * accuracy[inside],
            s=5,
            color=colour,
            label=label,
            alpha=0.6,
            linewidths=0,
            rasterized=True,
        )
    low, high = np.quantile(accuracy, HIDDEN), accuracy.max()  # those that failed take the height
    panel.set_ylim(*100 * np.array([low, high + 0.05 * (high - low)]))
    panel.set_xlabel(minus + name.replace("_", " ") + (" (rank)" if by_rank else ""))
    panel.grid(alpha=0.25, linewidth=0.6)
