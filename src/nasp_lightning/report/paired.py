"""Two methods of N + K compared repeat by repeat: the mean difference of their regret.

Repeat r of every method has the split and the first labels of seed r, so the difference within a
repeat says more than two intervals side by side. Read from the curves in the runs' folders.

Example:
    ``python -m nasp_lightning.report.paired runs --pair spikenas_siamese
    spikenas_siamese_shuffled``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nasp_lightning.error import NaspError
from nasp_lightning.report.collect import SearchRun, collect
from nasp_lightning.report.n_plus_k import JOB, view_runs
from nasp_lightning.report.output import add_outputs, present
from nasp_lightning.storage import csv_text

FIELDS = (
    *("benchmark", "dataset", "method", "beside", "train_size", "top_k", "repeats"),
    *("difference", "difference_low", "difference_high"),
)
Key = tuple[str, str, str, str, int]  # benchmark, dataset, source, data hash, K
Repeats = dict[tuple[int, int], float]  # regret by seed of the run and number of the repeat


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


def regrets(runs: Sequence[SearchRun], name: str) -> dict[Key, dict[int, Repeats]]:
    """Final regrets of a method's repeats, by data set and K, then by N.

    Raises:
        NaspError: if it has no run, or two of the same repeats.
    """
    found: dict[Key, dict[int, Repeats]] = {}
    own = [run for run in runs if run.results.search == JOB]
    for run in own:
        origin, source = run.results.origin, run.results.source
        if origin.name != name:
            continue
        data = (source.benchmark, source.dataset, source.source, source.data_hash)
        points = found.setdefault((*data, run.setting("top_k")), {})
        repeats = points.setdefault(run.setting("train_size"), {})
        if (origin.seed, 0) in repeats:
            raise NaspError(
                f"{run.folder} and another run named {name} have the same seed and "
                f"{run.setting('train_size')} labels, and other settings: name one of the folders"
            )
        final = enumerate(run.regret[:, -1].tolist())
        repeats.update({(origin.seed, number): regret for number, regret in final})
    if not found:
        have = ", ".join(sorted({str(run.results.origin.name) for run in own})) or "none"
        raise NaspError(f"no finished run of N + K is named {name!r}; there are {have}")
    return found


def compare(runs: Sequence[SearchRun], name: str, beside: str) -> list[Difference]:
    """A method less another, at each N that both have and over all of these.

    Raises:
        NaspError: if no point of theirs shares two repeats.
    """
    first, second = regrets(runs, name), regrets(runs, beside)
    rows: list[Difference] = []
    for key in sorted(first.keys() & second.keys()):
        points: dict[int | None, Repeats] = {
            n: _less(first[key][n], second[key][n])
            for n in sorted(first[key].keys() & second[key].keys())
        }
        if len(points) > 1:
            points[None] = _mean(list(points.values()))
        for n, repeats in points.items():
            if len(repeats) > 1:  # one has no interval
                rows.append(_difference(key, name, beside, n, list(repeats.values())))
    if not rows:
        raise NaspError(f"{name} and {beside} share no data set, N and K with two of the repeats")
    return rows


def _less(left: Repeats, right: Repeats) -> Repeats:
    return {repeat: left[repeat] - right[repeat] for repeat in left if repeat in right}


def _mean(points: Sequence[Repeats]) -> Repeats:
    """Over all points, of the repeats that each of them has."""
    shared = [repeat for repeat in points[0] if all(repeat in point for point in points)]
    return {repeat: sum(point[repeat] for point in points) / len(points) for repeat in shared}


def _difference(
    key: Key, name: str, beside: str, train_size: int | None, values: Sequence[float]
) -> Difference:
    from nasp_lightning.metric.functional import bootstrap_interval

    mean = sum(values) / len(values)
    return Difference(key, name, beside, train_size, len(values), mean, bootstrap_interval(values))


def to_csv(rows: Sequence[Difference]) -> str:
    """Unrounded fractions; N is empty where it is the mean over all."""
    lines = []
    for row in rows:
        benchmark, dataset, _, _, top_k = row.key
        protocol = (benchmark, dataset, row.method, row.beside, row.train_size, top_k, row.repeats)
        lines.append([*protocol, row.mean, *row.interval])
    return csv_text(FIELDS, lines)


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
        found = collect(options.folders)
        for problem in found.problems:
            if problem.kind == "damaged":
                print(f"Left out: {problem.folder}: {problem.reason}.", file=sys.stderr)
        runs = view_runs(found.searches)
        rows = [row for pair in options.pairs for row in compare(runs, *pair)]
        return to_markdown(rows), to_csv(rows)

    return present(options, make)


if __name__ == "__main__":
    sys.exit(main())
