"""What architectures ask of an Estimation Code.

The one contract between a code and those that read it: data, jobs and results. Codes themselves
are made from :class:`nasp_lightning.estimation_code.base.EstimationCode`, which is above this room.
"""

from __future__ import annotations

from typing import Protocol

from nasp_lightning.array import Array


class CodeSource(Protocol):
    """Gives Estimation Codes of the rows asked for.

    Attributes:
        length: numbers in a code, the extra inputs of an architecture.
        cost: label equivalents of one code, or None where it is not stated.
        on_networks: whether codes are computed on the architectures' networks, which takes time.
    """

    length: int
    cost: float | None
    on_networks: bool

    def codes(self, rows: Array) -> Array:
        """``[n, length]`` float32 codes of rows ``[n]`` of the benchmark's table.

        Raises:
            NaspError: if there is no such row, or a code cannot be had.
        """

    def describe_cost(self) -> str:
        """The cost of one code in words, such as ``0.15 % of a label``."""
