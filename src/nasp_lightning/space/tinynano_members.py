"""All Nano cells below a number of operations, by enumeration.

Slots are filled from the first on, so what reaches a slot is known when it is filled: a cell
whose operations already cost more than the cap is left with all that it could become.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations, combinations_with_replacement

from nasp_lightning.space.tinynano_cost import Macro, operation_cost, output_cost
from nasp_lightning.space.tinynano_graph import (
    CHOICES,
    NONE,
    SPLIT,
    Cell,
    canonical,
    rejoined,
    to_text,
)

Channels = tuple[int, ...]  # that reach a slot, at each position of the network


@lru_cache(maxsize=32)
def cells_below(
    cap: float,
    slots: int = 6,
    max_splits: int = 1,
    rejoin: bool = True,
    macro: Macro = Macro(),  # noqa: B008 (frozen)
    convention: str = "profiler",
) -> tuple[Cell, ...]:
    """Canonical cells without identities whose networks cost less than ``cap``, in hash order.

    Args:
        cap: operations of the network that a cell must stay under.
        slots: most operation slots, an identity between the halves of a split included.
        max_splits: most splits.
        rejoin: take cells in which a split's halves meet again directly.
        macro: the network around the cell.
        convention: how operations are counted: ``profiler`` or ``macs``.
    """
    found: dict[Cell, str] = {}
    enumeration = _Enumeration(cap, slots, max_splits, rejoin, macro, convention)
    for size in range(slots + 1):
        for cell in enumeration.cells(size):
            best = canonical(cell)
            if best not in found:
                text = to_text(best)
                found[best] = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return tuple(sorted(found, key=lambda cell: found[cell]))


class _Enumeration:
    """Fills the slots of cells of one size; isomorphic ones come more than once."""

    def __init__(
        self,
        cap: float,
        slots: int,
        max_splits: int,
        rejoin: bool,
        macro: Macro,
        convention: str,
    ) -> None:
        self.cap, self.slots, self.max_splits = cap, slots, max_splits
        self.pairs = combinations_with_replacement if rejoin else combinations
        self.positions = macro.positions()
        self.convention = convention
        self.surroundings = macro.surroundings().flops(convention)
        self._steps: dict[tuple[int, Channels], tuple[float, Channels]] = {}
        self._outputs: dict[Channels, float] = {}

    def cells(self, size: int) -> Iterator[Cell]:
        """Cells of exactly ``size`` operations below the cap."""
        entry = tuple(position.channels for position in self.positions)
        reaching: list[Channels | None] = [entry, *([None] * size)]
        yield from self._fill((), size, reaching, 0, self.surroundings)

    def _fill(
        self, cell: Cell, size: int, reaching: list[Channels | None], splits: int, cost: float
    ) -> Iterator[Cell]:
        slot = len(cell)
        inputs = reaching[slot]
        if inputs is None:  # nothing feeds it
            return
        if slot == size:
            if cost + self._output(inputs) < self.cap:
                yield cell
            return
        for code in CHOICES:
            if code == NONE or (code == SPLIT and splits == self.max_splits):
                continue
            step, made = self._step(code, inputs)
            if cost + step >= self.cap:
                continue
            later = range(slot + 1, size + 1)
            ends: Iterator[tuple[int, ...]] = (
                self.pairs(later, 2) if code == SPLIT else iter(zip(later))
            )
            for chosen in ends:
                grown = (*cell, (code, chosen))
                if size + len(rejoined(grown)) > self.slots:
                    continue
                fed = list(reaching)
                for end in chosen:
                    before = fed[end]
                    fed[end] = (
                        made
                        if before is None
                        else tuple(one + two for one, two in zip(before, made, strict=True))
                    )
                yield from self._fill(grown, size, fed, splits + (code == SPLIT), cost + step)

    def _step(self, code: int, inputs: Channels) -> tuple[float, Channels]:
        """Cost of an operation in all cells of the network, and the channels that it makes."""
        if (code, inputs) not in self._steps:
            total, made = 0.0, []
            for position, channels in zip(self.positions, inputs, strict=True):
                cost, out = operation_cost(code, channels, position.width, position.pixels)
                total += position.repeats * cost.flops(self.convention)
                made.append(out)
            self._steps[code, inputs] = total, tuple(made)
        return self._steps[code, inputs]

    def _output(self, inputs: Channels) -> float:
        if inputs not in self._outputs:
            self._outputs[inputs] = sum(
                position.repeats * output_cost(channels, position).flops(self.convention)
                for position, channels in zip(self.positions, inputs, strict=True)
            )
        return self._outputs[inputs]
