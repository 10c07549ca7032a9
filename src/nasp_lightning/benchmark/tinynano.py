"""Tiny-NanoBench: Nano cells trained on CIFAR-10 by this project (``job=build_benchmark``).

Zhang et al., "Siamese-NAS" (arXiv 2210.00546), section 3.5. The paper's 1,120 labels are not
published, so they are trained anew: :mod:`nasp_lightning.space.tinynano` says which cells these
are. A *fidelity* is a recipe of training (``conf/job/fidelity``); the table of each fidelity that
was afforded is in ``benchmark/data``, and any folder that the job fills can be opened.

Rows are in the members' order, by graph hash, which is blind to cost and accuracy: any prefix of
the members is a fair sample of them. A table of fewer than 1,120 is partial, and every result
says so.

What the table has (E the epochs of the fidelity's training, and C those of its Estimation Code):

- ``cifar10/validation_accuracy/E`` (on training images held out) and ``cifar10/test_accuracy/E``,
  NaN for a network that diverged;
- curves ``cifar10/train_loss/E``, and ``cifar10-code/train_loss/C``, the Estimation Code;
- costs ``parameters``, ``flops`` and ``macs`` of the network with the space's widths (a small
  fidelity trains a narrower one), ``cifar10/train_seconds/E`` and ``cifar10-code/train_seconds/C``
  (on a CPU its own seconds), ``proxy/train_loss_1`` … (the code, for ``data.features``), and
  ``diverged``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import (
    BenchmarkTable,
    Declaration,
    Place,
    Provenance,
    metric_name,
)
from nasp_lightning.benchmark.format.files import given_path
from nasp_lightning.error import NaspError
from nasp_lightning.record.build import MANIFEST, Build, Identity, identity_hash, read_build
from nasp_lightning.record.store import Record
from nasp_lightning.storage import cache_dir, known_sha256

if TYPE_CHECKING:
    from nasp_lightning.space.tinynano import TinyNano

SIZE = 1_120
NOTES = (
    "Trained by nasp_lightning, not the labels of Siamese-NAS, which are not published. Count and "
    "cap of the members are the paper's, their identity is not claimed. Accuracies are fractions "
    "of one run; validation on training images held out."
)


def shipped_path(fidelity: str) -> Path:
    """Packed build of a fidelity in the package, whether or not there is one."""
    return Path(__file__).with_name("data") / f"tinynano_{fidelity}.json.gz"


def built_path(fidelity: str) -> Path:
    """Folder that ``job=build_benchmark`` fills by default."""
    return cache_dir() / "built" / f"tinynano_{fidelity}"


def shipped() -> list[str]:
    """Fidelities whose tables are in the package."""
    files = shipped_path("x").parent.glob("tinynano_*.json.gz")
    return sorted(file.name.removeprefix("tinynano_").removesuffix(".json.gz") for file in files)


def built() -> dict[str, Path]:
    """Fidelity to default folder, of those that were begun here."""
    folders = sorted(path.parent for path in built_path("x").parent.glob(f"tinynano_*/{MANIFEST}"))
    return {folder.name.removeprefix("tinynano_"): folder for folder in folders}


def places() -> Iterator[Place]:
    """The fidelities in the package, and those that were begun here."""
    for fidelity in shipped():
        path = shipped_path(fidelity)
        yield Place("tinynano", f"{fidelity} (in the package: {_count(path)})", path)
    for fidelity, folder in built().items():
        yield Place("tinynano", f"{fidelity} (built here: {_count(folder)})", folder)


def _count(path: Path) -> str:
    try:
        return f"{len(read_build(path).records):,}"
    except NaspError:
        return "damaged"


DECLARATION = Declaration("tinynano", places=places)


def locate(source: str, path: str | Path | None = None) -> Path:
    """Folder or packed file of a fidelity: ``path``, the package's, or the default folder.

    Raises:
        NaspError: if there is none.
    """
    if path is not None:
        return given_path(path)
    if shipped_path(source).is_file():
        return shipped_path(source)
    if (built_path(source) / MANIFEST).is_file():
        return built_path(source)
    raise NaspError(
        f"benchmark tinynano has no table of fidelity {source!r} here: choose benchmark.source="
        f"{'|'.join(shipped())}, or build it (nasp job=build_benchmark benchmark=tinynano "
        f"job/fidelity={source}), or set benchmark.path to a built folder"
    )


def load_table(
    source: str = "cpu", path: str | Path | None = None, partial: bool = True
) -> BenchmarkTable:
    """Tiny-NanoBench of one fidelity.

    Args:
        source: the fidelity.
        path: a folder that ``job=build_benchmark`` fills, finished or not, or a packed one; None:
            the package's table, or the default folder.
        partial: accept fewer than 1,120 architectures.

    Raises:
        NaspError: if there is none, it is damaged or empty, of another fidelity than ``source``,
            or, with ``partial`` False, not whole.
    """
    found = locate(source, path)
    build = read_build(found)
    manifest = build.manifest
    if manifest["benchmark"] != "tinynano" or manifest["fidelity"] != source:
        raise NaspError(
            f"{found} holds {manifest['benchmark']} of fidelity {manifest['fidelity']}, and "
            f"benchmark.source={source}: set benchmark.source={manifest['fidelity']} and "
            f"benchmark.epochs={manifest['identity']['recipe']['epochs']}"
        )
    table = make_table(build, found)
    if len(table) < SIZE and not partial:
        raise NaspError(
            f"{found} holds {len(table)} of {SIZE:,} architectures: build the rest "
            "(job=build_benchmark job.members=null), or set benchmark.partial=true"
        )
    return table


def prefix_of(build: Build, origin: Path) -> Build:
    """The members' records before the first gap: a fair sample of the space."""
    records, rows = _ordered(build, origin)
    kept = {id(record) for record in records[: _prefix(rows)]}
    return replace(
        build, records={key: item for key, item in build.records.items() if id(item) in kept}
    )


