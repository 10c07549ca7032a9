"""What a study is made of, read once from a resolved config."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.loggers import Logger

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.estimation_code.base import EstimationCode
from nasp_lightning.framework.base import Framework
from nasp_lightning.predictor.base import Predictor
from nasp_lightning.run.config import Component, RunInfo, Settings
from nasp_lightning.run.results import TableSource
from nasp_lightning.run.variant import variant
from nasp_lightning.space.base import Space

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BenchmarkChoice:
    """Which table, and which of its numbers are labels.

    Attributes:
        name: of the benchmark.
        source: which of its sources is read.
        dataset: whose accuracies, such as ``cifar10``.
        epochs: training budget of the labels, or its name.
        reduction: training label from the runs: ``single`` or ``mean``.
        failed_below: accuracy under which a run failed, or None.
        published_normalisation: data set to (mean, deviation) of labels, as published, or None.
        table: what loads it.
    """

    name: str
    source: str
    dataset: str
    epochs: int
    reduction: str
    failed_below: float | None
    published_normalisation: Settings | None
    table: Component[BenchmarkTable]

    @classmethod
    def of(cls, info: RunInfo) -> BenchmarkChoice:
        """Read from a run's config."""
        benchmark = info.settings("benchmark")
        return cls(
            name=benchmark["name"],
            source=benchmark["source"],
            dataset=benchmark["dataset"],
            epochs=benchmark["epochs"],
            reduction=benchmark["reduction"],
            failed_below=benchmark["failed_below"],
            published_normalisation=benchmark["published_normalisation"],
            table=Component("benchmark", benchmark["table"]),
        )

    def load(self) -> BenchmarkTable:
        """The table, from its file or the cache."""
        return self.table.build()

    def table_source(self, table: BenchmarkTable, space_size: int) -> TableSource:
        """The entries of ``results.json`` that say of which data a number is."""
        file, sha256 = table.provenance.get("file"), table.provenance.get("sha256")
        return TableSource(
            benchmark=self.name,
            source=self.source,
            source_file=None if file is None else str(file),
            source_sha256=None if sha256 is None else str(sha256),
            partial=bool(table.provenance.get("partial", False)),
            data_hash=table.data_hash(),
            dataset=self.dataset,
            epochs=self.epochs,
            space_size=space_size,
        )


@dataclass(frozen=True)
class Training:
    """How a predictor is trained by gradients.

    Attributes:
        task: the LightningModule.
        optimizer: a partial of it.
        scheduler: makes the learning rate's schedule.
        trainer: keywords of Lightning's Trainer; its ``max_epochs`` are the supervised phase's.
        callbacks: by their names, those that are null among them.
        logger: of a third party, or None.
    """

    task: Component[LightningModule]
    optimizer: Component[torch.optim.Optimizer]
    scheduler: Component[float]
    trainer: Settings
    callbacks: Mapping[str, object]
    logger: Component[Logger] | None

    @classmethod
    def of(cls, info: RunInfo) -> Training:
        """Read from a run's config."""
        return cls(
            task=info.component("task"),
            optimizer=info.component("optimizer"),
            scheduler=info.component("scheduler"),
            trainer=info.settings("trainer"),
            callbacks=info.settings("callbacks"),
            logger=info.optional("logger"),
        )

    @property
    def own_callbacks(self) -> list[str]:
        """Names of the callbacks that are not this project's, which only show, save and write."""
        return [
            name
            for name, settings in self.callbacks.items()
            if isinstance(settings, Mapping)
            and not str(settings.get("_target_")).startswith("nasp_lightning.callbacks.")
        ]

    def unwatched(self) -> Training:
        """Of a fit that is one of many: nothing of it is shown, saved or logged.

        Callbacks of the user's own are left out too, with a warning.
        """
        if own := self.own_callbacks:
            log.warning(
                "left out of this job's fits: %s; task.patience ends a fit early",
                ", ".join(f"callbacks.{name}" for name in own),
            )
        return replace(self, callbacks={}, logger=None)


@dataclass(frozen=True)
class StudySettings:
    """All that a study of a predictor on a benchmark depends on.

    Attributes:
        info: of the run.
        seed: of the split, the weights and the batches.
        benchmark: the table and its labels.
        space: of the architectures.
        data: the LightningDataModule.
        predictor: what is fitted.
        framework: how it is trained.
        code: Estimation Codes as extra inputs, or None.
        training: of a predictor with gradients.
        variant: settings that deviate from the shipped defaults, by their dotted path.
    """

    info: RunInfo
    seed: int
    benchmark: BenchmarkChoice
    space: Component[Space]
    data: Component[ArchitectureData]
    predictor: Component[object]
    framework: Component[Framework]
    code: Component[EstimationCode] | None
    training: Training
    variant: Settings

    @classmethod
    def of(cls, info: RunInfo) -> StudySettings:
        """Read from a run's config."""
        return cls(
            info=info,
            seed=info.seed,
            benchmark=BenchmarkChoice.of(info),
            space=info.component("space"),
            data=info.component("data"),
            predictor=info.component("predictor"),
            framework=info.component("framework"),
            code=info.optional("estimation_code"),
            training=Training.of(info),
            variant=variant(info.plain),
        )

    @property
    def code_name(self) -> str | None:
        """Which Estimation Code there is, such as ``train``; None for none."""
        return None if self.code is None else self.code.name

    @property
    def loss(self) -> str:
        """The loss that the task was told."""
        return str(self.training.task.settings["loss"])

    def with_seed(self, seed: int) -> StudySettings:
        """The same study of another seed, its parts' own seeds included."""
        return replace(
            self,
            seed=seed,
            predictor=self.predictor.seeded(seed),
            framework=self.framework.seeded(seed),
            training=replace(self.training, task=self.training.task.seeded(seed)),
        )

    def unwatched(self) -> StudySettings:
        """A study whose fits are some of many: nothing of them is shown, saved or logged."""
        return replace(self, training=self.training.unwatched())


def make_space(space: Component[Space], predictor: Component[object] | None) -> Space:
    """The space of a study; ``space.encoding=null`` is the predictor's first choice of it.

    Args:
        space: its choice.
        predictor: whose class names the encodings it prefers, best first. Without any of them,
            or without a predictor, the space's own first encoding is taken.
    """
    chosen = space.settings.get("encoding")
    if chosen is None:
        offered = _encodings(space.kind())
        preferred = () if predictor is None else _encodings(predictor.kind())
        chosen = (*(name for name in preferred if name in offered), *offered)[0]
    return space.changed(encoding=chosen).build()


def _encodings(kind: object) -> tuple[str, ...]:
    """Encodings that a space offers, or a predictor prefers."""
    if isinstance(kind, type) and issubclass(kind, Space | Predictor):
        return kind.encodings
    return ()


def make_data(
    settings: StudySettings, table: BenchmarkTable, space: Space, **changed: object
) -> ArchitectureData:
    """The data module of a study.

    Args:
        settings: of the study.
        table: the benchmark.
        space: encodes it.
        changed: settings of ``data`` that are others than the config's.
    """
    benchmark = settings.benchmark
    code = None if settings.code is None else settings.code.build(table=table)
    return settings.data.changed(**changed).build(
        table=table,
        space=space,
        dataset=benchmark.dataset,
        epochs=benchmark.epochs,
        seed=settings.seed,
        reduction=benchmark.reduction,
        failed_below=benchmark.failed_below,
        published_normalisation=benchmark.published_normalisation,
        code=code,
    )
