"""Rounds of labelling: the budget is kept, unread labels stay unread, a killed run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer

from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.error import NaspError
from nasp_lightning.framework.brp_sampling import BRPSampling
from nasp_lightning.predictor.brp import BRP
from nasp_lightning.predictor.part.scoring import score_all
from nasp_lightning.task.predictor import PredictorTask
from tests import tiny
from tests.framework import runs


class Recorder(runs.Killer):
    """Keeps how many labels each epoch trains on; stops the fit before an epoch if asked."""

    def __init__(self, kill: int | None = None) -> None:
        super().__init__(kill)
        self.counts: dict[int, int] = {}

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, step: int) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        self.counts[trainer.current_epoch] = len(data.training_indices)


def make_data(**settings: Any) -> ArchitectureData:
    sizes = {"train_size": 17, "validation_size": 5, "monitor_size": 5, "batch_size": 5, "seed": 3}
    return ArchitectureData(tiny.tiny_table(200), tiny.space(), **{**sizes, **settings})


def make_task(data: ArchitectureData) -> PredictorTask:
    torch.manual_seed(0)
    predictor = BRP(data.space.shape, hidden=8, layers=2, dropout=0.0)
    return PredictorTask(predictor, optimizer=lambda p: torch.optim.Adam(p, 1e-2))


def fit(
    framework: BRPSampling,
    data: ArchitectureData,
    folder: Path | None = None,
    kill: int | None = None,
) -> tuple[PredictorTask, Recorder]:
    task, recorder = make_task(data), Recorder(kill)
    runs.train_in(folder, task, framework, data, 6, recorder)
    return task, recorder


def test_budget_is_spent_in_rounds_and_never_exceeded() -> None:
    data = make_data()
    framework = BRPSampling(rounds=3)
    task, recorder = fit(framework, data)
    assert [phase.epochs for phase in task.phases] == [2, 4, 6]
    assert recorder.counts == dict(enumerate([7] * 2 + [12] * 4 + [17] * 6))
    assert len(set(framework.labelled.tolist())) == 17
    assert framework.queried_labels(data) == 17
    assert not set(framework.labelled) & set(data.split.validation)
    assert framework.phase_results["round_1"]["queried_labels"] == 7
    assert framework.phase_results["round_2"]["queried_labels"] == 12


def test_labels_that_were_not_bought_are_not_read() -> None:
    data, framework = make_data(), BRPSampling(rounds=3)
    task, _ = fit(framework, data)
    other, again = make_data(), BRPSampling(rounds=3)
    unread = np.ones(len(other.all_labels), dtype=bool)
    unread[framework.labelled] = False
    other.all_labels[unread] = 0.123
    changed, _ = fit(again, other)
    assert again.labelled.tolist() == framework.labelled.tolist()
    torch.testing.assert_close(
        score_all(changed.predictor, other.graphs), score_all(task.predictor, data.graphs)
    )
    first = data.all_labels[framework.labelled[:7]]
    assert (data.mean, data.std) == pytest.approx((first.mean(), first.std()))
    assert task.hparams["label_scale"] == [data.mean, data.std]


def test_killed_run_ends_as_the_whole_one(tmp_path: Path) -> None:
    whole = BRPSampling(rounds=3)
    fit(whole, make_data())
    with pytest.raises(runs.Killed):
        fit(BRPSampling(rounds=3), make_data(), tmp_path, kill=7)
    resumed = BRPSampling(rounds=3)
    _, recorder = fit(resumed, make_data(), tmp_path)
    assert min(recorder.counts) > 2
    assert resumed.labelled.tolist() == whole.labelled.tolist()


@pytest.mark.parametrize("kill", [None, 10, 23, 24, 30, 47])
def test_a_round_that_stops_early_is_followed_by_the_next(tmp_path: Path, kill: int | None) -> None:
    """Both rounds run and buy their labels, killed before an epoch or not."""

    def train(kill: int | None) -> tuple[BRPSampling, PredictorTask, Recorder]:
        data, framework, recorder = make_data(), BRPSampling(rounds=2), Recorder(kill)
        task = PredictorTask(runs.Stuck(), patience=2)
        runs.train_in(tmp_path, task, framework, data, 60, recorder)
        return framework, task, recorder

    if kill is not None:
        with pytest.raises(runs.Killed):
            train(kill)
    framework, task, recorder = train(None)
    assert [phase.epochs for phase in task.phases] == [24, 24]
    assert recorder.counts == dict(list(enumerate([9] * 24 + [17] * 24))[kill or 0 :])
    assert framework.phase_results["round_1"]["queried_labels"] == 9
    assert len(framework.labelled) == 17


def test_the_experiment_has_both_halves() -> None:
    config = tiny.compose_config("+experiment=nb201_brp_sampling")
    assert (config["framework"]["rounds"], config["framework"]["best"]) == (5, 0.5)
    assert config["task"]["patience"] == 35
    assert set(config["callbacks"]) == {"checkpoint", "monitor", "metrics_file", "progress"}


@pytest.mark.parametrize(("settings", "said"), [({"rounds": 0}, "rounds=0"), ({"best": 2}, "best")])
def test_settings_are_checked(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(NaspError, match=said):
        BRPSampling(**settings)


@pytest.mark.parametrize(
    ("rounds", "sizes", "said"),
    [
        (9, {}, "9 rounds need at least 18 labels"),
        (8, {}, "choose fewer rounds"),
        (2, {"train_on_validation": True}, "train_on_validation"),
    ],
)
def test_budgets_that_cannot_be(rounds: int, sizes: dict[str, Any], said: str) -> None:
    data = make_data(**sizes)
    with pytest.raises(NaspError, match=said):
        BRPSampling(rounds=rounds).prepare(make_task(data), data, 6)
