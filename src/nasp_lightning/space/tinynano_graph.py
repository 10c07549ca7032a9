"""Nano cells as graphs: their rules, their simplest form, and a hash that isomorphic cells share.

A cell is a row of operation slots and an output slot (Siamese-NAS, appendix A and the published
``nanonas_model.py``). Slot 0 takes the cell's input. A split sends half of its channels to each
of two later slots, every other operation its result to one; a slot that several feed takes them
concatenated. :data:`Cell` holds it as one ``(code, successors)`` for each operation slot; the
output is the slot after the last.

The simplest form has no identity (``none``). A split whose halves meet again directly then names
one successor twice; a 0/1 adjacency cannot say that, so :func:`to_arrays` puts one identity back
between them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from nasp_lightning.array import Array

# The published vocabulary; input and the three after it are left over from NAS-Bench-101.
OPERATIONS = (
    "input",
    "conv1x1-bn-relu",
    "conv3x3-bn-relu",
    "maxpool3x3",
    "none",
    "dwconv3x3",
    "conv1x1",
    "atten",
    "expand",
    "split",
    "output",
)
INPUT, NONE, DWCONV, CONV, ATTEN, EXPAND, SPLIT, OUTPUT = 0, 4, 5, 6, 7, 8, 9, 10
PADDING = len(OPERATIONS)
CHOICES = (NONE, DWCONV, CONV, ATTEN, EXPAND, SPLIT)

Cell = tuple[tuple[int, tuple[int, ...]], ...]


def broken_rule(operations: Array, adjacency: Array) -> str | None:
    """What keeps one architecture from being a Nano cell, in words that follow "it has"; or None.

    Args:
        operations: ``[T]`` codes, the output after the last operation, then padding.
        adjacency: ``[T, T]`` 0 or 1, row to column.
    """
    codes = [int(code) for code in operations]
    for slot, code in enumerate(codes):
        if code not in (*CHOICES, OUTPUT, PADDING):
            named = f" ({OPERATIONS[code]})" if 0 <= code < PADDING else ""
            known = ", ".join(f"{choice} {OPERATIONS[choice]}" for choice in CHOICES)
            return f"an unknown operation {code}{named} in slot {slot}; choose from {known}"
    if codes.count(OUTPUT) != 1:
        return f"{codes.count(OUTPUT)} outputs, where one is needed"
    last = codes.index(OUTPUT)
    if codes[last + 1 :] != [PADDING] * (len(codes) - last - 1) or PADDING in codes[:last]:
        return "operations after its output, or padding before it"
    matrix = np.asarray(adjacency)
    if not np.isin(matrix, (0, 1)).all():
        return "an adjacency of other values than 0 and 1"
    edges = matrix.astype(bool)
    if edges[last + 1 :].any() or edges[:, last + 1 :].any():
        return "an edge at a padded slot"
    if edges[last].any():
        return f"an edge that leaves its output (slot {last})"
    return _broken_order(edges) or _broken_path(codes[:last], edges)


def _broken_order(edges: Array) -> str | None:
    back = np.argwhere(np.tril(edges))
    if not len(back):
        return None
    reached = edges.copy()
    for _ in range(len(edges)):
        reached = reached | ((reached.astype(np.int64) @ edges) > 0)
    loop = np.flatnonzero(reached.diagonal())
    if len(loop):
        return f"a cycle through slot {loop[0]}: a cell must be acyclic"
    source, target = back[0]
    return (
        f"an edge from slot {source} back to slot {target}: number slots so that edges go forward"
    )


def _broken_path(codes: list[int], edges: Array) -> str | None:
    """Rules of what feeds what, for an adjacency in topological order."""
    last = len(codes)
    reached = np.zeros(len(edges), dtype=bool)
    reached[0] = True
    for slot in range(last):
        if reached[slot]:
            reached |= edges[slot]
    if not reached[last]:
        return "no path from its input to its output"
    for slot, code in enumerate(codes):
        count = int(edges[slot].sum())
        if code == SPLIT and count != 2:
            return (
                f"a split in slot {slot} with {count} successor{'s' * (count != 1)}: it needs two"
            )
        if code != SPLIT and count != 1:
            return (
                f"the operation {OPERATIONS[code]} in slot {slot} with {count} successors: every "
                "operation but a split has one"
            )
        if not reached[slot]:
            return f"nothing that feeds slot {slot} ({OPERATIONS[code]})"
    return None


def from_arrays(operations: Array, adjacency: Array) -> Cell:
    """The cell of one architecture that breaks no rule; identities stay."""
    count = int(np.flatnonzero(np.asarray(operations) == OUTPUT)[0])
    return tuple(
        (int(operations[slot]), tuple(np.flatnonzero(adjacency[slot]).tolist()))
        for slot in range(count)
    )


def rejoined(cell: Cell) -> list[int]:
    """Slots in which both halves of some split meet directly."""
    return sorted({ends[0] for _, ends in cell if len(ends) == 2 and ends[0] == ends[1]})


def slots_needed(cell: Cell) -> int:
    """Operation slots that a cell takes, one for the identity at each of :func:`rejoined`."""
    return len(cell) + len(rejoined(cell))


def to_arrays(cell: Cell, slots: int) -> tuple[Array, Array]:
    """``[slots + 1]`` codes and ``[slots + 1, slots + 1]`` adjacency, both uint8.

    One half of a split that meets the other directly goes through an identity; splits that meet
    in one slot share it.
    """
    meeting = rejoined(cell)
    place, identity = {}, {}
    at = 0
    for slot in range(len(cell) + 1):
        if slot in meeting:
            identity[slot] = at
            at += 1
        place[slot] = at
        at += 1
    operations = np.full(slots + 1, PADDING, dtype=np.uint8)
    adjacency = np.zeros((slots + 1, slots + 1), dtype=np.uint8)
    operations[place[len(cell)]] = OUTPUT
    for slot, through in identity.items():
        operations[through] = NONE
        adjacency[through, place[slot]] = 1
    for slot, (code, ends) in enumerate(cell):
        operations[place[slot]] = code
        for end in ends:
            adjacency[place[slot], place[end]] = 1
        if len(ends) == 2 and ends[0] == ends[1]:
            adjacency[place[slot], identity[ends[0]]] = 1
    return operations, adjacency


def simplify(cell: Cell, rejoin: bool = True) -> Cell:
    """The cell without identities, in any topological order.

    Args:
        cell: to simplify.
        rejoin: keep splits whose halves meet again directly; False: they go too, since they only
            change the order of the channels.
    """

    def contracted(slot: int) -> bool:
        code, ends = cell[slot]
        return code == NONE or (not rejoin and code == SPLIT and len(set(map(beyond, ends))) == 1)

    def beyond(slot: int) -> int:
        while slot < len(cell) and contracted(slot):
            slot = cell[slot][1][0]
        return slot

    kept = [slot for slot in range(len(cell)) if not contracted(slot)]
    number = {slot: index for index, slot in enumerate([*kept, len(cell)])}
    return tuple(
        (cell[slot][0], tuple(sorted(number[beyond(end)] for end in cell[slot][1])))
        for slot in kept
    )


def topological_orders(cell: Cell) -> Iterator[list[int]]:
    """Every order of the operation slots in which edges go forward."""
    waiting = [0] * (len(cell) + 1)
    for _, ends in cell:
        for end in ends:
            waiting[end] += 1

    def grow(order: list[int], open_slots: list[int]) -> Iterator[list[int]]:
        if len(order) == len(cell):
            yield order
        for slot in open_slots:
            freed = []
            for end in cell[slot][1]:
                waiting[end] -= 1
                if waiting[end] == 0 and end < len(cell):
                    freed.append(end)
            yield from grow(
                [*order, slot], [other for other in open_slots if other != slot] + freed
            )
            for end in cell[slot][1]:
                waiting[end] += 1

    yield from grow([], [0] if cell else [])


def canonical(cell: Cell) -> Cell:
    """The one numbering that all isomorphic cells without identities share.

    It is the smallest in the order of Python's tuples among the topological numberings; a cell
    has few of them (one, without a split).
    """
    best: Cell | None = None
    for order in topological_orders(cell):
        number = {slot: index for index, slot in enumerate([*order, len(cell)])}
        renumbered = tuple(
            (cell[slot][0], tuple(sorted(number[end] for end in cell[slot][1]))) for slot in order
        )
        if best is None or renumbered < best:
            best = renumbered
    return best or ()


def to_text(cell: Cell) -> str:
    """One line, such as ``split>1,2;dwconv3x3>3;atten>3;output``."""
    parts = [f"{OPERATIONS[code]}>{','.join(map(str, ends))}" for code, ends in cell]
    return ";".join([*parts, OPERATIONS[OUTPUT]])


def graph_hash(cell: Cell) -> str:
    """32 hexadecimal digits: MD5 of the simplest, canonical cell as text.

    Two cells share it exactly if they are isomorphic once identities are removed.
    """
    text = to_text(canonical(simplify(cell)))
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
