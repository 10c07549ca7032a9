"""A tiny benchmark, configs for it, and the command line: what the tests of whole runs share."""

from __future__ import annotations

import copy
import csv
import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.run.compose import register_resolvers
from nasp_lightning.run.folder import resolved
from nasp_lightning.shipped import conf_dir
from nasp_lightning.space.nasbench201 import NASBench201, from_index

# A predictor of a few hundred weights and a fit of seconds, whatever the defaults are.
SMALL_PREDICTOR = (
    "predictor.embedding_dim=16",
    "predictor.layers=1",
    "predictor.heads=2",
    "predictor.head_dim=8",
    "predictor.feedforward_dim=16",
    "predictor.regressor_dim=8",
)
SMALL_DATA = ("data.train_size=20", "data.validation_size=10", "data.monitor_size=20")
SMALL = (*SMALL_PREDICTOR, *SMALL_DATA, "trainer.max_epochs=2")

WEIGHTS = np.array([-1.0, 0.2, 0.6, 1.0, 0.3])  # what an operation is worth


def accuracy(operations: Any) -> Any:
    """``[N]`` accuracy that a predictor can learn: a smooth function of the operations."""
    worth = WEIGHTS[operations] @ np.array([1.0, 0.9, 0.8, 1.2, 0.7, 1.1])
    return 0.1 + 0.8 / (1 + np.exp(-worth))


def tiny_table(count: int = 100, seed: int = 0, test_accuracy: bool = True) -> BenchmarkTable:
    """``count`` architectures of NAS-Bench-201 with three runs each."""
    rng = np.random.default_rng(seed)
    operations = from_index(np.sort(rng.choice(15625, count, replace=False)))
    mean = accuracy(operations)

    def runs(noise: float) -> Any:
        values = mean[:, None] + noise * rng.standard_normal((count, 3))
        return np.clip(values, 0, 1).astype(np.float32)

    metrics = {"cifar10/validation_accuracy/200": runs(0.005)}
    if test_accuracy:
        metrics["cifar10/test_accuracy/200"] = runs(0.003)
    return BenchmarkTable(
        space="nasbench201",
        operations=operations,
        metrics=metrics,
        provenance={"benchmark": "nasbench201", "source": "tiny", "partial": True},
    )


def write_csv(path: Path, count: int = 100, seed: int = 0) -> Path:
    """The tiny benchmark as a CSV that ``benchmark.source=csv`` reads."""
    from nasp_lightning.benchmark.csv import read_columns

    plan = read_columns("nasbench201")
    table = tiny_table(count, seed)
    groups = {**plan["metrics"], **plan["costs"]}
    names = [item if isinstance(item, str) else item["columns"] for item in groups.values()]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["op_code", *names])
        for row, codes in enumerate(table.operations):
            value = 100 * float(table.metrics["cifar10/validation_accuracy/200"][row].mean())
            writer.writerow(["".join(map(str, codes)), *[f"{value:.4f}"] * len(names)])
    return path


def make_config(*overrides: str) -> dict[str, Any]:
    """The resolved config of a small run, composed in this process."""
    return compose_config(*SMALL, *overrides)


def compose_config(*overrides: str) -> dict[str, Any]:
    """The resolved config of a command line, composed in this process."""
    return copy.deepcopy(_composed(overrides))


@functools.cache
def _composed(overrides: tuple[str, ...]) -> dict[str, Any]:
    register_resolvers()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return resolved(compose("config", overrides=list(overrides)))


def nasp(
    *words: str, cwd: Path | None = None, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "nasp_lightning", *words],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"exit status {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def csv_words(path: Path) -> tuple[str, ...]:
    """Words that choose the tiny CSV on the command line."""
    return ("benchmark.source=csv", f"benchmark.path={path}", "benchmark.partial=true", *SMALL)


def space() -> NASBench201:
    """The tiny benchmark's space."""
    return NASBench201()
