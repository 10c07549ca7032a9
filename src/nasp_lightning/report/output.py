"""What the commands of one table have in common: its options, its files, and its errors."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from nasp_lightning.error import NaspError
from nasp_lightning.storage import write_text


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Add ``--csv`` and ``--markdown``."""
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write every number, unrounded")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")


def present(options: argparse.Namespace, make: Callable[[], tuple[str, str]]) -> int:
    """Print a table and write it where the options of :func:`add_outputs` say.

    Args:
        options: parsed.
        make: the table as Markdown and as CSV.

    Returns:
        The exit status: 0, or 2 for what the user can put right.
    """
    try:
        table, numbers = make()
        print(table, end="")
        if options.csv:
            write_text(options.csv, numbers)
        if options.markdown:
            write_text(options.markdown, table)
    except NaspError as error:
        print(error, file=sys.stderr)
        return 2
    return 0
