"""What is known before a training, against the accuracy after it: correlations and figures.

For the figures of Siamese-NAS (arXiv 2210.00546) that show benchmarks and no predictor: Figure 1
(the Estimation Code), Figure 4 (multiply-adds) and Figure 8 (zero-cost proxies). Groups are the
best shares of the architectures by accuracy, since a code that tells failed networks from good
ones need not tell good ones from each other.

Example:
    ``python -m nasp_lightning.report.correlation spikenas/csv/cifar10 --columns losses``
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.benchmark import load_benchmark
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.metric.functional import kendall_tau, pearson, regret_at_k, spearman
from nasp_lightning.report.figure.correlation import plot
from nasp_lightning.report.values import Values
from nasp_lightning.storage import csv_text, write_text

SHARES = (1.0, 0.5, 0.1, 0.01)  # best of the space by accuracy
LEAST = 20  # architectures of a group that a correlation is told of
TOP_K = 30  # what Siamese-NAS evaluates
DRAWS, DRAWN_UP_TO = 500, 2_000  # of the bootstrap, which is for small benchmarks
LOSSES = 3  # of an Estimation Code
BINS = 7

GROUPS_OF_COLUMNS = {
    "losses": "the Estimation Code: minus the first three epochs' training losses, and their mean",
    "proxies": "all zero-cost proxies that are known for the benchmark",
}
FIELDS = (
    *("benchmark", "dataset", "source", "metric", "column", "group", "architectures"),
    *("kendall_tau", "tau_low", "tau_high", "spearman", "pearson", f"regret_at_{TOP_K}"),
)
BIN_FIELDS = (
    *("benchmark", "dataset", "source", "metric", "column", "low", "high", "architectures"),
    *("lowest", "median", "best"),
)


@dataclass(frozen=True)
class Correlation:
    """A column held against accuracy in one group; values of :data:`FIELDS`, in their order.

    Attributes:
        group: share of the architectures, the best by accuracy.
        tau_low: of the 95 % bootstrap interval, as ``tau_high``; None for many architectures.
        regret: at :data:`TOP_K`, of all architectures alone.
    """

    benchmark: str
    dataset: str
    source: str
    metric: str
    column: str
    group: float
    architectures: int
    kendall_tau: float
    tau_low: float | None
    tau_high: float | None
    spearman: float
    pearson: float
    regret: float | None


@dataclass(frozen=True)
class Interval:
    """Accuracies of one interval of a column; values of :data:`BIN_FIELDS`, in their order."""

    benchmark: str
    dataset: str
    source: str
    metric: str
    column: str
    low: float
    high: float
    architectures: int
    lowest: float
    median: float
    best: float


def read_values(text: str, columns: Sequence[str]) -> Values:
    """Values of ``BENCHMARK[/SOURCE[/DATASET]]``.

    Args:
        text: the benchmark as on the command line.
        columns: ``losses``, ``proxies``, or names of the table's costs, such as ``flops``.

    Raises:
        NaspError: for a benchmark, data set or column that is not there.
    """
    benchmark, source, dataset = (*text.split("/"), "", "")[:3]
    table = load_benchmark(benchmark, **({"source": source} if source else {}))
    dataset = dataset or table.datasets()[0]
    metric = longest_accuracy(table, dataset)
    found: dict[str, Array] = {}
    for column in columns:
        found |= read_column(table, column, dataset)
    name = (benchmark, dataset, source or str(table.provenance.get("source", "")))
    return Values(name, metric, _mean(table.metric(metric)), found)


def longest_accuracy(table: BenchmarkTable, dataset: str) -> str:
    """The metric of a data set that says how good an architecture is: test, trained longest.

    Raises:
        NaspError: if there is none.
    """
    for quantity in ("test_accuracy", "validation_accuracy"):
        found = [name for name in table.metrics if name.startswith(f"{dataset}/{quantity}/")]
        if found:
            return max(found, key=_epochs)
    raise NaspError(
        f"the benchmark has no accuracy of {dataset!r}: choose {' or '.join(table.datasets())}, "
        "as in nasbench201/csv/cifar100"
    )


def _epochs(name: str) -> float:
    last = name.rpartition("/")[2]
    return float(last) if last.isdecimal() else math.inf


def read_column(table: BenchmarkTable, name: str, dataset: str) -> dict[str, Array]:
    """Columns that a word of the command line stands for, by name; ``[N]`` each.

    Raises:
        NaspError: if the benchmark has none of that name.
    """
    if name == "losses":
        return _losses(table, dataset)
    from nasp_lightning.data.proxies import proxy_costs

    if name == "proxies":
        _, costs = proxy_costs(table, None)
        proxies = {key: values for key, values in costs.items() if key.startswith("proxy/")}
        return {key.removeprefix("proxy/"): values for key, values in sorted(proxies.items())}
    costs = table.costs
    if name not in costs and f"proxy/{name}" not in costs:
        _, costs = proxy_costs(table, None, name)
    for key in (name, f"proxy/{name}"):
        if key in costs and costs[key].ndim == 1:
            return {name: np.asarray(costs[key], dtype=np.float64)}
    have = sorted(key.removeprefix("proxy/") for key, item in costs.items() if item.ndim == 1)
    raise NaspError(f"--columns {name}: the benchmark has {', '.join([*have, *GROUPS_OF_COLUMNS])}")


def _losses(table: BenchmarkTable, dataset: str) -> dict[str, Array]:
    """The Estimation Code, with its sign turned: of a short training, else of the full one."""
    from nasp_lightning.estimation_code.table import TableCode

    own = f"{dataset}-code"
    short = any(name.startswith(f"{own}/") for name in table.curves)
    code = TableCode(table, own if short else dataset, epochs=LOSSES, missing="keep")
    losses = -np.asarray(code.codes(np.arange(len(table))), dtype=np.float64)
    named = {f"loss_{epoch + 1}": losses[:, epoch] for epoch in range(LOSSES)}
    return {**named, "loss_mean": losses.mean(axis=1)}


def _mean(runs: Array) -> Array:
    from nasp_lightning.data.labels import mean_run

    return mean_run(runs)


def correlate(values: Values) -> list[Correlation]:
    """Each column in each group that is large enough."""
    return [
        _correlation(values, column, share, scores[:count], accuracy[:count])
        for column in values.columns
        for scores, accuracy in [_best_first(values, column)]
        for share in SHARES
        if (count := round(len(scores) * share)) >= LEAST
    ]


def _best_first(values: Values, column: str) -> tuple[Array, Array]:
    """A column and the accuracies, both ``[n]`` where both are known, best accuracy first."""
    given = values.columns[column]
    known = np.isfinite(given) & np.isfinite(values.accuracy)
    scores, accuracy = given[known], values.accuracy[known]
    order = np.argsort(-accuracy, kind="stable")
    return scores[order], accuracy[order]


def _correlation(
    values: Values, column: str, share: float, scores: Array, accuracy: Array
) -> Correlation:
    low, high = tau_interval(scores, accuracy)
    return Correlation(
        *(*values.name, values.metric, column),
        group=share,
        architectures=len(scores),
        kendall_tau=kendall_tau(scores, accuracy),
        tau_low=low,
        tau_high=high,
        spearman=spearman(scores, accuracy),
        pearson=pearson(scores, accuracy),
        regret=regret_at_k(scores, accuracy, TOP_K) if share == 1 else None,
    )


def tau_interval(left: Array, right: Array) -> tuple[float | None, float | None]:
    """95 % percentile bootstrap interval over architectures; None for many, where it is narrow."""
    if len(left) > DRAWN_UP_TO:
        return None, None
    chosen = np.random.default_rng(0).integers(len(left), size=(DRAWS, len(left)))
    taus = [kendall_tau(left[rows], right[rows]) for rows in chosen]
    low, high = np.quantile(taus, [0.025, 0.975])
    return float(low), float(high)


def distribution(values: Values) -> list[Interval]:
    """Accuracies in equal intervals of each column."""
    rows = []
    for column in values.columns:
        scores, accuracy = _best_first(values, column)
        edges = np.linspace(scores.min(), scores.max(), BINS + 1)
        places = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, BINS - 1)
        for place in np.unique(places):
            inside = accuracy[places == place]
            rows.append(
                Interval(
                    *(*values.name, values.metric, column),
                    low=float(edges[place]),
                    high=float(edges[place + 1]),
                    architectures=len(inside),
                    lowest=float(inside.min()),
                    median=float(np.median(inside)),
                    best=float(inside.max()),
                )
            )
    return rows


def to_csv(rows: Sequence[Correlation] | Sequence[Interval], fields: Sequence[str]) -> str:
    """Rows unrounded, with a header; None is empty."""
    return csv_text(fields, map(astuple, rows))


def print_rows(rows: Sequence[Correlation]) -> None:
    """A table for each benchmark: tau of each column in each group."""
    from rich.console import Console
    from rich.table import Table

    wide = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(width=None if wide else 140, highlight=False)
    for name in dict.fromkeys((row.benchmark, row.source, row.metric) for row in rows):
        own = [row for row in rows if (row.benchmark, row.source, row.metric) == name]
        groups = list(dict.fromkeys((row.group, row.architectures) for row in own))
        table = Table(title=f"{name[0]} ({name[1]}): Kendall's tau with {name[2]}")
        for head in ("column", *(_group(*group) for group in groups), f"regret at {TOP_K}"):
            table.add_column(head, justify="left" if head == "column" else "right")
        for column in dict.fromkeys(row.column for row in own):
            cells = {(row.group, row.architectures): row for row in own if row.column == column}
            regret = next(iter(cells.values())).regret
            shown = [_tau(cells.get(group)) for group in groups]
            table.add_row(column, *shown, "" if regret is None else f"{100 * regret:.2f}")
        console.print(table)


def _group(share: float, count: int) -> str:
    return f"all ({count})" if share == 1 else f"best {share:.0%} ({count})"


def _tau(row: Correlation | None) -> str:
    if row is None:
        return ""
    text = f"{row.kendall_tau:.3f}"
    return text if row.tau_low is None else f"{text} ({row.tau_low:.2f}–{row.tau_high:.2f})"


def run(options: argparse.Namespace) -> None:
    """Read, correlate, print, write.

    Raises:
        NaspError: for a benchmark or column that is not there, or a file that cannot be written.
    """
    everything = [read_values(text, options.columns) for text in options.benchmarks]
    rows = [row for values in everything for row in correlate(values)]
    print_rows(rows)
    if options.csv:
        write_text(options.csv, to_csv(rows, FIELDS))
    if options.bins:
        binned = [row for values in everything for row in distribution(values)]
        write_text(options.bins, to_csv(binned, BIN_FIELDS))
    if options.plot:
        for path in _plots(everything, options.plot):
            print(f"wrote {path}")


def _plots(everything: Sequence[Values], folder: Path) -> Iterator[Path]:
    for values in everything:
        yield from plot(values, folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0, or 2 for what the user can put right."""
    parser = argparse.ArgumentParser(
        prog="python -m nasp_lightning.report.correlation",
        description="What is known before a training, against accuracy.",
    )
    parser.add_argument(
        *("benchmarks",), nargs="+", metavar="BENCHMARK[/SOURCE[/DATASET]]", help="spikenas/csv"
    )
    words = "; ".join(f"{name}: {meaning}" for name, meaning in GROUPS_OF_COLUMNS.items())
    parser.add_argument(
        "--columns",
        nargs="+",
        default=["losses"],
        metavar="NAME",
        help=f"names of costs or proxies, such as flops or synflow; {words.replace('%', '%%')}",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write every number, unrounded")
    parser.add_argument(
        "--bins", type=Path, metavar="FILE", help=f"write accuracies in {BINS} intervals as CSV"
    )
    parser.add_argument("--plot", type=Path, metavar="DIR", help="write a figure of each benchmark")
    try:
        run(parser.parse_args(arguments))
    except NaspError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
