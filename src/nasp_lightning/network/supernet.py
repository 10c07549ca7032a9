"""What every supernet offers: one network that holds the weights of a space's architectures.

A forward pass computes one architecture, with the weights that it shares with the others. An
architecture can be cut out as a plain module, and costed without computing anything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from nasp_lightning.array import Array
from nasp_lightning.space.base import Space


class Supernet(nn.Module, ABC):
    """Shared weights of all architectures of a space.

    Architectures are native arrays of the space: in :meth:`forward` and :meth:`subnet` one,
    without a batch dimension; in :meth:`costs` many.

    Attributes:
        space: whose architectures it holds.
    """

    space: Space

    @abstractmethod
    def forward(self, images: Tensor, operations: Array, adjacency: Array | None = None) -> Tensor:
        """Logits of one architecture.

        Args:
            images: ``[B, 3, H, W]``.
            operations: ``[T]``.
            adjacency: ``[V, V]``, or None where the topology is fixed.

        Returns:
            ``[B, classes]``.

        Raises:
            NaspError: if the arrays are no architecture of the space, or the images do not fit.
        """

    @abstractmethod
    def subnet(self, operations: Array, adjacency: Array | None = None) -> nn.Module:
        """One architecture as a plain module that gives the same logits from weights of its own.

        It holds copies of the weights and statistics, on their device, in the supernet's mode
        (training or evaluation).

        Raises:
            NaspError: if the arrays are no architecture of the space.
        """

    @abstractmethod
    def costs(
        self, operations: Array, adjacency: Array | None = None, image: int | None = None
    ) -> dict[str, Array]:
        """Parameters and multiply-adds of architectures, equal to those of the modules cut out.

        Args:
            operations: ``[N, T]``.
            adjacency: ``[N, V, V]``, or None where the topology is fixed.
            image: height and width in pixels; None: those that the supernet was made for.

        Returns:
            ``parameters`` and ``macs``, int64 ``[N]`` each.

        Raises:
            NaspError: if the arrays are no architectures of the space.
        """
