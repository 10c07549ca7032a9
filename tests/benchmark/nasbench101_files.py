"""Writes files in NAS-Bench-101's real format: tiny ones for tests, one of full size for timing."""

from __future__ import annotations

import base64
import gzip
import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nasp_lightning.benchmark.format.tfrecord import frame, write_tfrecord
from nasp_lightning.space.nasbench101 import OPERATIONS, NASBench101, graph_hash
from nasp_lightning.storage import atomic_path

# Fields of EvaluationData.
EPOCH, SECONDS, TRAIN, VALIDATION, TEST = 1, 2, 3, 4, 5


def varint(value: int) -> bytes:
    out = bytearray()
    value &= 0xFFFFFFFFFFFFFFFF
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def evaluation(fields: dict[int, float], extra: bytes = b"") -> bytes:
    """One EvaluationData as a field of ModelMetrics; absent fields are left out."""
    body = b"".join(
        varint(number << 3 | 1) + struct.pack("<d", value) for number, value in fields.items()
    )
    return b"\x0a" + varint(len(body + extra)) + body + extra


def message(
    evaluations: Sequence[dict[int, float]], parameters: int | None = 1_000_000, extra: bytes = b""
) -> bytes:
    """A ModelMetrics message, its fields in the official order."""
    end = b"" if parameters is None else b"\x10" + varint(parameters)
    return b"".join(map(evaluation, evaluations)) + end + b"\x19" + struct.pack("<d", 1.5) + extra


def run(epochs: int, accuracies: Sequence[float], seconds: float = 1000.0) -> bytes:
    """A message with the three official evaluation points; ``accuracies`` train, validation, test.

    At half of the training accuracies are half as high.
    """
    points = []
    for share in (0.0, 0.5, 1.0):
        scaled = [float(np.float32(share * value)) for value in accuracies]
        points.append(
            {EPOCH: share * epochs, SECONDS: share * seconds}
            | dict(zip((TRAIN, VALIDATION, TEST), scaled, strict=True))
        )
    return message(points)


def record(digest: str, epochs: int, adjacency: str, operations: str, metrics: bytes) -> bytes:
    """One record's JSON."""
    encoded = base64.b64encode(metrics).decode()
    return json.dumps([digest, epochs, adjacency, operations, encoded]).encode()


def cells(count: int, seed: int = 0) -> list[tuple[str, str, str]]:
    """Distinct cells of the space: hash, adjacency and operations as the records write them."""
    space, rng = NASBench101(), np.random.default_rng(seed)
    found: dict[str, tuple[str, str, str]] = {}
    while len(found) < count:
        operations, adjacency = space.sample(rng, count)
        for codes, matrix in zip(operations, adjacency, strict=True):
            digest = graph_hash(matrix, codes)
            bits, _, names = space.to_string(codes, matrix).partition(";")
            found.setdefault(digest, (digest, bits, names))
    return list(found.values())[:count]


def write_tiny(
    path: Path, count: int = 8, runs: int = 3, epochs: Sequence[int] = (108,), seed: int = 0
) -> npt.NDArray[np.float32]:
    """Write a small file; returns its accuracies ``[budget, run, architecture, 3]``.

    Runs of one architecture do not stand beside one another, as in the official files.
    """
    shape = (len(epochs), runs, count, 3)
    accuracies = np.random.default_rng(seed).uniform(0.1, 0.95, shape).astype(np.float32)
    written = cells(count, seed)

    def records() -> Iterator[bytes]:
        for repeat in range(runs):
            for place, cell in enumerate(written):
                for budget, trained in enumerate(epochs):
                    digest, bits, names = cell
                    values = accuracies[budget, repeat, place].tolist()
                    yield record(digest, trained, bits, names, run(trained, values))

    write_tfrecord(path, records())
    return accuracies


def read_graphs(path: Path) -> Iterator[tuple[str, str, str]]:
    """Cells of a ``graphs_423624.csv.gz``, as :func:`cells` gives them."""
    with gzip.open(path, "rt") as file:
        next(file)
        for line in file:
            digest, _, bits, interior = line.rstrip("\n").split(",")
            names = ["input", *(OPERATIONS[int(digit) + 2] for digit in interior), "output"]
            yield digest, bits, ",".join(names)


def write_large(path: Path, graphs: Path, runs: int = 3, seed: int = 0) -> int:
    """Write every graph ``runs`` times with made-up metrics at 108 epochs; returns the records."""
    written = list(read_graphs(graphs))
    template = run(108, [0.5, 0.5, 0.5])
    point = len(evaluation({EPOCH: 1, SECONDS: 1, TRAIN: 1, VALIDATION: 1, TEST: 1}))
    rng = np.random.default_rng(seed)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        for _ in range(runs):
            messages = _messages(template, point, rng, len(written))
            for (digest, bits, names), metrics in zip(written, messages, strict=True):
                text = f'["{digest}", 108, "{bits}", "{names}", "'.encode()
                file.write(frame(text + base64.b64encode(metrics) + b'"]'))
    return runs * len(written)


def _messages(template: bytes, point: int, rng: np.random.Generator, count: int) -> list[bytes]:
    """The template with other accuracies and seconds at its three evaluation points."""
    block = np.tile(np.frombuffer(template, np.uint8), (count, 1))
    for place in range(3):
        for field in (SECONDS, TRAIN, VALIDATION, TEST):
            values = rng.uniform(0.1, 0.95, count).astype(np.float32).astype("<f8")
            offset = place * point + 2 + 9 * (field - 1) + 1
            block[:, offset : offset + 8] = (
                (values * (2000 if field == SECONDS else 1)).view(np.uint8).reshape(count, 8)
            )
    return [row.tobytes() for row in block]
