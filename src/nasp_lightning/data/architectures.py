"""Architectures of a benchmark for a predictor: encoded once, resident on one device."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor, nn

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.data.code_source import CodeSource
from nasp_lightning.data.labels import Labels, LabelScale
from nasp_lightning.data.proxies import extra_inputs
from nasp_lightning.data.split import Indices, make_split
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.predictor.part.scoring import score_all
from nasp_lightning.space.base import Graphs, Shape, Space


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
        rows, labels = data.epoch_order(0 if data.trainer is None else data.trainer.current_epoch)
        for part in batch_slices(len(rows), data.batch_size, data.drop_last):
            yield Batch(data.graphs[rows[part]], labels[part])


def batch_slices(count: int, batch_size: int, drop_last: bool) -> Iterator[slice]:
    """Where the batches of ``count`` architectures lie; fewer than a batch are one batch."""
    size = min(batch_size, count)
    for start in range(0, count, size):
        if drop_last and count - start < size:
            return
        yield slice(start, start + size)


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
        pool_size: architectures of the training half, to which training, validation and labels
            that a framework buys are confined; the test set, a number, lies outside. None: no
            halves.
        train_on_validation: train on both (the control of self-evolution).
        batch_size: of training.
        drop_last: leave the last, smaller batch of an epoch out.
        normalisation: ``train`` (their own mean and deviation) or ``published``.
        published_normalisation: dataset to (mean, deviation), for ``published``.
        monitor_size: how many architectures the progress bar's tau is measured on.
        features: zero-cost proxies or costs that every architecture has as extra inputs, or None.
        proxies: CSV of proxies; None: the table's own, or looked for under NASP_DATA.
        shuffle_features: a control: extra inputs are dealt out among the architectures anew, by
            a permutation of this seed; None: each has its own.
        code: Estimation Codes as extra inputs, found or computed for the rows that :meth:`need`
            names; the others' stay NaN. None: no codes.

    Attributes:
        graphs: the whole space, encoded.
        scale: of the labels; a framework or a search that buys labels sets it anew.
        coded: ``[N]`` bool, whose extra inputs were used so far.
        code_seconds: that finding or computing the codes took.
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
        pool_size: int | None = None,
        train_on_validation: bool = False,
        batch_size: int = 10,
        drop_last: bool = True,
        normalisation: str = "train",
        published_normalisation: Mapping[str, Sequence[float]] | None = None,
        monitor_size: int = 1000,
        features: Sequence[str] | None = None,
        proxies: str | Path | None = None,
        shuffle_features: int | None = None,
        code: CodeSource | None = None,
    ) -> None:
        super().__init__()
        check_whole("data.batch_size", batch_size)
        self.table, self.space, self.dataset, self.epochs = table, space, dataset, epochs
        self.batch_size, self.drop_last = batch_size, drop_last
        self.train_size, self.test_size, self.pool_size = train_size, test_size, pool_size
        self.validation_size, self.train_on_validation = validation_size, train_on_validation
        labels = Labels.read(table, dataset, epochs, reduction, failed_below)
        self.train_metric = Metric(labels.label_metric, reduction)
        self.test_metric = Metric(labels.test_metric, labels.test_reduction)
        self.all_labels, self.true_accuracy = labels.training(), labels.truth()
        self.graphs = space.encode(table.operations, table.adjacency)
        self.shape: Shape = space.shape
        self.code, self.coded = code, np.zeros(len(table), dtype=bool)
        self.code_seconds = 0.0
        self._known = np.full(len(table), code is None)  # whose extra inputs are in place
        self._dealt: Indices | None = None  # whose extra inputs a row has instead of its own
        if shuffle_features is not None:
            check_whole("data.shuffle_features", shuffle_features, 0)
            self._dealt = np.random.default_rng([shuffle_features, 3]).permutation(len(table))
        inputs = self._extra_inputs(features, proxies)
        if inputs is not None:
            self.graphs = replace(self.graphs, features=inputs)
            self.shape = replace(space.shape, features=inputs.shape[1])
        self._normalised_by = (normalisation, published_normalisation or {})
        self.monitor_size = monitor_size
        self._deal(seed)

    def _deal(self, seed: int) -> None:
        """Draw the split of a seed."""
        self.seed = seed
        self.split = make_split(
            ~np.isnan(self.all_labels),
            ~np.isnan(self.true_accuracy),
            self.train_size,
            self.test_size,
            self.validation_size,
            seed,
            self.pool_size,
        )
        self.train_indices = (
            np.concatenate([self.split.train, self.split.validation])
            if self.train_on_validation
            else self.split.train
        )
        self.scale = self._label_scale(*self._normalised_by)
        self.training_indices = torch.from_numpy(self.train_indices)
        self.training_labels = self.normalise(self.all_labels[self.train_indices])
        generator = np.random.default_rng([seed, 1])
        count = min(max(2, self.monitor_size), len(self.split.test))
        self.monitor_indices = np.sort(generator.choice(self.split.test, count, replace=False))

    def with_seed(self, seed: int) -> ArchitectureData:
        """The same benchmark, split by another seed; the encodings and the codes are shared.

        Whose codes were used is counted anew.
        """
        other = copy.copy(self)
        other.coded, other.code_seconds = np.zeros_like(self.coded), 0.0
        other._known = self._known.copy()  # a fit may move its graphs to another device
        other._deal(seed)
        return other

    def _extra_inputs(
        self, features: Sequence[str] | None, proxies: str | Path | None
    ) -> Tensor | None:
        if self.code is None:
            if features is None:
                return None
            inputs = torch.from_numpy(extra_inputs(self.table, features, proxies))
            return inputs if self._dealt is None else inputs[torch.from_numpy(self._dealt)]
        if features is not None:
            raise NaspError(
                f"data.features={list(features)} and an estimation_code are both set, but an "
                "architecture has one code: set data.features=null or estimation_code=none"
            )
        return torch.full((len(self.table), self.code.length), torch.nan)

    def _label_scale(self, kind: str, published: Mapping[str, Sequence[float]]) -> LabelScale:
        if kind == "published":
            if self.dataset not in published:
                raise NaspError(
                    f"data.normalisation=published: no published constants for {self.dataset}; "
                    "use data.normalisation=train"
                )
            mean, deviation = published[self.dataset]
            return LabelScale(float(mean), float(deviation))
        if kind != "train":
            raise NaspError(f"data.normalisation={kind}: choose train or published")
        return LabelScale.of(self.all_labels[self.train_indices])

    @property
    def mean(self) -> float:
        """Of the labels' scale."""
        return self.scale.mean

    @property
    def std(self) -> float:
        """Deviation of the labels' scale."""
        return self.scale.deviation

    def normalise(self, accuracy: Array) -> Tensor:
        """Accuracies as float32 labels of zero mean and unit deviation."""
        return torch.from_numpy(self.scale.normalise(accuracy)).float()

    def set_training(self, indices: Tensor, labels: Tensor) -> None:
        """Replace the training set, from the next epoch on.

        Args:
            indices: ``[n]`` rows of the space.
            labels: ``[n]`` normalised labels.
        """
        self.training_indices, self.training_labels = indices, labels

    def epoch_order(self, epoch: int) -> tuple[Tensor, Tensor]:
        """``[n]`` training rows and their labels in the order of an epoch's batches."""
        indices, labels = self.training_indices, self.training_labels
        if self.graphs.features is not None:
            self.need(np.concatenate([self.train_indices, indices.cpu().numpy()]))
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        order = torch.randperm(len(indices), generator=generator).to(indices.device)
        return indices[order], labels[order]

    def need(self, rows: Array) -> None:
        """Have the extra inputs of rows ``[n]`` in ``graphs.features``, and count them as used.

        Estimation Codes are found or computed here, each once; columns are there already.

        Raises:
            NaspError: if a code cannot be had.
        """
        features = self.graphs.features
        if features is None:
            return
        self.coded[rows] = True
        lacking = np.unique(rows)
        lacking = lacking[~self._known[lacking]]
        if len(lacking):
            assert self.code is not None
            began = time.perf_counter()
            asked = lacking if self._dealt is None else self._dealt[lacking]
            codes = torch.from_numpy(self.code.codes(asked))
            features[torch.from_numpy(lacking).to(features.device)] = codes.to(features.device)
            self._known[lacking] = True
            self.code_seconds += time.perf_counter() - began

    @property
    def queried_codes(self) -> int:
        """Architectures whose extra inputs were used so far."""
        return int(self.coded.sum())

    def scores(
        self,
        predictor: nn.Module,
        rows: Indices | None = None,
        device: torch.device | None = None,
    ) -> Tensor:
        """Rank the space, or rows of it, by a neural predictor; it gets the codes that it reads.

        Args:
            predictor: from graphs to scores.
            rows: ``[k]``; None: the whole space.
            device: where to compute; None: where the predictor is.

        Returns:
            ``[k]`` or ``[N]`` float32 scores on the CPU.
        """
        features = self.graphs.features
        place = self.graphs.operations.device
        graphs = self.graphs if rows is None else self.graphs[torch.from_numpy(rows).to(place)]
        if features is None:
            return score_all(predictor, graphs, device=device)

        def codes(asked: Tensor) -> Tensor:
            wanted = asked.cpu().numpy() if rows is None else rows[asked.cpu().numpy()]
            self.need(wanted)
            return features[torch.from_numpy(wanted).to(place)]

        return score_all(predictor, graphs, device=device, codes=codes)

    def state_dict(self) -> dict[str, object]:
        """Whose extra inputs were used, for a run that goes on after a kill."""
        if self.graphs.features is None:
            return {}
        rows = torch.from_numpy(np.flatnonzero(self.coded))
        return {"coded": rows, "code_seconds": self.code_seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Have the codes again that a killed run had; computed ones are in their store."""
        self.need(state_dict["coded"].cpu().numpy())
        self.code_seconds += state_dict["code_seconds"]

    @property
    def split_name(self) -> str:
        """Name of the split, such as ``424/all``, or ``78 of 7813/7812`` where there are halves."""
        half = "" if self.pool_size is None else f" of {self.pool_size}"
        return f"{self.train_size}{half}/{self.test_size}"

    def train_dataloader(self) -> ResidentLoader:
        """Batches of the training set."""
        return ResidentLoader(self)

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Batches are cut from tensors that are on the device already."""
        return batch
