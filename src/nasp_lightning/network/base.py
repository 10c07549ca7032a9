"""What a network of one architecture may offer beside being a module.

Any ``torch.nn.Module`` will do whose class is called with one architecture's native arrays
(``operations`` ``[T]``, ``adjacency`` ``[V, V]`` or None) and options by keyword: ``classes``, and
``space`` where it takes one. It turns images ``[B, 3, H, W]`` into logits ``[B, classes]``; in
training it may give ``(logits, auxiliary logits)``. What more it can do is asked by ``isinstance``,
or of its class by ``issubclass``; a module of one's own need not inherit these. A network that
holds all architectures of a space is a :class:`~nasp_lightning.network.supernet.Supernet`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from torch import nn

from nasp_lightning.array import Array


@runtime_checkable
class Costed(Protocol):
    """Its class knows what its networks cost before they are built: ``job=search_network``."""

    @classmethod
    def costs(
        cls,
        operations: Array,
        adjacency: Array | None = None,
        image: int | None = None,
        **options: Any,
    ) -> dict[str, Array]:
        """Costs of the networks of ``[N, T]`` operations and ``[N, V, V]`` adjacencies.

        Args:
            operations: ``[N, T]``.
            adjacency: ``[N, V, V]``, or None where the topology is fixed.
            image: height and width in pixels; None: those that the network is made for.
            options: as of a network, with ``space``; those that change no cost are left alone.

        Returns:
            ``parameters`` and ``macs`` (multiply-adds of one image), int64 ``[N]`` each.
        """


@runtime_checkable
class DropsPaths(Protocol):
    """Drops paths in training (``task.drop_path``).

    Attributes:
        drop_path_rate: share of dropped paths, from 0 to below 1; the task sets it every epoch.
    """

    drop_path_rate: float


@runtime_checkable
class WithAuxiliary(Protocol):
    """Has parts that only its training needs, whose parameters nobody counts."""

    def auxiliary_modules(self) -> Sequence[nn.Module]:
        """Those parts, such as an auxiliary head; none where it was built without."""
