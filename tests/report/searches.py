"""Made-up runs of searches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def write_search(folder: Path, regret: Any, **changes: Any) -> Path:
    """A run of ``job=search`` with that regret ``[R, L]``."""
    regret = np.asarray(regret, dtype=np.float32)
    content = {
        "format": "nasp_lightning.search/1",
        "config_hash": folder.name,
        "family_hash": "f" * 12,
        "data_hash": "d" * 12,
        "benchmark": "nasbench201",
        "dataset": "cifar10",
        "source": "csv",
        "space_size": 15625,
        "seed": 0,
        "search": "random",
        "settings": {},
        "anytime": True,
        "labels": regret.shape[1],
        "predictor": None,
        "loss": None,
        "variant": {},
        "label_metric": "validation_accuracy",
        "test_metric": "test_accuracy",
        "best_reachable": 0.9437,
        "name": None,
        "method_hash": "e" * 12,
        "partial": False,
        "epochs": 200,
        "repeats": len(regret),
        "label_reduction": "mean",
        "best_found_mean": 0.94,
        "regret_mean": float(regret[:, -1].mean()),
        "regret_at": {},
        "regret_of_best_label": 0.0,
        "found_best_share": 0.0,
        "wall_seconds_mean": 1.0,
        **changes,
    }
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("seed: 0\n")
    (folder / "results.json").write_text(json.dumps(content))
    np.savez(folder / "curves.npz", regret=regret, best=0.9437 - regret)
    return folder


def falling(repeats: int, labels: int, seed: int = 0) -> Any:
    start = np.random.default_rng(seed).random((repeats, 1)) * 0.02 + 0.01
    return start / np.sqrt(np.arange(1, labels + 1))


def write(folder: Path, n: int, k: int, repeats: int = 4, **changes: Any) -> Any:
    regret = falling(repeats, n + k)
    settings = {"train_size": n, "top_k": k}
    changes = {"settings": settings, "anytime": False, "predictor": "siamese", **changes}
    write_search(folder, regret, search="n_plus_k", name="siamese", **changes)
    return regret
