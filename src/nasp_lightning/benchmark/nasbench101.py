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
from dataclasses import dataclass, replace
from pathlib import Path

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.benchmark.format.cache import cached_table, table_path
from nasp_lightning.benchmark.format.fetch import fetch as fetch_file
from nasp_lightning.benchmark.format.nasbench101_records import ARCHITECTURES, convert
from nasp_lightning.error import NaspError
from nasp_lightning.storage import cache_dir, data_dir, known_sha256

log = logging.getLogger(__name__)

CONVERTER = 1
SOURCES = ("official",)


@dataclass(frozen=True)
class OfficialFile:
    """A file of the benchmark's authors."""

    name: str
    sha256: str
    size: str
    epochs: str

    @property
    def url(self) -> str:
        """Where the authors serve it."""
        return f"https://storage.googleapis.com/nasbench/{self.name}"


OFFICIAL_FILES = {
    "only108": OfficialFile(
        "nasbench_only108.tfrecord",
        "4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1",
        "about 499 MB",
        "108 epochs",
    ),
    "full": OfficialFile(
        "nasbench_full.tfrecord",
        "3d64db8180fb1b0207212f9032205064312b6907a3bbc81eabea10db2f5c7e9c",
        "about 1.95 GB",
        "4, 12, 36 and 108 epochs",
    ),
}


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
    if source not in SOURCES:
        raise NaspError(
            f"benchmark nasbench101 has no source {source!r}; choose benchmark.source="
            + "|".join(SOURCES)
        )
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


def fetch_official(which: str = "only108") -> Path:
    """Fetch an official file (``only108`` or ``full``) into the cache, resuming what is there.

    Raises:
        NaspError: if it cannot be fetched or its SHA-256 differs.
    """
    if which not in OFFICIAL_FILES:
        raise NaspError(f"NAS-Bench-101 has no file {which!r}; choose " + "|".join(OFFICIAL_FILES))
    official = OFFICIAL_FILES[which]
    return fetch_file(official.url, downloads_dir() / official.name, official.sha256)


def downloads_dir() -> Path:
    """Folder of fetched files."""
    return cache_dir() / "downloads"


def _given(path: Path) -> Path:
    path = path.expanduser()
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "does not exist"
        raise NaspError(
            f"benchmark.path={path} {kind}: name a TFRecord file of NAS-Bench-101, "
            f"such as {OFFICIAL_FILES['only108'].name}"
        )
    return path


def _folders() -> list[Path]:
    data = data_dir()
    return [*([data, data / "nasbench101"] if data else []), downloads_dir()]


def _find() -> Path | None:
    """An official file in the folders, by its name."""
    candidates = (
        folder / official.name for folder in _folders() for official in OFFICIAL_FILES.values()
    )
    return next((file for file in candidates if file.is_file()), None)


def _find_partial() -> Path | None:
    """The largest of the other record files in the folders."""
    files = {
        file
        for folder in _folders()
        for file in folder.glob("nasbench101*.tfrecord")
        if file.is_file() and not file.stem.endswith("_all_budgets")
    }
    return max(files, key=lambda file: (file.stat().st_size, file.name), default=None)


def _fetch_or_explain(fetch: bool) -> Path:
    reason = "fetching is switched off (fetch=False)"
    if fetch:
        try:
            return fetch_official()
        except NaspError as error:
            reason = str(error)
    files = "; ".join(
        f"{official.url} ({official.size}, {official.epochs}, SHA-256 {official.sha256})"
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
