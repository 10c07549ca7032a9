"""The command line: ``python -m nasp_lightning`` and ``nasp``.

Nothing heavy is imported before a job starts, so help, ``--cfg job`` and completion are quick.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import hydra
from omegaconf import DictConfig

from nasp_lightning.error import NaspError
from nasp_lightning.run.chain import leave_again
from nasp_lightning.run.compose import explain, register_resolvers
from nasp_lightning.run.folder import (
    Config,
    check_source,
    config_hash,
    finished_results,
    resolved,
)
from nasp_lightning.run.sweep import experiment_first
from nasp_lightning.shipped import conf_dir

TRACEBACK = "HYDRA_FULL_ERROR"  # Hydra's own switch; the user's, unless the next one is set too
QUIET = "NASP_QUIET_ERRORS"


def fail(message: str) -> NoReturn:
    """Print ``error: …`` and leave with status 2."""
    sys.stderr.write(f"error: {message}\n")
    sys.stderr.flush()
    raise SystemExit(2)


def interrupted() -> NoReturn:
    """Say what to do after Ctrl-C, and leave with the status of an interrupt."""
    sys.stderr.write("interrupted: the same command goes on from here\n")
    raise SystemExit(130)


def check_group_choices(words: Sequence[str]) -> None:
    """Refuse a number where a config group's choice belongs, as in ``+split=469``.

    Raises:
        NaspError: that names the choices; Hydra's own error names neither word nor group.
    """
    for word in words:
        key, _, value = word.partition("=")
        group = conf_dir() / key.lstrip("+")
        if value.replace(",", "").isdigit() and key.lstrip("+") and group.is_dir():
            choices = ", ".join(sorted(path.stem for path in group.glob("*.yaml")))
            raise NaspError(f"{word}: choose from {choices}")


def wants_traceback() -> bool:
    """Whether the user set ``HYDRA_FULL_ERROR=1``, rather than :func:`main`."""
    return os.environ.get(TRACEBACK) == "1" and QUIET not in os.environ


@contextlib.contextmanager
def told_errors() -> Iterator[None]:
    """Turn what the user can put right into one line and an exit status."""
    try:
        yield
    except KeyboardInterrupt:
        interrupted()
    except Exception as error:
        message = explain(error)
        if message is None or wants_traceback():
            raise
        fail(message)


def run_config(config: DictConfig, folder: Path) -> Config:
    """Run the job of a composed config in a folder, or report that it is done.

    Args:
        config: the composed config.
        folder: everything that the run writes goes here.

    Returns:
        The results, as in ``results.json``.

    Raises:
        NaspError: for whatever the user can put right.
    """
    plain = resolved(config)
    done = finished_results(folder, config_hash(plain))
    if done is not None:
        check_source(done, _within(plain, "benchmark", "path"))
        leave_again(_within(plain, "paths", "chain"), folder, done)
        sys.stderr.write(f"done already: {folder / 'results.json'}\n")
        return done
    threads = plain.get("threads")
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise NaspError(f"threads={threads}: it must be a positive number, or null")
    target = plain.get("job", {}).get("_target_", "")
    try:
        job = hydra.utils.get_method(target)
    except Exception as error:
        raise NaspError(f"job._target_={target}: there is no such function") from error
    results: Config = job(plain, folder)
    return results


def _within(plain: Config, group: str, name: str) -> str | None:
    """A setting of a group, if the run has any."""
    found = (plain.get(group) or {}).get(name)
    return None if not found else str(found)


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")
def _hydra_main(config: DictConfig) -> None:
    from hydra.core.hydra_config import HydraConfig

    with told_errors():  # here too: Hydra adds a line of its own to what leaves a job
        run_config(config, Path(HydraConfig.get().runtime.output_dir))


def main() -> None:
    """Entry point of ``nasp`` and ``python -m nasp_lightning``."""
    register_resolvers()
    sys.argv[1:] = experiment_first(sys.argv[1:])
    if os.getcwd() not in sys.path:  # a predictor of one's own beside where the command is typed
        sys.path.append(os.getcwd())
    if not wants_traceback():  # Hydra then hands its errors on, instead of printing a traceback
        os.environ[TRACEBACK] = os.environ[QUIET] = "1"
    with told_errors():
        check_group_choices(sys.argv[1:])
        _hydra_main()
