"""DARTS' space: a normal and a reduction cell of four nodes, seven operations, no ``none``.

Liu et al., "DARTS: Differentiable Architecture Search" (ICLR 2019, arXiv 1806.09055), as TNASP
and PINAT search it: (1 · 3 · 6 · 10 · 7^8)^2, about 1.1e18 genotypes.

Example:
    >>> space = Darts()
    >>> operations, adjacency = space.sample(np.random.default_rng(0), 1)
    >>> space.to_string(operations[0], adjacency[0])[:25]
    "Genotype(normal=[('dil_co"
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.space.base import Architecture, Graphs, Keyed, Shape, Space, stacked
from nasp_lightning.space.darts_genotype import EDGES, NODES, OPERATIONS, Genotype, parse
from nasp_lightning.space.darts_graph import (
    CELL_SIZE,
    FIRST_INPUT,
    INPUT,
    OUTPUT,
    PAIRS,
    SIZE,
    VERTICES,
    VOCABULARY,
    canonical_index,
    cell_index,
    cell_of,
    from_graph,
    ordered,
    to_graph,
    well_formed,
)

__all__ = ["OPERATIONS", "Darts", "Genotype"]


class Darts(Space, Keyed):
    """Genotypes of DARTS, as one graph of both cells: see :mod:`.darts_graph`.

    Encoding ``graph``: the native arrays as they are. A cell's operations have tokens of their
    own, so that the cells can be told apart; nothing is padded. A node's two inputs are written
    in ascending order, so equal cells are equal arrays; :meth:`key` is also the same where two
    cells differ in the order of their nodes alone.
    """

    name: ClassVar[str] = "darts"
    encodings: ClassVar[tuple[str, ...]] = ("graph",)
    operation_names = OPERATIONS

    @property
    def shape(self) -> Shape:
        """Sizes of the encoding."""
        return Shape(
            tokens=VERTICES,
            vertices=VERTICES,
            vocabulary=VOCABULARY,
            operation_tokens=tuple(range(FIRST_INPUT, VOCABULARY)),
            input_token=INPUT,
            output_token=OUTPUT,
        )

    @property
    def size(self) -> int:
        """Number of genotypes."""
        return SIZE

    def encode(self, operations: Array, adjacency: Array | None = None) -> Graphs:
        """Encode ``[N, 22]`` operations and ``[N, 22, 22]`` adjacencies."""
        self.validate(operations, adjacency)
        return Graphs(
            operations=torch.from_numpy(np.array(operations, dtype=np.uint8)),
            adjacency=torch.from_numpy(np.array(adjacency, dtype=np.uint8)),
            vertices=torch.full((len(operations),), VERTICES, dtype=torch.uint8),
        )

    def validate(self, operations: Array, adjacency: Array | None = None) -> None:
        """Raise :class:`NaspError` naming the first architecture that is none of the space."""
        self.edges(operations, adjacency)

    def edges(self, operations: Array, adjacency: Array | None) -> tuple[Array, Array]:
        """What the cells' edges do and read.

        Args:
            operations: ``[N, 22]``.
            adjacency: ``[N, 22, 22]``.

        Returns:
            Codes of :data:`OPERATIONS` and states, ``[N, 2, 8]`` int64 each, of the normal and
            the reduction cell.

        Raises:
            NaspError: naming the first architecture that is none of the space.
        """
        tokens = np.asarray(operations)
        matrix = None if adjacency is None else np.asarray(adjacency)
        fits = tokens.ndim == 2 and tokens.shape[1] == VERTICES and tokens.dtype.kind in "iu"
        if matrix is None or not fits or matrix.shape != (len(tokens), VERTICES, VERTICES):
            raise NaspError(
                f"architectures of darts are whole numbers: operations [N, {VERTICES}] and "
                f"adjacency [N, {VERTICES}, {VERTICES}]; got {tokens.dtype} {list(tokens.shape)} "
                f"and {None if matrix is None else list(matrix.shape)}"
            )
        codes, inputs = from_graph(tokens, matrix)
        again = to_graph(codes, inputs)
        rules = (
            ("a token that cannot stand in its place", (again[0] != tokens).any(axis=1)),
            ("edges that no two cells have", (again[1] != matrix).any(axis=(1, 2))),
            ("a node whose inputs are not two earlier ones, in order", ~well_formed(inputs)),
        )
        for reason, broken in rules:
            if broken.any():
                raise NaspError(
                    f"architecture {int(broken.argmax())} is none of darts: it has {reason}"
                )
        return codes, inputs

    def genotype(self, operations: Array, adjacency: Array | None) -> Genotype:
        """The genotype of one architecture ``[22]``, ``[22, 22]``."""
        matrix = None if adjacency is None else np.asarray(adjacency)[None]
        codes, inputs = self.edges(np.asarray(operations)[None], matrix)
        cells = (
            tuple((OPERATIONS[code], int(state)) for code, state in zip(*cell, strict=True))
            for cell in zip(codes[0], inputs[0], strict=True)
        )
        return Genotype(*cells)

    def from_genotype(self, genotype: Genotype) -> Architecture:
        """The architecture ``[22]``, ``[22, 22]`` of a genotype."""
        cells = genotype.ordered().cells
        codes = np.array([[OPERATIONS.index(operation) for operation, _ in cell] for cell in cells])
        inputs = np.array([[state for _, state in cell] for cell in cells])
        operations, adjacency = to_graph(codes[None], inputs[None])
        return Architecture(operations[0], adjacency[0])

    def to_string(self, operations: Array, adjacency: Array | None = None) -> str:
        """One architecture as the literature writes it, ``Genotype(normal=[…], …)``."""
        return str(self.genotype(operations, adjacency))

    def from_string(self, text: str) -> Architecture:
        """The architecture of a genotype's text; a node's inputs may be in any order.

        Raises:
            NaspError: if the text is no genotype, or none of the space.
        """
        return self.from_genotype(parse(text))

    def key(self, operations: Array, adjacency: Array | None) -> Array:
        """``[16]`` uint8 key of one architecture: the same for the same cells.

        Cells are the same if they differ in the order of their nodes alone.
        """
        matrix = None if adjacency is None else np.asarray(adjacency)[None]
        codes, inputs = self.edges(np.asarray(operations)[None], matrix)
        index = canonical_index(codes[0], inputs[0])
        return np.frombuffer(index.astype(">i8").tobytes(), dtype=np.uint8)

    def canonical(self, operations: Array, adjacency: Array | None) -> tuple[Array, Array]:
        """``[N, 22]``, ``[N, 22, 22]``: one and the same of all architectures with a key."""
        codes, inputs = self.edges(operations, adjacency)
        flat = canonical_index(codes.reshape(-1, EDGES), inputs.reshape(-1, EDGES))
        codes, inputs = cell_of(flat)
        return to_graph(codes.reshape(-1, 2, EDGES), inputs.reshape(-1, 2, EDGES))

    def genotype_index(self, operations: Array, adjacency: Array | None) -> Array:
        """``[N]`` int64 number of architectures, below :attr:`size`; nodes' order counts."""
        codes, inputs = self.edges(operations, adjacency)
        cells = cell_index(codes.reshape(-1, EDGES), inputs.reshape(-1, EDGES)).reshape(-1, 2)
        index: Array = cells[:, 0] * CELL_SIZE + cells[:, 1]
        return index

    def sample(self, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
        """``count`` architectures drawn independently and uniformly among the genotypes."""
        codes = rng.integers(len(OPERATIONS), size=(count, 2, EDGES))
        inputs = np.empty_like(codes)
        for node, pairs in enumerate(PAIRS):
            inputs[:, :, 2 * node : 2 * node + 2] = pairs[rng.integers(len(pairs), size=(count, 2))]
        return to_graph(codes, inputs)

    def mutate(
        self, rng: np.random.Generator, operations: Array, adjacency: Array | None = None
    ) -> Architecture:
        """One architecture with one operation or one input changed, each in half of the cases.

        As in Real et al. (AAAI 2019); never the same architecture in another order.
        """
        matrix = None if adjacency is None else np.asarray(adjacency)[None]
        codes, inputs = self.edges(np.asarray(operations)[None], matrix)
        new, read = codes[0], inputs[0].copy()
        cell = int(rng.integers(2))
        if rng.random() < 0.5:
            edge = rng.integers(EDGES)
            shift = rng.integers(1, len(OPERATIONS))
            new[cell, edge] = (new[cell, edge] + shift) % len(OPERATIONS)
        else:
            before = canonical_index(new[cell, None], read[cell, None])
            while canonical_index(new[cell, None], read[cell, None]) == before:
                new, read = self._rewired(rng, codes[0], inputs[0], cell)
        operations, adjacency = to_graph(new[None], read[None])
        return Architecture(operations[0], adjacency[0])

    @staticmethod
    def _rewired(
        rng: np.random.Generator, codes: Array, inputs: Array, cell: int
    ) -> tuple[Array, Array]:
        """Edges ``[2, 8]`` with another input of one edge of a cell."""
        read = inputs.copy()
        edge = rng.integers(2, EDGES)  # the first node has no other inputs
        taken = read[cell, edge], read[cell, edge ^ 1]
        free = [state for state in range(2 + edge // 2) if state not in taken]
        read[cell, edge] = rng.choice(free)
        return ordered(codes, read)

    def crossover(
        self, rng: np.random.Generator, first: Architecture, second: Architecture
    ) -> Architecture:
        """A child of two architectures: each of its eight nodes is one parent's, at random."""
        parents = [self.edges(*stacked([parent])) for parent in (first, second)]
        chosen = np.repeat(rng.integers(2, size=(2, NODES)), 2, axis=1) == 1
        codes, inputs = (
            np.where(chosen, theirs[0], ours[0]) for ours, theirs in zip(*parents, strict=True)
        )
        operations, adjacency = to_graph(codes[None], inputs[None])
        return Architecture(operations[0], adjacency[0])

    def fair_sample(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Seven architectures of one topology that hold each operation once on every edge.

        Strict fairness (Chu et al., FairNAS, ICCV 2021) with the topology drawn anew each time.

        Returns:
            ``[7, 22]`` and ``[7, 22, 22]``.
        """
        kinds = len(OPERATIONS)
        turns = rng.permuted(np.tile(np.arange(kinds)[:, None], (1, 2 * EDGES)), axis=0)
        _, inputs = self.edges(*self.sample(rng, 1))
        return to_graph(turns.reshape(kinds, 2, EDGES), np.repeat(inputs, kinds, axis=0))
