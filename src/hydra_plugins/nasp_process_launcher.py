"""A Hydra launcher that runs each job of a sweep in a process of its own.

Finished runs (their ``results.json`` carries the hash of their config) are skipped, so a sweep
that was interrupted, or is asked for more seeds, runs only what is missing. A failed job stops no
other; the sweep then ends with an error that names it. Hydra loads launchers from this namespace
only, and imports them for every command: the work is in :mod:`nasp_lightning.run.sweep`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn, JobStatus, configure_log
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from nasp_lightning.run.sweep import Job

log = logging.getLogger(__name__)


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
        from nasp_lightning.run.folder import check_source, config_hash, finished_results
        from nasp_lightning.run.sweep import available_cores, experiment_first, run_all

        assert self.config is not None
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        planned = [
            self._plan(initial_job_idx + index, experiment_first(words))
            for index, words in enumerate(job_overrides)
        ]
        unique: dict[Path, Job] = {}
        for job in planned:
            unique.setdefault(job.folder, job)
        for job in unique.values():
            done = finished_results(job.folder, config_hash(job.config))
            if done is not None:
                check_source(done, OmegaConf.select(job.config, "benchmark.path"))
            job.finished = done is not None
        missing = [job for job in unique.values() if not job.finished]
        at_once = max(1, self.jobs or available_cores())
        log.info(
            "sweep: %d runs, %d finished already, %d to do, %d at once",
            *(len(unique), len(unique) - len(missing), len(missing), at_once),
        )
        run_all(missing, at_once)
        # A run that was told to end may leave with status 0: only its results say that it is done.
        failed = [
            job
            for job in missing
            if job.exit_status != 0 or finished_results(job.folder, config_hash(job.config)) is None
        ]
        if failed:
            listed = "\n".join(f"  {job.folder / 'log.txt'}" for job in failed)
            raise NaspError(
                f"{len(failed)} of {len(missing)} runs failed, the others finished; each one's "
                f"last words are in its log, and the same command runs only these again:\n{listed}"
            )
        return [_returned(job) for job in planned]

    def _plan(self, number: int, words: list[str]) -> Job:
        from nasp_lightning.run.sweep import Job

        assert self.config is not None
        assert self.hydra_context is not None
        config = self.hydra_context.config_loader.load_sweep_config(self.config, words)
        task_words = list(OmegaConf.to_container(config.hydra.overrides.task))  # type: ignore[arg-type]
        folder = Path(str(config.hydra.sweep.dir)) / str(config.hydra.sweep.subdir)
        return Job(number, [str(word) for word in task_words], folder.absolute(), config)


def _returned(job: Job) -> JobReturn:
    returned = JobReturn()
    returned.overrides = job.words
    returned.cfg = job.config
    returned.status = JobStatus.COMPLETED
    returned.return_value = str(job.folder / "results.json")
    return returned
