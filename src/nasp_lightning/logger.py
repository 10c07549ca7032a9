"""Weights & Biases: the run's metrics, config, summary table and scatter."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from lightning.pytorch.loggers import Logger, WandbLogger

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.run.folder import Config, config_hash
from nasp_lightning.run.results import FitResults
from nasp_lightning.run.results_file import parse_results

if TYPE_CHECKING:
    from nasp_lightning.data.architectures import ArchitectureData

MODES = ("online", "offline", "disabled")
SCATTER_POINTS = 2000  # more would only slow the page down


def wandb_logger(
    folder: Path,
    config: Config,
    project: str = "nasp_lightning",
    mode: str = "online",
    group: str | None = None,
    tags: list[str] | None = None,
    entity: str | None = None,
) -> WandbLogger:
    """A Lightning logger that writes to Weights & Biases.

    Args:
        folder: the run's folder.
        config: resolved config, shown with the run.
        project: of Weights & Biases.
        mode: ``online``, ``offline`` (send later by ``wandb sync``) or ``disabled``.
        group: runs of one sweep share it.
        tags: to filter by.
        entity: user or team; None for the default.

    Raises:
        NaspError: if the mode is unknown or wandb is not installed.
    """
    if mode not in MODES:
        raise NaspError(f"logger.mode={mode}: choose online, offline or disabled")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return WandbLogger(
            project=project,
            save_dir=str(folder),
            mode=mode,
            group=group,
            tags=tags,
            entity=entity,
            id=config_hash(config) if mode == "online" else None,
            resume="allow" if mode == "online" else None,
            name=f"{config['name']}-{config_hash(config)}",
            config=config,
            log_model=False,
        )
    except ModuleNotFoundError as error:
        raise NaspError("logger=wandb needs: pip install 'nasp-lightning[wandb]'") from error


@contextlib.contextmanager
def closed_on_failure() -> Iterator[None]:
    """Close the run of the dashboard if the block fails, so that the next one begins its own."""
    before = _open_run()
    try:
        yield
    except BaseException:
        if _open_run() is not before:
            sys.modules["wandb"].finish(exit_code=1)
        raise


def _open_run() -> object:
    wandb = sys.modules.get("wandb")  # not imported: it takes seconds, and most runs do without
    return None if wandb is None else wandb.run


def finish(
    logger: Logger, results: Mapping[str, object], scores: Array, data: ArchitectureData
) -> None:
    """Log the summary, the table and the scatter of predicted against true; close the run.

    Nothing happens for a logger of another kind.
    """
    if not isinstance(logger, WandbLogger):
        return
    import wandb

    test = data.split.test
    if len(test) > SCATTER_POINTS:
        test = np.random.default_rng(0).choice(test, SCATTER_POINTS, replace=False)
    rows = [[float(scores[row]), float(data.true_accuracy[row])] for row in test]
    points = wandb.Table(columns=["predicted", "true"], data=rows)
    phases = wandb.Table(
        columns=["phase", "kendall_tau", "spearman", "queried_labels"],
        data=[
            [name, phase.scores.kendall_tau, phase.scores.spearman, phase.queried_labels]
            for name, phase in parse_results(FitResults, results).phases.items()
        ],
    )
    run = logger.experiment
    run.log(
        {
            "predicted_against_true": wandb.plot.scatter(points, "predicted", "true"),
            "results": phases,
        }
    )
    close(logger, results)


def close(logger: Logger, results: Mapping[str, object]) -> None:
    """Log the summary and close the run; nothing happens for a logger of another kind."""
    if not isinstance(logger, WandbLogger):
        return
    import wandb

    plain = (int, float, str, bool)
    kept = {key: value for key, value in results.items() if isinstance(value, plain)}
    logger.experiment.summary.update(kept)
    wandb.finish()
