"""Pseudo-labels: what is trained on in each phase, what is never touched, and a killed run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.error import NaspError
from nasp_lightning.framework.seminas import SemiNAS
from nasp_lightning.job import train_predictor
from nasp_lightning.predictor.brp import BRP
from nasp_lightning.predictor.nao import NAO
from nasp_lightning.predictor.neural_predictor import NeuralPredictor
from nasp_lightning.space.base import Shape
from nasp_lightning.task.predictor import PredictorTask
from tests import tiny
from tests.framework import runs

TRAIN, VALIDATION, SUPERVISED = 12, 10, 2
FRAMEWORK: dict[str, Any] = {"amount": 7, "epochs": 2, "iterations": 2}


class Recorder(runs.Killer):
    """Keeps what is trained on in each epoch; stops the fit before an epoch if asked."""

    def __init__(self, kill: int | None = None) -> None:
        super().__init__(kill)
        self.epochs: list[int] = []
        self.rows: list[Tensor] = []
        self.labels: list[Tensor] = []
        self.rates: list[float] = []
        self.steps: list[int] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.current_epoch in (0, 2, 4):  # what the epochs of a phase are trained on
            self.steps.append(pl_module._steps)

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, step: int) -> None:
        if trainer.current_epoch not in self.epochs:
            self.epochs.append(trainer.current_epoch)
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            self.rows.append(data.training_indices.clone())
            self.labels.append(data.training_labels.clone())


def make_data(**settings: Any) -> ArchitectureData:
    sizes = {"train_size": TRAIN, "validation_size": VALIDATION, "monitor_size": 5}
    return ArchitectureData(
        tiny.tiny_table(60), tiny.space(), **{**sizes, "batch_size": 5, "seed": 3, **settings}
    )


def make_predictor(shape: Shape) -> nn.Module:
    torch.manual_seed(0)
    return NeuralPredictor(shape, hidden=8, layers=1, regressor_dim=8)


def fit(
    framework: SemiNAS,
    data: ArchitectureData,
    predictor: nn.Module | None = None,
    folder: Path | None = None,
    kill: int | None = None,
    loss: str = "mse",
) -> tuple[PredictorTask, Recorder]:
    """Train through all phases; from the folder's checkpoint if there is one."""
    predictor = make_predictor(data.space.shape) if predictor is None else predictor
    task = PredictorTask(predictor, loss, optimizer=lambda p: torch.optim.Adam(p, 1e-2))
    recorder = Recorder(kill)
    runs.train_in(folder, task, framework, data, SUPERVISED, recorder)
    return task, recorder


def test_training_set_grows_as_stated() -> None:
    data = make_data(drop_last=False)
    framework = SemiNAS(**FRAMEWORK)
    task, recorder = fit(framework, data)
    assert [phase.name for phase in task.phases] == ["supervised", "seminas_1", "seminas_2"]
    assert [len(rows) for rows in recorder.rows] == [12, 12, 19, 19, 26, 26]
    assert recorder.steps == [3, 4, 6]  # in batches of 5: they are really trained on
    assert torch.equal(recorder.rows[2], recorder.rows[4][:19])
    assert torch.equal(recorder.labels[2], recorder.labels[4][:19])  # pseudo-labels stay, too
    assert framework.queried_labels(data) == TRAIN


def test_fresh_architectures_replace_the_earlier() -> None:
    data = make_data()
    _, recorder = fit(SemiNAS(**FRAMEWORK, accumulate=False), data)
    assert [len(rows) for rows in recorder.rows] == [12, 12, 19, 19, 19, 19]
    assert set(recorder.rows[2][12:].tolist()) != set(recorder.rows[4][12:].tolist())


def test_real_labels_are_repeated_and_never_change() -> None:
    data = make_data()
    rows, labels = data.training_indices.clone(), data.training_labels.clone()
    truth = data.all_labels.copy()
    _, recorder = fit(SemiNAS(**FRAMEWORK, up_sample=3), data)
    assert [len(found) for found in recorder.rows] == [12, 12, 43, 43, 50, 50]
    for found, given in zip(recorder.rows[2:], recorder.labels[2:], strict=True):
        assert torch.equal(found[:36], rows.repeat(3))
        assert torch.equal(given[:36], labels.repeat(3))
    np.testing.assert_array_equal(data.all_labels, truth)


def test_chosen_are_new_and_neither_training_nor_validation() -> None:
    data = make_data()
    framework = SemiNAS(**FRAMEWORK)
    fit(framework, data)
    chosen = framework.chosen.tolist()
    assert len(set(chosen)) == 14
    assert not set(chosen) & {*data.split.train.tolist(), *data.split.validation.tolist()}


def test_other_labels_are_never_read() -> None:
    """All labels but the training ones and all true accuracies hidden: nothing changes."""
    plain = fit(SemiNAS(**FRAMEWORK), make_data())[0]
    data = make_data()
    hidden = np.full_like(data.all_labels, np.nan)
    hidden[data.split.train] = data.all_labels[data.split.train]
    data.all_labels, data.true_accuracy = hidden, np.full_like(data.true_accuracy, np.nan)
    blind = fit(SemiNAS(**FRAMEWORK), data)[0]
    assert_equal(plain.predictor, blind.predictor)


