"""Train a supernet, or the network of one architecture, on images; keep it as an ordinary file.

A run that was killed goes on from its checkpoint, and its numbers are those of an unbroken one: a
step's images, augmentation and path are functions of the seed and the step alone. The run's
folder ends up with ``results.json``, ``metrics.csv`` and ``network.safetensors``
(:mod:`nasp_lightning.network.store`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from hydra.utils import get_class, instantiate
from lightning.pytorch import Callback, Trainer, seed_everything
from rich.console import Console
from torch import nn

from nasp_lightning.callbacks.checkpoint import ClockCheckpoint, checkpoint_path
from nasp_lightning.compiling import compiling
from nasp_lightning.data.base import ImageModule
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.logger import close, closed_on_failure
from nasp_lightning.network.build import build_network, build_space, build_supernet
from nasp_lightning.network.count import evaluated_parameters, multiply_adds
from nasp_lightning.network.create import ARCHITECTURE, read_architecture
from nasp_lightning.network.store import architecture_of, check_space, save_network
from nasp_lightning.run.chain import find, leave, product
from nasp_lightning.run.construction import constructing
from nasp_lightning.run.folder import config_hash, method_hash, run_once, stem
from nasp_lightning.run.process import quiet_lightning, set_threads
from nasp_lightning.run.provenance import versions
from nasp_lightning.space.base import Architecture, Space, stacked
from nasp_lightning.storage import write_json, write_text
from nasp_lightning.study.neural import (
    check_checkpoint,
    fit_or_resume,
    interruptible,
    make_callbacks,
    make_logger,
)
from nasp_lightning.task.classifier import Classifier

log = logging.getLogger(__name__)

Config = dict[str, Any]

FORMAT = "nasp_lightning.network_run/1"
NETWORK_FILE = "network.safetensors"
STAGES = {"supernet": "supernet", "network": "retrain"}  # of a chain, by what is trained


def run(config: Config, folder: Path) -> Config:
    """Train, test, write.

    Args:
        config: resolved config, as printed by ``nasp --cfg job --resolve job=train_network``.
        folder: the run's folder.

    Returns:
        The content of ``results.json``; of several processes only the first one's is full.

    Raises:
        NaspError: for whatever the user can put right.
    """
    if _rank():  # a further process of DDP; the first one holds the folder's lock
        return _train(config, folder)
    return run_once(config, folder, lambda: _train(config, folder))


@dataclass(frozen=True)
class Subject:
    """What is trained.

    Attributes:
        kind: ``supernet`` or ``network``.
        module: with fresh weights.
        space: of its architectures.
        architecture: of a network.
    """

    kind: str
    module: nn.Module
    space: Space
    architecture: Architecture | None

    @property
    def text(self) -> str | None:
        """The architecture as the space writes it."""
        return None if self.architecture is None else self.space.to_string(*self.architecture)


@closed_on_failure()
def _train(config: Config, folder: Path) -> Config:
    quiet_lightning()
    warnings.filterwarnings("ignore", ".*Total length of `list` across ranks is zero.*")
    set_threads(config.get("threads"), fitting=False)
    check_whole("seed", config["seed"], 0)
    check_whole("job.evaluation_batch", config["job"]["evaluation_batch"])
    data = make_data(config)
    subject = make_subject(config, data)
    task = make_task(config, subject)
    if checkpoint_path(folder).exists():  # before anything of another run is overwritten
        check_checkpoint(checkpoint_path(folder), task.hparams["config"])
    callbacks = make_callbacks(config, folder)
    trainer = make_trainer(config, folder, task, callbacks)
    if trainer.is_global_zero:
        describe(config, folder, subject, data, trainer)
    clock = next((item for item in callbacks if isinstance(item, ClockCheckpoint)), None)
    with told_failures():
        seconds = fit_or_resume(trainer, task, data, clock)
    accuracies = test(trainer, task, data, config["job"]["evaluation_batch"])
    if not trainer.is_global_zero:
        return {}
    results = {
        **identity(config, data, subject),
        **measured(task, accuracies, data),
        "product": product(STAGES[subject.kind], NETWORK_FILE),
        "fit_seconds": seconds,
        "images_per_second": task.trained_images / max(task.trained_seconds, 1e-9),
        "device": device_name(trainer),
        "devices": trainer.world_size,
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }
    write_network(config, folder, subject, data, results)
    write_json(folder / "results.json", results)
    leave(config, STAGES[subject.kind], folder / NETWORK_FILE)
    summarise(results, folder)
    if trainer.logger is not None:
        close(trainer.logger, results)
    return results


def make_data(config: Config) -> ImageModule:
    """The images of a config."""
    with constructing("data"):
        data: ImageModule = instantiate(config["data"], _partial_=True)(seed=config["seed"])
    return data


def make_subject(config: Config, data: ImageModule) -> Subject:
    """The network or supernet of a config, its weights drawn by the run's seed."""
    with constructing("task"):
        kind = str(getattr(get_class(config["task"]["_target_"]), "kind", ""))
    if kind not in STAGES:
        raise NaspError(
            f"task={config['task']['_target_']}: choose task=classifier or task=supernet"
        )
    with constructing("space"):
        space = build_space(config["space"])
    told = config["job"]["architecture"]
    architecture = None
    if kind == "network":
        architecture = chosen_architecture(config, space)
    elif told is not None:
        raise NaspError(
            f"job.architecture={told}: a supernet is trained for all architectures; leave it out, "
            "or choose task=classifier"
        )
    seed_everything(config["seed"], workers=False, verbose=False)
    with constructing("network"):
        module = (
            build_supernet(config["network"], space, data.classes)
            if architecture is None
            else build_network(config["network"], space, architecture, data.classes)
        )
    return Subject(kind, module, space, architecture)


