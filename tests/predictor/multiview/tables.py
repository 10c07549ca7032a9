"""Small tables with labels of several kinds, and what twenty lines make of them."""

from __future__ import annotations

import ast
import csv
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nasp_lightning.predictor.part.targets import Targets
from nasp_lightning.space.base import Graphs, Shape

# HW-NAS-Bench's codes (skip, none, conv3x3, conv1x1, pool) and edges, as NAS-Bench-201 has them.
HARDWARE_CODES, HARDWARE_EDGES = np.array([1, 0, 3, 2, 4]), [0, 1, 3, 2, 4, 5]

Labelled = tuple[Shape, Graphs, Any]


def read(path: Path, column: str, architecture: str) -> tuple[Any, Any]:
    """Codes ``[N, T]`` of tuples, and a column ``[N]``."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    codes = np.array([ast.literal_eval(row[architecture]) for row in rows])
    return codes, np.array([float(row[column]) for row in rows])


def hardware(data_dir: Path, column: str) -> Labelled:
    """Minus a latency or an energy of NAS-Bench-201's cells on CIFAR-10."""
    from nasp_lightning.space.nasbench201 import NASBench201

    path = data_dir / "hw_nas_bench" / "hw_nas_bench_nb201_cifar10.csv.gz"
    codes, cost = read(path, column, "net")
    space = NASBench201()
    cells = HARDWARE_CODES[codes][:, HARDWARE_EDGES].astype(np.uint8)
    return space.shape, space.encode(cells), -cost


def transnas(data_dir: Path, column: str) -> Labelled:
    """A task of TransNAS-Bench-101's micro cells."""
    from nasp_lightning.space.nasbench201 import NASBench201

    path = data_dir / "transnas" / "transnas_micro_711.csv.gz"
    codes, score = read(path, column, "arch")
    space = NASBench201()
    return space.shape, space.encode(codes.astype(np.uint8)), score


def macro(data_dir: Path) -> Labelled:
    """Mean accuracy of NAS-Bench-Macro's chains."""
    from nasp_lightning.benchmark.macro import load_table
    from nasp_lightning.space.macro import Macro

    table = load_table(path=data_dir / "macro" / "nas_bench_macro_6561.csv.gz")
    space = Macro()
    accuracy = table.metric("cifar10/test_accuracy/50").astype(np.float64).mean(1)
    return space.shape, space.encode(table.operations), accuracy


def settings_chain(count: int = 4000) -> Labelled:
    """A chain of six layers, each of which combines three settings: what each does adds up."""
    rng = np.random.default_rng(3)
    operations = rng.integers(0, 8, (count, 6)).astype(np.uint8)
    adjacency = np.zeros((count, 6, 6), dtype=np.uint8)
    adjacency[:, np.arange(5), np.arange(1, 6)] = 1
    score = sum(
        (operations // size % 2) @ rng.standard_normal(6) for size in (1, 2, 4)
    ) + 0.7 * rng.standard_normal(count)
    shape = Shape(tokens=6, vertices=6, vocabulary=8, chain=True, fixed_topology=True)
    arrays = (operations, adjacency, np.full(count, 6, dtype=np.uint8))
    graphs = Graphs(*(torch.from_numpy(array) for array in arrays))
    return shape, graphs, np.tanh(score / 4)


def onehots(graphs: Graphs, shape: Shape) -> Any:
    """``[N, T K]``."""
    codes = graphs.operations.numpy()
    return (codes[:, :, None] == np.arange(shape.vocabulary)).reshape(len(codes), -1).astype(float)


def onehot_process(inputs: Any, labels: Any, others: Any) -> Any:
    """A Matérn process on one-hots."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    kernel = ConstantKernel(1.0, (1e-2, 1e3)) * Matern(2.0, (0.05, 1e3), 2.5)
    process = GaussianProcessRegressor(kernel + WhiteKernel(0.1, (1e-4, 2.0)))
    return process.fit(inputs, Targets(labels).values).predict(others)


def onehot_boosting(inputs: Any, labels: Any, others: Any) -> Any:
    """Gradient boosting on one-hots."""
    from sklearn.ensemble import GradientBoostingRegressor

    trees = GradientBoostingRegressor(
        n_estimators=200, learning_rate=0.08, subsample=0.8, random_state=0
    )
    return trees.fit(inputs, Targets(labels).values).predict(others)
