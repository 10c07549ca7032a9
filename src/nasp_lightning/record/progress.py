"""A progress bar for what takes longer than a breath: downloads and conversions."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)

EVERY_SECONDS = 30.0  # between the lines that stand in for a bar


@contextlib.contextmanager
def progress_bar(
    label: str, total: int | None, unit: str = "bytes", per_minute: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr while the block runs; elsewhere than on a terminal lines of a count.

    Args:
        label: what is being done.
        total: units to do, or None where that is not known.
        unit: ``bytes`` (shown with sizes and speed) or ``records`` (shown as a count).
        per_minute: show beside a count the mean number of units in a minute; without a terminal
            a line every half a minute is logged, and otherwise nothing.

    Yields:
        A function that is told how many more units are done.
    """
    if not sys.stderr.isatty():
        yield _lines(label, total, unit) if per_minute else lambda amount: None
        return
    from rich import progress
    from rich.console import Console

    shown: list[progress.ProgressColumn] = (
        [progress.DownloadColumn(), progress.TransferSpeedColumn()]
        if unit == "bytes"
        else [progress.MofNCompleteColumn(), progress.TextColumn(unit)]
    )

    class Rate(progress.ProgressColumn):
        def render(self, task: progress.Task) -> str:
            return f"{60 * task.completed / (task.elapsed or 1.0):.1f} a minute"

    if per_minute:
        shown.append(Rate())
    bar = progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        *shown,
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(label, total=total)
        yield lambda amount: bar.advance(task, amount)


def _lines(label: str, total: int | None, unit: str) -> Callable[[int], None]:
    """Log a count now and then."""
    began = last = time.monotonic()
    done = 0

    def advance(amount: int) -> None:
        nonlocal last, done
        done, now = done + amount, time.monotonic()
        if now - last >= EVERY_SECONDS:
            last = now
            of = "" if total is None else f" of {total}"
            log.info("%s: %d%s %s, %.1f a minute", label, done, of, unit, 60 * done / (now - began))

    return advance
