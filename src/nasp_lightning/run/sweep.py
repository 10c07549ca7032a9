"""Processes of a sweep: one for each run, several at once.

A failed run stops no other; an interrupted sweep ends its runs, which keep their checkpoints.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from nasp_lightning.storage import explain_os_error

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
# Hydra's flags that say where configs are; a sweep hands them on to its runs.
CONFIG_FLAGS = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp")


@dataclass
class Job:
    """One job of a sweep: its words, its folder, and its process once started."""

    number: int
    words: list[str]
    folder: Path
    config: DictConfig
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    finished: bool = False
    exit_status: int | None = None


def available_cores() -> int:
    """Cores that this process may use."""
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def experiment_first(words: Sequence[str]) -> list[str]:
    """A command line with ``+experiment=…`` in front, then the other overrides, then the flags.

    Of two added groups the later one wins, so an experiment would undo the split, or the sweep's
    parameters, that stand before it. Hydra's parser takes overrides in one piece only.
    """
    overrides, flags = list[str](), list[str]()
    for before, word in zip(("", *words), words, strict=False):
        override = not word or word.startswith("~") or ("=" in word and not word.startswith("-"))
        (overrides if override and before not in CONFIG_FLAGS else flags).append(word)
    return sorted(overrides, key=lambda word: not word.startswith("+experiment=")) + flags


def command(job: Job) -> list[str]:
    """The command line of a job: its words, its folder, and the sweep's own config flags."""
    flags = []
    for index, word in enumerate(sys.argv[1:], start=1):
        for flag in CONFIG_FLAGS:
            if word == flag and index + 1 < len(sys.argv):
                flags += [word, sys.argv[index + 1]]
            elif word.startswith(f"{flag}="):
                flags.append(word)
    # Hydra's grammar: quotes keep a folder with spaces or equal signs one value.
    folder = str(job.folder).replace("\\", "\\\\").replace("'", "\\'")
    words = [*job.words, f"hydra.run.dir='{folder}'"]
    return [sys.executable, "-m", "nasp_lightning", *flags, *words]


def run_all(jobs: list[Job], at_once: int) -> None:
    """Run jobs, ``at_once`` at a time, each with its share of the threads."""
    environment = dict(os.environ)
    environment.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // at_once)))
    waiting, running = list(jobs), list[Job]()
    previous = signal.signal(signal.SIGTERM, _terminated)  # else its runs would go on alone
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.pop(0)
                start(job, environment)
                running.append(job)
            time.sleep(POLL_SECONDS)
            for job in [job for job in running if _poll(job)]:
                running.remove(job)
                done = len(jobs) - len(waiting) - len(running)
                state = "done" if job.exit_status == 0 else f"FAILED ({job.exit_status})"
                seconds = time.monotonic() - job.started
                words = " ".join(job.words)
                log.info("[%d/%d] %s in %.0f s: %s", done, len(jobs), state, seconds, words)
    finally:
        signal.signal(signal.SIGTERM, previous)
        for job in running:  # interrupted: the jobs keep their checkpoints
            if job.process is not None:
                job.process.terminate()
        for job in running:
            if job.process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    job.process.wait(timeout=20)
                if job.process.poll() is None:
                    job.process.kill()


def _terminated(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def start(job: Job, environment: dict[str, str]) -> None:
    """Start a job's process; what it prints goes to ``log.txt`` in its folder."""
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        with open(job.folder / "log.txt", "ab") as output:
            job.process = subprocess.Popen(
                command(job),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
            )
    except OSError as error:
        raise explain_os_error(error, job.folder, "write") from error
    job.started = time.monotonic()


def _poll(job: Job) -> bool:
    assert job.process is not None
    job.exit_status = job.process.poll()
    return job.exit_status is not None
