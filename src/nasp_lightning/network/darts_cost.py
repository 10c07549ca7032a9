"""Parameters and multiply-adds of DARTS networks from sums over their operations.

Every cell of a kind holds the same operations, so a network costs a constant and, for each edge,
what its operation costs in all cells of that kind together.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.network.darts_cell import CONVOLUTIONS, cell_plan
from nasp_lightning.space.darts_genotype import INPUTS, OPERATIONS


def network_costs(
    operations: Array,
    inputs: Array,
    classes: int,
    channels: int,
    layers: int,
    stem_stride: int,
    image: int,
) -> dict[str, Array]:
    """Costs of networks without an auxiliary head.

    Args:
        operations: ``[N, 2, 8]`` codes of the cells' edges.
        inputs: ``[N, 2, 8]`` states that they read.
        classes: of the data set.
        channels: C of the first cell's nodes.
        layers: number of cells.
        stem_stride: of the first convolution.
        image: height and width in pixels, divisible by four times the stem's stride.

    Returns:
        ``parameters`` and ``macs``, ``[N]`` int64.
    """
    base, table = _tables(classes, channels, layers, image // stem_stride)
    cells = np.arange(2)[:, None]
    total = base + table[cells, (inputs < INPUTS).astype(int), operations].sum(axis=(1, 2))
    return {"parameters": total[:, 0], "macs": total[:, 1]}


@cache
def _tables(classes: int, channels: int, layers: int, side: int) -> tuple[Array, Array]:
    """Constant ``[2]``, and ``[2, 2, 7, 2]``: by cell, whether an input is read, operation.

    ``side`` is that of the stem's output.
    """
    base = np.array([27 * 3 * channels + 2 * 3 * channels, 27 * 3 * channels * side**2])
    table = np.zeros((2, 2, len(OPERATIONS), 2), dtype=np.int64)
    width = 3 * channels
    for before_last, last, own, reduction, _ in cell_plan(layers, channels):
        base += _dense(before_last, own, side) + _dense(last, own, side)
        for reads_input in (0, 1):
            stride = 2 if reduction and reads_input else 1
            table[int(reduction), reads_input] += [
                _operation(name, own, side // 2 if reduction else side, stride)
                for name in OPERATIONS
            ]
        side //= 2 if reduction else 1
        width = 4 * own
    base += np.array([(width + 1) * classes, width * classes])
    return base, table


def _dense(inputs: int, outputs: int, side: int) -> Array:
    """A 1×1 convolution and its normalisation at a side of its output."""
    return np.array([inputs * outputs + 2 * outputs, inputs * outputs * side**2])


def _operation(name: str, channels: int, side: int, stride: int) -> Array:
    """An operation whose output has that side."""
    if name in CONVOLUTIONS:
        kernel, _, repeats = CONVOLUTIONS[name]
        depthwise = np.array([kernel**2 * channels, kernel**2 * channels * side**2])
        return repeats * (depthwise + _dense(channels, channels, side))
    if name == "skip_connect" and stride == 2:
        return _dense(channels, channels, side)
    return np.zeros(2, dtype=np.int64)
