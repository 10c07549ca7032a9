"""Two methods of N + K compared repeat by repeat: the mean difference of their regret.

Repeat r of every method has the split and the first labels of seed r, so the difference within a
repeat says more than two intervals side by side. Read from the curves in the runs' folders.

Example:
    ``python -m nasp_lightning.report.paired runs --pair spikenas_siamese
    spikenas_siamese_shuffled``
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasp_lightning.error import NaspError
from nasp_lightning.report.n_plus_k import JOB, view_runs
from nasp_lightning.report.output import add_outputs, present
from nasp_lightning.report.regret import SearchRun, find_searches

if TYPE_CHECKING:  # the report starts without numpy
    import numpy.typing as npt

    Array = npt.NDArray[Any]

FIELDS = (
    *("benchmark", "dataset", "method", "beside", "train_size", "top_k", "repeats"),
    *("difference", "difference_low", "difference_high"),
)
Key = tuple[str, str, str, str, int]  # benchmark, dataset, source, data hash, K


@dataclass(frozen=True)
class Difference:
    """Mean of a method's regret less another's, over the repeats that both have, as fractions.

    Attributes:
        train_size: N; None: each repeat's mean over all N that both have.
        interval: 95 % bootstrap interval of the mean over repeats.
    """

    key: Key
    method: str
    beside: str
    train_size: int | None
    repeats: int
    mean: float
    interval: tuple[float, float]


def regrets(runs: Sequence[SearchRun], name: str) -> dict[Key, dict[int, Array]]:
    """``[R]`` final regrets of a method's repeats, by data set and K, then by N.

    Raises:
        NaspError: if it has no run, or several that differ in more than N.
    """
    found: dict[Key, dict[int, SearchRun]] = {}
    own = [run for run in runs if run.content["search"] == JOB]
    for run in own:
        content, settings = run.content, run.content["settings"]
        if content.get("name") != name:
            continue
        data = (content["benchmark"], content["dataset"], content["source"], content["data_hash"])
        group = found.setdefault((*data, settings["top_k"]), {})
        other = group.setdefault(settings["train_size"], run)
        if other is not run:
            raise NaspError(
                f"{other.folder} and {run.folder} are both {name} at {settings['train_size']} "
                "labels and differ in seed or settings: name one folder"
            )
    if not found:
        have = ", ".join(sorted({str(run.content.get("name")) for run in own})) or "none"
        raise NaspError(f"no finished run of N + K is named {name!r}; there are {have}")
    return {key: {n: run.regret[:, -1] for n, run in group.items()} for key, group in found.items()}


def compare(runs: Sequence[SearchRun], name: str, beside: str) -> list[Difference]:
    """A method less another, at each N that both have and over all of these.

    Raises:
        NaspError: if they have no point in common, or fewer than two repeats of one.
    """
    import numpy as np

    from nasp_lightning.metric.functional import bootstrap_interval

    first, second = regrets(runs, name), regrets(runs, beside)
    rows: list[Difference] = []
    for key in sorted(first.keys() & second.keys()):
        both = sorted(first[key].keys() & second[key].keys())
        each: dict[int | None, Array] = {n: _less(first[key][n], second[key][n]) for n in both}
        if len(each) > 1:
            least = min(map(len, each.values()))
            each[None] = np.mean([values[:least] for values in each.values()], 0)
        for n, values in each.items():
            if len(values) < 2:
                raise NaspError(f"{name} and {beside} share one repeat at {n} labels: run more")
            interval = bootstrap_interval(values)
            rows.append(
                Difference(key, name, beside, n, len(values), float(values.mean()), interval)
            )
    if not rows:
        raise NaspError(f"{name} and {beside} have no data set, N and K in common")
    return rows


def _less(left: Array, right: Array) -> Array:
    shared = min(len(left), len(right))
    return left[:shared] - right[:shared]


def to_csv(rows: Sequence[Difference]) -> str:
    """Unrounded fractions; N is empty where it is the mean over all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    for row in rows:
        benchmark, dataset, _, _, top_k = row.key
        protocol = (benchmark, dataset, row.method, row.beside, row.train_size, top_k, row.repeats)
        writer.writerow([*protocol, row.mean, *row.interval])
    return text.getvalue()


def to_markdown(rows: Sequence[Difference]) -> str:
    """A table; differences in points, below zero where the first finds better ones."""
    lines = [
        "| data set | method | beside | N | difference of regret | repeats |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        low, high = (f"{100 * end:+.3f}" for end in row.interval)
        size = "all" if row.train_size is None else str(row.train_size)
        difference = f"{100 * row.mean:+.3f} ({low} to {high})"
        cells = [" ".join(row.key[:2]), row.method, row.beside, size, difference, str(row.repeats)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0, or 2 for what the user can put right."""
    parser = argparse.ArgumentParser(
        prog="python -m nasp_lightning.report.paired",
        description="Mean difference of regret between methods of N + K, repeat by repeat.",
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="of runs")
    parser.add_argument(
        "--pair",
        required=True,
        nargs=2,
        action="append",
        dest="pairs",
        metavar=("METHOD", "OTHER"),
        help="names of runs: the first's regret less the second's; may be given again",
    )
    add_outputs(parser)
    options = parser.parse_args(arguments)

    def make() -> tuple[str, str]:
        runs = view_runs(find_searches(options.folders)[0])
        rows = [row for pair in options.pairs for row in compare(runs, *pair)]
        return to_markdown(rows), to_csv(rows)

    return present(options, make)


if __name__ == "__main__":
    sys.exit(main())