def _prefix(rows: list[int]) -> int:
    """How many members there are before the first gap."""
    return next((number for number, row in enumerate(rows) if row != number), len(rows))


def make_table(build: Build, origin: Path) -> BenchmarkTable:
    """The table of a build's records, in the members' order.

    Raises:
        NaspError: if it has no record, or one of an architecture that is no member.
    """
    records, rows = _ordered(build, origin)
    identity = build.manifest["identity"]
    dataset, epochs = build.manifest["dataset"], identity["recipe"]["epochs"]
    code_epochs = identity["code"]["epochs"]
    operations = np.array([record["operations"] for record in records], dtype=np.uint8)
    adjacency = np.array([record["adjacency"] for record in records], dtype=np.uint8)
    space = _space(identity)
    codes = _numbers(records, "code")
    table = BenchmarkTable(
        space="tinynano",
        operations=operations,
        adjacency=adjacency,
        keys=np.stack([space.key(*pair) for pair in zip(operations, adjacency, strict=True)]),
        metrics={
            metric_name(dataset, quantity, epochs): _column(records, quantity)
            for quantity in ("validation_accuracy", "test_accuracy")
        },
        costs={
            **space.costs(operations, adjacency),
            metric_name(dataset, "train_seconds", epochs): _column(records, "train_seconds"),
            metric_name(f"{dataset}-code", "train_seconds", code_epochs): _column(
                records, "code_seconds"
            ),
            "diverged": np.array([record["diverged"] for record in records], dtype=np.float64),
            **{f"proxy/train_loss_{number + 1}": codes[:, number] for number in range(code_epochs)},
        },
        curves={
            metric_name(dataset, "train_loss", epochs): _curve(_numbers(records, "train_losses")),
            metric_name(f"{dataset}-code", "train_loss", code_epochs): _curve(codes),
        },
        provenance=_provenance(build, origin, records, rows),
    )
    return table


def _space(identity: Identity) -> TinyNano:
    from nasp_lightning.space.tinynano import TinyNano

    try:
        return TinyNano(count=None, **identity["space"])
    except TypeError as error:
        raise NaspError(
            f"a build of tinynano with another space than this version's: {error}"
        ) from error


def _ordered(build: Build, origin: Path) -> tuple[list[Record], list[int]]:
    """Records in the order of the members, and the members' numbers."""
    operations, adjacency = _space(build.manifest["identity"]).members()
    number = {
        (codes.tobytes(), matrix.tobytes()): row
        for row, (codes, matrix) in enumerate(zip(operations, adjacency, strict=True))
    }
    found: dict[int, Record] = {}
    try:
        for record in build.records.values():
            codes = np.array(record["operations"], dtype=np.uint8)
            matrix = np.array(record["adjacency"], dtype=np.uint8)
            found[number[codes.tobytes(), matrix.tobytes()]] = record
    except (KeyError, TypeError, ValueError) as error:
        raise NaspError(f"{origin} has a record that is of no member of tinynano") from error
    if not found:
        raise NaspError(f"{origin} holds no finished record yet: go on with job=build_benchmark")
    rows = sorted(found)
    return [found[row] for row in rows], rows


def _numbers(records: list[Record], name: str) -> Array:
    """``[N, E]`` float64 of a record's list, NaN for null."""
    return np.array([record[name] for record in records], dtype=np.float64)


def _column(records: list[Record], name: str) -> Array:
    """``[N, 1]`` float32 of a record's number, NaN for null."""
    return np.array([[record[name]] for record in records], dtype=np.float32)


def _curve(losses: Array) -> Array:
    """``[N, 1, E]`` float32."""
    return losses[:, None, :].astype(np.float32)


def _provenance(build: Build, origin: Path, records: list[Record], rows: list[int]) -> Provenance:
    identity = build.manifest["identity"]
    content = json.dumps(records, sort_keys=True).encode()
    return {
        "benchmark": "tinynano",
        "source": build.manifest["fidelity"],
        "file": origin.name,
        "sha256": known_sha256(origin) if origin.is_file() else hashlib.sha256(content).hexdigest(),
        "version": identity["version"],
        "count": len(records),
        "size": SIZE,
        "partial": len(records) < SIZE,
        "prefix": _prefix(rows),
        "diverged": sum(bool(record["diverged"]) for record in records),
        "damaged": len(build.damaged),
        "fidelity": build.manifest["fidelity"],
        "recipe_hash": identity_hash(build.manifest),
        "training": identity,
        "devices": sorted({str(record["device"]) for record in records}),
        "torch": sorted({str(record["torch"]) for record in records}),
        "reduction": "one run",
        "notes": NOTES,
    }
