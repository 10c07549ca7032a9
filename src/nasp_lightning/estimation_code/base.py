"""What every Estimation Code offers: the codes of the architectures asked for, and their cost.

Zhang et al., "Siamese-NAS" (arXiv 2210.00546), section 3.1: prior knowledge of an architecture,
published as the mean training losses of its first three epochs on a tenth of CIFAR-10. Here any
short vector serves: those losses (``train``), a benchmark's loss curves (``table``), or zero-cost
proxies (``proxy``).
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.data.code_source import CodeSource
from nasp_lightning.error import NaspError

log = logging.getLogger(__name__)

NOT_STATED = "not stated"


def check_codes(codes: Array, count: int, length: int) -> Array:
    """``[count, length]`` float32 codes, as a predictor takes them.

    Raises:
        NaspError: if the shape is another, or a number is NaN or infinite.
    """
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.shape != (count, length):
        raise NaspError(
            f"Estimation Codes of shape {list(codes.shape)} were given for {count} architectures: "
            f"expected [{count}, {length}], {length} numbers for each"
        )
    finite = np.isfinite(codes).all(axis=1)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        raise NaspError(
            f"the Estimation Code of architecture {row} of {count} is {codes[row].tolist()}: it "
            "must hold finite numbers; leave that architecture out, or choose another code"
        )
    return codes.astype(np.float32)


class EstimationCode(CodeSource, ABC):
    """Codes of a benchmark's architectures, found or computed for those asked for only.

    Whoever adds the code ``foo`` writes ``estimation_code/foo.py`` with a subclass that has
    :meth:`compute`, and ``conf/estimation_code/foo.yaml`` with its ``_target_`` and
    ``_partial_: true``; the job gives the table.

    Args:
        table: the benchmark; its rows are the architectures.
        length: numbers in a code.
        cost: label equivalents of one code, or None where the source does not state it.
        missing: what a code with NaN becomes (a network that diverged, a run without losses):
            ``error``, ``keep`` (it stays NaN), or a number that stands in for each NaN, with a
            warning.

    Attributes:
        table: the benchmark.
        length: numbers in a code.
        cost: label equivalents of one code, or None where it is not stated.
        missing: as given.
        on_networks: whether codes are computed on the architectures' networks, which takes time;
            False by default.
        asked: ``[N]`` bool, the rows whose codes were asked for so far.

    Raises:
        NaspError: if ``missing`` is none of these.
    """

    on_networks: bool = False

    def __init__(
        self,
        table: BenchmarkTable,
        length: int,
        cost: float | None,
        missing: str | float = "error",
    ) -> None:
        named = missing in ("error", "keep")
        if not named and (
            isinstance(missing, bool | str) or not np.isfinite(np.asarray(missing, dtype=float))
        ):
            raise NaspError(
                f"estimation_code.missing={missing}: choose error, keep, or a number such as 10"
            )
        self.table, self.length, self.cost, self.missing = table, length, cost, missing
        self.asked = np.zeros(len(table), dtype=bool)

    @property
    def spent(self) -> float | None:
        """Label equivalents of all codes asked for so far; each architecture counts once."""
        return None if self.cost is None else self.cost * int(self.asked.sum())

    def describe_cost(self) -> str:
        """The cost of one code in words, such as ``0.15 % of a label``."""
        return NOT_STATED if self.cost is None else f"{100 * self.cost:.3g} % of a label"

    def codes(self, rows: Array) -> Array:
        """Codes of architectures.

        Args:
            rows: ``[n]`` rows of the table.

        Returns:
            ``[n, length]`` float32.

        Raises:
            NaspError: for a row that the table does not have, a code of the wrong length, or, with
                ``missing=error``, one with NaN.
        """
        rows = np.atleast_1d(np.asarray(rows))
        if rows.ndim != 1 or (
            len(rows)
            and (rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= len(self.table))
        ):
            raise NaspError(
                f"Estimation Codes are asked for by rows from 0 to {len(self.table) - 1} of the "
                "benchmark's table"
            )
        rows = rows.astype(np.int64)
        found = np.asarray(self.compute(rows), dtype=np.float32)
        self.asked[rows] = True
        if found.shape == (len(rows), self.length):
            found = self._without_nan(found, rows)
        finite = np.where(np.isnan(found), 0, found) if self.missing == "keep" else found
        check_codes(finite, len(rows), self.length)
        return found

    @abstractmethod
    def compute(self, rows: Array) -> Array:
        """``[n, length]`` codes of valid rows; NaN where there is none."""

    def _without_nan(self, codes: Array, rows: Array) -> Array:
        lacking = np.isnan(codes).any(axis=1)
        if not lacking.any() or self.missing == "keep":
            return codes
        count, row = int(lacking.sum()), int(rows[lacking][0])
        told = f"{count} of the {len(rows)} Estimation Codes asked for"
        if self.missing == "error":
            raise NaspError(
                f"{told} hold NaN ({self.why_missing(row)}; the first is of row {row}): leave "
                "those architectures out, or set estimation_code.missing to a number that stands "
                "in for it"
            )
        log.warning("%s hold NaN (%s): set to %s", told, self.why_missing(row), self.missing)
        return np.where(np.isnan(codes), np.float32(self.missing), codes)

    def why_missing(self, row: int) -> str:
        """Why a code holds NaN, for messages."""
        return "the source has no value there"
