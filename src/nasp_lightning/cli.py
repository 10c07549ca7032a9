"""The command line: ``python -m nasp_lightning`` and ``nasp``.

Nothing heavy is imported before a job starts, so help, ``--cfg job`` and completion are quick.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nasp_lightning.error import NaspError
from nasp_lightning.run_folder import config_hash, finished_results, resolved, stem


def conf_dir() -> Path:
    """Folder of the configs: the clone's ``conf``, else the copy in the wheel."""
    clone = Path(__file__).resolve().parents[2] / "conf"
    return clone if (clone / "config.yaml").is_file() else Path(__file__).with_name("conf")


def register_resolvers() -> None:
    """Make ``${config_hash:}`` and ``${stem:…}`` known to configs."""
    OmegaConf.register_new_resolver(
        "config_hash", lambda *, _root_: config_hash(_root_), replace=True
    )
    OmegaConf.register_new_resolver("stem", stem, replace=True)


def fail(error: BaseException) -> None:
    """Print one line and leave with status 2."""
    sys.stderr.write(f"error: {error}\n")
    sys.stderr.flush()
    raise SystemExit(2)


def run_config(config: DictConfig, folder: Path) -> dict[str, Any]:
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
        sys.stderr.write(f"done already: {folder / 'results.json'}\n")
        return done
    threads = plain.get("threads")
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise NaspError(f"threads={threads}: it must be a positive number, or null")
    target = plain.get("job", {}).get("_target_", "")
    job = hydra.utils.get_method(target)
    results: dict[str, Any] = job(plain, folder)
    return results


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")
def _hydra_main(config: DictConfig) -> None:
    from hydra.core.hydra_config import HydraConfig

    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        run_config(config, folder)
    except (NaspError, OmegaConfBaseException) as error:
        if os.environ.get("HYDRA_FULL_ERROR"):
            raise
        fail(error)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: the same command continues this run\n")
        raise SystemExit(130) from None


def main() -> None:
    """Entry point of ``nasp`` and ``python -m nasp_lightning``."""
    register_resolvers()
    try:
        _hydra_main()
    except NaspError as error:  # from the launcher, before or after its jobs
        fail(error)
