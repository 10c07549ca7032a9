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

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from rich.console import Console
from torch import nn

from nasp_lightning.callbacks.checkpoint import ClockCheckpoint, checkpoint_path
from nasp_lightning.compiling import compiling
from nasp_lightning.data.base import ImageModule
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.job.base import Content, Job
from nasp_lightning.logger import close, closed_on_failure
from nasp_lightning.network.build import build_network, build_space, build_supernet
from nasp_lightning.network.count import evaluated_parameters, multiply_adds
from nasp_lightning.network.create import ARCHITECTURE, read_architecture
from nasp_lightning.network.store import architecture_of, check_space, save_network
from nasp_lightning.run.chain import find, leave
from nasp_lightning.run.config import Component, RunInfo
from nasp_lightning.run.construction import constructing
from nasp_lightning.run.folder import Config, config_hash
from nasp_lightning.run.process import quiet_lightning, set_threads
from nasp_lightning.run.results import NetworkResults, Product
from nasp_lightning.space.base import Architecture, Space, stacked
from nasp_lightning.study.neural import (
    check_checkpoint,
    fit_or_resume,
    interruptible,
    make_callbacks,
    make_logger,
    make_optimizer,
)
from nasp_lightning.study.settings import Training
from nasp_lightning.task.classifier import Classifier

log = logging.getLogger(__name__)

NETWORK_FILE = "network.safetensors"
STAGES = {"supernet": "supernet", "network": "retrain"}  # of a chain, by what is trained


def run(config: Config, folder: Path) -> Content:
    """Train, test, write.

    Args:
        config: resolved config, as printed by ``nasp --cfg job --resolve job=train_network``.
        folder: the run's folder.

    Returns:
        The content of ``results.json``; of several processes only the first one's is full.

    Raises:
        NaspError: for whatever the user can put right.
    """
    job = TrainNetwork(RunInfo.of(config), folder)
    # A further process of DDP works beside the first one, which holds the folder's lock.
    return job.run() if _rank() else job.once()


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


