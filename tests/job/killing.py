"""Small fits, and ways to kill them."""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback

from nasp_lightning.job import train_predictor
from tests.tiny import make_config, tiny_table

EVERY_EPOCH = "callbacks.checkpoint.every_seconds=0"

fork = multiprocessing.get_context("fork")


def run(folder: Path, *overrides: str) -> dict[str, Any]:
    return train_predictor.run(make_config(*overrides), folder, tiny_table())


def predictions(folder: Path) -> dict[str, Any]:
    with np.load(folder / "predictions.npz") as file:
        return dict(file)


def epochs(folder: Path) -> list[int]:
    with open(folder / "metrics.csv", newline="", encoding="utf-8") as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


class Killer(Callback):
    """Kills its process with SIGKILL in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if trainer.current_epoch == self.epoch:
            os.kill(os.getpid(), signal.SIGKILL)


def killed(folder: Path, *overrides: str, ranking: bool = False) -> None:
    """Run in a child that is killed: by its callback, or when it ranks the space at last."""

    def rank_and_die(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        if ranking:
            train_predictor.write_predictions = rank_and_die
        run(folder, *overrides)

    child = fork.Process(target=work)
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    assert not (folder / "results.json").exists()


def killer(epoch: int) -> tuple[str, str]:
    target = "tests.job.killing.Killer"
    return f"+callbacks.killer._target_={target}", f"+callbacks.killer.epoch={epoch}"
