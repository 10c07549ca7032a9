"""The records of NAS-Bench-101, converted to a table.

A record is JSON, ``[hash, epochs, adjacency, operations, metrics]``: the cell's graph hash, the
epochs of the training, the adjacency matrix row by row as 0 and 1, the operations separated by
commas, and a ``ModelMetrics`` message in base64 (:mod:`nasp_lightning.benchmark.format.protobuf`).

Only the JSON is parsed record by record. The space has few distinct adjacency matrices (2,494)
and sequences of operations (364), so each of them is checked once, when it first appears; the
metrics of a block are decoded together.
"""

from __future__ import annotations

import binascii
import itertools
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np
import orjson

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable, metric_name
from nasp_lightning.benchmark.format.protobuf import QUANTITIES, MessageError, decode_model_metrics
from nasp_lightning.benchmark.format.tfrecord import read_blocks
from nasp_lightning.error import NaspError
from nasp_lightning.record.progress import progress_bar
from nasp_lightning.space.nasbench101_graph import (
    CODES,
    EDGES,
    OPERATIONS,
    PADDING,
    VERTICES,
    graph_hash,
)

log = logging.getLogger(__name__)

ARCHITECTURES = 423_624
_HASHES_CHECKED = 64
_DECODED_TOGETHER = 1 << 15  # messages; records are parsed in smaller blocks, which fit the caches


def convert(file: Path) -> BenchmarkTable:
    """Convert a TFRecord file; architectures and their runs keep the order of the file.

    Raises:
        NaspError: if the file is damaged, or a record is not of the format or the space; the
            message names the record.
    """
    conversion = _Conversion(file)
    blocks = read_blocks(file)
    first = next(blocks, None)
    if first is None:
        raise NaspError(f"{file} holds no records: fetch NAS-Bench-101 again")
    expected = round(len(first[0]) * file.stat().st_size / first[1])  # records are much alike
    with progress_bar(f"reading {file.name}", expected, "records") as advance:
        for records, _ in itertools.chain([first], blocks):
            conversion.add(records)
            advance(len(records))
    return conversion.table()


@dataclass
class _Budget:
    """What the records of one number of epochs hold, block by block."""

    ids: list[Array] = field(default_factory=list)  # [n] int32 architecture
    values: list[Array] = field(default_factory=list)  # [n, 8] float32, final and halfway


@dataclass
class _Pending:
    """Records whose graphs are known and whose metrics are still to be decoded."""

    ids: list[Array] = field(default_factory=list)
    epochs: list[Array] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    new: list[Array] = field(default_factory=list)  # rows of architectures' first records


