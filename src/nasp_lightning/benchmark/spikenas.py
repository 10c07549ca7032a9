"""SpikeNAS-Bench: 15,625 spiking networks on CIFAR-10, with their first three epochs' losses.

Numbers of tju-sun-lab/SpikeNAS-Bench as ``spikenas_cifar10_15625.csv.gz``: final test accuracy
of one run, and a measured Estimation Code (the train losses of epochs 1 to 3) for every
architecture of a whole space. The benchmark has no validation accuracy.
"""

from __future__ import annotations

from pathlib import Path

from nasp_lightning.benchmark import csv
from nasp_lightning.benchmark.base import BenchmarkTable, Declaration, Source

DECLARATION = Declaration(
    "spikenas", (Source("csv", ("spikenas_cifar10_15625.csv.gz",), released=True),)
)


def load_table(
    source: str = "csv", path: str | Path | None = None, partial: bool = False
) -> BenchmarkTable:
    """SpikeNAS-Bench: ``cifar10/test_accuracy/final`` ``[N, 1]``, ``cifar10/train_loss/3``.

    Args:
        source: ``csv``, the only one.
        path: the file; None looks in ``NASP_DATA``, its folder ``spikenas``, and the downloads.
        partial: accept fewer than 15,625 architectures.

    Raises:
        NaspError: if the file is absent or damaged.
    """
    return csv.load_known(DECLARATION, source, path, partial)
