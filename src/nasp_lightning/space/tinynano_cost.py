"""Parameters and operations of a Nano cell network, from the channels that reach each slot.

Counted as in the published code: convolutions have no bias and a batch normalisation of two
parameters for each channel; nothing else normalises. *MACs* are the multiply-adds of convolutions
and matrix products. The *profiler* convention adds what TensorFlow's profiler counts beside
them, halved as the published code halves its total: half an operation for each output of an
elementwise operation (activations, sums, gates, softmax) and for each input that a pooling
averages. Batch normalisation, biases, slices and concatenations cost nothing in either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from nasp_lightning.error import NaspError
from nasp_lightning.space.tinynano_graph import ATTEN, CONV, DWCONV, EXPAND, SPLIT, Cell

CONVENTIONS = ("profiler", "macs")
EXPANSION = 3  # depthwise convolutions of an expand, and copies of its channels
REDUCTION = 4  # channels of an attention's query for each of its input, inverted


class Cost(NamedTuple):
    """What one part of a network, or all of it, holds and computes for one image.

    Attributes:
        parameters: trainable numbers.
        macs: multiply-adds.
        elementwise: elementwise operations.
    """

    parameters: int
    macs: int
    elementwise: int

    def flops(self, convention: str = "profiler") -> float:
        """Operations by a convention: ``macs``, or ``profiler`` (half of each elementwise too)."""
        return float(self.macs) if convention == "macs" else self.macs + self.elementwise / 2

    def times(self, count: int) -> Cost:
        """Cost of ``count`` such parts."""
        return Cost(*(count * part for part in self))

    def plus(self, other: Cost) -> Cost:
        """Cost of both."""
        return Cost(*(one + two for one, two in zip(self, other, strict=True)))


FREE = Cost(0, 0, 0)


class Position(NamedTuple):
    """Cells of a network that cost the same: how many, input channels, stage width, pixels."""

    repeats: int
    channels: int
    width: int
    pixels: int


@dataclass(frozen=True)
class Macro:
    """The network around the cell (Siamese-NAS, Fig. 9 (a)).

    Attributes:
        widths: channels of each stage; released code: 128, 256, 512, whose cheapest cell costs
            21 MFLOPs, more than the paper's figures show.
        cells: cells in a stage.
        image: height and width of an input in pixels.
        classes: of the data set.
    """

    widths: tuple[int, ...] = (64, 128, 256)
    cells: int = 3
    image: int = 32
    classes: int = 10

    def __post_init__(self) -> None:
        """Refuse sizes that no network can have."""
        smallest = self.image // 2 ** max(0, len(self.widths) - 1)
        if not self.widths or min(*self.widths, self.cells, self.classes, smallest) < 1:
            raise NaspError(
                f"a Nano network of widths {list(self.widths)}, {self.cells} cells a stage, "
                f"{self.classes} classes and images of {self.image} pixels is empty: all must be "
                "positive, and the image is halved after each stage but the last"
            )

    def positions(self) -> list[Position]:
        """The network's cells: the first of each stage and the others."""
        found = []
        channels, side = self.widths[0], self.image
        for width in self.widths:
            found.append(Position(1, channels, width, side * side))
            if self.cells > 1:
                found.append(Position(self.cells - 1, width, width, side * side))
            channels, side = width, side // 2
        return found

    def surroundings(self) -> Cost:
        """Cost of all that every network has: stem, sums, pooling, classifier."""
        first, side = self.widths[0], self.image
        cost = Cost(29 * first, 27 * first * side**2, first * side**2)
        for stage, width in enumerate(self.widths):
            if stage:
                side //= 2
                cost = cost.plus(Cost(0, 0, 4 * self.widths[stage - 1] * side**2))
            if self.cells > 1:  # first cell's output + last cell's
                cost = cost.plus(Cost(0, 0, width * side**2))
        last = self.widths[-1]
        head = Cost((last + 1) * self.classes, last * self.classes, last * side**2)
        return cost.plus(head)


@cache
def operation_cost(code: int, channels: int, width: int, pixels: int) -> tuple[Cost, int]:
    """Cost of one operation and the channels of its output (of a split: of each half).

    Args:
        code: one of :data:`~nasp_lightning.space.tinynano_graph.CHOICES`.
        channels: of its input.
        width: of its stage.
        pixels: height times width of its input.
    """
    size = channels * pixels
    if code == DWCONV:
        return Cost(11 * channels, 9 * size, size), channels
    if code == CONV:
        return Cost((channels + 2) * width, size * width, width * pixels), width
    if code == EXPAND:  # each depthwise convolution is activated and the input added
        parts = EXPANSION
        return Cost(11 * parts * channels, 9 * parts * size, 2 * parts * size), parts * channels
    if code == ATTEN:
        query = attention_width(channels)
        weights = 4 * channels * query
        # mean and gate of all pixels; q, k, v activated; softmax; hard sigmoid
        elementwise = 2 * size + 3 * query + query * query + channels
        return Cost(weights, weights + 2 * query * query, elementwise), channels
    if code == SPLIT:
        if channels % 2 == 0:
            return FREE, channels // 2
        even = channels + 1
        return Cost((channels + 2) * even, size * even, 0), even // 2
    return FREE, channels


def attention_width(channels: int) -> int:
    """Channels of an attention's query, key and value."""
    return max(1, channels // REDUCTION)


def output_cost(channels: int, position: Position) -> Cost:
    """Cost of the output slot: a convolution where channels differ, and the cell's residual."""
    _, inputs, width, pixels = position
    cost = FREE
    if channels != width:
        cost = Cost((channels + 2) * width, channels * width * pixels, 0)
    return cost.plus(Cost(0, 0, width * pixels)) if inputs == width else cost


def slot_channels(cell: Cell, channels: int, width: int) -> list[int]:
    """Channels that reach each slot, the output last, for a cell's input of ``channels``."""
    reaching = [channels] + [0] * len(cell)
    for slot, (code, ends) in enumerate(cell):
        _, made = operation_cost(code, reaching[slot], width, 1)
        for end in ends:
            reaching[end] += made
    return reaching


def cell_cost(cell: Cell, position: Position) -> Cost:
    """Cost of one cell at a position of the network."""
    _, channels, width, pixels = position
    reaching = slot_channels(cell, channels, width)
    cost = output_cost(reaching[-1], position)
    for (code, _), inputs in zip(cell, reaching, strict=False):
        cost = cost.plus(operation_cost(code, inputs, width, pixels)[0])
    return cost


def network_cost(cell: Cell, macro: Macro) -> Cost:
    """Cost of the whole network of a cell, with or without identities."""
    cost = macro.surroundings()
    for position in macro.positions():
        cost = cost.plus(cell_cost(cell, position).times(position.repeats))
    return cost


def check_convention(convention: str) -> None:
    """Raise :class:`NaspError` for a convention that there is not."""
    if convention not in CONVENTIONS:
        raise NaspError(
            f"space.convention={convention}: operations are counted by {' or '.join(CONVENTIONS)}"
        )


def as_widths(widths: Sequence[int]) -> tuple[int, ...]:
    """Widths of a config as plain integers."""
    return tuple(int(width) for width in widths)
