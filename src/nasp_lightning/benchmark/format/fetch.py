"""Fetch a large file: resumed where it was cut, verified by its SHA-256, put in place whole."""

from __future__ import annotations

import http.client
import logging
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from nasp_lightning.benchmark.base import Declaration
from nasp_lightning.benchmark.format.files import downloads_dir
from nasp_lightning.error import NaspError
from nasp_lightning.record.progress import progress_bar
from nasp_lightning.storage import explain_os_error, file_sha256, known_sha256, locked

log = logging.getLogger(__name__)

ATTEMPTS = 5
FIRST_ATTEMPTS = 3  # before anything came: without a network, say so within seconds
PAUSE = 1.0
TIMEOUT = 30.0
_BLOCK = 1 << 18
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)


class _CutError(Exception):
    """The transfer failed in a way that another attempt may mend."""


def fetch(
    url: str,
    destination: Path,
    sha256: str,
    size: int | None = None,
    *,
    attempts: int = ATTEMPTS,
    pause: float = PAUSE,
) -> Path:
    """Fetch ``url`` to ``destination`` unless it is there already.

    The bytes gather in ``<destination>.part``; a later call goes on from there. Two processes
    that ask at once fetch once.

    Args:
        url: where the file is served.
        destination: where it shall stand.
        sha256: its hash in hexadecimal.
        size: its size in bytes, if known, so that too small a disk is noticed at once.
        attempts: failures in a row, with nothing received between them, before giving up;
            at most three if nothing came at all.
        pause: seconds before the second attempt; doubled for each further one.

    Returns:
        ``destination``.

    Raises:
        NaspError: if the server cannot be reached or refuses, the disk is full, or the hash
            differs (the file is removed then).
    """
    destination = Path(destination)
    with locked(destination):
        if destination.is_file():
            if known_sha256(destination) == sha256:
                return destination
            log.warning("%s is not the file wanted: fetching it again", destination)
        part = destination.with_name(destination.name + ".part")
        _transfer(url, part, size, attempts, pause)
        found = file_sha256(part)
        if found != sha256:
            part.unlink(missing_ok=True)
            raise NaspError(
                f"{url} has the SHA-256 {found}, not {sha256}; what was fetched is removed: try "
                "again, and if it stays so, the file at that address is another one"
            )
        try:
            os.replace(part, destination)
        except OSError as error:
            raise explain_os_error(error, destination, "write") from error
    return destination


def fetch_official(declaration: Declaration, which: str | None = None) -> Path:
    """Fetch a benchmark's official file into the cache, resuming what is there.

    Args:
        declaration: lists the files.
        which: the word for one of them; None: the first.

    Raises:
        NaspError: if there is no such file, it cannot be fetched or its SHA-256 differs.
    """
    files = declaration.official
    chosen = next(iter(files), "") if which is None else which
    if chosen not in files:
        raise NaspError(f"{declaration.name} has no file {chosen!r}; choose " + "|".join(files))
    official = files[chosen]
    return fetch(official.url, downloads_dir() / official.name, official.sha256)


def _transfer(url: str, part: Path, size: int | None, attempts: int, pause: float) -> None:
    failures, received = 0, False
    with progress_bar(f"fetching {part.stem}", size) as advance:
        if begun := _size(part):
            advance(begun)
        while True:
            before = _size(part)
            try:
                _attempt(url, part, size, advance)
                return
            except _CutError as error:
                came = _size(part) > before
                received = received or came
                failures = 1 if came else failures + 1
                if failures >= (attempts if received else min(attempts, FIRST_ATTEMPTS)):
                    kept = f"; the {_size(part):,} bytes received are kept" if _size(part) else ""
                    raise NaspError(
                        f"cannot fetch {url}: {error}{kept}. Check the network and try again"
                    ) from error
                time.sleep(pause * 2 ** (failures - 1))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _attempt(url: str, part: Path, size: int | None, advance: Callable[[int], None]) -> None:
    """Receive what is missing of ``part``.

    Raises:
        _CutError: if the transfer broke off.
        NaspError: if it makes no sense to try again.
    """
    offset = _size(part)
    if size is not None and offset >= size:
        if offset == size:
            return
        offset = 0
    headers = {"User-Agent": "nasp_lightning", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        response = urllib.request.urlopen(  # the hash is checked, whatever the scheme
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT
        )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            _finish_or_restart(error, part, offset)
            return
        if error.code in _TRANSIENT:
            raise _CutError(f"the server answers {error.code} {error.reason}") from error
        raise NaspError(
            f"cannot fetch {url}: the server answers {error.code} {error.reason}"
        ) from error
    except urllib.error.URLError as error:
        raise _CutError(_reason(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(_reason(error)) from error
    except ValueError as error:
        raise NaspError(f"cannot fetch {url}: {error}") from error
    with response:
        if response.status != 206 or _range_start(response) != offset:
            advance(-offset)
            offset = 0  # the server ignores ranges: from the beginning
        length = response.headers.get("Content-Length")
        total = offset + int(length) if length and length.isdigit() else size
        _receive(response, part, offset, total, advance)


def _finish_or_restart(error: urllib.error.HTTPError, part: Path, offset: int) -> None:
    """The server has nothing after ``offset``: the part is whole, or of another file."""
    total = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range") or "")
    if total is None or int(total[1]) != offset:
        part.unlink(missing_ok=True)
        raise _CutError("the server has a shorter file than was begun") from error


def _range_start(response: http.client.HTTPResponse) -> int | None:
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range") or "")
    return int(found[1]) if found else None


def _receive(
    response: http.client.HTTPResponse,
    part: Path,
    offset: int,
    total: int | None,
    advance: Callable[[int], None],
) -> None:
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(part.parent).free
        if total is not None and free < total - offset:
            raise NaspError(
                f"cannot write {part}: {(total - offset) / 1e6:,.0f} MB are to come and "
                f"{free / 1e6:,.0f} MB are free: make room, or set NASP_CACHE to a larger disk"
            )
        with open(part, "r+b" if offset else "wb") as file:
            file.seek(offset)
            while block := _read(response):
                file.write(block)
                offset += len(block)
                advance(len(block))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise explain_os_error(error, part, "write") from error
    if total is not None and offset < total:
        raise _CutError(f"the connection was cut after {offset:,} of {total:,} bytes")


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(_BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(_reason(error)) from error


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer for {TIMEOUT:g} seconds"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
