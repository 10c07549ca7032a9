"""NAS-Bench-101: 423,624 cells trained three times on CIFAR-10, read from the official records.

Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search" (ICML 2019,
arXiv 1902.09635); data and format: google-research/nasbench (Apache-2.0).

The records themselves are read by :mod:`nasp_lightning.benchmark.format.nasbench101_records`.

Example:
    >>> from nasp_lightning.benchmark import load_benchmark
    >>> table = load_benchmark("nasbench101", partial=True)  # doctest: +SKIP
    >>> table.metric("cifar10/validation_accuracy/108").shape  # doctest: +SKIP
    (423624, 3)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from nasp_lightning.benchmark.base import (
    BenchmarkTable,
    Declaration,
    OfficialFile,
    Place,
    Source,
)
from nasp_lightning.benchmark.format.cache import cached_table, table_path
from nasp_lightning.benchmark.format.fetch import fetch_official
from nasp_lightning.benchmark.format.files import find_file, folders
from nasp_lightning.benchmark.format.nasbench101_records import ARCHITECTURES, convert
from nasp_lightning.error import NaspError
from nasp_lightning.storage import known_sha256

log = logging.getLogger(__name__)

CONVERTER = 1
_SERVED_AT = "https://storage.googleapis.com/nasbench"
OFFICIAL_FILES = {
    "only108": OfficialFile(
        "nasbench_only108.tfrecord",
        "4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1",
        "about 499 MB",
        "108 epochs",
        f"{_SERVED_AT}/nasbench_only108.tfrecord",
    ),
    "full": OfficialFile(
        "nasbench_full.tfrecord",
        "3d64db8180fb1b0207212f9032205064312b6907a3bbc81eabea10db2f5c7e9c",
        "about 1.95 GB",
        "4, 12, 36 and 108 epochs",
        f"{_SERVED_AT}/nasbench_full.tfrecord",
    ),
}


def places() -> Iterator[Place]:
    """The official files, and parts of them."""
    for which, official in OFFICIAL_FILES.items():
        path = find_file("nasbench101", (official.name,))
        command = f"python -m nasp_lightning.benchmark fetch nasbench101 --file {which}"
        remedy = f"{command} ({official.size}), or set NASP_DATA to its folder"
        yield Place("nasbench101", f"official ({which})", path, remedy)
    for folder in folders("nasbench101"):
        for path in sorted(folder.glob("nasbench101*.tfrecord")):
            yield Place("nasbench101", "partial", path, partial=True)


DECLARATION = Declaration(
    "nasbench101", (Source("official", released=True),), places, official=OFFICIAL_FILES
)


def load_table(
    source: str = "official",
    path: str | Path | None = None,
    partial: bool = False,
    fetch: bool = True,
) -> BenchmarkTable:
    """Load NAS-Bench-101, converting its records on first use.

    Looked for in this order: ``path``; the official files in ``NASP_DATA`` and its folder
    ``nasbench101``; those fetched before; a table converted before from an official file; with
    ``partial`` any other ``nasbench101*.tfrecord`` there; and at last the web.

    Args:
        source: ``official``, the authors' record format.
        path: a TFRecord file to read instead.
        partial: accept a file with fewer than the 423,624 architectures.
        fetch: fetch ``nasbench_only108.tfrecord`` where no file is found.

    Returns:
        ``operations`` ``[N, 7]`` (0 output, 1 input, 2 conv3x3, 3 conv1x1, 4 maxpool, 5 padding)
        in the benchmark's own order of vertices, ``adjacency`` ``[N, 7, 7]``, ``keys`` the graph
        hashes, metrics ``cifar10/{train,validation,test}_accuracy/<epochs>`` and the same at half
        of the training under ``halfway_…``, costs ``parameters`` and
        ``cifar10/train_seconds/<epochs>`` (seconds). Runs stand in the order of the file.

    Raises:
        NaspError: if no file is found or can be fetched, it is damaged, or it holds fewer
            architectures and ``partial`` is not set.
    """
    DECLARATION.check_source(source)
    file = _given(Path(path)) if path is not None else _find()
    if file is None:
        converted = [
            table_path("nasbench101", source, official.sha256, CONVERTER)
            for official in OFFICIAL_FILES.values()
        ]
        for table in filter(Path.exists, converted):
            try:
                return BenchmarkTable.open(table)
            except NaspError as error:
                log.warning("%s", error)
        file = _find_partial() if partial else None
    if file is None:
        file = _fetch_or_explain(fetch)
    return _converted(file, source, partial)


def _given(path: Path) -> Path:
    path = path.expanduser()
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "does not exist"
        raise NaspError(
            f"benchmark.path={path} {kind}: name a TFRecord file of NAS-Bench-101, "
            f"such as {OFFICIAL_FILES['only108'].name}"
        )
    return path


def _find() -> Path | None:
    """An official file in the folders, by its name."""
    candidates = (
        folder / official.name
        for folder in folders("nasbench101")
        for official in OFFICIAL_FILES.values()
    )
    return next((file for file in candidates if file.is_file()), None)


def _find_partial() -> Path | None:
    """The largest of the other record files in the folders."""
    files = {
        file
        for folder in folders("nasbench101")
        for file in folder.glob("nasbench101*.tfrecord")
        if file.is_file() and not file.stem.endswith("_all_budgets")
    }
    return max(files, key=lambda file: (file.stat().st_size, file.name), default=None)


def _fetch_or_explain(fetch: bool) -> Path:
    reason = "fetching is switched off (fetch=False)"
    if fetch:
        try:
            return fetch_official(DECLARATION)
        except NaspError as error:
            reason = str(error)
    files = "; ".join(
        f"{official.url} ({official.size}, {official.content}, SHA-256 {official.sha256})"
        for official in OFFICIAL_FILES.values()
    )
    found = _find_partial()
    also = f" A part of it is there: benchmark.partial=true reads {found}." if found else ""
    raise NaspError(
        f"NAS-Bench-101 is not here and was not fetched: {reason}. Fetch one of {files}, by hand "
        "or by `python -m nasp_lightning.benchmark fetch nasbench101`; then put it into the "
        f"folder NASP_DATA, or set benchmark.path=FILE.{also}"
    )


def _converted(file: Path, source: str, partial: bool) -> BenchmarkTable:
    sha256 = known_sha256(file)
    target = table_path("nasbench101", source, sha256, CONVERTER)
    table = cached_table(target, lambda: _convert(file, sha256, source))
    if table.provenance["partial"] and not partial:
        raise NaspError(
            f"{file} has {len(table):,} of NAS-Bench-101's {ARCHITECTURES:,} architectures: "
            "fetch the official file, or set benchmark.partial=true to work with these"
        )
    return table


def _convert(file: Path, sha256: str, source: str) -> BenchmarkTable:
    table = convert(file)
    which = [name for name, official in OFFICIAL_FILES.items() if official.sha256 == sha256]
    return replace(
        table,
        provenance={
            "benchmark": "nasbench101",
            "source": source,
            "file": file.name,
            "sha256": sha256,
            "version": which[0] if which else "unknown",
            "official": bool(which),
            "converter": CONVERTER,
            **table.provenance,
        },
    )
