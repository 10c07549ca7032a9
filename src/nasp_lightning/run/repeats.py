"""Finished repeats of a search, one small file each, so that a killed run goes on."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
import time
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.record.progress import EVERY_SECONDS
from nasp_lightning.storage import atomic_path

log = logging.getLogger(__name__)

Item = TypeVar("Item")

FOLDER = "repeats"


@dataclass(frozen=True)
class Repeat:
    """One finished repeat.

    Attributes:
        rows: ``[L]`` int64 rows of the table, in the order of their evaluation.
        labels: ``[L]`` float64.
        seconds: training that the labels stand for, NaN where not known.
        wall_seconds: what the repeat itself took.
        extras: what the strategy returned.
        spent_at: ``[L]`` label equivalents spent when each label was there; None: one a label.
        bought: ``[F]`` labels bought at each lower training budget; None: there is none.
        spent: label equivalents spent in all; None: as many as labels.
    """

    rows: Array
    labels: Array
    seconds: float
    wall_seconds: float
    extras: dict[str, Array] = field(default_factory=dict)
    spent_at: Array | None = None
    bought: Array | None = None
    spent: float | None = None


def write_repeat(folder: Path, number: int, key: str, repeat: Repeat) -> None:
    """Keep a repeat; ``key`` names the config that it belongs to."""
    with atomic_path(_path(folder, number)) as temporary, open(temporary, "wb") as file:
        content: dict[str, Any] = {
            "key": np.array(key),
            "rows": repeat.rows,
            "labels": repeat.labels,
            "seconds": np.array(repeat.seconds),
            "wall_seconds": np.array(repeat.wall_seconds),
            **{f"extra_{name}": array for name, array in repeat.extras.items()},
            **{name: item for name, item in _budgets(repeat).items() if item is not None},
        }
        np.savez(file, **content)


def _budgets(repeat: Repeat) -> dict[str, Array | None]:
    spent = None if repeat.spent is None else np.array(repeat.spent)
    return {"spent_at": repeat.spent_at, "bought": repeat.bought, "spent": spent}


def read_repeat(folder: Path, number: int, key: str) -> Repeat | None:
    """A finished repeat; None if there is none, or it is damaged and has to be done again.

    Raises:
        NaspError: if it belongs to another config.
    """
    path = _path(folder, number)
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
        found = str(content["key"])
        repeat = Repeat(
            content["rows"],
            content["labels"],
            float(content["seconds"]),
            float(content["wall_seconds"]),
            {
                name.removeprefix("extra_"): array
                for name, array in content.items()
                if name.startswith("extra_")
            },
            content.get("spent_at"),
            content.get("bought"),
            float(content["spent"]) if "spent" in content else None,
        )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        log.warning("%s is damaged: this repeat is done again", path)
        return None
    if found != key:
        raise NaspError(
            f"{path} belongs to a run with another config: delete its folder to begin anew, or "
            "choose another hydra.run.dir"
        )
    return repeat


def remove_repeats(folder: Path) -> None:
    """Delete the files of the repeats, once the results hold what they said."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def _path(folder: Path, number: int) -> Path:
    return folder / FOLDER / f"{number:04d}.npz"


def watched(numbers: Iterable[Item], name: str, unit: str = "repeats") -> Iterator[Item]:
    """The numbers, with a progress bar on a terminal and a line now and then elsewhere."""
    listed = list(numbers)
    if not sys.stderr.isatty():
        last = time.monotonic()
        for done, number in enumerate(listed):
            if time.monotonic() - last >= EVERY_SECONDS:
                last = time.monotonic()
                log.info("%s: %d of %d %s", name, done, len(listed), unit)
            yield number
        return
    from rich.console import Console
    from rich.progress import Progress

    with contextlib.closing(_Bar(Progress(console=Console(stderr=True)), name, len(listed))) as bar:
        for number in listed:
            yield number
            bar.advance()


class _Bar:
    """A progress bar that is put away whatever happens."""

    def __init__(self, progress: Any, name: str, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task(name, total=total)
        progress.start()

    def advance(self) -> None:
        self._progress.advance(self._task)

    def close(self) -> None:
        self._progress.stop()
