"""One random change of a Nano cell: the step of an evolution through Tiny-NanoBench."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nasp_lightning.space.tinynano_graph import CHOICES, NONE, SPLIT, Cell

_INTERIOR = tuple(code for code in CHOICES if code not in (NONE, SPLIT))


def changes(rng: np.random.Generator, cell: Cell, tries: int = 50) -> Iterator[Cell]:
    """Cells one change away, most of one kind; the caller takes the first that suits it.

    The kind is drawn first and kept for ``tries`` draws of its place, then the next kind comes:
    most insertions cost too much and no removal does, and a kind drawn anew each time would let
    evolution drift to small cells.

    Args:
        rng: draws the order of the kinds and the places.
        cell: without identities.
        tries: of each kind.
    """
    kinds = (inserted, _replaced, _removed, _moved)
    for kind in rng.choice(4, size=4, replace=False, p=(0.4, 0.2, 0.2, 0.2)):
        for _ in range(tries if cell or kind == 0 else 0):
            candidate = kinds[kind](rng, cell)
            if candidate is not None:
                yield candidate


def _replaced(rng: np.random.Generator, cell: Cell) -> Cell | None:
    slot = int(rng.integers(len(cell)))
    code, ends = cell[slot]
    if code == SPLIT:
        return None
    other = int(rng.choice([choice for choice in _INTERIOR if choice != code]))
    return (*cell[:slot], (other, ends), *cell[slot + 1 :])


def inserted(rng: np.random.Generator, cell: Cell) -> Cell:
    """The cell with a new operation in one edge, the cell's input included.

    A split sends its other half to any slot behind that edge.
    """
    edges = [(-1, 0)]  # the input's
    edges += [(slot, index) for slot, (_, ends) in enumerate(cell) for index in range(len(ends))]
    source, index = edges[rng.integers(len(edges))]
    place = 0 if source < 0 else cell[source][1][index]  # the new slot stands before its end
    code = int(rng.choice([*_INTERIOR, SPLIT]))
    ends = [place + 1]
    if code == SPLIT:
        ends.append(int(rng.integers(place + 1, len(cell) + 2)))
    shifted = [
        (own, tuple(end + (end >= place) for end in to)) for own, to in cell
    ]  # all later slots move up by one
    if source >= 0:
        own, to = shifted[source]
        moved = list(to)
        moved[index] = place
        shifted[source] = (own, tuple(sorted(moved)))
    return (*shifted[:place], (code, tuple(sorted(ends))), *shifted[place:])


def _removed(rng: np.random.Generator, cell: Cell) -> Cell | None:
    """Without one operation (a split: only where its halves meet directly)."""
    slot = int(rng.integers(len(cell)))
    _, ends = cell[slot]
    if len(set(ends)) > 1:
        return None
    after = ends[0]

    def renumbered(end: int) -> int:
        end = after if end == slot else end
        return end - (end > slot)

    kept = [part for index, part in enumerate(cell) if index != slot]
    return tuple((own, tuple(sorted(map(renumbered, to)))) for own, to in kept)


def _moved(rng: np.random.Generator, cell: Cell) -> Cell | None:
    """With one edge to another later slot; None if a slot is left without an input."""
    slot = int(rng.integers(len(cell)))
    code, ends = cell[slot]
    index = int(rng.integers(len(ends)))
    moved = list(ends)
    moved[index] = int(rng.integers(slot + 1, len(cell) + 1))
    found = (*cell[:slot], (code, tuple(sorted(moved))), *cell[slot + 1 :])
    fed = {end for _, to in found for end in to}
    return found if set(range(1, len(cell) + 1)) <= fed else None
