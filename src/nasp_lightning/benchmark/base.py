"""What a benchmark is: a table of evaluated architectures, the loader of it, and a declaration.

Whoever adds the benchmark ``foo`` writes ``benchmark/foo.py`` with a function ``load_table``
(:class:`LoadTable`) and an object ``DECLARATION`` (:class:`Declaration`), and
``conf/benchmark/foo.yaml`` whose ``table._target_`` names the function. Nothing else is edited.

A table is converted once from an official file and opened from the cache afterwards
(:mod:`~nasp_lightning.benchmark.format.cache`), verified
(:mod:`~nasp_lightning.benchmark.format.arrays`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, Unpack

from nasp_lightning.array import Array
from nasp_lightning.benchmark.format.arrays import (
    Content,
    checksums,
    read_content,
    read_provenance,
    write_content,
)
from nasp_lightning.benchmark.format.provenance import Provenance as Provenance
from nasp_lightning.error import NaspError


def metric_name(dataset: str, quantity: str, epochs: int | str) -> str:
    """Name of a metric, such as ``cifar10/validation_accuracy/200``."""
    return f"{dataset}/{quantity}/{epochs}"


@dataclass(frozen=True)
class BenchmarkTable:
    """A table of evaluated architectures.

    Attributes:
        space: stem of the space in :mod:`nasp_lightning.space`, such as ``nasbench101``.
        operations: ``[N, T]`` uint8, the space's own operation codes.
        adjacency: ``[N, V, V]`` uint8, row to column, or None where every architecture of the
            space has the same topology.
        metrics: name (see :func:`metric_name`) to ``[N, R]`` float32, one column for each run,
            NaN where not known. Accuracies are fractions in [0, 1].
        costs: ``parameters`` (count), ``flops`` (multiply-adds) as ``[N]`` float64, and
            ``<dataset>/train_seconds/<epochs>`` as ``[N, R]`` float32; extra columns of a CSV
            (zero-cost proxies) under ``proxy/<name>`` as ``[N]`` float64. Empty where none are
            known.
        curves: ``<dataset>/train_loss/<epochs>`` to ``[N, R, E]`` float32, the loss of each epoch;
            empty where none are known.
        keys: ``[N, 16]`` uint8 (a graph hash), or None where the operations are the key.
        provenance: where the numbers come from.

    Raises:
        NaspError: if arrays have different lengths.
    """

    space: str
    operations: Array
    adjacency: Array | None = None
    metrics: dict[str, Array] = field(default_factory=dict)
    costs: dict[str, Array] = field(default_factory=dict)
    curves: dict[str, Array] = field(default_factory=dict)
    keys: Array | None = None
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        """Refuse arrays of different lengths."""
        for name, array in self.arrays().items():
            if len(array) != len(self.operations):
                raise NaspError(
                    f"benchmark table: {name} has {len(array)} rows, "
                    f"operations has {len(self.operations)}"
                )

    def __len__(self) -> int:
        """Number of architectures."""
        return len(self.operations)

    def arrays(self) -> dict[str, Array]:
        """All arrays by the name that they have in the file."""
        named: dict[str, Array] = {"operations": self.operations}
        if self.adjacency is not None:
            named["adjacency"] = self.adjacency
        if self.keys is not None:
            named["keys"] = self.keys
        for group, arrays in self._groups().items():
            named.update({f"{group}:{name}": array for name, array in arrays.items()})
        return named

    def _groups(self) -> dict[str, dict[str, Array]]:
        return {"metrics": self.metrics, "costs": self.costs, "curves": self.curves}

    def datasets(self) -> list[str]:
        """Data sets that the table has metrics for."""
        return sorted({name.split("/")[0] for name in self.metrics})

    def metric(self, name: str) -> Array:
        """``[N, R]`` float32 values of a metric.

        Raises:
            NaspError: if the table has no metric of that name; the message lists those it has.
        """
        if name not in self.metrics:
            have = ", ".join(sorted(self.metrics)) or "none"
            raise NaspError(
                f"benchmark {self.provenance.get('benchmark', self.space)} (source "
                f"{self.provenance.get('source', 'unknown')}) has no metric {name!r}; "
                f"it has: {have}"
            )
        return self.metrics[name]

    def take(self, rows: Array, **provenance: Unpack[Provenance]) -> BenchmarkTable:
        """The table of some rows, in their order.

        Args:
            rows: ``[n]`` numbers, or ``[N]`` bool.
            provenance: what the new table says of itself beside, or in place of, this one's.
        """
        groups = {
            group: {name: array[rows] for name, array in arrays.items()}
            for group, arrays in self._groups().items()
        }
        return replace(
            self,
            operations=self.operations[rows],
            adjacency=None if self.adjacency is None else self.adjacency[rows],
            keys=None if self.keys is None else self.keys[rows],
            metrics=groups["metrics"],
            costs=groups["costs"],
            curves=groups["curves"],
            provenance={**self.provenance, **provenance},
        )

    def save(self, path: Path) -> None:
        """Write the table to one file, atomically.

        Raises:
            NaspError: if the folder cannot be written or the disk is full.
        """
        write_content(path, Content(self.space, self.provenance, self.arrays()))

    @classmethod
    def open(cls, path: Path) -> BenchmarkTable:
        """Open a table and verify every array against its checksum.

        Raises:
            NaspError: if the file is absent, cut short, altered, or of another format.
        """
        content = read_content(path)
        groups: dict[str, dict[str, Array]] = {"metrics": {}, "costs": {}, "curves": {}}
        for name, array in content.arrays.items():
            group, _, key = name.partition(":")
            if key:
                groups[group][key] = array
        return cls(
            space=content.space,
            operations=content.arrays["operations"],
            adjacency=content.arrays.get("adjacency"),
            keys=content.arrays.get("keys"),
            provenance=content.provenance,
            **groups,
        )

    @staticmethod
    def read_provenance(path: Path) -> Provenance:
        """Provenance of a table's file without reading its arrays; empty if it is no table."""
        return read_provenance(path)

    def data_hash(self) -> str:
        """Short hash of the content (graphs and metrics), recorded in every result."""
        crcs = checksums(dict(sorted(self.arrays().items())))
        return hashlib.sha256(json.dumps(crcs, sort_keys=True).encode()).hexdigest()[:12]