class _Conversion:
    """Gathers records into arrays; a graph's parts are checked once for each distinct text."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.records = 0  # parsed
        self.decoded = 0
        self.architectures: dict[str, int] = {}
        self.adjacencies: dict[str, int] = {}
        self.operations: dict[str, int] = {}
        self.adjacency_rows: list[Array] = []
        self.operation_rows: list[Array] = []
        self.adjacency_vertices: list[int] = []
        self.operation_vertices: list[int] = []
        self.adjacency_of: Array = np.zeros(1 << 16, dtype=np.int32)  # by architecture
        self.operations_of: Array = np.zeros(1 << 16, dtype=np.int32)
        self.keys: list[bytes] = []
        self.parameters: list[Array] = []
        self.budgets: dict[int, _Budget] = {}
        self.pending = _Pending()

    def add(self, records: list[bytes]) -> None:
        """Add a block of records."""
        hashes, epochs, adjacencies, operations, messages = self._columns(records)
        adjacency = self._codes(self.adjacencies, adjacencies, self._new_adjacency)
        operation = self._codes(self.operations, operations, self._new_operations)
        differs = (
            np.array(self.adjacency_vertices)[adjacency]
            != np.array(self.operation_vertices)[operation]
        )
        if differs.any():
            row = int(differs.argmax())
            graph = f"adjacency {adjacencies[row]} does not fit the operations {operations[row]}"
            self._refuse(self.records + row, graph)
        ids, new = self._identify(hashes)
        self.adjacency_of[ids[new]] = adjacency[new]
        self.operations_of[ids[new]] = operation[new]
        differs = (self.adjacency_of[ids] != adjacency) | (self.operations_of[ids] != operation)
        if differs.any():
            row = int(differs.argmax())
            self._refuse(self.records + row, f"hash {hashes[row]} stood for another graph before")
        self.pending.new.append(new + len(self.pending.messages))
        self.pending.ids.append(ids)
        self.pending.epochs.append(epochs)
        self.pending.messages += messages
        self.records += len(records)
        if len(self.pending.messages) >= _DECODED_TOGETHER:
            self._decode()

    def _refuse(self, record: int, reason: str) -> NoReturn:
        raise NaspError(
            f"{self.file}: record {record}: {reason}; the file is no whole and true copy of "
            "NAS-Bench-101: fetch it again, or name another by benchmark.path=FILE"
        )

    def _columns(
        self, records: list[bytes]
    ) -> tuple[list[str], Array, list[str], list[str], list[bytes]]:
        try:
            rows = list(map(orjson.loads, records))
            hashes, epochs, adjacencies, operations, metrics = map(list, zip(*rows, strict=True))
            texts = (hashes, adjacencies, operations, metrics)
            if not all(set(map(type, column)) == {str} for column in texts):
                raise TypeError
            if set(map(type, epochs)) != {int} or not 1 <= min(epochs) <= max(epochs) < 1 << 31:
                raise TypeError
            decode = binascii.a2b_base64
            return hashes, np.array(epochs), adjacencies, operations, list(map(decode, metrics))
        except (ValueError, TypeError, OverflowError):
            for row, record in enumerate(records):
                self._check_record(self.records + row, record)
            raise

    def _check_record(self, number: int, record: bytes) -> None:
        """Refuse a record that is not of the format."""
        form = "[hash, epochs, adjacency, operations, metrics]"
        try:
            values = orjson.loads(record)
        except ValueError:
            self._refuse(number, f"not JSON of the form {form}")
        kinds = [type(value) for value in values] if isinstance(values, list) else []
        if kinds != [str, int, str, str, str]:
            self._refuse(number, f"not of the form {form}")
        if not 1 <= values[1] < 1 << 31:
            self._refuse(number, f"{values[1]} is no number of epochs")
        try:
            binascii.a2b_base64(values[4])
        except ValueError:
            self._refuse(number, "its metrics are not base64")

    def _codes(
        self, known: dict[str, int], texts: list[str], new: Callable[[int, str], None]
    ) -> Array:
        """Number of each text in order of first appearance; ``new`` checks and keeps a new one."""
        codes = list(map(known.get, texts))
        if None in codes:
            for row, text in enumerate(texts):
                if text not in known:
                    new(self.records + row, text)
                    known[text] = len(known)
            return np.fromiter(map(known.__getitem__, texts), np.int32, len(texts))
        return np.array(codes, dtype=np.int32)

    def _new_adjacency(self, record: int, text: str) -> None:
        vertices = math.isqrt(len(text))
        if vertices**2 != len(text) or not set(text) <= {"0", "1"}:
            self._refuse(record, f"adjacency {text!r} is no square matrix of 0 and 1")
        if not 2 <= vertices <= VERTICES:
            self._refuse(
                record, f"a graph of {vertices} vertices, where 2 to {VERTICES} are allowed"
            )
        matrix = np.array(list(text), dtype=np.uint8).reshape(vertices, vertices)
        if np.tril(matrix).any():
            self._refuse(
                record, f"adjacency {text} is not upper triangular: a cyclic graph, or out of order"
            )
        if matrix.sum() > EDGES:
            self._refuse(record, f"a graph of {matrix.sum()} edges, where {EDGES} are allowed")
        self.adjacency_vertices.append(vertices)
        padded = np.zeros((VERTICES, VERTICES), dtype=np.uint8)
        padded[:vertices, :vertices] = matrix
        self.adjacency_rows.append(padded)

    def _new_operations(self, record: int, text: str) -> None:
        names = text.split(",")
        for name in names:
            if name not in CODES:
                known = ", ".join(OPERATIONS)
                self._refuse(record, f"unknown operation {name!r}; those of the space are {known}")
        if len(names) > VERTICES:
            self._refuse(record, f"a graph of {len(names)} vertices, where {VERTICES} are allowed")
        ends = (names[0], names[-1]) == ("input", "output")
        if not ends or not {"input", "output"}.isdisjoint(names[1:-1]):
            self._refuse(
                record, f"operations {text} do not begin with the input and end with the output"
            )
        self.operation_vertices.append(len(names))
        codes = [CODES[name] for name in names]
        self.operation_rows.append(
            np.array(codes + [PADDING] * (VERTICES - len(codes)), dtype=np.uint8)
        )

    def _identify(self, hashes: list[str]) -> tuple[Array, Array]:
        """Architecture of each record, and the rows at which one appears for the first time."""
        known = self.architectures
        before = len(known)
        ids = np.fromiter(
            [known.setdefault(text, len(known)) for text in hashes], np.int32, len(hashes)
        )
        if len(known) == before:
            return ids, np.zeros(0, dtype=np.int64)
        added, first = np.unique(ids, return_index=True)
        new: Array = first[added >= before]
        digits = [hashes[row] for row in new]
        try:
            key = bytes.fromhex("".join(digits))
            if not set(map(len, digits)) <= {32} or len(key) != 16 * len(digits):
                raise ValueError
        except ValueError:
            for row in new:
                if len(hashes[row]) != 32 or not set(hashes[row]) <= set("0123456789abcdefABCDEF"):
                    self._refuse(
                        self.records + int(row),
                        f"hash {hashes[row]!r} is not 32 hexadecimal digits",
                    )
            raise
        self.keys.append(key)
        while len(self.adjacency_of) < len(known):
            self.adjacency_of = np.resize(self.adjacency_of, 2 * len(self.adjacency_of))
            self.operations_of = np.resize(self.operations_of, 2 * len(self.operations_of))
        return ids, new

    def _decode(self) -> None:
        """Decode the metrics of the records pending."""
        pending, self.pending = self.pending, _Pending()
        try:
            metrics = decode_model_metrics(pending.messages)
        except MessageError as error:
            reason = f"its metrics are no ModelMetrics message ({error})"
            self._refuse(self.decoded + error.index, reason)
        values = np.concatenate([metrics.final, metrics.halfway], axis=1)
        self._check_range(values)
        self.parameters.append(metrics.parameters[np.concatenate(pending.new)])
        values = values.astype(np.float32)
        ids, epochs = np.concatenate(pending.ids), np.concatenate(pending.epochs)
        for budget in np.unique(epochs):
            rows = epochs == budget
            gathered = self.budgets.setdefault(int(budget), _Budget())
            gathered.ids.append(ids[rows])
            gathered.values.append(values[rows])
        self.decoded += len(pending.messages)

    def _check_range(self, values: Array) -> None:
        """Refuse accuracies outside [0, 1] and negative or infinite times; NaN is not known."""
        highest = np.array([np.inf if name == "train_seconds" else 1.0 for name in QUANTITIES] * 2)
        bad = (values < 0) | (values > highest) | np.isinf(values)
        if bad.any():
            row, column = divmod(int(bad.argmax()), values.shape[1])
            name = QUANTITIES[column % len(QUANTITIES)].replace("_", " ")
            limits = "not negative" if name == "train seconds" else "a fraction in [0, 1]"
            reason = f"its {name} is {values[row, column]:g}, and must be {limits}"
            self._refuse(self.decoded + row, reason)

    def table(self) -> BenchmarkTable:
        """The arrays of all records added."""
        if self.pending.messages:
            self._decode()
        count = len(self.architectures)
        if count > ARCHITECTURES:
            raise NaspError(
                f"{self.file} has {count:,} architectures, more than the {ARCHITECTURES:,} of the "
                "space: its hashes are not those of NAS-Bench-101"
            )
        epochs = sorted(self.budgets)
        metrics, costs, runs = self._assemble(count)
        if not metrics:
            raise NaspError(f"{self.file} holds no accuracies: fetch NAS-Bench-101 again")
        parameters = np.concatenate(self.parameters)
        if not np.isnan(parameters).all():
            costs = {"parameters": parameters, **costs}
        adjacency = np.stack(self.adjacency_rows)[self.adjacency_of[:count]]
        operations = np.stack(self.operation_rows)[self.operations_of[:count]]
        keys = np.frombuffer(b"".join(self.keys), dtype=np.uint8).reshape(count, 16)
        notes = [
            "accuracies on CIFAR-10, 40,000 training, 10,000 validation and 10,000 test images",
            "halfway_ metrics were measured at half of the same training",
        ]
        notes += _absent(metrics) + _foreign_hashes(self.file, operations, adjacency, keys)
        return BenchmarkTable(
            space="nasbench101",
            operations=operations,
            adjacency=adjacency,
            keys=keys,
            metrics=metrics,
            costs=costs,
            provenance={
                "partial": count < ARCHITECTURES,
                "count": count,
                "records": self.records,
                "epochs": epochs,
                "runs": runs,
                "notes": notes,
            },
        )

    def _assemble(self, count: int) -> tuple[dict[str, Array], dict[str, Array], int]:
        """Metrics and seconds as ``[count, R]``, R the most runs that an architecture has."""
        places: dict[int, tuple[Array, Array]] = {}
        for epochs, budget in sorted(self.budgets.items()):
            ids = np.concatenate(budget.ids)
            places[epochs] = ids, _occurrence(ids)
        runs = 1 + max(int(run.max()) for _, run in places.values())
        metrics: dict[str, Array] = {}
        costs: dict[str, Array] = {}
        for epochs, (ids, run) in places.items():
            values = np.concatenate(self.budgets.pop(epochs).values)
            for column, moment in enumerate(("", "halfway_")):
                for place, quantity in enumerate(QUANTITIES):
                    known = values[:, column * len(QUANTITIES) + place]
                    if np.isnan(known).all():
                        continue
                    array = np.full((count, runs), np.nan, dtype=np.float32)
                    array[ids, run] = known
                    name = metric_name("cifar10", moment + quantity, epochs)
                    (costs if quantity == "train_seconds" else metrics)[name] = array
        return metrics, costs, runs


def _occurrence(ids: Array) -> Array:
    """How often each id stood before: ``[7, 5, 7, 7]`` gives ``[0, 0, 1, 2]``."""
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    lengths = np.diff(np.r_[begins, len(ids)])
    occurrence = np.empty(len(ids), dtype=np.int64)
    occurrence[order] = np.arange(len(ids)) - np.repeat(begins, lengths)
    return occurrence


def _absent(metrics: dict[str, Array]) -> list[str]:
    """A note for each metric that some runs lack."""
    missing = {name: int(np.isnan(array).sum()) for name, array in metrics.items()}
    return [f"{name}: {count:,} runs are not known" for name, count in missing.items() if count]


def _foreign_hashes(file: Path, operations: Array, adjacency: Array, keys: Array) -> list[str]:
    """A note if keys, of a sample, are not their graphs' hashes: look-ups would miss them."""
    sample = np.unique(np.linspace(0, len(keys) - 1, _HASHES_CHECKED).astype(int))
    wrong = [
        row
        for row in sample
        if graph_hash(adjacency[row], operations[row]) != keys[row].tobytes().hex()
    ]
    if not wrong:
        return []
    note = f"{len(wrong)} of {len(sample)} hashes checked are not those of their graphs"
    log.warning("%s: %s; architectures cannot be looked up by their graph", file, note)
    return [note]
