"""Architectures of a benchmark for a predictor: encoded once, resident on one device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from nasp_lightning.benchmark.table import BenchmarkTable, metric_name
from nasp_lightning.data.labels import FAILED_TEST, check_accuracies, mean_run, training_labels
from nasp_lightning.data.proxies import extra_inputs
from nasp_lightning.data.split import make_split
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.space.base import Graphs, Shape, Space

Array = npt.NDArray[Any]


class Batch(NamedTuple):
    """A mini-batch: graphs and their normalised labels ``[B]``."""

    graphs: Graphs
    labels: Tensor


@dataclass(frozen=True)
class Metric:
    """Which numbers of the benchmark are labels: what, of which runs."""

    quantity: str
    reduction: str


class ResidentLoader:
    """Batches cut from tensors that stay on the device: no workers, no copies, no per-item work.

    The permutation of an epoch is a function of the seed and the epoch alone, so a resumed run
    sees the same batches. It has no length: a framework may change the training set.
    """

    def __init__(self, data: ArchitectureData) -> None:
        self.data = data

    def __iter__(self) -> Iterator[Batch]:
        """Batches of one epoch."""
        data = self.data
        epoch = data.trainer.current_epoch if data.trainer is not None else 0
        generator = torch.Generator().manual_seed(data.seed * 1_000_003 + epoch)
        indices, labels = data.training_indices, data.training_labels
        order = torch.randperm(len(indices), generator=generator).to(indices.device)
        size = min(data.batch_size, len(indices))
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            if data.drop_last and len(chosen) < size:
                return
            yield Batch(data.graphs[indices[chosen]], labels[chosen])


class ArchitectureData(LightningDataModule):
    """Splits a benchmark, encodes it by its space, and serves batches of labelled graphs.

    Args:
        table: the benchmark.
        space: encodes its architectures.
        dataset: whose accuracies, such as ``cifar10``.
        epochs: training budget of the benchmark's runs.
        seed: of the split and the batches.
        reduction: training label from the runs: ``single`` or ``mean``.
        failed_below: validation accuracy under which a run failed, or None.
        train_size: number of training architectures.
        test_size: ``all`` or a number.
        validation_size: held out beside training for frameworks that evaluate.
        train_on_validation: train on both (the control of self-evolution).
        batch_size: of training.
        drop_last: leave the last, smaller batch of an epoch out.
        normalisation: ``train`` (their own mean and deviation) or ``published``.
        published_normalisation: dataset to (mean, deviation), for ``published``.
        monitor_size: how many architectures the progress bar's tau is measured on.
        features: zero-cost proxies or costs that every architecture has as extra inputs, or None.
        proxies: CSV of proxies; None: the table's own, or looked for under NASP_DATA.

    Attributes:
        graphs: the whole space, encoded.
        shape: sizes of the encoding, with the number of extra inputs.
        train_metric: what training labels are; validation accuracy.
        test_metric: what the ranking is compared with; mean test accuracy where the source has
            both, otherwise validation for both.

    Raises:
        NaspError: for sizes, metrics or labels that cannot be.
    """

    trainer: Any

    def __init__(
        self,
        table: BenchmarkTable,
        space: Space,
        dataset: str = "cifar10",
        epochs: int = 200,
        seed: int = 0,
        reduction: str = "mean",
        failed_below: float | None = None,
        train_size: int = 424,
        test_size: int | str = "all",
        validation_size: int = 200,
        train_on_validation: bool = False,
        batch_size: int = 10,
        drop_last: bool = True,
        normalisation: str = "train",
        published_normalisation: dict[str, Any] | None = None,
        monitor_size: int = 1000,
        features: Sequence[str] | None = None,
        proxies: str | Path | None = None,
    ) -> None:
        super().__init__()
        check_whole("data.batch_size", batch_size)
        self.table, self.space, self.dataset, self.epochs = table, space, dataset, epochs
        self.seed, self.batch_size, self.drop_last = seed, batch_size, drop_last
        self.train_size, self.test_size = train_size, test_size
        self.validation_size, self.train_on_validation = validation_size, train_on_validation
        self.train_metric, self.test_metric = self._choose_metrics(reduction)
        self.all_labels = training_labels(self._values(self.train_metric), reduction, failed_below)
        self.true_accuracy = self._truth(failed_below)
        self.split = make_split(
            ~np.isnan(self.all_labels),
            ~np.isnan(self.true_accuracy),
            train_size,
            test_size,
            validation_size,
            seed,
        )
        self.graphs = space.encode(table.operations, table.adjacency)
        self.shape: Shape = space.shape
        if features is not None:
            inputs = torch.from_numpy(extra_inputs(table, features, proxies))
            self.graphs = replace(self.graphs, features=inputs)
            self.shape = replace(space.shape, features=inputs.shape[1])
        self.train_indices = (
            np.concatenate([self.split.train, self.split.validation])
            if train_on_validation
            else self.split.train
        )
        self.mean, self.std = self._normalisation(normalisation, published_normalisation or {})
        self.training_indices = torch.from_numpy(self.train_indices)
        self.training_labels = self.normalise(self.all_labels[self.train_indices])
        generator = np.random.default_rng([seed, 1])
        count = min(max(2, monitor_size), len(self.split.test))
        self.monitor_indices = np.sort(generator.choice(self.split.test, count, replace=False))

    def _choose_metrics(self, reduction: str) -> tuple[Metric, Metric]:
        validation = metric_name(self.dataset, "validation_accuracy", self.epochs)
        test = metric_name(self.dataset, "test_accuracy", self.epochs)
        if self.dataset not in self.table.datasets():
            raise NaspError(
                f"benchmark.dataset={self.dataset}: this source has "
                + ", ".join(self.table.datasets())
            )
        has_validation, has_test = validation in self.table.metrics, test in self.table.metrics
        if not has_validation and not has_test:
            have = ", ".join(sorted(self.table.metrics))
            raise NaspError(
                f"benchmark.epochs={self.epochs}: this source has no accuracy of {self.dataset} "
                f"at that budget; it has {have}"
            )
        train = "validation_accuracy" if has_validation else "test_accuracy"
        if has_validation and has_test:
            return Metric(train, reduction), Metric("test_accuracy", "mean")
        return Metric(train, reduction), Metric(train, reduction)

    def _values(self, metric: Metric) -> Array:
        return self.table.metric(metric_name(self.dataset, metric.quantity, self.epochs))

    def _truth(self, failed_below: float | None) -> Array:
        """``[N]`` what the ranking is compared with; failed architectures are part of the space."""
        values = self._values(self.test_metric)
        if self.test_metric.quantity == self.train_metric.quantity:
            return training_labels(values, self.test_metric.reduction, None)
        check_accuracies(values)
        return mean_run(values, None if failed_below is None else FAILED_TEST)

    def _normalisation(self, kind: str, published: dict[str, Any]) -> tuple[float, float]:
        if kind == "published":
            if self.dataset not in published:
                raise NaspError(
                    f"data.normalisation=published: no published constants for {self.dataset}; "
                    "use data.normalisation=train"
                )
            mean, std = published[self.dataset]
            return float(mean), float(std)
        if kind != "train":
            raise NaspError(f"data.normalisation={kind}: choose train or published")
        labels = self.all_labels[self.train_indices]
        std = float(labels.std())
        return float(labels.mean()), std if std > 0 else 1.0

    def normalise(self, accuracy: Array) -> Tensor:
        """Accuracies as float32 labels of zero mean and unit deviation."""
        return torch.from_numpy((accuracy - self.mean) / self.std).float()

    def set_training(self, indices: Tensor, labels: Tensor) -> None:
        """Replace the training set, from the next epoch on.

        Args:
            indices: ``[n]`` rows of the space.
            labels: ``[n]`` normalised labels.
        """
        self.training_indices, self.training_labels = indices, labels

    @property
    def split_name(self) -> str:
        """Name of the split, such as ``424/all``."""
        return f"{self.train_size}/{self.test_size}"

    def train_dataloader(self) -> ResidentLoader:
        """Batches of the training set."""
        return ResidentLoader(self)

    def transfer_batch_to_device(self, batch: Batch, device: Any, dataloader_idx: int) -> Batch:
        """Batches are cut from tensors that are on the device already."""
        return batch
