"""Fit a neural predictor: the LightningModule, the Trainer and its callbacks of a study."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from hydra.utils import instantiate
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.loggers import Logger

from nasp_lightning.callbacks.checkpoint import ClockCheckpoint
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.error import NaspError
from nasp_lightning.framework.base import Framework
from nasp_lightning.predictor.base import GradientPredictor
from nasp_lightning.run.config import Component
from nasp_lightning.run.construction import constructing
from nasp_lightning.run.folder import Config, config_hash
from nasp_lightning.study.settings import StudySettings, Training
from nasp_lightning.task.predictor import PredictorTask

log = logging.getLogger(__name__)


def make_task(
    settings: StudySettings, predictor: GradientPredictor, data: ArchitectureData
) -> PredictorTask:
    """The LightningModule of a study."""
    optimizer, schedule = make_optimizer(settings.training.optimizer, settings.training.scheduler)
    with constructing("optimizer"):
        optimizer(predictor.parameters())  # an optimizer that cannot be fails now, not in the fit
    task = settings.training.task.build(
        predictor=predictor,
        optimizer=optimizer,
        schedule=schedule,
        config=settings.info.plain,
        shape=data.shape,
        label_scale=(data.mean, data.std),
    )
    if not isinstance(task, PredictorTask):
        raise NaspError(f"{settings.training.task.word} trains no predictor: set task=predictor")
    return task


def make_optimizer(
    optimizer: Component[torch.optim.Optimizer], scheduler: Component[float]
) -> tuple[Callable[..., torch.optim.Optimizer], Callable[[int, int], float]]:
    """What makes an optimizer of parameters, and the factor of its rate at (epoch, of epochs)."""
    with constructing("optimizer"):
        make: Callable[..., torch.optim.Optimizer] = instantiate(dict(optimizer.settings))
    with constructing("scheduler"):
        schedule: Callable[[int, int], float] = instantiate(dict(scheduler.settings))
    return make, schedule


def fit(
    settings: StudySettings,
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
    training = settings.training
    callbacks = make_callbacks(training.callbacks, folder)
    clock = next((item for item in callbacks if isinstance(item, ClockCheckpoint)), None)
    keywords = {**training.trainer, "max_epochs": max_epochs}
    logger = make_logger(training.logger, folder, settings.info.plain)
    with constructing("trainer"):
        trainer = Trainer(
            **keywords,
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
    check_phases(training, settings.framework, task, trainer.current_epoch)
    return trainer, seconds


def check_phases(
    training: Training, framework: Component[Framework], task: PredictorTask, epochs: int
) -> None:
    """Refuse a fit that ended before all of its phases; a single phase may be as short as asked.

    Args:
        training: whose callbacks may have stopped it.
        framework: which has no result without its phases.
        task: with its phases.
        epochs: that were trained.

    Raises:
        NaspError: with the remedy.
    """
    if len(task.phases) == 1 or epochs >= sum(phase.epochs for phase in task.phases):
        return
    index, _ = task.phase_of(epochs)
    missing = ", ".join(phase.name for phase in task.phases[index:])
    suspects = " ".join(f"callbacks.{name}=null" for name in training.own_callbacks)
    remedy = f"set {suspects} and run it again, it goes on" if suspects else "do not limit trainer"
    raise NaspError(
        f"training was stopped after {epochs} epochs, before the end of {missing}, without which "
        f"there is no result of {framework.word}: {remedy}; "
        "task.patience ends a phase early and lets the next begin"
    )


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


def make_callbacks(callbacks: Mapping[str, object], folder: Path) -> list[Callback]:
    """The named callbacks; those that write get the run's folder."""
    made = []
    for name, settings in callbacks.items():
        if settings is None:
            continue
        if not isinstance(settings, dict) or "_target_" not in settings:
            raise NaspError(f"callbacks.{name}: it needs a _target_, or null to leave it out")
        with constructing("callbacks"):
            item = instantiate(settings)
            made.append(item if isinstance(item, Callback) else item(folder=folder))
    return made


def make_logger(logger: Component[Logger] | None, folder: Path, shown: Config) -> Logger | None:
    """The third-party logger, or None; metrics.csv is written in any case.

    Args:
        logger: the choice.
        folder: the run's.
        shown: the resolved config, to be shown with the run.
    """
    return None if logger is None else logger.build(folder=folder, config=shown)


def check_checkpoint(path: Path, expected: str) -> None:
    """Refuse a checkpoint that is damaged or belongs to another config.

    Args:
        path: its file.
        expected: the run's ``config_hash``.

    Raises:
        NaspError: with the remedy.
    """
    remedy = "delete it to begin anew, or choose another hydra.run.dir"
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        saved = content["hyper_parameters"]["config"]
    except Exception as error:
        raise NaspError(f"{path} is damaged or no checkpoint of this project: {remedy}") from error
    if config_hash(saved) != expected:
        raise NaspError(f"{path} belongs to a run with another config: {remedy}")
