from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback

from nasp_lightning.callbacks.checkpoint import ClockCheckpoint
from nasp_lightning.callbacks.metrics_file import MetricsFile
from nasp_lightning.callbacks.monitor import Monitor
from nasp_lightning.error import NaspError
from nasp_lightning.framework.self_evolution import SelfEvolution
from nasp_lightning.framework.supervised import Supervised
from tests.framework.runs import fit, make_data


class Losses(Callback):
    """Remembers each epoch's loss as the task has it; may end the fit with an error."""

    def __init__(self, stop: int | None = None) -> None:
        self.values: list[float] = []
        self.stop = stop

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.values.append(pl_module.epoch_loss)
        if trainer.current_epoch == self.stop:
            raise ZeroDivisionError


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_epoch_with_its_own_loss(tmp_path: Path) -> None:
    losses = Losses()
    callbacks = (losses, Monitor(2), MetricsFile(tmp_path, flush_epochs=3))
    fit(SelfEvolution(iterations=3), make_data(), 2, callbacks=callbacks)
    found = rows(tmp_path)
    assert [row["epoch"] for row in found] == list("01234")
    assert [row["phase"] for row in found] == ["supervised"] * 2 + ["self_evolution"] * 3
    logged = [float(row["train/loss"]) for row in found]
    assert logged == pytest.approx(losses.values, rel=1e-5)
    measured = [row["monitor/kendall_tau"] != "" for row in found]
    assert measured == [False, True, False, True, True]  # every second, and the last


def test_a_resumed_run_has_each_epoch_once(tmp_path: Path) -> None:
    def callbacks(stop: int | None, seconds: float) -> Any:
        return (ClockCheckpoint(tmp_path, seconds), MetricsFile(tmp_path, 1), Losses(stop))

    fit(Supervised(), make_data(), 3, callbacks=callbacks(None, 0))  # the last one: epoch 2
    with open(tmp_path / "metrics.csv", "a") as file:
        file.write("3,supervised,0.1,\n4,super")  # what a killed process left
    path = tmp_path / "checkpoint.ckpt"
    fit(Supervised(), make_data(), 6, callbacks=callbacks(None, 1000), checkpoint=path)
    assert [row["epoch"] for row in rows(tmp_path)] == list("012345")
    assert all(float(row["train/loss"]) for row in rows(tmp_path))


def test_rows_are_kept_when_a_fit_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        fit(Supervised(), make_data(), 5, callbacks=(MetricsFile(tmp_path, 100), Losses(2)))
    assert [row["epoch"] for row in rows(tmp_path)] == list("012")


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NaspError, match="a file stands where a folder is needed"):
        fit(Supervised(), make_data(), 1, callbacks=(MetricsFile(tmp_path / "file"),))
