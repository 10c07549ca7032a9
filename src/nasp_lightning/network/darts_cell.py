"""DARTS' operations, and its cell: four nodes, each the sum of two operations on earlier states.

Liu et al., "DARTS" (ICLR 2019, arXiv 1806.09055), as its published code has them in the networks
that are trained from scratch: convolutions come after a ReLU and before a normalisation, the
separable ones twice; pooling is not normalised.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nasp_lightning.network.ops import PLAIN, Norm, ReLUConvNorm
from nasp_lightning.space.darts_genotype import EDGES, INPUTS, NODES

# Kernel, dilation and repeats of the convolutions.
CONVOLUTIONS = {
    "sep_conv_3x3": (3, 1, 2),
    "sep_conv_5x5": (5, 1, 2),
    "dil_conv_3x3": (3, 2, 1),
    "dil_conv_5x5": (5, 2, 1),
}


class HalvingConvNorm(nn.Module):
    """ReLU, half the pixels by two 1×1 convolutions that see every other pixel, normalisation.

    The second one sees the pixels one below and right of the first one's (DARTS'
    ``FactorizedReduce``). Outputs must be even.
    """

    def __init__(self, inputs: int, outputs: int, norm: Norm = PLAIN) -> None:
        super().__init__()
        self.even = nn.Conv2d(inputs, outputs // 2, 1, 2, bias=False)
        self.odd = nn.Conv2d(inputs, outputs // 2, 1, 2, bias=False)
        self.norm = norm.layer(outputs)

    def forward(self, images: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, C', H / 2, W / 2]`` (H and W must be even)."""
        active = images.relu()
        halves = self.even(active), self.odd(active[:, :, 1:, 1:])
        normed: Tensor = self.norm(torch.cat(halves, 1))
        return normed


def operation(name: str, channels: int, stride: int = 1, norm: Norm = PLAIN) -> nn.Module:
    """One of :data:`nasp_lightning.space.darts_genotype.OPERATIONS`.

    Args:
        name: of the operation.
        channels: in and out.
        stride: 1, or 2 where a reduction cell reads its inputs.
        norm: options of the normalisations.
    """
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else HalvingConvNorm(channels, channels, norm)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, 1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    kernel, dilation, repeats = CONVOLUTIONS[name]
    half = dilation * (kernel // 2)
    layers: list[nn.Module] = []
    for step in (stride, 1)[:repeats]:
        layers += [
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel, step, half, dilation, channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            norm.layer(channels),
        ]
    return nn.Sequential(*layers)


def edge_stride(reduction: bool, state: int) -> int:
    """Stride of an operation that reads a state: a reduction cell halves its two inputs."""
    return 2 if reduction and state < INPUTS else 1


class DartsCell(nn.Module):
    """A cell of chosen operations.

    Args:
        edges: eight pairs of an operation's name and the state that it reads.
        before_last: channels of the output of the cell before the last one.
        last: channels of the last cell's output.
        channels: C of a node; the output has 4 C.
        reduction: whether the cell halves the pixels.
        after_reduction: whether the last cell did, so that ``before_last`` is too large.
        norm: options of the normalisations.
    """

    def __init__(
        self,
        edges: Sequence[tuple[str, int]],
        before_last: int,
        last: int,
        channels: int,
        reduction: bool,
        after_reduction: bool,
        norm: Norm = PLAIN,
    ) -> None:
        super().__init__()
        self.entries = cell_entries(before_last, last, channels, after_reduction, norm)
        self.edges = nn.ModuleList(
            operation(name, channels, edge_stride(reduction, state), norm) for name, state in edges
        )
        self.states = tuple(state for _, state in edges)

    def forward(self, before_last: Tensor, last: Tensor, drop_rate: Tensor | None = None) -> Tensor:
        """Outputs of the two cells before to ``[B, 4 C, H, W]``.

        Args:
            before_last: of the cell before the last one.
            last: of the last cell.
            drop_rate: a number, of the paths that are dropped; None: all are kept.
        """
        return cell_output(
            list(self.edges), self.states, self.entries, before_last, last, drop_rate
        )


def cell_entries(
    before_last: int, last: int, channels: int, after_reduction: bool, norm: Norm
) -> nn.ModuleList:
    """What brings a cell's two inputs to its channels, and to one size."""
    return nn.ModuleList(
        [
            HalvingConvNorm(before_last, channels, norm)
            if after_reduction
            else ReLUConvNorm(before_last, channels, 1, norm=norm),
            ReLUConvNorm(last, channels, 1, norm=norm),
        ]
    )


def cell_output(
    edges: Sequence[nn.Module],
    states: Sequence[int],
    entries: nn.ModuleList,
    before_last: Tensor,
    last: Tensor,
    drop_rate: Tensor | None = None,
) -> Tensor:
    """``[B, 4 C, H, W]``: the four nodes of eight edges side by side.

    Args:
        edges: operations, two for each node.
        states: what they read.
        entries: of the cell's inputs.
        before_last: output of the cell before the last one.
        last: output of the last cell.
        drop_rate: of dropped paths, or None.
    """
    nodes = [entries[0](before_last), entries[1](last)]
    for first in range(0, EDGES, 2):
        terms = []
        for edge in (first, first + 1):
            term = edges[edge](nodes[states[edge]])
            if drop_rate is not None and not isinstance(edges[edge], nn.Identity):
                term = drop_path(term, drop_rate)
            terms.append(term)
        nodes.append(terms[0] + terms[1])
    return torch.cat(nodes[-NODES:], 1)


def drop_path(images: Tensor, rate: Tensor) -> Tensor:
    """Zero each image of a batch with probability ``rate``, the others divided by what is kept.

    Larsson et al., "FractalNet" (ICLR 2017), as DARTS' code has it: an image at a time.
    """
    kept = torch.rand(len(images), 1, 1, 1, device=images.device) >= rate
    scale: Tensor = kept / (1 - rate)
    return images * scale.to(images.dtype)


def cell_plan(layers: int, channels: int) -> list[tuple[int, int, int, bool, bool]]:
    """Sizes of a network's cells.

    Args:
        layers: number of cells L; those at ``L // 3`` and ``2 L // 3`` halve the pixels and
            double the channels.
        channels: C of the first cell's nodes; the stem has 3 C.

    Returns:
        For each cell channels of the output of the cell before the last one and of the last
        one, its own C, whether it reduces, and whether the last one did.
    """
    plan = []
    before_last = last = 3 * channels
    after_reduction = False
    for layer in range(layers):
        reduction = layer in (layers // 3, 2 * layers // 3)
        channels *= 2 if reduction else 1
        plan.append((before_last, last, channels, reduction, after_reduction))
        before_last, last, after_reduction = last, NODES * channels, reduction
    return plan
