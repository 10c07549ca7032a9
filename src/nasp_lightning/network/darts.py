"""DARTS' child network: the cells of a genotype, stacked, as the literature trains it on CIFAR.

Liu et al., "DARTS" (ICLR 2019, arXiv 1806.09055), section 3: 20 cells of 36 channels, those at a
third and two thirds of the depth reduce, an auxiliary head (weight 0.4) after the second, drop
path. Parameters are those that the literature prints, which leave the auxiliary head out.

Example:
    >>> network = DartsNetwork.from_string(
    ...     "Genotype(normal=[('sep_conv_3x3', 0), …], reduce=[…])", channels=8, layers=5
    ... )  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TypedDict, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.network.darts_cell import DartsCell, cell_plan
from nasp_lightning.network.darts_cost import network_costs
from nasp_lightning.network.nasbench201 import check_images
from nasp_lightning.space.darts import Darts

_LEAST_LAYERS = 3  # with fewer, both reductions would be one
_CIFAR_SIDE = 32
_AUXILIARY_SIDE = 8  # pixels of the features that the auxiliary head was published for


class AuxiliaryHead(nn.Module):
    """Logits from the features after the second reduction, to help the gradient on its way.

    Published for features of 8 × 8 pixels, CIFAR's. Smaller ones are pooled to 2 × 2, of larger
    ones the last features are averaged.

    Args:
        channels: of the features.
        classes: of the data set.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.narrow = nn.Sequential(
            nn.Conv2d(channels, 128, 1, bias=False), nn.BatchNorm2d(128), nn.ReLU()
        )
        self.widen = nn.Sequential(
            nn.Conv2d(128, 768, 2, bias=False), nn.BatchNorm2d(768), nn.ReLU()
        )
        self.classifier = nn.Linear(768, classes)

    def forward(self, features: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, classes]``."""
        active = features.relu()
        if min(features.shape[2:]) < _AUXILIARY_SIDE:
            pooled = functional.adaptive_avg_pool2d(active, 2)
        else:
            pooled = functional.avg_pool2d(active, 5, 3)
        logits: Tensor = self.classifier(self.widen(self.narrow(pooled)).mean((2, 3)))
        return logits


class DartsOptions(TypedDict, total=False):
    """Options of :class:`DartsNetwork`."""

    classes: int
    channels: int
    layers: int
    auxiliary: bool
    drop_path: float
    stem_stride: int


class DartsNetwork(nn.Module):
    """The network of one genotype.

    In training mode with an auxiliary head it returns two tensors of logits, else one.

    Args:
        operations: ``[22]`` tokens of the space of :mod:`nasp_lightning.space.darts`.
        adjacency: ``[22, 22]``.
        classes: of the data set.
        channels: C of the first cells' nodes, doubled by each reduction.
        layers: number of cells, at least three.
        auxiliary: build the auxiliary head.
        drop_path: rate of dropped paths at the start, from 0 up to but not including 1.
        stem_stride: of the first convolution; published: 1. Larger ones are for quick trials.

    Attributes:
        drop_path_rate: rate of dropped paths in training mode; it may be set at any time. The
            literature raises it linearly from 0 to 0.2.

    Raises:
        NaspError: if the arrays are no architecture of the space, or a setting cannot be.
    """

    _rate: Tensor

    def __init__(
        self,
        operations: Array,
        adjacency: Array | None,
        *,
        classes: int = 10,
        channels: int = 36,
        layers: int = 20,
        auxiliary: bool = True,
        drop_path: float = 0.0,
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        check_sizes(classes, channels, layers, stem_stride)
        genotype = Darts().genotype(operations, adjacency)
        self.stem = stem(channels, stem_stride)
        self.divisor = 4 * stem_stride  # of the images' pixels
        plan = cell_plan(layers, channels)
        self.cells = nn.ModuleList(
            DartsCell(genotype.reduce if sizes[3] else genotype.normal, *sizes) for sizes in plan
        )
        self.head_after = 2 * layers // 3
        self.auxiliary = AuxiliaryHead(4 * plan[-1][2], classes) if auxiliary else None
        self.classifier = nn.Linear(4 * plan[-1][2], classes)
        # A tensor, so that a compiled network is not compiled anew for each rate.
        self.register_buffer("_rate", torch.zeros(()), persistent=False)
        self.drop_path_rate = drop_path

    @classmethod
    def from_string(cls, text: str, **options: Unpack[DartsOptions]) -> DartsNetwork:
        """The network of a genotype's text.

        Raises:
            NaspError: if the text is no genotype.
        """
        return cls(*Darts().from_string(text), **options)

    @property
    def drop_path_rate(self) -> float:
        """Rate of dropped paths in training mode."""
        return self._drop_path_rate

    @drop_path_rate.setter
    def drop_path_rate(self, rate: float) -> None:
        if isinstance(rate, bool) or not 0 <= rate < 1:
            raise NaspError(f"network.drop_path={rate}: give a rate from 0 to less than 1")
        self._drop_path_rate = float(rate)
        self._drops = rate > 0
        self._rate.fill_(rate)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Classify images.

        Args:
            images: ``[B, 3, H, W]``, H and W divisible by four times the stem's stride.

        Returns:
            ``[B, classes]`` logits; in training mode with an auxiliary head two of them, the
            auxiliary ones second.
        """
        check_images(images, self.divisor)
        head = self.auxiliary if self.training else None
        rate = self._rate if self.training and self._drops else None
        auxiliary = None
        before_last = last = self.stem(images)
        for layer, cell in enumerate(self.cells):
            before_last, last = last, cell(before_last, last, rate)
            if head is not None and layer == self.head_after:
                auxiliary = head(last)
        logits: Tensor = self.classifier(last.mean((2, 3)))
        return logits if auxiliary is None else (logits, auxiliary)

    def auxiliary_modules(self) -> list[nn.Module]:
        """The auxiliary head, if there is one."""
        return [] if self.auxiliary is None else [self.auxiliary]

    @classmethod
    def costs(
        cls,
        operations: Array,
        adjacency: Array | None = None,
        image: int | None = None,
        *,
        classes: int = 10,
        channels: int = 36,
        layers: int = 20,
        stem_stride: int = 1,
        **_: object,
    ) -> dict[str, Array]:
        """Costs of networks that are not built; the auxiliary head is left out, as in papers.

        Args:
            operations: ``[N, 22]``.
            adjacency: ``[N, 22, 22]``.
            image: height and width in pixels; None: CIFAR's 32.
            classes: of the data set.
            channels: as of a network, like all other options; the rest costs nothing.
            layers: as of a network.
            stem_stride: as of a network.

        Returns:
            ``parameters`` and ``macs``, ``[N]`` int64.

        Raises:
            NaspError: if the arrays are no architectures of the space, or a size cannot be.
        """
        check_sizes(classes, channels, layers, stem_stride)
        side = _CIFAR_SIDE if image is None else image
        check_side(side, stem_stride)
        edges = Darts().edges(operations, adjacency)
        return network_costs(*edges, classes, channels, layers, stem_stride, side)


def stem(channels: int, stride: int = 1) -> nn.Sequential:
    """A 3×3 convolution to 3 C channels, normalised."""
    return nn.Sequential(
        nn.Conv2d(3, 3 * channels, 3, stride, 1, bias=False), nn.BatchNorm2d(3 * channels)
    )


def check_sizes(classes: int, channels: int, layers: int, stem_stride: int) -> None:
    """Raise :class:`NaspError` for sizes of which no network can be built."""
    check_whole("network.classes", classes)
    check_whole("network.channels", channels)
    check_whole("network.layers", layers, _LEAST_LAYERS)
    check_whole("network.stem_stride", stem_stride)


def check_side(image: int, stem_stride: int) -> None:
    """Raise :class:`NaspError` for a number of pixels that cannot be halved so often."""
    if check_whole("image", image) % (4 * stem_stride):
        raise NaspError(
            f"image={image}: a DARTS network with network.stem_stride={stem_stride} needs a "
            f"multiple of {4 * stem_stride} pixels"
        )
