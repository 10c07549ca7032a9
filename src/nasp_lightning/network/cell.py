"""Cells of the networks: NAS-Bench-201's, with operations on edges, and the Nano cell's slots."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from nasp_lightning.array import Array
from nasp_lightning.network.ops import PLAIN, Attention, ConvNorm, Expand, Norm, ReLUConvNorm, Split
from nasp_lightning.space.nasbench201 import EDGES
from nasp_lightning.space.tinynano_cost import slot_channels
from nasp_lightning.space.tinynano_graph import ATTEN, CONV, DWCONV, EXPAND, SPLIT, Cell

_NODES = 4


class NASBench201Cell(nn.Module):
    """Four nodes; each is the sum of its predecessors' outputs of the edges between.

    A ``none`` edge adds zero. An edge that reaches the output through ``none`` alone changes
    nothing: its operation has parameters, as in the benchmark, and no gradient.

    Args:
        operations: ``[6]`` codes in the order of the space's edges.
        channels: of input and output.
        norm: options of the normalisations.
        skip_dead: do not compute the edges that change nothing. Outputs are the same; the
            benchmark computes them, and counts them.
    """

    def __init__(
        self, operations: Array, channels: int, norm: Norm = PLAIN, skip_dead: bool = True
    ) -> None:
        super().__init__()
        codes = [int(code) for code in operations]
        live = _live_edges(codes) if skip_dead else [code != 0 for code in codes]
        self.edges = nn.ModuleList(_edge(code, channels, norm) for code in codes)
        self.into = tuple(
            tuple(
                (index, source)
                for index, (source, end) in enumerate(EDGES)
                if end == target and live[index]
            )
            for target in range(1, _NODES)
        )

    def forward(self, images: Tensor) -> Tensor:
        """``[B, C, H, W]`` to the same."""
        nodes = [images]
        for sources in self.into:
            terms = [self.edges[index](nodes[source]) for index, source in sources]
            total = terms[0] if terms else torch.zeros_like(images)
            for term in terms[1:]:
                total = total + term
            nodes.append(total)
        return nodes[-1]


def _edge(code: int, channels: int, norm: Norm) -> nn.Module:
    if code in (2, 3):
        return ReLUConvNorm(channels, channels, 1 if code == 2 else 3, norm=norm)
    if code == 4:
        return nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    return nn.Identity()  # skip_connect; none is never called


def _live_edges(codes: list[int]) -> list[bool]:
    """Whether what an edge computes reaches the output."""
    reaches = [False] * (_NODES - 1) + [True]
    live = [False] * len(EDGES)
    for index in reversed(range(len(EDGES))):  # edges are ordered by their target
        source, target = EDGES[index]
        live[index] = codes[index] != 0 and reaches[target]
        reaches[source] = reaches[source] or live[index]
    return live


class NanoCell(nn.Module):
    """Slots that hand channels on; see :mod:`nasp_lightning.space.tinynano_graph`.

    Several inputs of a slot are concatenated. The output is brought to the stage's width by a
    1×1 convolution with normalisation where its channels differ, and the cell's input is added
    where that has the width.

    Args:
        cell: operation slots and whom they feed.
        channels: of the input.
        width: of the stage, and of the output.
        norm: options of the normalisations.
        active: name of the activation.
    """

    def __init__(
        self, cell: Cell, channels: int, width: int, norm: Norm = PLAIN, active: str = "mish"
    ) -> None:
        super().__init__()
        reaching = slot_channels(cell, channels, width)
        self.ends = tuple(ends for _, ends in cell)
        self.slots = nn.ModuleList(
            _slot(code, inputs, width, norm, active)
            for (code, _), inputs in zip(cell, reaching, strict=False)
        )
        last = reaching[-1]
        self.output = nn.Identity() if last == width else ConvNorm(last, width, 1, norm, None)
        self.residual = channels == width

    def forward(self, images: Tensor) -> Tensor:
        """``[B, channels, H, W]`` to ``[B, width, H, W]``."""
        waiting: list[list[Tensor]] = [[] for _ in range(len(self.ends) + 1)]
        waiting[0].append(images)
        for slot, ends in enumerate(self.ends):
            made = self.slots[slot](_joined(waiting[slot]))
            waiting[slot] = []  # what is not needed any more is freed
            for end, part in zip(ends, made if isinstance(made, tuple) else (made,), strict=True):
                waiting[end].append(part)
        result = cast(Tensor, self.output(_joined(waiting[-1])))
        return result + images if self.residual else result


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def _slot(code: int, inputs: int, width: int, norm: Norm, active: str) -> nn.Module:
    if code == DWCONV:
        return ConvNorm(inputs, inputs, 3, norm, active, depthwise=True)
    if code == CONV:
        return ConvNorm(inputs, width, 1, norm, active)
    if code == ATTEN:
        return Attention(inputs, active)
    if code == EXPAND:
        return Expand(inputs, norm, active)
    if code == SPLIT:
        return Split(inputs, norm)
    return nn.Identity()
