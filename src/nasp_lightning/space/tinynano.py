"""Tiny-NanoBench's space: light cells of up to six operations for a network of nine cells.

Zhang et al., "Siamese-NAS" (arXiv 2210.00546), section 3.5 and appendix A. Operations: depthwise
3×3 and 1×1 convolution, channel attention, expansion to three times the channels, and a split of
the channels into two branches; see :mod:`nasp_lightning.network.tinynano`.

The paper does not say which 1,120 cells it took (its Fig. 10 is not published with the code), so
membership here is a definition of ours: all cells of at most ``slots`` operations and
``max_splits`` splits whose network costs less than ``mflops``, without identities and isomorphic
doubles (1,435 with the defaults), ordered by graph hash, the first ``count`` of them. Count and
cap are the paper's; the hash is blind to cost and accuracy, so the members are a fair sample.

At these widths one 1×1 convolution in each of the nine cells costs more than the cap leaves: no
member has a ``conv1x1`` or an ``expand``, and the 1,435 are the cells of depthwise convolutions,
attention and splits. Narrower networks have them (``widths=(48, 96, 192)``: 3,164 cells under the
cap, most of them with a 1×1 convolution); the paper does not say that its own differ.

Native arrays are ``[7]`` codes and a ``[7, 7]`` adjacency: operation slots, output, padding.

Example:
    >>> space = TinyNano(slots=2, count=None)
    >>> operations, adjacency = space.from_string("split>1,2;dwconv3x3>2;output")
    >>> operations.tolist()
    [9, 5, 10]
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.space.base import Architecture, Graphs, Keyed, Listed, Shape, Space
from nasp_lightning.space.tinynano_cost import (
    Macro,
    as_widths,
    check_convention,
    network_cost,
    slot_channels,
)
from nasp_lightning.space.tinynano_graph import (
    CHOICES,
    INPUT,
    NONE,
    OPERATIONS,
    OUTPUT,
    PADDING,
    SPLIT,
    Cell,
    broken_rule,
    canonical,
    from_arrays,
    graph_hash,
    simplify,
    slots_needed,
    to_arrays,
    to_text,
)
from nasp_lightning.space.tinynano_members import cells_below
from nasp_lightning.space.tinynano_mutation import changes


class TinyNano(Space, Keyed, Listed):
    """Nano cells, with two encodings.

    ``node`` (default): eight vertices, the cell's input before the slots. Tokens: the published
    vocabulary of eleven, and 11 for padding.

    ``dataflow`` (the published one, which ``predictor=siamese`` prefers): the seven slots alone;
    a padded slot has the token of ``none`` and no edges. An identity between the halves of a
    split has that token too.

    Args:
        encoding: ``node`` or ``dataflow``.
        slots: most operations of a cell (the published matrices have seven rows: six and the
            output).
        max_splits: most splits of a cell.
        mflops: cap, in millions of operations of the network for one image.
        count: members kept, in the order of their hashes; None: all below the cap.
        convention: how operations are counted, ``profiler`` (multiply-adds, and half an operation
            for each elementwise one) or ``macs``: :mod:`nasp_lightning.space.tinynano_cost`.
        rejoin: take cells in which a split's halves meet again directly (129 of 1,435): such a
            split only changes the order of the channels. Without them 1,306 are below the cap.
        widths: channels of the network's stages.
        cells: cells in a stage.
        image: height and width of an image in pixels.
        classes: of the data set.

    Raises:
        NaspError: if a size is not positive or the convention unknown.
    """

    name: ClassVar[str] = "tinynano"
    encodings: ClassVar[tuple[str, ...]] = ("node", "dataflow")
    operation_names = OPERATIONS

    def __init__(
        self,
        encoding: str | None = None,
        slots: int = 6,
        max_splits: int = 1,
        mflops: float = 35.0,
        count: int | None = 1120,
        convention: str = "profiler",
        rejoin: bool = True,
        widths: Sequence[int] = (64, 128, 256),
        cells: int = 3,
        image: int = 32,
        classes: int = 10,
    ) -> None:
        super().__init__(encoding)
        check_convention(convention)
        if slots < 1 or max_splits < 0 or not mflops > 0 or (count is not None and count < 1):
            raise NaspError(
                f"space.slots={slots}, max_splits={max_splits}, mflops={mflops}, count={count}: "
                "the space is empty; slots, mflops and count must be positive"
            )
        self.slots, self.max_splits, self.mflops = slots, max_splits, float(mflops)
        self.count, self.convention, self.rejoin = count, convention, rejoin
        self.macro = Macro(as_widths(widths), cells, image, classes)

    @property
    def shape(self) -> Shape:
        """Sizes of the chosen encoding."""
        if self.encoding == "dataflow":
            return Shape(
                tokens=self.slots + 1,
                vertices=self.slots + 1,
                vocabulary=len(OPERATIONS),
                padding_token=NONE,
                published_padding_token=NONE,
                operation_tokens=CHOICES,
                output_token=OUTPUT,
            )
        return Shape(
            tokens=self.slots + 2,
            vertices=self.slots + 2,
            vocabulary=PADDING + 1,
            padding_token=PADDING,
            operation_tokens=CHOICES,
            input_token=INPUT,
            output_token=OUTPUT,
        )

    # --- members

    @cached_property
    def member_cells(self) -> tuple[Cell, ...]:
        """The members' simplest canonical cells, in the order of their hashes.

        Raises:
            NaspError: if fewer than ``count`` cells are below the cap.
        """
        below = cells_below(
            self.mflops * 1e6,
            self.slots,
            self.max_splits,
            self.rejoin,
            self.macro,
            self.convention,
        )
        if len(below) < (self.count or 1):
            raise NaspError(
                f"only {len(below)} Nano cells cost less than {self.mflops:g} million operations; "
                f"space.count={self.count} are asked for: raise space.mflops, or lower the count"
            )
        return below[: self.count]

    @property
    def size(self) -> int:
        """Number of members."""
        return len(self.member_cells)

    def members(self) -> tuple[Array, Array]:
        """``[M, T]`` operations and ``[M, T, T]`` adjacencies of all members, by hash."""
        return self._stack(self.member_cells)

    @cached_property
    def _rows(self) -> dict[Cell, int]:
        return {cell: row for row, cell in enumerate(self.member_cells)}

    def is_member(self, operations: Array, adjacency: Array) -> bool:
        """Whether one architecture, in any numbering and with any identities, is a member."""
        return canonical(self._simplest(operations, adjacency)) in self._rows

    def key(self, operations: Array, adjacency: Array) -> Array:
        """``[16]`` uint8 key of one architecture in a table: its graph hash."""
        digest = graph_hash(self._simplest(operations, adjacency))
        return np.frombuffer(bytes.fromhex(digest), dtype=np.uint8)

    def costs(self, operations: Array, adjacency: Array) -> dict[str, Array]:
        """``parameters``, ``macs`` and ``flops`` (by the convention), each ``[N]`` float64.

        Args:
            operations: ``[N, T]`` codes.
            adjacency: ``[N, T, T]``.
        """
        self.validate(operations, adjacency)
        found = [
            network_cost(from_arrays(codes, matrix), self.macro)
            for codes, matrix in zip(operations, adjacency, strict=True)
        ]
        return {
            "parameters": np.array([cost.parameters for cost in found], dtype=np.float64),
            "macs": np.array([cost.macs for cost in found], dtype=np.float64),
            "flops": np.array([cost.flops(self.convention) for cost in found], dtype=np.float64),
        }

    # --- encoding

    def encode(self, operations: Array, adjacency: Array | None = None) -> Graphs:
        """Encode ``[N, T]`` operations and ``[N, T, T]`` adjacencies."""
        self.validate(operations, adjacency)
        codes = np.array(operations, dtype=np.uint8)
        matrix = np.array(adjacency, dtype=np.uint8)
        real = (codes != PADDING).sum(axis=1)
        if self.encoding == "dataflow":
            codes[codes == PADDING] = NONE
        else:
            codes = np.pad(codes, ((0, 0), (1, 0)), constant_values=INPUT)
            matrix = np.pad(matrix, ((0, 0), (1, 0), (1, 0)))
            matrix[:, 0, 1] = 1
            real = real + 1
        return Graphs(
            operations=torch.from_numpy(codes),
            adjacency=torch.from_numpy(matrix),
            vertices=torch.from_numpy(real.astype(np.uint8)),
        )

    def decode(self, graphs: Graphs) -> tuple[Array, Array]:
        """Native arrays of encoded architectures; the inverse of :meth:`encode`."""
        codes = graphs.operations.cpu().numpy().astype(np.uint8)
        matrix = graphs.adjacency.cpu().numpy().astype(np.uint8)
        real = graphs.vertices.cpu().numpy().astype(np.int64)
        if self.encoding == "node":
            codes, matrix, real = codes[:, 1:].copy(), matrix[:, 1:, 1:].copy(), real - 1
        codes[np.arange(codes.shape[1]) >= real[:, None]] = PADDING
        self.validate(codes, matrix)
        return codes, matrix

    def validate(self, operations: Array, adjacency: Array | None = None) -> None:
        """Raise :class:`NaspError` naming the first architecture that is no Nano cell.

        Cells need not be members, nor free of identities, nor below the cap.
        """
        codes = np.asarray(operations)
        matrix = None if adjacency is None else np.asarray(adjacency)
        width = self.slots + 1
        fits = codes.ndim == 2 and codes.shape[1] == width and codes.dtype.kind in "iu"
        if matrix is None or not fits or matrix.shape != (len(codes), width, width):
            got = None if matrix is None else list(matrix.shape)
            raise NaspError(
                f"cells of {self.name} are whole operations [N, {width}] and adjacency "
                f"[N, {width}, {width}]; got {codes.dtype} {list(codes.shape)} and {got}"
            )
        for row in range(len(codes)):
            reason = broken_rule(codes[row], matrix[row])
            splits = int((codes[row] == SPLIT).sum())
            if reason is None and splits > self.max_splits:
                reason = f"{splits} splits, and space.max_splits={self.max_splits}"
            if reason is not None:
                raise NaspError(f"architecture {row} is no cell of {self.name}: it has {reason}")

    # --- text

    def to_string(self, operations: Array, adjacency: Array | None = None) -> str:
        """Slots and whom each feeds, such as ``split>1,2;dwconv3x3>3;atten>3;output``."""
        return to_text(self._cell(operations, adjacency))

    def from_string(self, text: str) -> Architecture:
        """The cell that :meth:`to_string` wrote.

        Raises:
            NaspError: if the text names an unknown operation or is no Nano cell.
        """
        parts = text.replace(" ", "").split(";")
        if len(parts) > self.slots + 1:
            raise NaspError(
                f"{text[:120]!r} has {len(parts) - 1} operations; {self.name} allows "
                f"space.slots={self.slots}"
            )
        codes = np.full((1, self.slots + 1), PADDING, dtype=np.uint8)
        matrix = np.zeros((1, self.slots + 1, self.slots + 1), dtype=np.uint8)
        for slot, part in enumerate(parts):
            operation, arrow, listed = part.partition(">")
            if operation not in OPERATIONS:
                known = ", ".join(OPERATIONS[code] for code in CHOICES)
                raise NaspError(
                    f"unknown operation {operation!r} in {text[:120]!r}; {self.name} has {known}"
                )
            ends = [
                int(end) if end.isascii() and end.isdigit() else -1 for end in listed.split(",")
            ]
            if arrow and not all(0 <= end < len(parts) for end in ends):
                raise NaspError(
                    f"{part!r} in {text[:120]!r} names no slot from 0 to {len(parts) - 1}: write "
                    "cells like split>1,2;dwconv3x3>3;atten>3;output"
                )
            codes[0, slot] = OPERATIONS.index(operation)
            matrix[0, slot, ends if arrow else []] = 1
        self.validate(codes, matrix)
        return Architecture(codes[0], matrix[0])

    def draw(self, operations: Array, adjacency: Array) -> str:
        """A cell as lines of text: slots, their channels in the first stage, whom they feed."""
        cell = self._cell(operations, adjacency)
        width = self.macro.widths[0]
        reaching = slot_channels(cell, width, width)
        lines = [f"  input      {width:>4} channels → 0"]
        for slot, (code, ends) in enumerate(cell):
            arrow = ", ".join(map(str, ends))
            lines.append(f"{slot} {OPERATIONS[code]:<10} {reaching[slot]:>4} channels → {arrow}")
        same = "" if reaching[-1] == width else f", by a 1×1 convolution to {width}"
        return "\n".join([*lines, f"{len(cell)} output     {reaching[-1]:>4} channels{same}"])

    # --- sampling and mutation

    def sample(self, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
        """``count`` members drawn independently and uniformly (repeats are possible)."""
        return self._stack([self.member_cells[row] for row in rng.integers(self.size, size=count)])

    def mutate(
        self, rng: np.random.Generator, operations: Array, adjacency: Array | None = None
    ) -> Architecture:
        """Another member, one change away where a few tries find one, else any.

        A change replaces an operation, puts one in an edge, takes one out, or moves the end of
        an edge.
        """
        cell = canonical(simplify(self._cell(operations, adjacency), self.rejoin))
        for candidate in changes(rng, cell):
            if slots_needed(candidate) > self.slots:
                continue
            candidate = canonical(simplify(candidate, self.rejoin))
            if candidate != cell and candidate in self._rows:
                return Architecture(*to_arrays(candidate, self.slots))
        others = [member for member in self.member_cells if member != cell] or [cell]
        return Architecture(*to_arrays(others[rng.integers(len(others))], self.slots))

    def _stack(self, cells: Sequence[Cell]) -> tuple[Array, Array]:
        width = self.slots + 1
        operations = np.zeros((len(cells), width), dtype=np.uint8)
        adjacency = np.zeros((len(cells), width, width), dtype=np.uint8)
        for row, cell in enumerate(cells):
            operations[row], adjacency[row] = to_arrays(cell, self.slots)
        return operations, adjacency

    def _cell(self, operations: Array, adjacency: Array | None) -> Cell:
        """The cell of one valid architecture."""
        matrix = None if adjacency is None else np.asarray(adjacency)[None]
        self.validate(np.asarray(operations)[None], matrix)
        assert adjacency is not None
        return from_arrays(operations, adjacency)

    def _simplest(self, operations: Array, adjacency: Array) -> Cell:
        return simplify(self._cell(operations, adjacency))
