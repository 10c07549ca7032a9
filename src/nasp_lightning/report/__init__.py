"""The report: finished runs in tables beside the published numbers, and plots.

Example:
    >>> from nasp_lightning.report import collect_runs, summarise
    >>> rows = summarise(collect_runs(["runs"]))  # doctest: +SKIP
"""

from nasp_lightning.report.collect import Run, collect_runs
from nasp_lightning.report.row import Row
from nasp_lightning.report.summary import summarise

__all__ = ["Row", "Run", "collect_runs", "summarise"]
