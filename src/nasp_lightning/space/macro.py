"""NAS-Bench-Macro's space: a chain of eight layers, each one of three blocks.

Su et al., "Prioritized Architecture Sampling with Monto-Carlo Tree Search" (CVPR 2021,
arXiv 2103.11922). Codes: 0 identity, 1 MobileNetV2 block of expansion 3 and kernel 3,
2 of expansion 6 and kernel 5; as text, eight digits such as ``02012100``.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from nasp_lightning.error import NaspError
from nasp_lightning.space.base import Array, Graphs, Shape, Space

OPERATIONS = ("identity", "mb3_k3", "mb6_k5")
LAYERS = 8
SIZE = len(OPERATIONS) ** LAYERS


def index_of(operations: Array) -> Array:
    """``[N]`` int64 canonical index of ``[N, 8]`` operations: their codes read in base 3."""
    index: Array = np.asarray(operations, dtype=np.int64) @ (3 ** np.arange(LAYERS - 1, -1, -1))
    return index


class Macro(Space):
    """The space of NAS-Bench-Macro; encoded as tokens and a path graph, marked as a chain."""

    name: ClassVar[str] = "macro"
    encodings: ClassVar[tuple[str, ...]] = ("chain",)
    operation_names: ClassVar[tuple[str, ...]] = OPERATIONS
    size: ClassVar[int] = SIZE

    @property
    def shape(self) -> Shape:
        """Sizes of the encoding."""
        return Shape(tokens=LAYERS, vertices=LAYERS, vocabulary=len(OPERATIONS), chain=True)

    def index_of(self, operations: Array) -> Array:
        """``[N]`` canonical index of ``[N, 8]`` operations: see :func:`index_of`."""
        return index_of(operations)

    def encode(self, operations: Array, adjacency: Array | None = None) -> Graphs:
        """Encode ``[N, 8]`` operations."""
        self.validate(operations, adjacency)
        tokens = np.array(operations, dtype=np.uint8)
        path = np.eye(LAYERS, k=1, dtype=np.uint8)
        return Graphs(
            operations=torch.from_numpy(tokens),
            adjacency=torch.from_numpy(np.tile(path, (len(tokens), 1, 1))),
            vertices=torch.full((len(tokens),), LAYERS, dtype=torch.uint8),
        )

    def validate(self, operations: Array, adjacency: Array | None = None) -> None:
        """Raise :class:`NaspError` naming the first row that is no architecture of the space."""
        operations = np.asarray(operations)
        if adjacency is not None:
            raise NaspError("space macro: the topology is fixed, so adjacency must be None")
        shape = operations.shape
        if operations.ndim != 2 or shape[1] != LAYERS or operations.dtype.kind not in "iu":
            raise NaspError(
                f"space macro: operations must be integers [N, {LAYERS}], "
                f"not {operations.dtype} {list(shape)}"
            )
        wrong = np.argwhere((operations < 0) | (operations >= len(OPERATIONS)))
        if len(wrong):
            row, layer = wrong[0]
            raise NaspError(
                f"space macro: architecture {row} has operation {operations[row, layer]} in layer "
                f"{layer}; codes are 0 to 2: {', '.join(OPERATIONS)}"
            )

    def to_string(self, operations: Array, adjacency: Array | None = None) -> str:
        """Eight digits, such as ``02012100``."""
        self.validate(np.asarray(operations)[None], adjacency)
        return "".join(str(int(code)) for code in operations)

    def from_string(self, text: str) -> tuple[Array, None]:
        """Operations ``[8]`` of eight digits.

        Raises:
            NaspError: if the text is not eight digits from 0 to 2.
        """
        digits = text.strip()
        if len(digits) != LAYERS or not set(digits) <= set("012"):
            raise NaspError(
                f"space macro: {text[:40]!r} is no architecture; expected eight digits from 0 to "
                "2, such as 02012100 (a leading zero is lost where the column was read as a number)"
            )
        return np.array([int(digit) for digit in digits], dtype=np.uint8), None

    def sample(self, rng: np.random.Generator, count: int) -> tuple[Array, None]:
        """``[count, 8]`` architectures drawn independently and uniformly (repeats are possible)."""
        return rng.integers(len(OPERATIONS), size=(count, LAYERS), dtype=np.uint8), None

    def mutate(
        self, rng: np.random.Generator, operations: Array, adjacency: Array | None = None
    ) -> tuple[Array, None]:
        """The architecture with another block in one layer, both chosen uniformly."""
        changed = np.array(operations, dtype=np.uint8)
        layer = rng.integers(LAYERS)
        changed[layer] = (changed[layer] + rng.integers(1, len(OPERATIONS))) % len(OPERATIONS)
        return changed, None
