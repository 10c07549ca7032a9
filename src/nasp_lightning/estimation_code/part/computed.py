"""Codes computed on the architectures' real networks: what training and proxies have in common."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.estimation_code.base import EstimationCode
from nasp_lightning.image.cifar import Images
from nasp_lightning.record.store import Compute, Record, ShardStore, fill
from nasp_lightning.storage import cache_dir

log = logging.getLogger(__name__)

VERSION = 1  # of what is computed; another number computes all codes again

# From an architecture's operations [T], and its adjacency [V, V] where the topology varies, to a
# network from images [B, 3, 32, 32] to logits [B, classes].
NetworkBuilder = Callable[..., nn.Module]
Architecture = tuple[Array, Array | None]


@dataclass(frozen=True)
class PlainImages:
    """Images as arrays, to be sent to another process.

    Attributes:
        pixels: ``[N, 3, 32, 32]`` uint8.
        labels: ``[N]`` int64.
        classes: number of classes.
        data_hash: of the whole data set.
    """

    pixels: Array
    labels: Array
    classes: int
    data_hash: str

    @classmethod
    def of(cls, images: Images) -> PlainImages:
        """The arrays of images."""
        pixels, labels = images.pixels.cpu().numpy(), images.labels.cpu().numpy()
        return cls(pixels, labels, images.classes, images.data_hash)


def describe(network: NetworkBuilder) -> Any:
    """A builder of networks in plain values, as a part of the name of its codes.

    Raises:
        NaspError: if it has no name that another process could find it by.
    """
    if isinstance(network, functools.partial):
        plain = {
            "call": describe(network.func),
            "arguments": _plain(network.args),
            "options": _plain(network.keywords),
        }
        try:
            json.dumps(plain)
        except TypeError as error:
            raise NaspError(
                f"estimation_code.network: the options of {plain['call']} must be plain numbers "
                f"and words ({error})"
            ) from error
        return plain
    name = getattr(network, "__qualname__", "")
    if not name or "<" in name:
        raise NaspError(
            f"estimation_code.network={network!r} has no name that its codes could be kept under: "
            "define it at the top of a module, or wrap such a function in functools.partial"
        )
    return f"{network.__module__}.{name}"


def _plain(value: Any) -> Any:
    """Lists and dicts of configs and tuples as JSON has them."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in sorted(value.items())}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def build(network: NetworkBuilder, architecture: Architecture, seed: int) -> nn.Module:
    """An architecture's network on the CPU, its first weights given by the seed alone.

    The caller keeps the random state that was before: see :func:`reproducible`.
    """
    operations, adjacency = architecture
    torch.manual_seed(seed)
    return network(operations) if adjacency is None else network(operations, adjacency)


@contextlib.contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Run a block so that its results do not depend on what surrounds it, and restore what was.

    One thread: sums are then taken in one order, whatever runs beside. Gradients and full
    precision, whatever ranking asks for the code.
    """
    _reproducible_products(device)
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn = torch.is_deterministic_algorithms_warn_only_enabled()
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ),
    ):
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise NaspError(
                f"out of memory on {device} while an Estimation Code was computed: lower "
                "estimation_code.concurrent"
            ) from error
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(strict, warn_only=warn)


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
        recipe: dict[str, Any],
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
        return self.table.operations[row], None if adjacency is None else adjacency[row]

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


def choose_device(name: str | None, setting: str) -> torch.device:
    """A device by name; None: a GPU where there is one.

    Raises:
        NaspError: if there is none of that name; the message names the setting.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise NaspError(f"{setting}={name}: choose cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise NaspError(f"{setting}={name}: PyTorch finds no GPU here; choose cpu")
    return device


def _reproducible_products(device: torch.device) -> None:
    """Make cuBLAS sum in one order; it reads this when a process first uses the GPU."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
