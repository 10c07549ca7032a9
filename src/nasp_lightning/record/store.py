"""Results that take long, each computed once and kept in a file of its own.

A folder of small files, one for each architecture, that several processes and machines may fill
at once. A file is put in place whole, so that a killed job loses at most what it was computing;
an architecture is claimed by a lock that the system releases when its holder dies, so that two
jobs on one folder share the work; a file that was cut short or altered is found by its checksum
and computed again.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.record.progress import progress_bar
from nasp_lightning.storage import explain_os_error, read_checked, write_checked

log = logging.getLogger(__name__)

Record = dict[str, object]  # plain JSON values by name
Compute = Callable[[Any], Record]  # of a task, whatever it is

POLL_SECONDS = 0.5  # between two looks at what another job is computing


class ShardStore:
    """A folder with one checked file for each key.

    Args:
        folder: made when the first record is kept.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def path(self, key: str) -> Path:
        """File of a key; two letters of it name a folder, so that no folder grows large."""
        return self.folder / key[:2] / f"{key}.json"

    def get(self, key: str) -> Record | None:
        """The record of a key, or None where it is absent or damaged (which is logged)."""
        path = self.path(key)
        try:
            return read_checked(path)
        except FileNotFoundError:
            return None
        except ValueError as error:
            log.warning("%s is damaged or cut short (%s): it is computed again", path, error)
            return None

    def put(self, key: str, record: Record) -> None:
        """Keep a record of plain JSON values, atomically.

        Raises:
            NaspError: if the folder cannot be written or the disk is full.
        """
        write_checked(self.path(key), record)

    @contextlib.contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Whether this process alone may compute a key now; released also by the process's death.

        Raises:
            NaspError: if the folder cannot be written.
        """
        path = self.path(key).with_suffix(".lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                yield False
                return
        except OSError as error:
            raise explain_os_error(error, path, "write") from error
        try:
            yield True
        finally:
            # A lock left behind means a job that died. Whoever comes to hold an unlinked one finds
            # the record in its place, or nobody else at work.
            if self.path(key).exists():
                path.unlink(missing_ok=True)
            lock.release()

    def once(self, key: str, compute: Compute, task: object) -> bool:
        """Compute and keep the record of a key, unless it is there or another process is at it.

        Returns:
            Whether the record is there now.
        """
        with self.claim(key) as mine:
            if not mine:
                return False
            if self.get(key) is None:
                self.put(key, compute(task))
        return True


def fill(
    store: ShardStore,
    tasks: Mapping[str, object],
    compute: Compute,
    concurrent: int = 1,
    label: str = "computing",
    unit: str = "architectures",
    setting: str = "estimation_code.concurrent",
) -> dict[str, Record]:
    """Records of all keys; what the store lacks is computed, ``concurrent`` at once.

    Each of the ``concurrent`` processes computes one record at a time, so what is computed beside
    a record cannot change it. Networks of different structures cannot share kernels; processes
    share a GPU that a single small network leaves idle, and the cores of a CPU.

    Args:
        store: where records are kept.
        tasks: key to what ``compute`` takes.
        compute: makes a record of plain JSON values; can be pickled where ``concurrent`` > 1.
        concurrent: processes at work; 1 computes in this one.
        label: for the progress bar.
        unit: what is counted there, in the plural.
        setting: where a user sets ``concurrent``.

    Raises:
        NaspError: what ``compute`` raises, or if a process dies.
    """
    check_whole(setting, concurrent)
    found = {key: store.get(key) for key in tasks}
    left = {key: tasks[key] for key, record in found.items() if record is None}
    if left:
        count, begin = len(left), time.monotonic()
        with (
            progress_bar(label, count, unit, per_minute=True) as advance,
            _passes(store, compute, min(concurrent, count), setting) as one_pass,
        ):
            while left:
                for key in one_pass(dict(left)):
                    del left[key]
                    found[key] = store.get(key)
                    advance(1)
                if left:  # others are at work on these: wait for them, or for their death
                    time.sleep(POLL_SECONDS)
        minutes = max(time.monotonic() - begin, 1e-9) / 60
        log.info("%s: %d %s, %.1f a minute", label, count, unit, count / minutes)
    complete: dict[str, Record] = {}
    for key, record in found.items():
        if record is None:
            raise NaspError(f"{store.path(key)} vanished or was damaged while it was used: rerun")
        complete[key] = record
    return complete


OnePass = Callable[[Mapping[str, object]], Iterator[str]]


@contextlib.contextmanager
def _passes(
    store: ShardStore, compute: Compute, concurrent: int, setting: str
) -> Iterator[OnePass]:
    """A function that tries every task once and yields the keys whose records are there."""
    if concurrent == 1:

        def here(tasks: Mapping[str, object]) -> Iterator[str]:
            for key, task in tasks.items():
                if store.once(key, compute, task):
                    yield key

        yield here
        return
    # Not forked: a forked child of a process with threads or CUDA may hang.
    pool = ProcessPoolExecutor(
        concurrent,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(store, compute),
    )

    def in_pool(tasks: Mapping[str, object]) -> Iterator[str]:
        futures = {pool.submit(_work, key, task): key for key, task in tasks.items()}
        for future in as_completed(futures):
            if future.result():
                yield futures[future]

    try:
        yield in_pool
    except BrokenProcessPool as error:
        raise NaspError(
            f"a process at work died (killed, or out of memory with {setting}={concurrent}?): "
            "lower it; what is finished is kept"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_worker: tuple[ShardStore, Compute] | None = None  # of a worker process


def _start_worker(store: ShardStore, compute: Compute) -> None:
    global _worker
    _worker = (store, compute)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """End this worker when its parent is killed: nobody would ever send it work again."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(key: str, task: object) -> bool:
    assert _worker is not None
    store, compute = _worker
    return store.once(key, compute, task)