class LoadTable(Protocol):
    """The function ``load_table`` of a benchmark, as configs call it.

    Arguments that only one benchmark has follow these, each with a default.

    Args:
        source: which of the benchmark's sources (``benchmark.source``).
        path: the file or folder (``benchmark.path``); None: where the benchmark looks for it.
        partial: accept a source that does not have all architectures of the space.

    Raises:
        NaspError: if there is no such source, its file is absent or damaged, or architectures are
            missing and ``partial`` is False.
    """

    def __call__(
        self, *, source: str = ..., path: str | Path | None = ..., partial: bool = ...
    ) -> BenchmarkTable:
        """The table, converted on first use."""


@dataclass(frozen=True)
class Source:
    """One value of ``benchmark.source``.

    Attributes:
        name: that value.
        files: names of the file or folder that is looked for, the first found is taken; none
            where the benchmark has another way to it.
        released: whether it is, or repackages, the benchmark's own release, so that published
            numbers may be set beside results on it; any other file may hold anything.
    """

    name: str
    files: tuple[str, ...] = ()
    released: bool = False


@dataclass(frozen=True)
class Place:
    """Where a source is: a row of ``python -m nasp_lightning.benchmark status``.

    Attributes:
        benchmark: name of the benchmark.
        name: of the source, with a word on the file where there are several.
        path: the file or folder, or None where it is absent.
        remedy: what to do for an absent one.
        partial: whether it holds a part of the space only.
    """

    benchmark: str
    name: str
    path: Path | None
    remedy: str = ""
    partial: bool = False


@dataclass(frozen=True)
class OfficialFile:
    """A file that the benchmark's authors serve.

    Attributes:
        name: of the file.
        sha256: of its content, in hexadecimal.
        size: in words, such as ``about 499 MB``.
        content: in words, such as ``108 epochs``.
        url: where it is served.
    """

    name: str
    sha256: str
    size: str
    content: str
    url: str


@dataclass(frozen=True)
class Declaration:
    """What a benchmark says of itself, for ``benchmark status|fetch|verify`` and the report.

    Attributes:
        name: stem of the module and its config.
        sources: what it can be read from; none where users bring or build their own.
        places: where they are; None: the sources' files, where files are looked for.
        official: file that ``benchmark fetch`` can fetch, by the word for it; the first is the
            default.
        by_hand: where its files come from instead, for ``benchmark fetch`` and ``status``.
        proxies: names of a CSV of zero-cost proxies of the space, in the columns of
            ``conf/benchmark/columns/zero_cost_proxies.yaml``.
    """

    name: str
    sources: tuple[Source, ...] = ()
    places: Callable[[], Iterable[Place]] | None = None
    official: dict[str, OfficialFile] = field(default_factory=dict)
    by_hand: str = ""
    proxies: tuple[str, ...] = ()

    @property
    def source_names(self) -> tuple[str, ...]:
        """Values of ``benchmark.source``."""
        return tuple(source.name for source in self.sources)

    def check_source(self, source: str) -> Source:
        """The source of that name.

        Raises:
            NaspError: if the benchmark has none; the message lists those it has.
        """
        for item in self.sources:
            if item.name == source:
                return item
        raise NaspError(
            f"benchmark {self.name} has no source {source!r}; set benchmark.source="
            + "|".join(self.source_names)
        )
