"""NAS-Bench-Macro's space: a chain of eight layers, each one of three blocks.

Su et al., "Prioritized Architecture Sampling with Monto-Carlo Tree Search" (CVPR 2021,
arXiv 2103.11922). Codes: 0 identity, 1 MobileNetV2 block of expansion 3 and kernel 3,
2 of expansion 6 and kernel 5; as text, eight digits such as ``02012100``.
"""

from __future__ import annotations

from typing import ClassVar

from nasp_lightning.array import Array
from nasp_lightning.space.chain import Chain

OPERATIONS = ("identity", "mb3_k3", "mb6_k5")
LAYERS = 8
SIZE = len(OPERATIONS) ** LAYERS


class Macro(Chain):
    """The space of NAS-Bench-Macro."""

    name: ClassVar[str] = "macro"
    operation_names = OPERATIONS
    layers = LAYERS


def index_of(operations: Array) -> Array:
    """``[N]`` int64 canonical index of ``[N, 8]`` operations: their codes read in base 3."""
    return Macro().index_of(operations)
