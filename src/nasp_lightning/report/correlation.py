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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.benchmark import load_benchmark
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.metric.functional import kendall_tau, pearson, regret_at_k, spearman
from nasp_lightning.report.figure.style import COLOURS, save_figure, styled_figure
from nasp_lightning.storage import csv_text, write_text

SHARES = (1.0, 0.5, 0.1, 0.01)  # best of the space by accuracy
LEAST = 20  # architectures of a group that a correlation is told of
TOP_K = 30  # what Siamese-NAS evaluates
DRAWS, DRAWN_UP_TO = 500, 2_000  # of the bootstrap, which is for small benchmarks
HIDDEN = 0.1  # worst share that a figure does not show
LOSSES = 3  # of an Estimation Code
BINS = 7
WIDE = 20  # a column whose greatest number is so many times its median is drawn by rank
POINTS = 4_000  # more hide each other

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
class Values:
    """A benchmark's accuracies, and what is held against them.

    Attributes:
        name: benchmark, data set and source.
        metric: such as ``cifar10/test_accuracy/200``.
        accuracy: ``[N]`` fractions, NaN where there is none.
        columns: name to ``[N]``, higher for better where that is known; NaN where there is none.
    """

    name: tuple[str, str, str]
    metric: str
    accuracy: Array
    columns: dict[str, Array]


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


def correlate(values: Values) -> list[dict[str, Any]]:
    """Rows of :data:`FIELDS`: each column in each group that is large enough."""
    rows = []
    for column, given in values.columns.items():
        known = np.isfinite(given) & np.isfinite(values.accuracy)
        scores, accuracy = given[known], values.accuracy[known]
        order = np.argsort(-accuracy, kind="stable")
        for share in SHARES:
            count = round(len(order) * share)
            if count < LEAST:
                continue
            left, right = scores[order[:count]], accuracy[order[:count]]
            low, high = tau_interval(left, right)
            numbers = {
                "kendall_tau": kendall_tau(left, right),
                "tau_low": low,
                "tau_high": high,
                "spearman": spearman(left, right),
                "pearson": pearson(left, right),
                f"regret_at_{TOP_K}": regret_at_k(left, right, TOP_K) if share == 1 else None,
            }
            rows.append({**_head(values, column), "group": share, "architectures": count} | numbers)
    return rows


def tau_interval(left: Array, right: Array) -> tuple[float | None, float | None]:
    """95 % percentile bootstrap interval over architectures; None for many, where it is narrow."""
    if len(left) > DRAWN_UP_TO:
        return None, None
    chosen = np.random.default_rng(0).integers(len(left), size=(DRAWS, len(left)))
    taus = [kendall_tau(left[rows], right[rows]) for rows in chosen]
    low, high = np.quantile(taus, [0.025, 0.975])
    return float(low), float(high)


def distribution(values: Values) -> list[dict[str, Any]]:
    """Rows of :data:`BIN_FIELDS`: accuracies in equal intervals of each column."""
    rows = []
    for column, given in values.columns.items():
        known = np.isfinite(given) & np.isfinite(values.accuracy)
        scores, accuracy = given[known], values.accuracy[known]
        edges = np.linspace(scores.min(), scores.max(), BINS + 1)
        places = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, BINS - 1)
        for place in np.unique(places):
            inside = accuracy[places == place]
            numbers = {
                "low": float(edges[place]),
                "high": float(edges[place + 1]),
                "architectures": len(inside),
                "lowest": float(inside.min()),
                "median": float(np.median(inside)),
                "best": float(inside.max()),
            }
            rows.append({**_head(values, column), **numbers})
    return rows


def _head(values: Values, column: str) -> dict[str, Any]:
    benchmark, dataset, source = values.name
    named = {"benchmark": benchmark, "dataset": dataset, "source": source}
    return {**named, "metric": values.metric, "column": column}


def to_csv(rows: Sequence[dict[str, Any]], fields: Sequence[str]) -> str:
    """Rows unrounded, with a header; None is empty."""
    return csv_text(fields, ([row.get(field) for field in fields] for row in rows))


