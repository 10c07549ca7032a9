"""Weights & Biases: the run's metrics, config, summary table and scatter."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nasp_lightning.error import NaspError

if TYPE_CHECKING:
    from nasp_lightning.data.architectures import ArchitectureData

MODES = ("online", "offline", "disabled")
SCATTER_POINTS = 2000  # more would only slow the page down


def wandb_logger(
    folder: Path,
    config: dict[str, Any],
    project: str = "nasp_lightning",
    mode: str = "online",
    group: str | None = None,
    tags: list[str] | None = None,
    entity: str | None = None,
) -> Any:
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
    try:
        from lightning.pytorch.loggers import WandbLogger
    except ImportError as error:
        raise NaspError("logger=wandb needs: pip install 'nasp-lightning[wandb]'") from error
    from nasp_lightning.run.folder import config_hash

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


def _open_run() -> Any:
    wandb = sys.modules.get("wandb")  # not imported: it takes seconds, and most runs do without
    return None if wandb is None else wandb.run


def finish(
    logger: Any, results: dict[str, Any], scores: npt.NDArray[Any], data: ArchitectureData
) -> None:
    """Log the summary, the table and the scatter of predicted against true; close the run."""
    import wandb

    test = data.split.test
    if len(test) > SCATTER_POINTS:
        test = np.random.default_rng(0).choice(test, SCATTER_POINTS, replace=False)
    rows = [[float(scores[row]), float(data.true_accuracy[row])] for row in test]
    points = wandb.Table(columns=["predicted", "true"], data=rows)
    phases = wandb.Table(
        columns=["phase", "kendall_tau", "spearman", "queried_labels"],
        data=[
            [name, values["kendall_tau"], values["spearman"], values["queried_labels"]]
            for name, values in results["phases"].items()
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


def close(logger: Any, results: dict[str, Any]) -> None:
    """Log the summary and close the run."""
    import wandb

    plain = (int, float, str, bool)
    kept = {key: value for key, value in results.items() if isinstance(value, plain)}
    logger.experiment.summary.update(kept)
    wandb.finish()
