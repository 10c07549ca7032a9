"""Codes computed on the architectures' real networks: what training and proxies have in common."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.estimation_code.base import EstimationCode
from nasp_lightning.image.cifar import Images
from nasp_lightning.image.plain import PlainImages
from nasp_lightning.network.builder import NetworkBuilder, describe
from nasp_lightning.record.store import Compute, Record, ShardStore, fill
from nasp_lightning.space.base import Architecture
from nasp_lightning.storage import cache_dir
from nasp_lightning.task.reproducible import choose_device, reproducible

log = logging.getLogger(__name__)

VERSION = 1  # of what is computed; another number computes all codes again


class Resources(TypedDict, total=False):
    """What a computation takes, and where it keeps its results; no number depends on it.

    Attributes:
        concurrent: networks in flight, each in a process of its own if more than one.
        device: ``cpu``, ``cuda``; None: a GPU where there is one.
        folder: where codes are kept; None: in the cache.
    """

    concurrent: int
    device: str | None
    folder: str | Path | None


class Options(Resources, total=False):
    """The arguments that all computed codes share.

    Attributes:
        missing: what a code with NaN becomes: see :class:`EstimationCode`.
    """

    missing: str | float


@contextlib.contextmanager
def computing(device: torch.device) -> Iterator[None]:
    """Compute a code: reproducibly, and with a remedy where the memory does not suffice.

    Raises:
        NaspError: if the device is out of memory.
    """
    try:
        with reproducible(device):
            yield
    except torch.OutOfMemoryError as error:
        raise NaspError(
            f"out of memory on {device} while an Estimation Code was computed: lower "
            "estimation_code.concurrent"
        ) from error


class ComputedCode(EstimationCode):
    """Codes of networks, computed for the rows asked for, and kept in files.

    The same code comes out whatever is computed beside it and in which order; it is kept under
    the architecture, the hash of the data, the seed, the recipe and the network's builder.

    Args:
        table: the benchmark; its rows are the architectures.
        network: builds a network of operations ``[T]`` (and adjacency ``[V, V]``, where the
            benchmark has one).
        images: the training images, or a function that loads them when they are first needed.
        recipe: all that the code depends on besides, in plain values.
        length: numbers in a code.
        cost: label equivalents of one code.
        seed: of the code (subset of images, weights, batches), not of the run that uses it.
        missing: what a code with NaN becomes: see :class:`EstimationCode`.
        concurrent: networks in flight, each in a process of its own if more than one.
        device: ``cpu``, ``cuda``; None: a GPU where there is one.
        folder: where codes are kept; None: in the cache.

    Raises:
        NaspError: for a setting that cannot be.
    """

    kind: str
    on_networks = True

    def __init__(
        self,
        table: BenchmarkTable,
        network: NetworkBuilder,
        images: Images | Callable[[], Images],
        recipe: Mapping[str, object],
        length: int,
        cost: float | None,
        seed: int = 0,
        missing: str | float = "error",
        concurrent: int = 1,
        device: str | None = None,
        folder: str | Path | None = None,
    ) -> None:
        super().__init__(table, length, cost, missing)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise NaspError(f"estimation_code.seed={seed}: it must be 0 or a positive number")
        if not callable(network):
            raise NaspError(
                f"estimation_code.network={network}: name what builds the networks of space "
                f"{table.space}, as in network@estimation_code.network=nasbench201"
            )
        self.network, self.recipe, self.seed = network, recipe, seed
        self.concurrent, self.device = concurrent, choose_device(device, "estimation_code.device")
        self._images = images
        self.store = ShardStore(folder or cache_dir() / "estimation_codes" / self.kind)
        self._network_name = describe(network)
        trained = table.provenance.get("training", {}).get("network")
        if trained not in (None, self._network_name):
            log.warning(
                "Estimation Codes are computed on other networks (estimation_code.network) than "
                "the labels were trained on: their cost counts images, and not a network's size"
            )

    @functools.cached_property
    def images(self) -> PlainImages:
        """The images that the codes are computed on."""
        images = self._images if isinstance(self._images, Images) else self._images()
        return self.choose_images(images)

    @abstractmethod
    def choose_images(self, images: Images) -> PlainImages:
        """Those of the training set that the recipe and the seed choose."""

    @abstractmethod
    def computation(self) -> Compute:
        """Makes the record of an :data:`Architecture`; sent to the processes at work."""

    @abstractmethod
    def from_record(self, record: Record) -> list[float]:
        """The code of a record, NaN where the network diverged."""

    def architecture(self, row: int) -> Architecture:
        """Native arrays of a row."""
        adjacency = self.table.adjacency
        matrix = None if adjacency is None else adjacency[row]
        return Architecture(self.table.operations[row], matrix)

    def key(self, row: int) -> str:
        """Name of a row's code: a hash of all that it depends on."""
        operations, adjacency = self.architecture(row)
        identity = {
            "version": VERSION,
            "kind": self.kind,
            "space": self.table.space,
            "operations": operations.tolist(),
            "adjacency": None if adjacency is None else adjacency.tolist(),
            "network": self._network_name,
            "data": self.images.data_hash,
            "seed": self.seed,
            "recipe": self.recipe,
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:24]

    def compute(self, rows: Array) -> Array:
        """``[n, length]`` codes of valid rows, computed where they are not kept yet."""
        keys = [self.key(int(row)) for row in rows]
        tasks = {key: self.architecture(int(row)) for key, row in zip(keys, rows, strict=True)}
        records = fill(self.store, tasks, self.computation(), self.concurrent, "Estimation Codes")
        codes = [self.from_record(records[key]) for key in keys]
        return np.array(codes, dtype=np.float64).reshape(len(rows), -1)

    def why_missing(self, row: int) -> str:
        """Networks diverge."""
        return "the network diverged"
