"""Convert a source once, open it from the cache afterwards."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.storage import cache_dir, locked

log = logging.getLogger(__name__)


def tables_dir() -> Path:
    """Folder of the converted tables."""
    return cache_dir() / "tables"


def table_path(benchmark: str, source: str, sha256: str, converter: int) -> Path:
    """File of a converted table, named by the hash of its source and its converter's version."""
    return tables_dir() / f"{benchmark}-{source}-{sha256[:16]}-v{converter}.safetensors"


def cached_table(path: Path, convert: Callable[[], BenchmarkTable]) -> BenchmarkTable:
    """Open the table at ``path``; where it is absent or damaged, convert the source and save it.

    Two processes that ask at once convert once: the second waits and opens what the first wrote.

    Raises:
        NaspError: if the conversion fails or the cache folder cannot be written.
    """
    if path.exists():
        try:
            return BenchmarkTable.open(path)
        except NaspError as error:
            log.warning("%s; converting the source again", error)
    with locked(path):
        if path.exists():
            try:
                return BenchmarkTable.open(path)  # another process was faster
            except NaspError:
                path.unlink(missing_ok=True)
        table = convert()
        table.save(path)
        return BenchmarkTable.open(path)
