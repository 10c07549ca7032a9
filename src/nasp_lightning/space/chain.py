"""Chains of layers, each one of a few operations: NAS-Bench-Macro's kind of space, of any size.

A chain of one's own is a class of three lines, in a file of one's own::

    class Blocks(Chain):
        name = "my_space.Blocks"  # module and class: where a table that names it finds it
        operation_names = ("skip", "conv3", "conv5")
        layers = 5
"""

from __future__ import annotations

import re
from typing import ClassVar, NamedTuple

import numpy as np
import torch

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.space.base import Architecture, Graphs, Indexed, Shape, Space

PASSES = ("identity", "skip", "skip_connect")  # operations that only pass their input on


class Box(NamedTuple):
    """How a layer of a chain is drawn: see :func:`nasp_lightning.report.figure.chain.draw_chain`.

    Attributes:
        text: in the box.
        kind: what has one colour; None: none, since it is not searched or only passes on.
        size: of the box, a share of the tallest; 0: it only passes its input on.
        group: neighbours with the same text are braced together; empty: nothing to say.
    """

    text: str
    kind: str | None
    size: float = 1.0
    group: str = ""


class Chain(Space, Indexed):
    """A chain of ``layers`` operations; encoded as tokens and a path graph, marked as a chain.

    As text, an architecture is its codes: one digit for each layer, such as ``02012``; with more
    than ten operations they are joined by ``-``.

    Attributes:
        operation_names: what the codes 0, 1, ... stand for.
        layers: length L of the chain.
    """

    encodings: ClassVar[tuple[str, ...]] = ("chain",)
    layers: int

    @property
    def shape(self) -> Shape:
        """Sizes of the encoding."""
        return Shape(
            tokens=self.layers,
            vertices=self.layers,
            vocabulary=len(self.operation_names),
            chain=True,
            identity_tokens=tuple(
                code for code, name in enumerate(self.operation_names) if name in PASSES
            ),
        )

    @property
    def stages(self) -> tuple[int, ...] | None:
        """Stage of each layer, from 0, a row of a drawing each; None: there are no stages."""
        return None

    @property
    def choices(self) -> Array:
        """``[L]`` int64, how many operations each layer may have: the codes from 0 on."""
        return np.full(self.layers, len(self.operation_names))

    @property
    def size(self) -> int:
        """Number of architectures in the space."""
        return int(len(self.operation_names) ** self.layers)

    def index_of(self, operations: Array) -> Array:
        """``[N]`` canonical index of ``[N, L]`` operations: their codes as digits of one number.

        int64; Python's whole numbers where the space is too large for that.
        """
        base = len(self.operation_names)
        powers = [base**place for place in range(self.layers - 1, -1, -1)]
        kind: type = np.int64 if self.size <= np.iinfo(np.int64).max else object
        index: Array = np.asarray(operations).astype(kind) @ np.array(powers, dtype=kind)
        return index

    def encode(self, operations: Array, adjacency: Array | None = None) -> Graphs:
        """Encode ``[N, L]`` operations."""
        self.validate(operations, adjacency)
        tokens = np.array(operations, dtype=np.uint8)
        path = np.eye(self.layers, k=1, dtype=np.uint8)
        return Graphs(
            operations=torch.from_numpy(tokens),
            adjacency=torch.from_numpy(np.tile(path, (len(tokens), 1, 1))),
            vertices=torch.full((len(tokens),), self.layers, dtype=torch.uint8),
        )

    def validate(self, operations: Array, adjacency: Array | None = None) -> None:
        """Raise :class:`NaspError` naming the first row that is no architecture of the space."""
        operations = np.asarray(operations)
        if adjacency is not None:
            raise NaspError(f"space {self.name}: the topology is fixed, so adjacency must be None")
        shape, names = operations.shape, self.operation_names
        if operations.ndim != 2 or shape[1] != self.layers or operations.dtype.kind not in "iu":
            raise NaspError(
                f"space {self.name}: operations must be integers [N, {self.layers}], "
                f"not {operations.dtype} {list(shape)}"
            )
        wrong = np.argwhere((operations < 0) | (operations >= len(names)))
        if len(wrong):
            row, layer = wrong[0]
            raise NaspError(
                f"space {self.name}: architecture {row} has operation {operations[row, layer]} in "
                f"layer {layer}; codes are 0 to {len(names) - 1}: {', '.join(names)}"
            )

    def to_string(self, operations: Array, adjacency: Array | None = None) -> str:
        """The codes, such as ``02012``."""
        self.validate(np.asarray(operations)[None], adjacency)
        return self._separator.join(str(int(code)) for code in operations)

    def from_string(self, text: str) -> Architecture:
        """Operations ``[L]`` of a text.

        Raises:
            NaspError: if the text is not one code of the space for each layer.
        """
        digits = text.strip()
        parts = digits.split(self._separator) if self._separator else list(digits)
        known = {str(code) for code in range(len(self.operation_names))}
        if len(parts) != self.layers or not set(parts) <= known:
            raise NaspError(
                f"space {self.name}: {text[:40]!r} is no architecture; expected {self.layers} "
                f"codes from 0 to {len(known) - 1}, such as {self._example()} (a leading zero is "
                "lost where the column was read as a number)"
            )
        return Architecture(np.array([int(part) for part in parts], dtype=np.uint8))

    def sample(self, rng: np.random.Generator, count: int) -> tuple[Array, None]:
        """``[count, L]`` architectures drawn independently and uniformly (repeats are possible)."""
        size = (count, self.layers)
        return rng.integers(len(self.operation_names), size=size, dtype=np.uint8), None

    def mutate(
        self, rng: np.random.Generator, operations: Array, adjacency: Array | None = None
    ) -> Architecture:
        """The architecture with another operation in one layer, both chosen uniformly."""
        changed = np.array(operations, dtype=np.uint8)
        layer = rng.integers(self.layers)
        shift = rng.integers(1, len(self.operation_names))
        changed[layer] = (changed[layer] + shift) % len(self.operation_names)
        return Architecture(changed)

    def fair_sample(self, rng: np.random.Generator) -> tuple[Array, None]:
        """``[m, L]`` architectures that together hold each operation of a layer once.

        m is the most choices of a layer; one with fewer repeats some, drawn anew each time.
        """
        most = max(self.choices)
        layers = []
        for count in self.choices:
            codes = [rng.permutation(count) for _ in range(-(-most // count))]
            layers.append(rng.permutation(np.concatenate(codes)[:most]))
        return np.stack(layers, axis=1).astype(np.uint8), None

    def boxes(self, operations: Array) -> list[Box]:
        """How one architecture ``[L]`` is drawn, from input to output.

        Raises:
            NaspError: if it is no architecture of the space.
        """
        self.validate(np.asarray(operations)[None])
        return [box_of(self.operation_names[int(code)]) for code in operations]

    @property
    def _separator(self) -> str:
        return "" if len(self.operation_names) <= 10 else "-"

    def _example(self) -> str:
        codes = [layer % len(self.operation_names) for layer in range(self.layers)]
        return self._separator.join(map(str, codes))


def box_of(name: str) -> Box:
    """How an operation is drawn; ``mb6_k5`` is an inverted residual block of expansion 6."""
    found = re.fullmatch(r"mb(\d+)_k(\d+)", name)
    if not found:
        return Box(name, None, 0.0) if name in PASSES else Box(name, name)
    expansion, kernel = found.groups()
    return Box(f"MB{expansion} {kernel}×{kernel}", f"{kernel}×{kernel}", int(expansion) / 6)
