"""Genotypes of DARTS cells: the literature's text, read without evaluating it, and written.

Liu et al., "DARTS: Differentiable Architecture Search" (ICLR 2019, arXiv 1806.09055). A cell has
two inputs, the states 0 and 1, and four nodes, the states 2 to 5. Each node is the sum of two
operations on two different earlier states; the cell's output is the four nodes concatenated.
An architecture is a normal cell and a reduction cell::

    Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), …], normal_concat=range(2, 6),
             reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), …], reduce_concat=range(2, 6))
"""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass

from nasp_lightning.error import NaspError

OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
CELLS = ("normal", "reduce")
INPUTS = 2  # of a cell
NODES = 4
EDGES = 2 * NODES
LONGEST = 4000  # characters; a genotype has about 450

Edge = tuple[str, int]
Cell = tuple[Edge, ...]


@dataclass(frozen=True)
class Genotype:
    """A normal and a reduction cell.

    Attributes:
        normal: eight pairs of an operation and the state that it reads, two for each node.
        reduce: likewise; operations that read states 0 and 1 have stride 2.

    Raises:
        NaspError: if a cell is none of the space.
    """

    normal: Cell
    reduce: Cell

    def __post_init__(self) -> None:
        """Check both cells."""
        for name, cell in zip(CELLS, self.cells, strict=True):
            check_cell(name, cell)

    @property
    def cells(self) -> tuple[Cell, Cell]:
        """Both, in the order of :data:`CELLS`."""
        return self.normal, self.reduce

    def __str__(self) -> str:
        """The literature's text, on one line; :func:`parse` reads it."""
        named = zip(CELLS, self.cells, strict=True)
        parts = [f"{name}={list(cell)}, {name}_concat=range(2, 6)" for name, cell in named]
        return f"Genotype({', '.join(parts)})"

    def ordered(self) -> Genotype:
        """The same architecture, each node's two inputs in ascending order."""
        return Genotype(*map(_ordered, self.cells))


def _ordered(cell: Cell) -> Cell:
    pairs = [sorted(cell[at : at + 2], key=lambda edge: edge[1]) for at in range(0, EDGES, 2)]
    return tuple(edge for pair in pairs for edge in pair)


def check_cell(name: str, cell: Cell) -> None:
    """Refuse what is no cell of the space.

    Args:
        name: ``normal`` or ``reduce``, for the message.
        cell: pairs of an operation and the state that it reads.

    Raises:
        NaspError: for an unknown operation, a number of edges other than eight, a state that
            does not come before its reader, or two equal inputs of a node.
    """
    if len(cell) != EDGES:
        raise NaspError(
            f"the genotype's {name} cell has {len(cell)} edges; it needs {EDGES}: two for each of "
            f"its {NODES} nodes"
        )
    for place, (operation, state) in enumerate(cell):
        node = INPUTS + place // 2
        if operation not in OPERATIONS:
            raise NaspError(
                f"the genotype's {name} cell has the unknown operation {operation[:40]!r}; the "
                "space darts has: " + ", ".join(OPERATIONS)
            )
        if not 0 <= state < node:
            raise NaspError(
                f"the genotype's {name} cell reads state {state} at edge {place}, which belongs "
                f"to node {node}: choose one of the earlier states 0 to {node - 1}"
            )
        if place % 2 and state == cell[place - 1][1]:
            raise NaspError(
                f"the genotype's {name} cell reads state {state} twice in node {node}: give each "
                "node two different inputs"
            )


def parse(text: str) -> Genotype:
    """Read the literature's text; nothing in it is evaluated.

    Args:
        text: ``Genotype(normal=[…], normal_concat=range(2, 6), reduce=[…], reduce_concat=…)`` in
            any order and spacing; the concatenations may be lists, or left out.

    Raises:
        NaspError: if it is no such text, or a cell is none of the space.
    """
    if len(text) > LONGEST:
        raise NaspError(
            f"a genotype of {len(text):,} characters: it is not one of the space darts, whose "
            f"texts have at most {LONGEST:,}"
        )
    try:
        with warnings.catch_warnings():  # of the compiler, on odd texts
            warnings.simplefilter("ignore")
            call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise _unreadable(text) from None
    if not isinstance(call, ast.Call) or call.args or _name(call.func) != "Genotype":
        raise _unreadable(text)
    values = {keyword.arg: keyword.value for keyword in call.keywords}
    known = {*CELLS, *(f"{name}_concat" for name in CELLS)}
    if len(values) != len(call.keywords) or not set(CELLS) <= set(values) <= known:
        raise _unreadable(text)
    for name in CELLS:
        if f"{name}_concat" in values:
            _check_concatenation(name, values[f"{name}_concat"], text)
    return Genotype(*(_cell(values[name], text) for name in CELLS))


def _unreadable(text: str) -> NaspError:
    return NaspError(
        f"{text[:60]!r} is no genotype of the space darts: write it like "
        "Genotype(normal=[('sep_conv_3x3', 0), …], normal_concat=range(2, 6), "
        "reduce=[('max_pool_3x3', 0), …], reduce_concat=range(2, 6))"
    )


def _name(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) else None


def _number(node: ast.expr) -> int | None:
    """A whole number, a sign allowed: a negative state gets the message of its own."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _number(node.operand)
        return None if number is None else -number
    return node.value if isinstance(node, ast.Constant) and type(node.value) is int else None


def _cell(node: ast.expr, text: str) -> Cell:
    if not isinstance(node, ast.List | ast.Tuple):
        raise _unreadable(text)
    edges = []
    for item in node.elts:
        if not isinstance(item, ast.List | ast.Tuple) or len(item.elts) != 2:
            raise _unreadable(text)
        operation, state = item.elts[0], _number(item.elts[1])
        if not isinstance(operation, ast.Constant) or not isinstance(operation.value, str):
            raise _unreadable(text)
        if state is None or abs(state) > 99:
            raise _unreadable(text)
        edges.append((operation.value, state))
    return tuple(edges)


def _check_concatenation(name: str, node: ast.expr, text: str) -> None:
    if isinstance(node, ast.Call) and _name(node.func) == "range" and not node.keywords:
        ends = [_number(end) for end in node.args]
        fits = ends == [INPUTS, INPUTS + NODES]
    elif isinstance(node, ast.List | ast.Tuple):
        states = [_number(state) for state in node.elts]
        fits = states == list(range(INPUTS, INPUTS + NODES))
    else:
        raise _unreadable(text)
    if not fits:
        raise NaspError(
            f"the genotype's {name}_concat is {ast.unparse(node)[:60]}: cells of the space darts "
            "concatenate all four nodes, range(2, 6)"
        )