class TrainNetwork(Job[NetworkResults]):
    """The job; see :func:`run`."""

    data: ImageModule
    subject: Subject
    task: Classifier
    callbacks: list[Callback]
    trainer: Trainer

    def __init__(self, info: RunInfo, folder: Path) -> None:
        super().__init__(info, folder)
        self.training = Training.of(info)
        self.images: Component[ImageModule] = info.component("data")
        self.space: Component[Space] = info.component("space")
        self.network: Component[nn.Module] = info.component("network")

    @closed_on_failure()
    def run(self) -> Content:
        """Train and test on every process; the first one writes, keeps and tells."""
        quiet_lightning()
        self.prepare()
        first = self.trainer.is_global_zero
        if first:
            self.begin()
        seconds, accuracies = self.train()
        if not first:
            return {}
        results = self.results(seconds, accuracies)
        write_network(self.folder, self.subject, self.data, self.settings, results)
        content = self.keep(results)
        leave(self.info.chain, STAGES[self.subject.kind], self.folder / NETWORK_FILE)
        self.tell(results)
        if self.trainer.logger is not None:
            close(self.trainer.logger, content)
        return content

    def prepare(self) -> None:
        """Images, the network with fresh weights, its task and trainer."""
        warnings.filterwarnings("ignore", ".*Total length of `list` across ranks is zero.*")
        set_threads(self.info.threads, fitting=False)
        info, job, training = self.info, self.info.job, self.training
        info.check_seed()
        check_whole("job.evaluation_batch", job["evaluation_batch"])
        self.data = self.images.build(seed=info.seed)
        self.subject = self.make_subject()
        self.task = make_task(info, training, self.subject)
        if checkpoint_path(self.folder).exists():  # before anything of another run is overwritten
            kept = self.task.hparams["config"]
            check_checkpoint(checkpoint_path(self.folder), config_hash(kept))
        self.callbacks = make_callbacks(training.callbacks, self.folder)
        self.trainer = make_trainer(info, training, self.folder, self.task, self.callbacks)

    def make_subject(self) -> Subject:
        """The network or supernet, its weights drawn by the run's seed."""
        task, told = self.training.task, self.info.job["architecture"]
        kind = task.kind()
        what = kind.kind if isinstance(kind, type) and issubclass(kind, Classifier) else ""
        if what not in STAGES:
            raise NaspError(f"task={task.target}: choose task=classifier or task=supernet")
        with constructing("space"):
            space = build_space(self.space.settings)
        architecture = None
        if what == "network":
            architecture = chosen_architecture(self.info.chain, told, self.space, space)
        elif told is not None:
            raise NaspError(
                f"job.architecture={told}: a supernet is trained for all architectures; leave it "
                "out, or choose task=classifier"
            )
        seed_everything(self.info.seed, workers=False, verbose=False)
        settings, classes = self.network.settings, self.data.classes
        module: nn.Module
        with constructing("network"):
            if architecture is None:
                module = build_supernet(settings, space, classes)
            else:
                module = build_network(settings, space, architecture, classes)
        return Subject(what, module, space, architecture)

    def describe(self) -> str:
        """What is trained, on which images, for how long, where."""
        data, trainer = self.data, self.trainer
        train, held_out, tests = (data.sizes[part] for part in ("train", "held_out", "test"))
        return (
            f"{self.network.name} {self.subject.text or self.subject.kind} on {data.name}: "
            f"{train} training, {held_out} held-out, {tests} test images of {data.classes} "
            f"classes; {trainer.max_epochs} epochs of {data.steps} steps on "
            f"{device_name(trainer)}, seed {self.info.seed}; run folder {self.folder}"
        )

    def train(self) -> tuple[float, list[float]]:
        """Seconds of training over all attempts, and test accuracies."""
        clock = next((item for item in self.callbacks if isinstance(item, ClockCheckpoint)), None)
        with told_failures():
            seconds = fit_or_resume(self.trainer, self.task, self.data, clock)
        batch = self.info.job["evaluation_batch"]
        return seconds, test(self.trainer, self.task, self.data, batch)

    def do(self) -> NetworkResults:
        """Train, test and write the network."""
        seconds, accuracies = self.train()
        return self.results(seconds, accuracies)

    @property
    def settings(self) -> dict[str, object]:
        """Settings of the network and its space, for the network's file."""
        return {"network": dict(self.network.settings), "space": dict(self.space.settings)}

    def results(self, seconds: float, accuracies: list[float]) -> NetworkResults:
        """What was measured: of a supernet the mean of the subnets that were evaluated."""
        data, task, subject, trainer = self.data, self.task, self.subject, self.trainer
        last, is_supernet = task.last_values, subject.kind == "supernet"
        return NetworkResults(
            origin=self.info.origin(),
            method_hash=self.info.method_hash,
            kind=subject.kind,
            network=self.network.name,
            space=subject.space.name,
            architecture=subject.text,
            data=data.name,
            data_hash=data.data_hash,
            train_images=data.sizes["train"],
            held_out_images=data.sizes["held_out"],
            test_images=data.sizes["test"],
            classes=data.classes,
            side=data.side,
            epochs=self.training.trainer["max_epochs"],
            batch_size=data.batch_size,
            parameters=evaluated_parameters(task.network),
            macs=None if is_supernet else multiply_adds(task.network, data.side),
            train_loss=last.get("train/loss"),
            train_accuracy=last.get("train/accuracy"),
            held_out_accuracy=last.get("held_out/accuracy"),
            test_accuracy=sum(accuracies) / len(accuracies),
            subnet_accuracies=accuracies if is_supernet else None,
            product=Product(stage=STAGES[subject.kind], name=NETWORK_FILE),
            fit_seconds=seconds,
            images_per_second=task.trained_images / max(task.trained_seconds, 1e-9),
            device=device_name(trainer),
            devices=trainer.world_size,
            threads=torch.get_num_threads(),
        )

    def tell(self, results: NetworkResults) -> None:
        """Print what was measured."""
        console = Console(width=None if Console().is_terminal else 110)
        what = "mean of the evaluated subnets " if results.kind == "supernet" else ""
        console.print(
            f"{results.network} on {results.data}: test accuracy {what}"
            f"{100 * results.test_accuracy:.2f} %, training "
            f"{100 * (results.train_accuracy or 0):.2f} %; {results.parameters:,} parameters; "
            f"{results.images_per_second:,.0f} images/s, fit {results.fit_seconds:.1f} s",
            highlight=False,
        )
        console.print(f"network: {self.folder / NETWORK_FILE}", highlight=False, soft_wrap=True)
        where = self.folder / "results.json"
        console.print(f"results: {where}", highlight=False, soft_wrap=True)


