from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WriteRun = Callable[..., Path]


def make_results(**changes: Any) -> dict[str, Any]:
    """A results.json of the plain TNASP on the whole of NAS-Bench-101, with changes."""
    results: dict[str, Any] = {
        "format": "nasp_lightning.results/1",
        "name": "nb101_tnasp",
        "benchmark": "nasbench101",
        "source": "official",
        "dataset": "cifar10",
        "epochs": 108,
        "space_size": 423624,
        "partial": False,
        "data_hash": "0123456789ab",
        "train_size": 424,
        "test_size": "all",
        "validation_size": 200,
        "train_on_validation": False,
        "seed": 0,
        "predictor": "tnasp",
        "framework": "supervised",
        "loss": "mse",
        "train_metric": "validation_accuracy",
        "train_reduction": "single",
        "test_metric": "test_accuracy",
        "test_reduction": "mean",
        "kendall_tau": 0.7,
        "kendall_tau_excluding_train": 0.69,
        "spearman": 0.8,
        "pearson": 0.75,
        "best_in_top_k": 0.94,
        "regret_at_k": 0.003,
        "precision_at_k": 0.2,
        "top_k": 10,
        "train_labels": 424,
        "queried_labels": 424,
        "fit_seconds": 60.0,
        "rank_seconds": 2.0,
        "phases": {},
        "variant": {},
    }
    results.update(changes)
    if "train_size" in changes:
        results.setdefault("split", f"{results['train_size']}/{results['test_size']}")
        if "train_labels" not in changes:
            results["train_labels"] = results["train_size"]
        if "queried_labels" not in changes:
            results["queried_labels"] = results["train_labels"]
    identity = {k: v for k, v in results.items() if isinstance(v, str | int | bool)}
    results.setdefault("config_hash", str(abs(hash(json.dumps(identity, sort_keys=True)))))
    return results


def self_evolution(plain_tau: float, **changes: Any) -> dict[str, Any]:
    """Changes that turn the results into a self-evolution run's."""
    size = changes.get("train_size", 424)
    return {
        "framework": "self_evolution",
        "train_labels": size,
        "queried_labels": size + 200,
        "phases": {
            "supervised": {
                "kendall_tau": plain_tau,
                "spearman": 0.8,
                "train_labels": size,
                "queried_labels": size,
            },
            "self_evolution": {
                "kendall_tau": changes.get("kendall_tau", 0.7),
                "train_labels": size,
                "queried_labels": size + 200,
            },
        },
        **changes,
    }


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Write a run folder under ``tmp_path/runs``; keyword arguments change its results."""
    count = 0

    def write(folder: str | None = None, **changes: Any) -> Path:
        nonlocal count
        count += 1
        path = tmp_path / "runs" / (folder or f"run{count:03d}")
        path.mkdir(parents=True)
        (path / "config.yaml").write_text("seed: 0\n")
        (path / "results.json").write_text(json.dumps(make_results(**changes)))
        return path

    return write
