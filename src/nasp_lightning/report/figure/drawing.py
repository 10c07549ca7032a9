"""Drawings of architectures, and of what a search found: for run folders and notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nasp_lightning.error import NaspError
from nasp_lightning.report.figure.genotype import draw_genotype
from nasp_lightning.report.figure.style import COLOURS, save_figure, styled_figure

if TYPE_CHECKING:  # the report starts without numpy
    from matplotlib.axes import Axes

    from nasp_lightning.array import Array
    from nasp_lightning.space.base import Space

BOX = {"boxstyle": "round,pad=0.3", "linewidth": 0.8, "edgecolor": "#444444"}
ROW = 8  # operations in a row where there are no stages
PALE = ("#cfe3f1", "#f6d9c4", "#cdebe0", "#f0dbe7", "#dcf0fa", "#fbe8c6", "#e6e6e6")


def draw_front(folder: Path, scores: Array, cost: Array, front: Array) -> list[Path]:
    """``front.png`` and ``front.svg``: predicted accuracy against multiply-adds.

    Args:
        folder: where to.
        scores: ``[n]`` of all that was scored.
        cost: ``[n]`` multiply-adds.
        front: places of the Pareto front.

    Raises:
        NaspError: if matplotlib is not installed or the folder cannot be written.
    """
    with styled_figure(6.4, 4.2) as figure:
        axes = figure.subplots()
        axes.scatter(cost / 1e6, scores, s=6, color="#bbbbbb", label="scored", linewidths=0)
        axes.scatter(
            cost[front] / 1e6, scores[front], s=18, color=COLOURS[0], label="front", linewidths=0
        )
        axes.set_xlabel("multiply-adds (millions)")
        axes.set_ylabel("predicted accuracy")
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.legend(frameon=False, fontsize=9)
        return save_figure(figure, folder, "front")


def draw_architecture(
    folder: Path, stem: str, space: Space, operations: Array, adjacency: Array | None = None
) -> list[Path]:
    """``<stem>.png`` and ``<stem>.svg``: a chain as boxes in rows, DARTS as its two cells.

    Args:
        folder: where to.
        stem: of the files' names.
        space: of the architecture; DARTS' has cells, others are drawn as chains.
        operations: ``[T]``.
        adjacency: ``[V, V]`` or None.

    Raises:
        NaspError: if the space does not name its operations, matplotlib is not installed or the
            folder cannot be written.
    """
    from nasp_lightning.space.chain import Chain
    from nasp_lightning.space.darts import Darts

    if isinstance(space, Darts):
        return draw_genotype(space.genotype(operations, adjacency), folder, stem)
    if not space.operation_names:
        raise NaspError(f"space {space.name}: it has no names of operations to be drawn")
    names = [space.operation_names[int(code)] for code in operations]
    stages = space.stages if isinstance(space, Chain) else None
    rows = _rows(names, stages or [number // ROW for number in range(len(names))])
    with styled_figure(1.4 * max(map(len, rows)) + 0.6, 0.7 * len(rows) + 0.3) as figure:
        _chain(figure.subplots(), rows, space.operation_names)
        return save_figure(figure, folder, stem)


def _rows(names: Sequence[str], stages: Sequence[int]) -> list[list[str]]:
    rows: list[list[str]] = [[] for _ in range(max(stages) + 1)]
    for name, stage in zip(names, stages, strict=True):
        rows[stage].append(name)
    return rows


def _chain(axes: Axes, rows: Sequence[Sequence[str]], kinds: Sequence[str]) -> None:
    """One row of boxes for each stage; from left to right, from top to bottom."""
    for row, names in enumerate(rows):
        for place, name in enumerate(names):
            colour = PALE[list(kinds).index(name) % len(PALE)]
            axes.text(
                *(place, -row, name.replace("_", " ")),
                ha="center",
                va="center",
                fontsize=9,
                bbox={**BOX, "facecolor": colour},
            )
            if place:
                arrow = {"arrowstyle": "-|>", "color": "#444444", "linewidth": 0.8}
                axes.annotate("", (place - 0.4, -row), (place - 0.6, -row), arrowprops=arrow)
    axes.set_xlim(-0.6, max(map(len, rows)) - 0.4)
    axes.set_ylim(-len(rows) + 0.4, 0.6)
    axes.axis("off")