def plot(values: Values, folder: Path, across: int = 4) -> list[Path]:
    """Write ``<benchmark>_<dataset>_<source>_<columns>.png`` and ``.svg``, a panel a column.

    Raises:
        NaspError: if matplotlib is not installed or the folder cannot be written.
    """
    names = list(values.columns)
    down = math.ceil(len(names) / across)
    across = min(across, len(names))
    with styled_figure(3.1 * across + 0.6, 2.8 * down + 0.6) as figure:
        axes = np.atleast_1d(figure.subplots(down, across, sharey=True)).ravel()
        for place, (name, panel) in enumerate(zip(names, axes, strict=False)):
            _draw(panel, values, name)
            if place % across == 0:
                panel.set_ylabel(f"{values.metric.split('/')[1].replace('_', ' ')} (%)")
        for panel in axes[len(names) :]:
            panel.set_visible(False)
        axes[0].legend(frameon=False, fontsize=8, markerscale=2.5)
        benchmark, dataset, source = values.name
        count = int(np.isfinite(values.accuracy).sum())
        figure.suptitle(
            f"{benchmark}, {dataset}, source {source}: {count:,} architectures, without the "
            f"worst {HIDDEN:.0%}"
        )
        parts = "_".join(names if len(names) <= 2 else [names[0].partition("_")[0], "and_others"])
        return save_figure(figure, folder, f"{'_'.join(values.name)}_{parts}")


def _draw(panel: Any, values: Values, name: str) -> None:
    given = values.columns[name]
    known = np.flatnonzero(np.isfinite(given) & np.isfinite(values.accuracy))
    if len(known) > POINTS:
        known = np.random.default_rng(0).choice(known, POINTS, replace=False)
    scores, accuracy = given[known], values.accuracy[known]
    minus = "minus " if name.startswith("loss_") else ""
    by_rank = np.abs(scores).max() > WIDE * max(float(np.median(np.abs(scores))), 1e-12)
    if by_rank:
        scores = scores.argsort(kind="stable").argsort(kind="stable") / len(scores)
    for share, colour in zip((1.0, 0.5, 0.1), (COLOURS[4], COLOURS[0], COLOURS[1]), strict=True):
        inside = accuracy >= np.quantile(accuracy, 1 - share)
        label = "all" if share == 1 else f"best {share:.0%}"
        style = {"s": 5, "linewidths": 0, "rasterized": True}
        panel.scatter(
            scores[inside], 100 * accuracy[inside], color=colour, label=label, alpha=0.6, **style
        )
    low, high = np.quantile(accuracy, HIDDEN), accuracy.max()  # those that failed take the height
    panel.set_ylim(*100 * np.array([low, high + 0.05 * (high - low)]))
    panel.set_xlabel(minus + name.replace("_", " ") + (" (rank)" if by_rank else ""))
    panel.grid(alpha=0.25, linewidth=0.6)


def print_rows(rows: Sequence[dict[str, Any]]) -> None:
    """A table for each benchmark: tau of each column in each group."""
    from rich.console import Console
    from rich.table import Table

    wide = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(width=None if wide else 140, highlight=False)
    for name in dict.fromkeys((row["benchmark"], row["source"], row["metric"]) for row in rows):
        own = [row for row in rows if (row["benchmark"], row["source"], row["metric"]) == name]
        groups = list(dict.fromkeys((row["group"], row["architectures"]) for row in own))
        table = Table(title=f"{name[0]} ({name[1]}): Kendall's tau with {name[2]}")
        for head in ("column", *(_group(*group) for group in groups), f"regret at {TOP_K}"):
            table.add_column(head, justify="left" if head == "column" else "right")
        for column in dict.fromkeys(row["column"] for row in own):
            cells = {
                (row["group"], row["architectures"]): row for row in own if row["column"] == column
            }
            regret = next(iter(cells.values()))[f"regret_at_{TOP_K}"]
            shown = [_tau(cells.get(group)) for group in groups]
            table.add_row(column, *shown, "" if regret is None else f"{100 * regret:.2f}")
        console.print(table)


def _group(share: float, count: int) -> str:
    return f"all ({count})" if share == 1 else f"best {share:.0%} ({count})"


def _tau(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    text = f"{row['kendall_tau']:.3f}"
    return (
        text if row["tau_low"] is None else f"{text} ({row['tau_low']:.2f}–{row['tau_high']:.2f})"
    )


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
