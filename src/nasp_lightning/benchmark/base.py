"""The benchmark table: every evaluated architecture of a space as arrays, in one verified file.

A table is converted once from an official file and opened from the cache afterwards: small
integer arrays for the graphs, float32 arrays ``[architecture, run]`` for the metrics with NaN
where a value is not known. It is stored as safetensors with a JSON header (provenance and a
CRC32C of every array), written atomically and verified on opening.
"""

from __future__ import annotations

import json
import math
import mmap
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.storage import atomic_path

FORMAT = "nasp_lightning.table/1"

_DTYPES = {  # of safetensors
    **{f"U{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"I{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"F{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
    "BOOL": "?",
}


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
            (zero-cost proxies) under ``proxy/<name>`` as ``[N]`` float64.
        curves: ``<dataset>/train_loss/<epochs>`` to ``[N, R, E]`` float32, the loss of each epoch.
        keys: ``[N, 16]`` uint8 (a graph hash), or None where the operations are the key.
        provenance: ``benchmark``, ``source``, ``file``, ``sha256``, ``version``, ``partial``
            (bool), ``notes`` and whatever else the reader has to say; plain JSON values.
    """

    space: str
    operations: Array
    adjacency: Array | None = None
    metrics: dict[str, Array] = field(default_factory=dict)
    costs: dict[str, Array] = field(default_factory=dict)
    curves: dict[str, Array] = field(default_factory=dict)
    keys: Array | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

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

    def take(self, rows: Array, **provenance: Any) -> BenchmarkTable:
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
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        arrays = {name: np.ascontiguousarray(array) for name, array in self.arrays().items()}
        header = {
            "format": FORMAT,
            "space": self.space,
            "provenance": self.provenance,
            "crc32c": {name: _crc32c(array) for name, array in arrays.items()},
        }
        with atomic_path(path) as temporary:
            try:
                save_file(arrays, temporary, metadata={"table": json.dumps(header)})
            except SafetensorError as error:  # the system's refusal, as text
                found = re.search(r"os error (\d+)", str(error))
                raise OSError(int(found[1]) if found else 0, str(error)) from error

    @classmethod
    def open(cls, path: Path) -> BenchmarkTable:
        """Open a table and verify every array against its checksum.

        Raises:
            NaspError: if the file is absent, cut short, altered, or of another format.
        """
        from safetensors import SafetensorError, safe_open

        remedy = "delete it, and the next run converts the source again"
        try:
            with safe_open(path, framework="np") as file:
                header = json.loads((file.metadata() or {}).get("table", "{}"))
                if header.get("format") != FORMAT:
                    raise NaspError(f"{path} is not a benchmark table of this version: {remedy}")
            arrays = _map_arrays(Path(path), header["crc32c"])
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            if isinstance(error, FileNotFoundError):
                raise NaspError(f"no benchmark table at {path}") from error
            raise NaspError(f"{path} is damaged ({error}): {remedy}") from error
        for name, array in arrays.items():
            if _crc32c(array) != header["crc32c"][name]:
                raise NaspError(f"{path} is damaged (checksum of {name} differs): {remedy}")
        groups: dict[str, dict[str, Array]] = {"metrics": {}, "costs": {}, "curves": {}}
        for name, array in arrays.items():
            group, _, key = name.partition(":")
            if key:
                groups[group][key] = array
        return cls(
            space=header["space"],
            operations=arrays["operations"],
            adjacency=arrays.get("adjacency"),
            keys=arrays.get("keys"),
            provenance=header["provenance"],
            **groups,
        )

    @staticmethod
    def read_provenance(path: Path) -> dict[str, Any]:
        """Provenance of a table's file without reading its arrays; empty if it is no table."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="np") as file:
                header = json.loads((file.metadata() or {}).get("table", "{}"))
        except (SafetensorError, OSError, ValueError):
            return {}
        provenance = header.get("provenance", {}) if header.get("format") == FORMAT else {}
        return dict(provenance)

    def data_hash(self) -> str:
        """Short hash of the content (graphs and metrics), recorded in every result."""
        crcs = {name: _crc32c(array) for name, array in sorted(self.arrays().items())}
        import hashlib

        return hashlib.sha256(json.dumps(crcs, sort_keys=True).encode()).hexdigest()[:12]


def _map_arrays(path: Path, names: Iterable[str]) -> dict[str, Array]:
    """Arrays of a safetensors file without copying them: pages are read as they are used.

    The mapping is private: an array can be written to, and the file stays as it is.
    """
    with open(path, "rb") as file:
        begin = 8 + int.from_bytes(file.read(8), "little")
        described = json.loads(file.read(begin - 8))
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    arrays: dict[str, Array] = {}
    for name in names:
        shape, dtype = described[name]["shape"], np.dtype(_DTYPES[described[name]["dtype"]])
        first, _ = described[name]["data_offsets"]
        count = math.prod(shape)
        flat = np.frombuffer(mapped, dtype, count, begin + first) if count else np.empty(0, dtype)
        arrays[name] = flat.reshape(shape)
    return arrays


def _crc32c(array: Array) -> int:
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    # The C implementation takes an array as it is, the Python one wants bytes.
    return int(google_crc32c.value(data if google_crc32c.implementation == "c" else bytes(data)))
