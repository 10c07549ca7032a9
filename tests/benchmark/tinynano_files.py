"""Builds of Tiny-NanoBench with made-up numbers, in the real format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nasp_lightning.record.build import FORMAT, Build, record_key, write_manifest
from nasp_lightning.space.tinynano import TinyNano
from nasp_lightning.storage import write_checked

SPACE = {
    "slots": 6,
    "max_splits": 1,
    "mflops": 35.0,
    "convention": "profiler",
    "rejoin": True,
    "widths": [64, 128, 256],
    "cells": 3,
    "image": 32,
    "classes": 10,
}


def manifest(fidelity: str = "cpu", epochs: int = 4, **identity: Any) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "benchmark": "tinynano",
        "dataset": "cifar10",
        "fidelity": fidelity,
        "identity": {
            "version": 1,
            "space": SPACE,
            "recipe": {"epochs": epochs},
            "code": {"epochs": 3},
            **identity,
        },
    }


def record(row: int, operations: Any, adjacency: Any, epochs: int = 4) -> dict[str, Any]:
    """Deeper cells are the more accurate; every number tells its member."""
    depth = int((operations < 10).sum())
    losses = [2.0 - 0.1 * depth - 0.2 * epoch + 1e-4 * row for epoch in range(epochs)]
    return {
        "operations": operations.tolist(),
        "adjacency": adjacency.tolist(),
        "validation_accuracy": 0.3 + 0.05 * depth + 1e-5 * row,
        "test_accuracy": 0.31 + 0.05 * depth + 1e-5 * row,
        "train_losses": losses,
        "code": [loss + 0.3 for loss in losses[:3]],
        "diverged": False,
        "train_seconds": 10.0 + row,
        "code_seconds": 2.0,
        "test_seconds": 1.0,
        "device": "cpu",
        "torch": "2.0",
    }


def made_up(rows: Any = range(6), fidelity: str = "cpu", epochs: int = 4) -> Build:
    """Records of some members."""
    said = manifest(fidelity, epochs)
    operations, adjacency = TinyNano(count=None).members()
    return Build(
        said,
        {
            record_key(said["identity"], operations[row], adjacency[row]): record(
                row, operations[row], adjacency[row], epochs
            )
            for row in rows
        },
    )


def write(folder: Path, build: Build | None = None) -> Path:
    """A build as a folder."""
    build = build or made_up()
    write_manifest(folder, build.manifest)
    for key, content in build.records.items():
        write_checked(folder / key[:2] / f"{key}.json", content)
    return folder


def diverged(content: dict[str, Any]) -> dict[str, Any]:
    """A record of a network that diverged in its third epoch."""
    losses = [*content["train_losses"][:2], *[None] * (len(content["train_losses"]) - 2)]
    nothing: dict[str, Any] = {"validation_accuracy": None, "test_accuracy": None}
    return {**content, **nothing, "train_losses": losses, "diverged": True}


def numbers(values: Any) -> Any:
    return np.asarray(values, dtype=np.float32)
