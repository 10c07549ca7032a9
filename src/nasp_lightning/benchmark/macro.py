"""NAS-Bench-Macro: 6,561 chains of eight layers, CIFAR-10 test accuracy of three runs.

Su et al., CVPR 2021 (arXiv 2103.11922); numbers of xiusu/NAS-Bench-Macro (Apache-2.0) as
``nas_bench_macro_6561.csv.gz``. The benchmark has no validation accuracy.
"""

from __future__ import annotations

from pathlib import Path

from nasp_lightning.benchmark import csv
from nasp_lightning.benchmark.base import BenchmarkTable, Declaration, Source

DECLARATION = Declaration(
    "macro", (Source("csv", ("nas_bench_macro_6561.csv.gz",), released=True),)
)


def load_table(
    source: str = "csv", path: str | Path | None = None, partial: bool = False
) -> BenchmarkTable:
    """NAS-Bench-Macro: ``cifar10/test_accuracy/50`` ``[N, 3]``, ``parameters``, ``flops`` ``[N]``.

    Args:
        source: ``csv``, the only one.
        path: the file; None looks in ``NASP_DATA``, its folder ``macro``, and the downloads.
        partial: accept fewer than 6,561 architectures.

    Raises:
        NaspError: if the file is absent or damaged.
    """
    return csv.load_known(DECLARATION, source, path, partial)
