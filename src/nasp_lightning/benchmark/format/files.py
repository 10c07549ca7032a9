"""Where a benchmark's files are looked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from nasp_lightning.benchmark.base import Declaration, Place
from nasp_lightning.error import NaspError
from nasp_lightning.storage import cache_dir, data_dir


def downloads_dir() -> Path:
    """Folder of fetched files."""
    return cache_dir() / "downloads"


def folders(benchmark: str) -> list[Path]:
    """Folders in which a benchmark's files are looked for."""
    data = data_dir()
    return [*([data, data / benchmark] if data else []), downloads_dir()]


def find_file(benchmark: str, names: tuple[str, ...]) -> Path | None:
    """A file or folder of one of these names in ``NASP_DATA``, its folder, or the downloads."""
    return next(
        (
            folder / name
            for folder in folders(benchmark)
            for name in names
            if (folder / name).exists()
        ),
        None,
    )


def given_path(path: str | Path) -> Path:
    """What ``benchmark.path`` names.

    Raises:
        NaspError: if it does not exist.
    """
    given = Path(path).expanduser()
    if not given.exists():
        raise NaspError(f"benchmark.path={given} does not exist")
    return given


def locate(benchmark: str, names: tuple[str, ...], path: str | Path | None = None) -> Path:
    """``path``, or a benchmark's file where it is looked for.

    Raises:
        NaspError: if it is nowhere; the message names the file, the folders and the ways out.
    """
    if path is not None:
        return given_path(path)
    found = find_file(benchmark, names)
    if found is None:
        raise NaspError(
            f"benchmark {benchmark}: {' or '.join(names)} is not in "
            f"{', '.join(str(folder) for folder in folders(benchmark))}; set benchmark.path to the "
            "file, or NASP_DATA to its folder"
        )
    return found


def place_of(benchmark: str, name: str, find: Callable[[], Path]) -> Place:
    """A source's place; where ``find`` raises, what it says is the remedy."""
    try:
        return Place(benchmark, name, find())
    except NaspError as error:
        return Place(benchmark, name, None, str(error))


def places_of(declaration: Declaration) -> list[Place]:
    """Where a benchmark's sources are."""
    if declaration.places is not None:
        return list(declaration.places())
    return [
        place_of(declaration.name, item.name, partial(locate, declaration.name, item.files))
        for item in declaration.sources
        if item.files
    ]
