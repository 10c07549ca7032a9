"""Synflow beside the Estimation Code on Tiny-NanoBench's members: Siamese-NAS, Figure 8 (b), (d).

Synflow is computed on the networks that the labels were trained on, and beside it on those of full
width (``synflow_wide``); it is kept, and computed once. The code is that of the fidelity.

    python experiments/siamese_figure8_synflow/tinynano.py [--source cpu] --csv FILE --plot DIR
"""

from __future__ import annotations

import argparse
import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nasp_lightning import load_benchmark
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.estimation_code.proxy import ProxyCode
from nasp_lightning.evaluator.part.training import shrink
from nasp_lightning.image.cifar import Images, load_cifar
from nasp_lightning.network.tinynano import TinyNanoNetwork
from nasp_lightning.report.correlation import (
    FIELDS,
    correlate,
    plot,
    print_rows,
    read_values,
    to_csv,
)
from nasp_lightning.storage import write_text


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--source", default="cpu", help="fidelity of the labels")
    arguments.add_argument("--csv", type=Path, required=True)
    arguments.add_argument("--plot", type=Path, required=True)
    given = arguments.parse_args()
    values = read_values(f"tinynano/{given.source}/cifar10", ["losses", "flops"])
    table = load_benchmark("tinynano", source=given.source)
    training = table.provenance["training"]
    trained = functools.partial(TinyNanoNetwork, **training["network"]["options"])
    added = {
        "synflow": synflow(table, trained, training["side"]),
        "synflow_wide": synflow(table, TinyNanoNetwork, 32),
    }
    values = replace(values, columns={**added, **values.columns})
    rows = correlate(values)
    print_rows(rows)
    write_text(given.csv, to_csv(rows, FIELDS))
    for path in plot(values, given.plot):
        print(f"wrote {path}")


def synflow(table: BenchmarkTable, network: Any, side: int) -> np.ndarray:
    """``[N]`` of all members; of a network's input only the size counts."""

    def images() -> Images:
        return shrink(load_cifar(), side)

    code = ProxyCode(table, ["synflow"], network=network, images=images)
    return code.codes(np.arange(len(table)))[:, 0].astype(np.float64)


if __name__ == "__main__":
    main()
