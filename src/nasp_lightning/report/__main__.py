"""Command line: ``python -m nasp_lightning.report RUNS...``; torch is never imported."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nasp_lightning.error import NaspError

if TYPE_CHECKING:
    from rich.console import Console

    from nasp_lightning.report.collect import SearchRun
    from nasp_lightning.report.row import Row


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report, write the files asked for; 0, or 2 where there is nothing to report."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.runs and not options.published:
        parser.error("name RUNS, or --published FILE")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal without ± shows ?, no traceback
        sys.stdout.reconfigure(errors="replace")
    try:
        report(options)
    except NaspError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def report(options: argparse.Namespace) -> None:
    """Collect, summarise, print, write.

    Raises:
        NaspError: if there is no finished run, a file cannot be written, or matplotlib is absent.
    """
    from rich.console import Console
    from rich.text import Text

    from nasp_lightning.report.collect import collect, describe_problems, nothing_found
    from nasp_lightning.report.n_plus_k import view_runs
    from nasp_lightning.report.protocol import choose_runs
    from nasp_lightning.report.published import of_table
    from nasp_lightning.report.published import to_csv as published_csv
    from nasp_lightning.report.row import only_plain, only_table
    from nasp_lightning.report.summary import summarise
    from nasp_lightning.storage import write_text

    published = of_table(options.table)
    if options.published:
        write_text(options.published, published_csv(published))
        if not options.runs:
            return
    found = collect(options.runs)
    if not found.runs and not found.searches:
        raise nothing_found(options.runs, found.problems)
    searches = view_runs(found.searches, options.top_k, options.fixed_n)
    problems = found.problems + choose_runs(found.runs)[1]
    rows = summarise(found.runs, include_published=options.all) if found.runs else []
    if options.plain:
        rows = only_plain(rows)
    if options.table:
        rows = only_table(rows, published)
        searches = []
        if not rows:
            raise NaspError(f"no finished run in these folders belongs to {options.table}")
    wide = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(width=None if wide else 140, highlight=False)
    if searches:
        report_searches(searches, options, console, beside=bool(rows))
    if rows:
        report_rows(rows, options, console)
    if problems:
        console.print(Text(f"Left out: {describe_problems(problems)}."))


def report_rows(rows: list[Row], options: argparse.Namespace, console: Console) -> None:
    """Tables and figures of predictors."""
    from rich.text import Text

    from nasp_lightning.report.table import control_notice, print_tables, to_csv, to_markdown
    from nasp_lightning.storage import write_text

    print_tables(rows, console)
    if options.csv:
        write_text(options.csv, to_csv(rows))
    if options.markdown:
        write_text(options.markdown, to_markdown(rows))
    if options.plot:
        from nasp_lightning.report.figure.plot import plot_rows

        for path in plot_rows(rows, options.plot):
            console.print(Text(f"wrote {path}"))
    if notice := control_notice(rows):
        console.print(Text(notice))


def report_searches(
    searches: list[SearchRun], options: argparse.Namespace, console: Console, beside: bool
) -> None:
    """Tables and figures of searches; files have ``_search`` in their name beside other runs'."""
    from rich.text import Text

    from nasp_lightning.report.regret import print_regret, regret_csv, summarise_searches
    from nasp_lightning.storage import write_text

    methods = summarise_searches(searches)
    print_regret(methods, console)
    if options.csv:
        path = options.csv
        write_text(path.with_stem(f"{path.stem}_search") if beside else path, regret_csv(methods))
    if options.plot:
        from nasp_lightning.report.figure.regret import plot_regret

        for path in plot_regret(methods, options.plot, options.log):
            console.print(Text(f"wrote {path}"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nasp_lightning.report",
        description="Finished runs in tables beside the published numbers.",
    )
    parser.add_argument(
        "runs", nargs="*", type=Path, metavar="RUNS", help="run folders, or folders holding runs"
    )
    parser.add_argument(
        "--table",
        metavar="NAME",
        help="only the methods and splits of a paper's table, and self-evolution's controls: "
        "--table 'TNASP supplementary Table 7'",
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="only predictors trained plainly, as their own experiments do, no further frameworks",
    )
    parser.add_argument(
        "--published",
        type=Path,
        metavar="FILE",
        help="write the published numbers (of --table) as CSV; needs no RUNS",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write every number, unrounded")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables")
    parser.add_argument(
        "--plot", type=Path, metavar="DIR", help="write a figure of each benchmark, PNG and SVG"
    )
    parser.add_argument(
        "--log", action="store_true", help="logarithmic axes in the figures of searches"
    )
    parser.add_argument(
        "--top-k",
        type=int,
        nargs="+",
        metavar="K",
        help="of runs of N + K: what these smaller K would have found",
    )
    parser.add_argument(
        "--fixed-n", action="store_true", help="of runs of N + K: a curve along K for each N"
    )
    parser.add_argument(
        "--all", action="store_true", help="also list the published methods that were not run"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
