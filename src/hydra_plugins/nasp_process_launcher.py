"""A Hydra launcher that runs each job of a sweep in a process of its own.

Finished runs (their ``results.json`` carries the hash of their config) are skipped, so a sweep
that was interrupted, or is asked for more seeds, runs only what is missing. A failed job stops no
other; the sweep's exit status is 1 if any failed. Hydra loads launchers from this namespace only.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, configure_log
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2


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


class ProcessLauncher(Launcher):
    """Runs jobs in processes, ``jobs`` at once.

    Args:
        jobs: processes at once; None: one for each core this process may use.
    """

    def __init__(self, jobs: int | None = None) -> None:
        self.jobs = jobs
        self.config: DictConfig | None = None
        self.hydra_context: HydraContext | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Remember what Hydra hands over; the task function runs in the processes instead."""
        self.config = config
        self.hydra_context = hydra_context

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run what is missing; wait for all of it."""
        from nasp_lightning.error import NaspError
        from nasp_lightning.run_folder import config_hash, finished_results

        assert self.config is not None
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        planned = [
            self._plan(initial_job_idx + index, list(words))
            for index, words in enumerate(job_overrides)
        ]
        unique: dict[Path, Job] = {}
        for job in planned:
            unique.setdefault(job.folder, job)
        for job in unique.values():
            job.finished = finished_results(job.folder, config_hash(job.config)) is not None
        missing = [job for job in unique.values() if not job.finished]
        at_once = max(1, self.jobs or available_cores())
        log.info(
            "sweep: %d runs, %d finished already, %d to do, %d at once",
            *(len(unique), len(unique) - len(missing), len(missing), at_once),
        )
        run_all(missing, at_once)
        failed = [job for job in missing if job.exit_status != 0]
        if failed:
            listed = "\n".join(f"  {job.folder / 'log.txt'}" for job in failed)
            raise NaspError(
                f"{len(failed)} of {len(missing)} runs failed, the others finished; each one's "
                f"last words are in its log, and the same command runs only these again:\n{listed}"
            )
        return [_returned(job) for job in planned]

    def _plan(self, number: int, words: list[str]) -> Job:
        assert self.config is not None
        assert self.hydra_context is not None
        config = self.hydra_context.config_loader.load_sweep_config(self.config, words)
        task_words = list(OmegaConf.to_container(config.hydra.overrides.task))  # type: ignore[arg-type]
        folder = Path(str(config.hydra.sweep.dir)) / str(config.hydra.sweep.subdir)
        return Job(number, [str(word) for word in task_words], folder.absolute(), config)


def available_cores() -> int:
    """Cores that this process may use."""
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def command(job: Job) -> list[str]:
    """The command line of a job: its words, its folder, and the sweep's own config flags."""
    flags = []
    for index, word in enumerate(sys.argv[1:], start=1):
        for flag in ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp"):
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
        for job in running:  # interrupted: the jobs keep their checkpoints
            if job.process is not None:
                job.process.terminate()
        for job in running:
            if job.process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    job.process.wait(timeout=20)
                if job.process.poll() is None:
                    job.process.kill()


def start(job: Job, environment: dict[str, str]) -> None:
    """Start a job's process; what it prints goes to ``log.txt`` in its folder."""
    from nasp_lightning.storage import explain_os_error

    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        with open(job.folder / "log.txt", "ab") as output:
            job.process = subprocess.Popen(
                command(job), stdout=output, stderr=subprocess.STDOUT, env=environment
            )
    except OSError as error:
        raise explain_os_error(error, job.folder, "write") from error
    job.started = time.monotonic()


def _poll(job: Job) -> bool:
    assert job.process is not None
    job.exit_status = job.process.poll()
    return job.exit_status is not None


def _returned(job: Job) -> JobReturn:
    returned = JobReturn()
    returned.overrides = job.words
    returned.cfg = job.config
    returned.status = JobStatus.COMPLETED
    returned.return_value = _results(job)
    return returned


def _results(job: Job) -> Any:
    return str(job.folder / "results.json")
