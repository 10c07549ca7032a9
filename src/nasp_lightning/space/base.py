"""What every search space offers: encodings as tensors, validation, names, sampling, mutation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from nasp_lightning.array import Array


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

    An architecture is one row of the space's native arrays: ``operations`` ``[T]`` uint8 and,
    where the topology varies, ``adjacency`` ``[V, V]`` uint8.
    """

    name: ClassVar[str]
    encodings: ClassVar[tuple[str, ...]]

    def __init__(self, encoding: str | None = None) -> None:
        from nasp_lightning.error import NaspError

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
    def from_string(self, text: str) -> tuple[Array, Array | None]:
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
    ) -> tuple[Array, Array | None]:
        """One architecture changed in one place."""

    def crossover(
        self,
        rng: np.random.Generator,
        first: tuple[Array, Array | None],
        second: tuple[Array, Array | None],
    ) -> tuple[Array, Array | None]:
        """A child of two architectures, each place of it from either, as native arrays.

        Raises:
            NaspError: in a space whose topology varies and that has no crossover of its own.
        """
        from nasp_lightning.error import NaspError

        if first[1] is not None or second[1] is not None:
            raise NaspError(f"space {self.name} has no crossover: set it to null or 0")
        either = rng.random(len(first[0])) < 0.5
        return np.where(either, first[0], second[0]).astype(np.uint8), None
