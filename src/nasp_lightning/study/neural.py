"""Fit a neural predictor: the LightningModule, the Trainer and its callbacks of a config."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from torch import nn

from nasp_lightning.callbacks.checkpoint import ClockCheckpoint
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.error import NaspError
from nasp_lightning.framework.base import Framework
from nasp_lightning.run.construction import constructing
from nasp_lightning.run.folder import config_hash, stem
from nasp_lightning.task.predictor import PredictorTask

log = logging.getLogger(__name__)

Config = dict[str, Any]


def make_task(config: Config, predictor: nn.Module, data: ArchitectureData) -> PredictorTask:
    """The LightningModule of a config."""
    with constructing("optimizer"):
        optimizer = instantiate(config["optimizer"])
        optimizer(predictor.parameters())  # an optimizer that cannot be fails now, not in the fit
    with constructing("scheduler"):
        schedule = instantiate(config["scheduler"])
    with constructing("task"):
        task: PredictorTask = instantiate(config["task"], _partial_=True)(
            predictor=predictor,
            optimizer=optimizer,
            schedule=schedule,
            config=config,
            shape=data.shape,
            label_scale=(data.mean, data.std),
        )
    return task


def fit(
    config: Config,
    folder: Path,
    task: PredictorTask,
    data: ArchitectureData,
    framework: Framework,
    max_epochs: int,
) -> tuple[Trainer, float]:
    """Train through all phases, from the checkpoint if there is one.

    Raises:
        NaspError: if something stopped the training before the last of several phases was over.
    """
    callbacks = make_callbacks(config, folder)
    clock = next((item for item in callbacks if isinstance(item, ClockCheckpoint)), None)
    settings = {**config["trainer"], "max_epochs": max_epochs}
    logger = make_logger(config, folder)
    with constructing("trainer"):
        trainer = Trainer(
            **settings,
            devices=1,
            logger=logger or False,
            callbacks=[*callbacks[:1], framework, *callbacks[1:]],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=0,
            default_root_dir=folder,
        )
    data.graphs = data.graphs.to(trainer.strategy.root_device)
    data.set_training(
        data.training_indices.to(trainer.strategy.root_device),
        data.training_labels.to(trainer.strategy.root_device),
    )
    seconds = fit_or_resume(trainer, task, data, clock)
    check_phases(config, task, trainer.current_epoch)
    return trainer, seconds


def check_phases(config: Config, task: PredictorTask, epochs: int) -> None:
    """Refuse a fit that ended before all of its phases; a single phase may be as short as asked.

    Args:
        config: whose callbacks may have stopped it.
        task: with its phases.
        epochs: that were trained.

    Raises:
        NaspError: with the remedy.
    """
    if len(task.phases) == 1 or epochs >= sum(phase.epochs for phase in task.phases):
        return
    index, _ = task.phase_of(epochs)
    missing = ", ".join(phase.name for phase in task.phases[index:])
    suspects = " ".join(f"callbacks.{name}=null" for name in own_callbacks(config))
    remedy = f"set {suspects} and run it again, it goes on" if suspects else "do not limit trainer"
    raise NaspError(
        f"training was stopped after {epochs} epochs, before the end of {missing}, without which "
        f"there is no result of framework={stem(config['framework']['_target_'])}: {remedy}; "
        "task.patience ends a phase early and lets the next begin"
    )


def own_callbacks(config: Config) -> list[str]:
    """Names of the callbacks that are not this project's, which only show, save and write."""
    return [
        name
        for name, settings in config["callbacks"].items()
        if isinstance(settings, dict)
        and not str(settings.get("_target_")).startswith("nasp_lightning.callbacks.")
    ]


def without_callbacks(config: Config) -> Config:
    """The config of a fit that is one of many: nothing of it is shown, saved or logged.

    Callbacks of the user's own are left out too, with a warning.
    """
    if own := own_callbacks(config):
        log.warning(
            "left out of this job's fits: %s; task.patience ends a fit early",
            ", ".join(f"callbacks.{name}" for name in own),
        )
    return {**config, "callbacks": {}, "logger": None}


def fit_or_resume(
    trainer: Trainer,
    task: LightningModule,
    data: LightningDataModule,
    clock: ClockCheckpoint | None,
) -> float:
    """Train, from the checkpoint if there is one; seconds that it took, over all attempts."""
    resumed = clock.path if clock is not None and clock.path.exists() else None
    if resumed is not None:
        log.info("continuing from %s", resumed)
    began = time.monotonic()
    with interruptible():
        trainer.fit(task, datamodule=data, ckpt_path=resumed, weights_only=True)
    if clock is None:
        return time.monotonic() - began
    clock.save(trainer)
    return clock.fit_seconds


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C be Ctrl-C, of which Lightning makes an exit."""
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


def make_callbacks(config: Config, folder: Path) -> list[Callback]:
    """The named callbacks; those that write get the run's folder."""
    made = []
    for name, settings in config["callbacks"].items():
        if settings is None:
            continue
        if not isinstance(settings, dict) or "_target_" not in settings:
            raise NaspError(f"callbacks.{name}: it needs a _target_, or null to leave it out")
        with constructing("callbacks"):
            item = instantiate(settings)
            made.append(item if isinstance(item, Callback) else item(folder=folder))
    return made


def make_logger(config: Config, folder: Path) -> Any:
    """The third-party logger of a config, or None; metrics.csv is written in any case."""
    settings = config["logger"]
    if not settings or not settings.get("_target_"):
        return None
    with constructing("logger"):
        return instantiate(settings, _partial_=True)(folder=folder, config=config)


def check_checkpoint(path: Path, config: Config) -> None:
    """Refuse a checkpoint that is damaged or belongs to another config."""
    remedy = "delete it to begin anew, or choose another hydra.run.dir"
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        saved = content["hyper_parameters"]["config"]
    except Exception as error:
        raise NaspError(f"{path} is damaged or no checkpoint of this project: {remedy}") from error
    if config_hash(saved) != config_hash(config):
        raise NaspError(f"{path} belongs to a run with another config: {remedy}")
