"""A progress bar for what takes longer than a breath: downloads and conversions."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress_bar(
    label: str, total: int | None, unit: str = "bytes", per_minute: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr while the block runs, if stderr is a terminal.

    Args:
        label: what is being done.
        total: units to do, or None where that is not known.
        unit: ``bytes`` (shown with sizes and speed) or ``records`` (shown as a count).
        per_minute: show beside a count the mean number of units in a minute.

    Yields:
        A function that is told how many more units are done.
    """
    if not sys.stderr.isatty():
        yield lambda amount: None
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