def chosen_architecture(config: Config, space: Space) -> Architecture:
    """The architecture of ``job.architecture``: a file of ``job=search_network``, or a text.

    Raises:
        NaspError: if there is none, or it is of another space.
    """
    told = config["job"]["architecture"]
    if told is not None and not str(told).endswith(".json"):
        return space.from_string(str(told))
    path = find(config, "search", "job.architecture", told)
    try:
        content = read_architecture(path, ARCHITECTURE)
        found = architecture_of(content)
    except NaspError as error:
        raise NaspError(
            f"job.architecture={path}: it is no architecture ({error}); give the best.json of "
            "job=search_network, or the architecture's text"
        ) from error
    check_space(content, config["space"], str(path))
    space.validate(*stacked([found]))
    return found


def make_task(config: Config, subject: Subject) -> Classifier:
    """The LightningModule of a config."""
    settings = dict(config["task"])
    if settings.get("strict_fairness"):  # its steps are its own, so the trainer cannot clip
        settings["gradient_clip"] = config["trainer"].get("gradient_clip_val")
    kept = {**config, "architecture": subject.text} if subject.text else config
    with constructing("optimizer"):
        optimizer = instantiate(config["optimizer"])
    with constructing("scheduler"):
        schedule = instantiate(config["scheduler"])
    with constructing("task"):
        task: Classifier = instantiate(settings, _partial_=True)(
            network=subject.module,
            optimizer=optimizer,
            schedule=schedule,
            seed=config["seed"],
            config=kept,
        )
    with constructing("optimizer"):
        task.configure_optimizers()  # one that cannot be fails now, not in the fit
    return task


def make_trainer(
    config: Config, folder: Path, task: Classifier, callbacks: list[Callback]
) -> Trainer:
    """The trainer of a config."""
    settings = dict(config["trainer"])
    check_whole("trainer.max_epochs", settings.get("max_epochs"))
    if not task.automatic_optimization:
        settings["gradient_clip_val"] = None
    if task.ema_decay is not None:
        from lightning.pytorch.callbacks import EMAWeightAveraging

        callbacks = [*callbacks, EMAWeightAveraging(decay=task.ema_decay)]
    logger = make_logger(config, folder) if not _rank() else None
    with constructing("trainer"):
        return Trainer(
            **settings,
            logger=logger or False,
            callbacks=callbacks,
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=folder,
        )


def test(trainer: Trainer, task: Classifier, data: ImageModule, batch_size: int) -> list[float]:
    """Test accuracy of the network, or of the evaluated subnets."""
    with told_failures():
        trainer.test(task, dataloaders=data.plain_loader("test", batch_size), verbose=False)
    return task.tested


