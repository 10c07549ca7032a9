"""A genotype of DARTS drawn as a graph: the normal cell above, the reduction cell below.

Each state of a cell (its two inputs and four nodes) is a coloured wire. An operation taps the wire
that it reads; the two operations of a node are added to its own wire; the nodes' wires end in the
cell's output.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nasp_lightning.report.figure.style import COLOURS, save_figure, styled_figure
from nasp_lightning.space.darts_genotype import EDGES, INPUTS, NODES, Cell, Genotype, parse

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES = ("normal cell", "reduction cell (inputs are halved)")
FILLS = {"sep": "#D6E6F4", "dil": "#D4EFE3", "max": "#FBE3CC", "avg": "#FBE3CC", "ski": "#EEEEEE"}
_STEP = 1.0  # between an operation's column and the next
_GAP = 1.6  # between a node's last operation and the next node's first
_RISE = 0.24  # of a node's first operation above its wire, and of the second below


def draw_genotype(
    genotype: Genotype | str, folder: Path, stem: str = "architecture", title: str = ""
) -> list[Path]:
    """Write a drawing of one architecture, as ``<stem>.png`` and ``<stem>.svg``.

    Args:
        genotype: to draw, or its text.
        folder: that exists.
        stem: of the files' names.
        title: over the drawing, such as the architecture's costs.

    Returns:
        The files.

    Raises:
        NaspError: if the text is no genotype, matplotlib is absent, or the folder cannot be
            written.
    """
    cells = parse(genotype) if isinstance(genotype, str) else genotype
    with styled_figure(9.5, 7.0) as figure:
        if title:
            figure.suptitle(title)
        drawn = zip(TITLES, (cells.normal, cells.reduce), strict=True)
        for place, (heading, cell) in enumerate(drawn):
            axes = figure.add_subplot(2, 1, 1 + place)
            axes.set_title(heading, loc="left")
            _draw_cell(axes, cell)
        return save_figure(figure, folder, stem)


def operation_label(name: str) -> str:
    """An operation's name for readers: ``sep_conv_3x3`` is ``sep conv 3×3``."""
    return (
        name.replace("_connect", "").replace("3x3", "3×3").replace("5x5", "5×5").replace("_", " ")
    )


def columns() -> tuple[list[float], list[float]]:
    """Places along the wires: of the eight operations, and of the four nodes behind them."""
    operations = [1.2 + (_STEP + _GAP) * (edge // 2) + _STEP * (edge % 2) for edge in range(EDGES)]
    return operations, [operations[2 * node + 1] + 0.9 for node in range(NODES)]


def _draw_cell(axes: Axes, cell: Cell) -> None:
    taps, sums = columns()
    end = sums[-1] + 0.9
    starts = [0.0] * INPUTS + sums
    for state in range(INPUTS + NODES):
        read = [taps[edge] for edge, (_, source) in enumerate(cell) if source == state]
        stop = end if state >= INPUTS else max(read)
        _line(axes, [starts[state], stop], [-state, -state], state)
    for edge, (name, source) in enumerate(cell):
        node = edge // 2
        height = -(INPUTS + node) + (_RISE if edge % 2 == 0 else -_RISE)
        _line(axes, [taps[edge], taps[edge], sums[node]], [-source, height, height], source)
        axes.plot(taps[edge], -source, "o", color=COLOURS[source], markersize=4, zorder=2)
        _line(axes, [sums[node], sums[node]], [height, -(INPUTS + node)], source)
        _label(axes, taps[edge], height, operation_label(name), FILLS[name[:3]])
    for state in range(INPUTS):
        _label(axes, 0, -state, ("$c_{k-2}$", "$c_{k-1}$")[state], "white", COLOURS[state])
    for node, place in enumerate(sums):
        edge_colour = COLOURS[INPUTS + node]
        _label(axes, place, -(INPUTS + node), "+", "white", edge_colour, "circle,pad=0.15")
    middle = -(INPUTS + (NODES - 1) / 2)
    axes.plot([end, end], [-INPUTS + 0.3, -(INPUTS + NODES - 1) - 0.3], color="black", linewidth=3)
    axes.text(end + 0.12, middle, "$c_k$", va="center", ha="left")
    axes.set_xlim(-0.5, end + 0.6)
    axes.set_ylim(-(INPUTS + NODES - 1) - 0.6, 0.5)
    axes.set_axis_off()


def _line(axes: Axes, x: list[float], y: list[float], state: int) -> None:
    axes.plot(x, y, color=COLOURS[state], linewidth=1.4, solid_joinstyle="round", zorder=1)


def _label(
    axes: Axes, x: float, y: float, text: str, fill: str, edge: str = "#666666", shape: str = ""
) -> None:
    box = {"boxstyle": shape or "round,pad=0.25", "facecolor": fill, "edgecolor": edge}
    axes.text(x, y, text, ha="center", va="center", fontsize=8, bbox=box, zorder=3)
