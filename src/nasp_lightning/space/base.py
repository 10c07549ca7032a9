"""What a search space offers.

To be fitted on, a space needs ``name``, ``encodings``, ``shape``, :meth:`Space.encode`,
:meth:`Space.validate`, :meth:`Space.to_string` and :meth:`Space.from_string`; to be searched,
:meth:`Space.sample` and :meth:`Space.mutate` too. All else has a default, or is one of the
abilities :class:`Keyed`, :class:`Indexed` and :class:`Listed`, which a space has by inheriting
them beside :class:`Space`, and which are asked for by ``isinstance``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError

MUTATIONS, IDLE = 5000, 100  # that look for neighbours, at most; in a row that find no new one


class Architecture(NamedTuple):
    """One architecture, as native arrays of its space.

    Attributes:
        operations: ``[T]`` uint8 codes.
        adjacency: ``[V, V]`` uint8, row to column; None where the topology is fixed.
    """

    operations: Array
    adjacency: Array | None = None


def stacked(architectures: Sequence[Architecture]) -> tuple[Array, Array | None]:
    """Native arrays ``[N, T]`` and ``[N, V, V]`` (or None) of architectures."""
    operations = np.stack([item.operations for item in architectures])
    matrices = [item.adjacency for item in architectures if item.adjacency is not None]
    return operations, np.stack(matrices) if matrices else None


def unstacked(operations: Array, adjacency: Array | None = None) -> list[Architecture]:
    """The architectures of native arrays ``[N, T]`` and ``[N, V, V]`` (or None)."""
    return [
        Architecture(codes, None if adjacency is None else adjacency[row])
        for row, codes in enumerate(operations)
    ]


@dataclass(frozen=True)
class Shape:
    """Sizes of an encoding: all that a predictor needs to build itself.

    Attributes:
        tokens: number of operation tokens T of an architecture, padding included.
        vertices: number of vertices V of the adjacency (T, unless operations sit on edges).
        vocabulary: number of distinct tokens, the padding token included.
        padding_token: token of a padded slot, or None where nothing is padded.
        published_padding_token: the token that the published code feeds in a padded slot
            (NAS-Bench-101: the output's), or None.
        features: number F of extra real inputs of an architecture, 0 for none.
        chain: True for a chain of layers, where a graph has nothing to say.
        operation_tokens: tokens of the operations that pass something on (no input, output,
            padding or ``none``); None: all but the padding.
        edges: where operations sit on edges, the (source, target) vertices of each token.
        fixed_topology: True where a token's place means the same in every architecture.
        ordered: True where the topology varies and a vertex's place still means the same, such as
            the layer of a network that chooses its predecessor.
        input_token: token that the first vertex always holds, or None where it varies.
        output_token: token that ends every architecture, or None where there is none.
        identity_tokens: tokens of the operations that only pass their input on.
    """

    tokens: int
    vertices: int
    vocabulary: int
    padding_token: int | None = None
    published_padding_token: int | None = None
    features: int = 0
    chain: bool = False
    operation_tokens: tuple[int, ...] | None = None
    edges: tuple[tuple[int, int], ...] | None = None
    fixed_topology: bool = False
    ordered: bool = False
    input_token: int | None = None
    output_token: int | None = None
    identity_tokens: tuple[int, ...] = ()


@dataclass(frozen=True)
class Graphs:
    """Encoded architectures, resident on one device.

    Attributes:
        operations: ``[N, T]`` uint8 tokens.
        adjacency: ``[N, V, V]`` uint8, row to column (upper triangular), zero where padded.
        vertices: ``[N]`` uint8, how many tokens are real; the others are padding at the end.
        features: ``[N, F]`` float32 extra inputs, or None.
    """

    operations: Tensor
    adjacency: Tensor
    vertices: Tensor
    features: Tensor | None = None

    def __len__(self) -> int:
        """Number of architectures."""
        return len(self.operations)

    def __getitem__(self, index: Tensor | slice) -> Graphs:
        """The chosen architectures."""
        return Graphs(
            self.operations[index],
            self.adjacency[index],
            self.vertices[index],
            None if self.features is None else self.features[index],
        )

    def to(self, device: torch.device | str) -> Graphs:
        """The same graphs on another device."""
        return Graphs(
            self.operations.to(device),
            self.adjacency.to(device),
            self.vertices.to(device),
            None if self.features is None else self.features.to(device),
        )


class Space(ABC):
    """A set of architectures, and what can be done with its members.

    One architecture is an :class:`Architecture`; many are arrays ``[N, T]`` uint8 and, where the
    topology varies, ``[N, V, V]`` uint8.

    Args:
        encoding: one of ``encodings``; None: the first.

    Attributes:
        name: of the space, that tables and messages have: the module's, or ``module.Class`` for a
            space of one's own.
        encodings: that :meth:`encode` can make, the preferred one first.
        operation_names: what the codes 0, 1, ... stand for; empty: nobody says.
        encoding: the chosen one.

    Raises:
        NaspError: if there is no such encoding.
    """

    name: ClassVar[str]
    encodings: ClassVar[tuple[str, ...]]
    operation_names: tuple[str, ...] = ()

    def __init__(self, encoding: str | None = None) -> None:
        chosen = encoding or self.encodings[0]
        if chosen not in self.encodings:
            raise NaspError(
                f"space {self.name} has no encoding {chosen!r}; choose space.encoding="
                + "|".join(self.encodings)
            )
        self.encoding = chosen

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """Sizes of the chosen encoding."""

    @property
    def size(self) -> int | None:
        """Number of architectures of which a table is complete; None: any table is."""
        return None

    @abstractmethod
    def encode(self, operations: Array, adjacency: Array | None = None) -> Graphs:
        """Encode ``[N, T]`` operations and ``[N, V, V]`` adjacencies (None: fixed topology)."""

    @abstractmethod
    def validate(self, operations: Array, adjacency: Array | None = None) -> None:
        """Raise :class:`NaspError` naming the first architecture that is not of this space."""

    @abstractmethod
    def to_string(self, operations: Array, adjacency: Array | None = None) -> str:
        """One architecture as text, such as ``|nor_conv_3x3~0|+|…|``."""

    @abstractmethod
    def from_string(self, text: str) -> Architecture:
        """The architecture that :meth:`to_string` wrote.

        Raises:
            NaspError: if the text names an unknown operation or is no architecture.
        """

    @abstractmethod
    def sample(self, rng: np.random.Generator, count: int) -> tuple[Array, Array | None]:
        """``count`` architectures drawn at random, as native arrays."""

    @abstractmethod
    def mutate(
        self, rng: np.random.Generator, operations: Array, adjacency: Array | None = None
    ) -> Architecture:
        """One architecture changed in one place."""

    def neighbours(
        self, rng: np.random.Generator, operations: Array, adjacency: Array | None = None
    ) -> list[Architecture]:
        """Distinct architectures one change away, in any order: what :meth:`mutate` can make.

        Of a fixed topology, all that have another of ``operation_names`` in one place. Else what
        many mutations find, which may lack some; a space that can lists them itself.

        Args:
            rng: of the mutations.
            operations: ``[T]`` of one architecture.
            adjacency: ``[V, V]``, or None where the topology is fixed.
        """
        codes = np.array(operations, dtype=np.uint8)
        if adjacency is None and self.operation_names:
            return [item for item in self._one_place_changed(codes) if self._has(item)]
        itself = Architecture(codes, adjacency)
        found = {_bytes(itself): itself}
        idle = 0
        for _ in range(MUTATIONS):
            mutant = self.mutate(rng, operations, adjacency)
            idle = idle + 1 if _bytes(mutant) in found else 0
            found.setdefault(_bytes(mutant), mutant)
            if idle >= IDLE:
                break
        return list(found.values())[1:]

    def _one_place_changed(self, codes: Array) -> Iterator[Architecture]:
        for place in range(len(codes)):
            for code in range(len(self.operation_names)):
                if code != codes[place]:
                    changed = codes.copy()
                    changed[place] = code
                    yield Architecture(changed)

    def _has(self, architecture: Architecture) -> bool:
        """Whether it is one of the space: not every place may have every operation."""
        try:
            self.validate(*stacked([architecture]))
        except NaspError:
            return False
        return True

    def crossover(
        self, rng: np.random.Generator, first: Architecture, second: Architecture
    ) -> Architecture:
        """A child of two architectures, each place of it from either.

        Raises:
            NaspError: in a space whose topology varies and that has no crossover of its own.
        """
        if first.adjacency is not None or second.adjacency is not None:
            raise NaspError(f"space {self.name} has no crossover: set it to null or 0")
        either = rng.random(len(first.operations)) < 0.5
        mixed = np.where(either, first.operations, second.operations)
        return Architecture(mixed.astype(np.uint8))

    def fair_sample(self, rng: np.random.Generator) -> tuple[Array, Array | None]:
        """Architectures that together hold each operation of a layer once.

        A layer with fewer operations than another repeats some, drawn anew each time.

        Args:
            rng: source of the permutations.

        Returns:
            Operations ``[m, T]``, m the most choices of a layer, and adjacencies or None.

        Raises:
            NaspError: in a space without layers of choices, which is the default.
        """
        raise NaspError(
            f"task.strict_fairness=true: the space {self.name} has no layers of choices; set it "
            "to false"
        )


def _bytes(architecture: Architecture) -> bytes:
    operations, adjacency = architecture
    edges = b"" if adjacency is None else np.asarray(adjacency, dtype=np.uint8).tobytes()
    return np.asarray(operations, dtype=np.uint8).tobytes() + edges


class Keyed(ABC):
    """A space in which different arrays can be one architecture, such as isomorphic cells."""

    @abstractmethod
    def key(self, operations: Array, adjacency: Array) -> Array:
        """``[16]`` uint8 of one architecture, equal exactly for equal architectures."""


class Indexed(ABC):
    """A space whose architectures have a canonical order, which tables are brought into."""

    @abstractmethod
    def index_of(self, operations: Array) -> Array:
        """``[N]`` number, below ``size``, of ``[N, T]`` operations."""


class Listed(ABC):
    """A space that can list its members, so that a benchmark of all of them can be built."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number M of members."""

    @abstractmethod
    def members(self) -> tuple[Array, Array | None]:
        """``[M, T]`` operations and ``[M, V, V]`` adjacencies of all members, in a fixed order."""