@contextlib.contextmanager
def told_failures() -> Iterator[None]:
    """Turn what stops Lightning into an interrupt or one sentence."""
    try:
        with interruptible(), compiling("the network", "set task.compile=false"):
            yield
    except torch.OutOfMemoryError as error:
        raise NaspError(
            "the device's memory is full: lower data.batch_size (or job.evaluation_batch), or "
            "choose trainer.precision=bf16-mixed"
        ) from error


def describe(
    config: Config, folder: Path, subject: Subject, data: ImageModule, trainer: Trainer
) -> None:
    """Write the resolved config and say what begins."""
    write_text(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    write_json(folder / "versions.json", versions())
    log.info(
        "%s %s on %s: %d training, %d held-out, %d test images of %d classes; %s epochs of %d "
        "steps on %s, seed %d; run folder %s",
        *(stem(config["network"]["_target_"]), subject.text or subject.kind, data.name),
        *(data.sizes[part] for part in ("train", "held_out", "test")),
        *(data.classes, trainer.max_epochs, data.steps, device_name(trainer), config["seed"]),
        folder,
    )


def identity(config: Config, data: ImageModule, subject: Subject) -> Config:
    """What a number is a number of."""
    return {
        "format": FORMAT,
        "config_hash": config_hash(config),
        "method_hash": method_hash(config),
        "name": config["name"],
        "kind": subject.kind,
        "network": stem(config["network"]["_target_"]),
        "space": subject.space.name,
        "architecture": subject.text,
        "data": data.name,
        "data_hash": data.data_hash,
        **{f"{part}_images": size for part, size in data.sizes.items()},
        "classes": data.classes,
        "side": data.side,
        "seed": config["seed"],
        "epochs": config["trainer"]["max_epochs"],
        "batch_size": data.batch_size,
    }


def measured(task: Classifier, accuracies: list[float], data: ImageModule) -> Config:
    """What was measured: of a supernet the mean of the subnets that were evaluated."""
    last = task.last_values
    return {
        "parameters": evaluated_parameters(task.network),
        "macs": multiply_adds(task.network, data.side) if task.kind == "network" else None,
        "train_loss": last.get("train/loss"),
        "train_accuracy": last.get("train/accuracy"),
        "held_out_accuracy": last.get("held_out/accuracy"),
        "test_accuracy": sum(accuracies) / len(accuracies),
        "subnet_accuracies": accuracies if task.kind == "supernet" else None,
    }


def write_network(
    config: Config, folder: Path, subject: Subject, data: ImageModule, results: Config
) -> None:
    """The trained module with its manifest."""
    operations, adjacency = subject.architecture or (None, None)
    numbers = ("name", "config_hash", "seed", "epochs", "parameters", "macs", "test_accuracy")
    save_network(
        folder / NETWORK_FILE,
        subject.module,
        {
            "kind": subject.kind,
            "network": config["network"],
            "space": config["space"],
            "operations": None if operations is None else operations.tolist(),
            "adjacency": None if adjacency is None else adjacency.tolist(),
            "text": subject.text,
            "data": data.describe(),
            "results": {name: results[name] for name in numbers},
        },
    )


def summarise(results: Config, folder: Path) -> None:
    """Print what was measured."""
    console = Console(width=None if Console().is_terminal else 110)
    what = "mean of the evaluated subnets " if results["kind"] == "supernet" else ""
    console.print(
        f"{results['network']} on {results['data']}: test accuracy {what}"
        f"{100 * results['test_accuracy']:.2f} %, training "
        f"{100 * results['train_accuracy']:.2f} %; {results['parameters']:,} parameters; "
        f"{results['images_per_second']:,.0f} images/s, fit {results['fit_seconds']:.1f} s",
        highlight=False,
    )
    console.print(f"network: {folder / NETWORK_FILE}", highlight=False, soft_wrap=True)
    console.print(f"results: {folder / 'results.json'}", highlight=False, soft_wrap=True)


def device_name(trainer: Trainer) -> str:
    """Such as ``cpu`` or ``NVIDIA A100``."""
    device = trainer.strategy.root_device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _rank() -> int:
    """Number of this process among those that DDP started; 0 for the one that the user did."""
    for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return 0