def test_pseudo_labels_are_the_predictions_where_the_phase_begins() -> None:
    data = make_data()
    framework = SemiNAS(amount=7, epochs=1, iterations=1)
    found: list[Tensor] = []

    def evaluate() -> dict[str, Any]:  # called at the end of the supervised phase
        predictor.eval()
        with torch.no_grad():
            found.append(predictor(data.graphs[framework.chosen]))
        predictor.train()
        return {}

    predictor = make_predictor(data.space.shape)
    framework.evaluate = evaluate
    fit(framework, data, predictor)
    torch.testing.assert_close(framework.pseudo_labels, found[0])
    assert predictor.training


def test_scores_of_a_rank_loss_are_mapped_onto_the_labels() -> None:
    data = make_data()
    predictor = make_predictor(data.space.shape)
    scaled = Scaled(predictor)
    framework = SemiNAS(amount=7, epochs=1, iterations=1, learning_rate=1e-9)
    task, _ = fit(framework, data, scaled, loss="logistic")
    assert task.ranks_only
    spread = scaled.last.std()
    assert spread > 10 * framework.pseudo_labels.std()  # of the scores themselves
    assert framework.pseudo_labels.abs().max() < 5


class Scaled(nn.Module):
    """Scores on a scale of their own."""

    def __init__(self, predictor: nn.Module) -> None:
        super().__init__()
        self.predictor = predictor
        self.last = torch.zeros(0)

    def forward(self, graphs: Any) -> Tensor:
        scores: Tensor = 1000 + 500 * self.predictor(graphs)
        self.last = scores.detach()
        return scores


@pytest.mark.parametrize(
    ("accumulate", "kills"), [(True, (1, 2, 3, 4, 5)), (False, (4, 5))], ids=["join", "replace"]
)
def test_a_killed_run_goes_on_bit_for_bit(
    tmp_path: Path, accumulate: bool, kills: tuple[int, ...]
) -> None:
    """Killed in and between all phases, with dropout and batches of a shuffled set."""
    settings = {**FRAMEWORK, "accumulate": accumulate}
    whole_framework = SemiNAS(**settings)
    whole, _ = fit(whole_framework, make_data(), folder=tmp_path / "whole")
    for kill in kills:
        folder = tmp_path / str(kill)
        with pytest.raises(runs.Killed):
            fit(SemiNAS(**settings), make_data(), folder=folder, kill=kill)
        framework = SemiNAS(**settings)
        resumed, recorder = fit(framework, make_data(), folder=folder)
        assert recorder.epochs == list(range(kill, 6))
        assert torch.equal(framework.chosen, whole_framework.chosen)
        assert torch.equal(framework.pseudo_labels, whole_framework.pseudo_labels)
        assert set(framework.phase_results) == {"supervised", "seminas_1"}
        assert_equal(whole.predictor, resumed.predictor)


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    for (name, left), right in zip(
        one.state_dict().items(), other.state_dict().values(), strict=True
    ):
        assert torch.equal(left, right), name


def test_a_predictor_with_a_loss_of_its_own() -> None:
    data = make_data()
    torch.manual_seed(0)
    predictor = NAO(data.space.shape, hidden=8, regressor_dim=4)
    task, recorder = fit(SemiNAS(**FRAMEWORK), data, predictor)
    assert task.loss_name == "own"
    assert len(recorder.rows[-1]) == 26


def test_the_sizes_of_its_own_paper(tmp_path: Path) -> None:
    """Composed as published; run with fewer architectures and epochs."""
    whole = tiny.make_config("framework=seminas_original")["framework"]
    sizes = {"amount": 10000, "epochs": 500, "iterations": 3, "accumulate": False, "up_sample": 10}
    assert {name: whole[name] for name in sizes} == sizes
    few = ("framework.amount=7", "framework.epochs=1", "trainer.max_epochs=1")
    config = tiny.make_config("framework=seminas_original", *few)
    results = train_predictor.run(config, tmp_path, tiny.tiny_table())
    assert list(results["phases"]) == ["supervised", "seminas_1", "seminas_2", "seminas_3"]
    assert results["framework"] == "seminas"
    assert (results["queried_labels"], results["variant"]["framework.amount"]) == (20, 7)


def test_predictors_without_scalar_scores_are_refused() -> None:
    data = make_data()
    task = PredictorTask(BRP(data.space.shape, hidden=8))
    told = "framework=seminas needs a predictor with scalar scores, but BRP only compares pairs"
    with pytest.raises(NaspError, match=told):
        SemiNAS().prepare(task, data, 1)


def test_a_space_that_is_too_small_is_refused() -> None:
    data = make_data()
    task = PredictorTask(make_predictor(data.space.shape))
    with pytest.raises(NaspError, match=r"amount=20 asks for 40 .* but the space has 38"):
        SemiNAS(amount=20, iterations=2).check(task, data)
    SemiNAS(amount=20, iterations=2, accumulate=False).check(task, data)


@pytest.mark.parametrize("name", ["amount", "epochs", "iterations", "up_sample"])
@pytest.mark.parametrize("value", [0, 1.5, True])
def test_sizes_are_checked(name: str, value: Any) -> None:
    with pytest.raises(NaspError, match=rf"framework\.{name}={value}"):
        SemiNAS(**{name: value})


def test_other_settings_are_checked() -> None:
    with pytest.raises(NaspError, match=r"framework\.accumulate=1"):
        SemiNAS(accumulate=1)  # type: ignore[arg-type]
    with pytest.raises(NaspError, match=r"framework\.learning_rate=0"):
        SemiNAS(learning_rate=0)
