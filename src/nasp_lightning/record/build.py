"""A benchmark that is built here: a folder of records, one for each trained architecture.

``build.json`` in the folder says what was trained and how (its *identity*: space, network, data,
recipes, seed), and each ``xx/<key>.json`` is the checked record of one architecture, named by a
hash of the identity and the architecture. So two recipes never mix, a file cut short is known,
and any number of processes can fill the folder (``job=build_benchmark``).

:func:`pack` writes a folder as one compressed file, which can be opened like the folder.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict, TypeGuard

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.record.store import Record
from nasp_lightning.storage import atomic_path, locked, read_checked, write_checked

log = logging.getLogger(__name__)

FORMAT = "nasp_lightning.build/1"
MANIFEST = "build.json"


class Schedule(TypedDict, total=False):
    """Sizes of a training, among the settings of its recipe.

    Attributes:
        epochs: passes over the images.
        images: that it passes over.
    """

    epochs: int
    images: int


class Identity(TypedDict, total=False):
    """All that the numbers of a build's records depend on; what a build has no use for is left out.

    Attributes:
        version: of the code that computes a record.
        space: settings of the space.
        network: builder of the networks, by name.
        recipe: of a label's training.
        code: of the Estimation Code's training.
        data: name, hash and sizes of the images, of subnets.
    """

    version: int
    space: dict[str, Any]
    network: object
    recipe: Schedule
    code: Schedule
    data: dict[str, object]


class Manifest(TypedDict):
    """What ``build.json`` says.

    Attributes:
        format: of the file.
        benchmark: stem of the benchmark that the records are of.
        dataset: whose images, such as ``cifar10``.
        fidelity: name of the training.
        identity: all that the numbers depend on.
    """

    format: NotRequired[str]
    benchmark: str
    dataset: str
    fidelity: str
    identity: Identity


@dataclass(frozen=True)
class Build:
    """What a folder or packed file holds.

    Attributes:
        manifest: what was trained, and how.
        records: key to record.
        damaged: files that were cut short or altered; their records are missing.
    """

    manifest: Manifest
    records: dict[str, Record]
    damaged: tuple[Path, ...] = ()


def record_key(identity: Mapping[str, object], operations: Array, adjacency: Array | None) -> str:
    """Name of an architecture's record: a hash of all that it depends on."""
    whole = {
        "identity": identity,
        "operations": operations.tolist(),
        "adjacency": None if adjacency is None else adjacency.tolist(),
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:24]


def identity_hash(manifest: Mapping[str, object]) -> str:
    """Twelve hexadecimal digits that name what was trained and how."""
    text = json.dumps(manifest["identity"], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def write_manifest(folder: Path, manifest: Mapping[str, object]) -> None:
    """Make a folder of records, or find that it is one of the same identity.

    Raises:
        NaspError: if it holds records of another identity, or cannot be written.
    """
    path = folder / MANIFEST
    with locked(path):
        if path.exists():
            found = _read_manifest(path)
            other = _difference(found["identity"], manifest["identity"])
            if other:
                raise NaspError(
                    f"{folder} holds records of another training ({other}): set job.path to "
                    "another folder"
                )
            return
        write_checked(path, {"format": FORMAT, **manifest})


def is_build(path: Path) -> bool:
    """Whether a path is a folder of records or looks like a packed one."""
    return (path / MANIFEST).is_file() or (path.is_file() and path.name.endswith(".json.gz"))


def read_build(path: Path) -> Build:
    """Open a folder of records, finished or not, or a packed file.

    Raises:
        NaspError: if it is neither, or the manifest or the packed file is damaged.
    """
    if path.is_file():
        return _read_packed(path)
    manifest = _read_manifest(path / MANIFEST)
    records, damaged = {}, []
    for file in sorted(path.glob("??/*.json")):
        try:
            records[file.stem] = read_checked(file)
        except FileNotFoundError:
            continue
        except ValueError as error:
            log.warning("%s is damaged or cut short (%s): its record is left out", file, error)
            damaged.append(file)
    return Build(manifest, records, tuple(damaged))


def pack(build: Build, path: Path) -> None:
    """Write a build to one file, ``*.json.gz``: the same bytes for the same content.

    Raises:
        NaspError: for another ending, or if the file cannot be written.
    """
    if not path.name.endswith(".json.gz"):
        raise NaspError(f"{path}: a packed build's name ends in .json.gz")
    content = {"manifest": build.manifest, "records": dict(sorted(build.records.items()))}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _read_manifest(path: Path) -> Manifest:
    try:
        return _checked(read_checked(path), path)
    except FileNotFoundError as error:
        raise NaspError(
            f"{path.parent} holds no {MANIFEST}: give a folder that job=build_benchmark wrote, or "
            "a packed one (.json.gz)"
        ) from error
    except ValueError as error:
        raise NaspError(
            f"{path} is damaged ({error}): delete it, and job=build_benchmark writes it again"
        ) from error


def _read_packed(path: Path) -> Build:
    try:
        content = json.loads(gzip.decompress(path.read_bytes()))
        return Build(_checked(content["manifest"], path), dict(content["records"]))
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise NaspError(f"{path} is no packed build, or damaged ({error}): get it again") from error


def _checked(manifest: object, path: Path) -> Manifest:
    if not _is_manifest(manifest):
        raise NaspError(f"{path} is no build of this version ({FORMAT})")
    return manifest


def _is_manifest(value: object) -> TypeGuard[Manifest]:
    return (
        isinstance(value, dict)
        and value.get("format") == FORMAT
        and all(isinstance(value.get(name), str) for name in ("benchmark", "dataset", "fidelity"))
        and isinstance(value.get("identity"), dict)
    )


def _difference(one: object, other: object, name: str = "") -> str:
    """The first setting in which two identities differ, in words; empty if in none."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            found = _difference(one.get(key), other.get(key), f"{name}.{key}" if name else key)
            if found:
                return found
        return ""
    return "" if one == other else f"{name}: {one} there, {other} now"