def chosen_architecture(
    chain: Path | None, told: object, chosen: Component[Space], space: Space
) -> Architecture:
    """The architecture of ``job.architecture``: a file of ``job=search_network``, or a text.

    Args:
        chain: folder in which stages leave word, or None.
        told: value of the setting.
        chosen: the config's space, of which the file's must be.
        space: the same, built.

    Raises:
        NaspError: if there is none, or it is of another space.
    """
    if told is not None and not str(told).endswith(".json"):
        return space.from_string(str(told))
    path = find(chain, "search", "job.architecture", told)
    try:
        content = read_architecture(path, ARCHITECTURE)
        found = architecture_of(content)
    except NaspError as error:
        raise NaspError(
            f"job.architecture={path}: it is no architecture ({error}); give the best.json of "
            "job=search_network, or the architecture's text"
        ) from error
    check_space(content, dict(chosen.settings), str(path))
    space.validate(*stacked([found]))
    return found


def make_task(info: RunInfo, training: Training, subject: Subject) -> Classifier:
    """The LightningModule of a run."""
    task = training.task
    if task.settings.get("strict_fairness"):  # its steps are its own, so the trainer cannot clip
        task = task.changed(gradient_clip=training.trainer.get("gradient_clip_val"))
    kept = {**info.plain, "architecture": subject.text} if subject.text else info.plain
    optimizer, schedule = make_optimizer(training.optimizer, training.scheduler)
    made = task.build(
        network=subject.module,
        optimizer=optimizer,
        schedule=schedule,
        seed=info.seed,
        config=kept,
    )
    if not isinstance(made, Classifier):
        raise NaspError(f"{task.word}: choose task=classifier or task=supernet")
    with constructing("optimizer"):
        made.configure_optimizers()  # one that cannot be fails now, not in the fit
    return made


def make_trainer(
    info: RunInfo, training: Training, folder: Path, task: Classifier, callbacks: list[Callback]
) -> Trainer:
    """The trainer of a run."""
    settings = dict(training.trainer)
    check_whole("trainer.max_epochs", settings.get("max_epochs"))
    if not task.automatic_optimization:
        settings["gradient_clip_val"] = None
    if task.ema_decay is not None:
        from lightning.pytorch.callbacks import EMAWeightAveraging

        callbacks = [*callbacks, EMAWeightAveraging(decay=task.ema_decay)]
    logger = None if _rank() else make_logger(training.logger, folder, info.plain)
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


def write_network(
    folder: Path,
    subject: Subject,
    data: ImageModule,
    settings: dict[str, object],
    results: NetworkResults,
) -> None:
    """The trained module with its manifest."""
    operations, adjacency = subject.architecture or (None, None)
    content = results.to_json()
    numbers = ("name", "config_hash", "seed", "epochs", "parameters", "macs", "test_accuracy")
    save_network(
        folder / NETWORK_FILE,
        subject.module,
        {
            "kind": subject.kind,
            **settings,
            "operations": None if operations is None else operations.tolist(),
            "adjacency": None if adjacency is None else adjacency.tolist(),
            "text": subject.text,
            "data": data.describe(),
            "results": {name: content[name] for name in numbers},
        },
    )


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
