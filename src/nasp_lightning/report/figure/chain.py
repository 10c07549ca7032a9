"""Drawings of chains: a box for each layer, coloured by its kernel, as tall as its expansion."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from nasp_lightning.error import NaspError
from nasp_lightning.report.figure.style import COLOURS, save_figure, styled_figure

if TYPE_CHECKING:  # the report starts without numpy and torch
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from nasp_lightning.array import Array
    from nasp_lightning.space.base import Space
    from nasp_lightning.space.chain import Box

BOX = 0.74  # width of a box; places are 1 apart
TALLEST = 2.0  # box, in the same units
LEAST = 1.15  # box, so that its text fits
PLACE = 0.36  # inches
FIXED = "#8c8c8c"  # what is not searched


def draw_chain(
    space: Space, operations: Array, folder: Path, stem: str = "architecture", title: str = ""
) -> list[Path]:
    """Write a drawing of one architecture, as ``<stem>.png`` and ``<stem>.svg``.

    Args:
        space: a chain of layers, such as ``mobilenet`` or ``macro``.
        operations: ``[L]`` codes of the space.
        folder: that exists.
        stem: of the files' names.
        title: over the drawing, such as the architecture's costs.

    Returns:
        The files.

    Raises:
        NaspError: if the architecture is none of the space, the space is no chain, matplotlib is
            not installed, or the folder cannot be written.
    """
    from nasp_lightning.space.chain import Chain, box_of

    if not isinstance(space, Chain):
        raise NaspError(f"space {space.name}: only chains of layers are drawn as boxes")
    boxes = space.boxes(operations)
    kinds = [box_of(name).kind for name in space.operation_names]
    with styled_figure(PLACE * max(12, len(boxes) + 2), 2.0) as figure:
        draw_boxes(figure, boxes, list(dict.fromkeys(filter(None, kinds))), title)
        return save_figure(figure, folder, stem)


def draw_boxes(figure: Figure, boxes: Sequence[Box], kinds: Sequence[str], title: str = "") -> None:
    """Draw layers from left to right into an empty ``matplotlib.figure.Figure``.

    Args:
        figure: drawn into.
        boxes: the layers.
        kinds: all there are, so that each has its colour in every drawing.
        title: over the drawing.
    """
    panel = figure.subplots()
    colours = {kind: COLOURS[index % len(COLOURS)] for index, kind in enumerate(kinds)}
    panel.plot([-1, len(boxes)], [0, 0], color="black", linewidth=1, zorder=0)
    for place, box in enumerate(boxes):
        _draw_box(panel, place, box, colours.get(box.kind or "", FIXED))
    start = 0
    for text, members in groupby(box.group for box in boxes):
        end = start + len(list(members)) - 1
        if text:
            _brace(panel, start, end, text)
        start = end + 1
    from matplotlib.patches import Patch

    shown = [Patch(color=colour, label=kind) for kind, colour in colours.items()]
    if shown:
        panel.legend(handles=shown, ncols=len(shown), loc="lower right", frameon=False, fontsize=8,
                     bbox_to_anchor=(1, 0.97), borderaxespad=0)  # fmt: skip
    panel.set_title(title, fontsize=9, loc="left")
    panel.set_xlim(-1, len(boxes))
    panel.set_ylim(-2.2 if any(box.group for box in boxes) else -1.1, 1.1)
    panel.set_axis_off()


def _draw_box(panel: Axes, place: int, box: Box, colour: str) -> None:
    from matplotlib.patches import Rectangle

    height, passes = max(LEAST, TALLEST * box.size), box.size == 0
    corner = (place - BOX / 2, -height / 2)
    fill, line = ("white", "--") if passes else (colour, "-")
    panel.add_patch(
        Rectangle(corner, BOX, height, edgecolor=colour, facecolor=fill, linestyle=line)
    )
    ink = colour if passes else "white"
    panel.text(place, 0, box.text, rotation=90, ha="center", va="center", color=ink, fontsize=7)


def _brace(panel: Axes, start: int, end: int, text: str) -> None:
    left, right = start - BOX / 2, end + BOX / 2
    panel.plot([left, left, right, right], [-1.15, -1.25, -1.25, -1.15], color="black", linewidth=1)
    panel.text((left + right) / 2, -1.33, text, ha="center", va="top", fontsize=7)
