"""The Nano cell network of Tiny-NanoBench: a stem, three stages of three equal cells, a classifier.

Siamese-NAS (arXiv 2210.00546), appendix A and Fig. 9; details as in the published code: a 3×3
stem, the output of a stage's first cell added to that of its last, 2×2 average pooling between
stages, mish everywhere. The published widths are 128, 256, 512; the default here is half of
them, at which the paper's cap of 35 MFLOPs and its figures' cheapest cell can be met.

Example:
    >>> network = TinyNanoNetwork.from_string("split>1,2;dwconv3x3>3;conv1x1>3;output")
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Unpack

import numpy as np
from torch import Tensor, nn

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.network.cell import NanoCell
from nasp_lightning.network.nasbench201 import check_images
from nasp_lightning.network.ops import ConvNorm, Norm, NormOptions, check_positive, initialise
from nasp_lightning.space.tinynano import TinyNano
from nasp_lightning.space.tinynano_graph import Cell, from_arrays


class Stage(nn.Module):
    """Equal cells one after another; the first one's output is added to the last one's."""

    def __init__(
        self, cell: Cell, channels: int, width: int, cells: int, norm: Norm, active: str
    ) -> None:
        super().__init__()
        self.first = NanoCell(cell, channels, width, norm, active)
        self.others = nn.Sequential(
            *(NanoCell(cell, width, width, norm, active) for _ in range(cells - 1))
        )

    def forward(self, images: Tensor) -> Tensor:
        """``[B, channels, H, W]`` to ``[B, width, H, W]``."""
        first: Tensor = self.first(images)
        return first + self.others(first) if len(self.others) else first


class TinyNanoOptions(NormOptions, total=False):
    """Options of :class:`TinyNanoNetwork`."""

    widths: Sequence[int]
    cells: int
    classes: int
    activation: str
    initialisation: str


class TinyNanoNetwork(nn.Module):
    """The network of one Nano cell.

    Args:
        operations: ``[T]`` codes of the space of :mod:`nasp_lightning.space.tinynano`.
        adjacency: ``[T, T]``.
        widths: channels of the stages.
        cells: in a stage.
        classes: of the data set.
        activation: ``mish`` (published), ``relu`` or ``swish``.
        norm_eps: of the batch normalisations (published: 1e-4).
        norm_momentum: share of a batch in their running statistics (published: 0.003, Keras'
            0.997; too slow for trainings of a few hundred steps).
        norm_affine: learn their scale and shift.
        norm_track: keep running statistics; False: a batch's own in evaluation too.
        initialisation: ``glorot`` (published: Keras' default), ``torch`` or ``he``.

    Raises:
        NaspError: if the arrays are no Nano cell, or a size is not positive.
    """

    def __init__(
        self,
        operations: Array,
        adjacency: Array | None,
        *,
        widths: Sequence[int] = (64, 128, 256),
        cells: int = 3,
        classes: int = 10,
        activation: str = "mish",
        norm_eps: float = 1e-4,
        norm_momentum: float = 0.003,
        norm_affine: bool = True,
        norm_track: bool = True,
        initialisation: str = "glorot",
    ) -> None:
        super().__init__()
        if not len(widths):
            raise NaspError("network.widths is empty: give the channels of each stage")
        check_positive(classes=classes, cells=cells, widths=min(widths))
        cell = _checked_cell(operations, adjacency)
        norm = Norm(norm_eps, norm_momentum, norm_affine, norm_track)
        self.stem = ConvNorm(3, widths[0], 3, norm, activation)
        body: list[nn.Module] = [Stage(cell, widths[0], widths[0], cells, norm, activation)]
        for before, width in pairwise(widths):
            body += [nn.AvgPool2d(2), Stage(cell, before, width, cells, norm, activation)]
        self.body = nn.Sequential(*body)
        self.classifier = nn.Linear(widths[-1], classes)
        self.divisor = 2 ** (len(widths) - 1)
        initialise(self, initialisation)

    @classmethod
    def from_string(cls, text: str, **options: Unpack[TinyNanoOptions]) -> TinyNanoNetwork:
        """The network of a cell as :meth:`TinyNano.to_string` writes it.

        Raises:
            NaspError: if the text is no Nano cell.
        """
        slots = max(1, text.count(";"))
        return cls(*TinyNano(slots=slots, max_splits=slots).from_string(text), **options)

    def forward(self, images: Tensor) -> Tensor:
        """``[B, 3, H, W]`` images (H and W can be halved between stages) to ``[B, classes]``."""
        check_images(images, self.divisor)
        logits: Tensor = self.classifier(self.body(self.stem(images)).mean((2, 3)))
        return logits


def _checked_cell(operations: Array, adjacency: Array | None) -> Cell:
    """The cell of arrays of any size, with any number of splits."""
    codes = np.asarray(operations)
    if codes.ndim != 1 or len(codes) < 2:
        raise NaspError(
            f"a Nano cell has operations [T] of at least two slots; got {list(codes.shape)}"
        )
    slots = len(codes) - 1
    matrix = None if adjacency is None else np.asarray(adjacency)[None]
    TinyNano(slots=slots, max_splits=slots).validate(codes[None], matrix)
    return from_arrays(codes, np.asarray(adjacency))
