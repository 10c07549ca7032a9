"""Where files live, and how they are written so that nothing half-written is taken for whole."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from filelock import FileLock

from nasp_lightning.error import NaspError


def cache_dir() -> Path:
    """Folder of converted tables: ``NASP_CACHE``, or the user's cache folder."""
    if configured := os.environ.get("NASP_CACHE"):
        return Path(configured).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("nasp_lightning"))


def data_dir() -> Path | None:
    """Folder in which source files are looked for: ``NASP_DATA``, or nothing."""
    configured = os.environ.get("NASP_DATA")
    return Path(configured).expanduser() if configured else None


def explain_os_error(error: OSError, path: Path, action: str) -> NaspError:
    """Turn an operating system's refusal into one sentence with a remedy."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "the disk is full: free some space, or set NASP_CACHE to a larger disk"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        remedy = "it cannot be written: set NASP_CACHE (or the run's folder) to one that can"
    elif error.errno in (errno.ENOTDIR, errno.EEXIST):
        remedy = "a file stands where a folder is needed: move it, or choose another folder"
    else:
        remedy = error.strerror or type(error).__name__
    return NaspError(f"cannot {action} {path}: {remedy}")


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; put it in place only if the block succeeds.

    The file is flushed to disk before it is renamed, so a kill or a crash at any moment
    leaves either the old file or the new one.

    Raises:
        NaspError: if the folder cannot be written or the disk is full.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except OSError as error:
        raise explain_os_error(error, path, "write") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def csv_text(fields: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A CSV of rows under a header; None is an empty field, numbers are unrounded."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows(rows)
    return text.getvalue()


def write_json(path: Path, value: object) -> None:
    """Write JSON atomically; NaN and infinity become null, since JSON has neither."""
    write_text(path, json.dumps(_finite(value), indent=2, sort_keys=False) + "\n")


def write_checked(path: Path, record: Mapping[str, object]) -> None:
    """Write a record of plain JSON values with its checksum, atomically."""
    content = {"crc32": _crc32(record), "record": record}
    write_text(path, json.dumps(content, allow_nan=False) + "\n")


def read_checked(path: Path) -> dict[str, object]:
    """The record that :func:`write_checked` wrote.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if the file is damaged or cut short.
        NaspError: if it cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        record = content["record"]
        if content["crc32"] != _crc32(record):
            raise ValueError("its checksum differs")
        if not isinstance(record, dict):
            raise TypeError("its content has no names")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise explain_os_error(error, path, "read") from error
    except (KeyError, TypeError) as error:
        raise ValueError(f"it is no record: {error}") from error
    return record


def _crc32(record: object) -> int:
    return zlib.crc32(json.dumps(record, sort_keys=True, allow_nan=False).encode())


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock named after ``path``, so that two processes do not do one work twice.

    Raises:
        NaspError: if the lock file cannot be made.
    """
    lock = Path(f"{path}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(lock)
        held.acquire()
    except OSError as error:
        raise explain_os_error(error, lock, "write") from error
    try:
        yield
    finally:
        held.release()


def file_sha256(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file in hexadecimal; ``progress`` is told the bytes of each block read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
                if progress is not None:
                    progress(len(block))
    except OSError as error:
        raise NaspError(f"cannot read {path}: {error.strerror}") from error
    return digest.hexdigest()


def known_sha256(path: Path) -> str:
    """SHA-256 of a file, remembered in the cache by its path, size and time of change.

    Hashing the 2 GB file of NAS-Bench-101 takes seconds; a run should not pay them twice.
    """
    path = Path(path).resolve()
    try:
        status = path.stat()
    except OSError as error:
        raise NaspError(f"cannot read {path}: {error.strerror}") from error
    identity = f"{path}|{status.st_size}|{status.st_mtime_ns}"
    note = cache_dir() / "hashes" / f"{hashlib.sha256(identity.encode()).hexdigest()[:24]}.txt"
    with contextlib.suppress(OSError, ValueError):
        found, noted = note.read_text(encoding="utf-8").split("\n", 1)
        if noted == identity and len(found) == 64:
            return found
    digest = file_sha256(path)
    with contextlib.suppress(NaspError):  # a cache that cannot be written only costs time here
        write_text(note, f"{digest}\n{identity}")
    return digest
