"""Labels needed for equal accuracy with and without an Estimation Code: Siamese-NAS, Eq. 1.

Zhang et al., "Siamese-NAS" (arXiv 2210.00546), section 3.1: a predictor without the code needs S0
labels; one with it needs S1, and S2 label equivalents for the codes; the claim is S1 + S2 < S0.
Read from the CSV of ``python -m nasp_lightning.report``: for each point of a method with the code,
where does the curve of the method without it reach the same mean regret?

Example:
    ``python -m nasp_lightning.report.equal_labels measured.csv --without spikenas_naive
    --with spikenas_siamese``
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nasp_lightning.error import NaspError
from nasp_lightning.report.output import add_outputs, present
from nasp_lightning.storage import csv_text, explain_os_error

FIELDS = (
    *("benchmark", "dataset", "method", "without", "regret", "labels", "codes", "code_labels"),
    *("labels_without", "labels_without_low", "labels_without_high", "ratio", "saves"),
)
NEEDED = ("method", "benchmark", "dataset", "labels", "regret_mean", "regret_low", "regret_high")


@dataclass(frozen=True)
class Curve:
    """A method on a data set: labels and mean regret of its points, by rising labels.

    ``intervals`` are the 95 % intervals of the regrets, ``codes`` the architectures whose codes
    were used, ``code_labels`` what they cost; None where that is not stated.
    """

    benchmark: str
    dataset: str
    method: str
    labels: tuple[float, ...]
    regrets: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]
    codes: tuple[float | None, ...]
    code_labels: tuple[float | None, ...]


@dataclass(frozen=True)
class Equal:
    """One point of a method with the code, and the labels that the other needs for as much.

    Attributes:
        spent: S1.
        code_labels: S2, or None where it is not stated.
        needed: S0; None where none of its budgets reaches as much.
        interval: S0 at the ends of the regret's 95 % interval, None likewise; the lower one first.
        least, most: budgets of the method without; S0 is at most ``least`` where it equals it.
    """

    curve: Curve
    without: str
    place: int
    code_labels: float | None
    needed: float | None
    interval: tuple[float | None, float | None]
    least: float
    most: float

    @property
    def spent(self) -> float:
        """S1: labels with the code."""
        return self.curve.labels[self.place]

    @property
    def ratio(self) -> float | None:
        """(S1 + S2) / S0; below 1 the code pays."""
        if self.needed is None or self.code_labels is None:
            return None
        return (self.spent + self.code_labels) / self.needed

    @property
    def saves(self) -> str:
        """``yes``, ``no``, or ``open`` where the interval of S0 holds S1 + S2."""
        total = self.spent + (self.code_labels or 0.0)
        low, high = self.interval
        if low is None or low > total:
            return "yes" if (low is not None or self.most >= total) else "open"
        return "no" if high is not None and high < total else "open"


def read_curves(file: Path) -> list[Curve]:
    """Curves of a report's CSV.

    Raises:
        NaspError: if it cannot be read or is no such file.
    """
    try:
        rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    except OSError as error:
        raise explain_os_error(error, file, "read") from error
    groups: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    try:
        for row in rows:
            if row["regret_low"]:  # points that a method was run for
                groups.setdefault((row["benchmark"], row["dataset"], row["method"]), []).append(row)
        return [
            _curve(key, sorted(group, key=lambda row: float(row["labels"])))
            for key, group in groups.items()
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise NaspError(
            f"{file} is no CSV of python -m nasp_lightning.report with N + K: it needs the columns "
            + ", ".join(NEEDED)
        ) from error


def _curve(key: tuple[str, str, str], rows: Sequence[dict[str, str]]) -> Curve:
    return Curve(
        *key,
        labels=tuple(float(row["labels"]) for row in rows),
        regrets=tuple(float(row["regret_mean"]) for row in rows),
        intervals=tuple((float(row["regret_low"]), float(row["regret_high"])) for row in rows),
        codes=tuple(_optional(row.get("queried_codes")) for row in rows),
        code_labels=tuple(_optional(row.get("code_labels")) for row in rows),
    )


def _optional(text: str | None) -> float | None:
    return float(text) if text else None


def labels_for(labels: Sequence[float], regrets: Sequence[float], target: float) -> float | None:
    """How many labels a curve needs for a regret; None where it does not come so low.

    Args:
        labels: rising.
        regrets: mean regret at each; between them it is taken as linear.
        target: the regret; where the first point is there already, the answer is its labels.
    """
    if regrets[0] <= target:
        return labels[0]
    for place in range(1, len(labels)):
        before, after = regrets[place - 1], regrets[place]
        if after <= target:
            share = (before - target) / (before - after)
            return labels[place - 1] + share * (labels[place] - labels[place - 1])
    return None


def compare(with_code: Curve, without: Curve, code_cost: float | None = None) -> list[Equal]:
    """Each point of a method with the code against the curve of one without.

    Args:
        with_code: the one.
        without: the other.
        code_cost: label equivalents of one code where the runs do not state it.
    """

    def needed(regret: float) -> float | None:
        return labels_for(without.labels, without.regrets, regret)

    found = []
    for place, regret in enumerate(with_code.regrets):
        low, high = with_code.intervals[place]
        spent, codes = with_code.code_labels[place], with_code.codes[place]
        if spent is None and code_cost is not None and codes is not None:
            spent = code_cost * codes
        interval = (needed(high), needed(low))
        ends = (without.labels[0], without.labels[-1])
        found.append(
            Equal(with_code, without.method, place, spent, needed(regret), interval, *ends)
        )
    return found


def choose(curves: Sequence[Curve], name: str) -> list[Curve]:
    """Curves of a method by its name, with or without its ``, N+30``.

    Raises:
        NaspError: if there is none.
    """
    found = [curve for curve in curves if name in (curve.method, curve.method.partition(", ")[0])]
    if not found:
        have = ", ".join(dict.fromkeys(curve.method for curve in curves)) or "none"
        raise NaspError(f"there is no method {name!r} in this file; it has {have}")
    return found


def compare_all(
    curves: Sequence[Curve], without: str, names: Sequence[str], code_cost: float | None
) -> list[Equal]:
    """All methods with the code, each beside the other of its data set and K.

    Raises:
        NaspError: for a method that is not there.
    """
    base = {_protocol(curve): curve for curve in choose(curves, without)}
    return [
        equal
        for name in names
        for curve in choose(curves, name)
        if _protocol(curve) in base
        for equal in compare(curve, base[_protocol(curve)], code_cost)
    ]


def _protocol(curve: Curve) -> tuple[str, str, str]:
    """What two curves share that can be compared: the data set, and K."""
    return curve.benchmark, curve.dataset, curve.method.partition(", ")[2].partition(" ")[0]


def to_csv(rows: Sequence[Equal]) -> str:
    """Unrounded; empty where not known, or beyond the budgets that were run."""
    lines: list[list[object]] = []
    for row in rows:
        curve = row.curve
        lines.append(
            [
                *(curve.benchmark, curve.dataset, curve.method, row.without),
                *(curve.regrets[row.place], row.spent, curve.codes[row.place], row.code_labels),
                *(row.needed, *row.interval, row.ratio, row.saves),
            ]
        )
    return csv_text(FIELDS, lines)


def to_markdown(rows: Sequence[Equal]) -> str:
    """A table; regret in points."""
    lines = [
        "| data set | with the code | regret | labels S1 | codes S2 | labels without S0 | saves |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        curve = row.curve
        codes = "not stated" if row.code_labels is None else f"{row.code_labels:.1f}"
        low, high = (_bounded(row, value) for value in row.interval)
        needed = f"{_bounded(row, row.needed)} ({low} to {high})"
        cells = [
            *(f"{curve.benchmark} {curve.dataset}", curve.method),
            *(f"{100 * curve.regrets[row.place]:.3f}", f"{row.spent:.0f}", codes, needed),
            row.saves,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _bounded(row: Equal, needed: float | None) -> str:
    if needed is None:
        return f"> {row.most:.0f}"
    return f"≤ {needed:.0f}" if needed == row.least else f"{needed:.0f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0, or 2 for what the user can put right."""
    parser = argparse.ArgumentParser(
        prog="python -m nasp_lightning.report.equal_labels",
        description="Labels needed for equal regret with and without an Estimation Code.",
    )
    parser.add_argument("measured", type=Path, help="CSV of python -m nasp_lightning.report")
    parser.add_argument("--without", required=True, metavar="METHOD", help="method without a code")
    parser.add_argument(
        "--with", required=True, nargs="+", dest="names", metavar="METHOD", help="with one"
    )
    parser.add_argument(
        "--code-cost",
        type=float,
        metavar="SHARE",
        help="label equivalents of one code where the runs do not state it; published: 0.003",
    )
    add_outputs(parser)
    options = parser.parse_args(arguments)

    def make() -> tuple[str, str]:
        curves = read_curves(options.measured)
        rows = compare_all(curves, options.without, options.names, options.code_cost)
        return to_markdown(rows), to_csv(rows)

    return present(options, make)


if __name__ == "__main__":
    sys.exit(main())
