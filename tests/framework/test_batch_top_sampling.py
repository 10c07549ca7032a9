"""Top sampling in a fit: the budget is kept, unread labels stay unread, a killed run goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer

from nasp_lightning.callbacks.checkpoint import ClockCheckpoint, checkpoint_path
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.error import NaspError
from nasp_lightning.framework.batch_top_sampling import BatchTopSampling
from nasp_lightning.framework.fully_top_sampling import FullyTopSampling
from nasp_lightning.predictor.part.scoring import score_all
from nasp_lightning.predictor.siamese import Siamese
from nasp_lightning.space.nasbench201 import NASBench201
from nasp_lightning.task.predictor import PredictorTask
from tests import tiny
from tests.framework.runs import Linear

EPOCHS = 12
FEW = {"updates": 3}


class Killed(Exception):
    """Stands for a kill."""


class Recorder(Callback):
    """Keeps what each epoch trains on; stops the fit before an epoch if asked."""

    def __init__(self, kill: int | None = None) -> None:
        self.kill = kill
        self.pool: dict[int, int] = {}
        self.rows: dict[int, list[int]] = {}
        self.rates: dict[int, float] = {}

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.current_epoch == self.kill:
            raise Killed

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, step: int) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        self.pool[trainer.current_epoch] = len(data.train_indices)
        self.rows[trainer.current_epoch] = data.training_indices.tolist()
        self.rates[trainer.current_epoch] = trainer.optimizers[0].param_groups[0]["lr"]


def make_data(codes: bool = False, **settings: Any) -> ArchitectureData:
    table = tiny.tiny_table(200)
    if codes:
        table = replace(table, costs={"proxy/loss": -tiny.accuracy(table.operations)})
    sizes = {"train_size": 20, "validation_size": 5, "monitor_size": 5, "batch_size": 5, "seed": 3}
    more = {"features": ["loss"]} if codes else {}
    space = NASBench201("dataflow" if codes else "edge")
    return ArchitectureData(table, space, **{**sizes, **more, **settings})


def make_task(data: ArchitectureData) -> PredictorTask:
    torch.manual_seed(0)
    siamese = data.graphs.features is not None
    predictor = Siamese(data.shape, 4, top=9, training_top=4) if siamese else Linear()
    return PredictorTask(predictor, optimizer=lambda p: torch.optim.Adam(p, 1e-2))


def fit(
    framework: BatchTopSampling,
    data: ArchitectureData,
    folder: Path | None = None,
    kill: int | None = None,
) -> tuple[PredictorTask, Recorder]:
    task, recorder = make_task(data), Recorder(kill)
    epochs = framework.prepare(task, data, EPOCHS)
    clock = [] if folder is None else [ClockCheckpoint(folder, every_seconds=0)]
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=1,
        logger=False,
        callbacks=[*clock, framework, recorder],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    saved = None if folder is None else checkpoint_path(folder)
    torch.manual_seed(1)
    begun = saved if saved is not None and saved.exists() else None
    trainer.fit(task, datamodule=data, ckpt_path=begun, weights_only=True)
    if folder is not None:
        clock[0].save(trainer)
    return task, recorder


def test_budget_is_spent_in_updates_and_never_exceeded() -> None:
    data, framework = make_data(), BatchTopSampling(**FEW)
    task, recorder = fit(framework, data)
    assert [(phase.name, phase.epochs) for phase in task.phases] == [
        ("warm_up", 2),
        ("sampling", 7),
        ("final", 3),
    ]
    # 6 random labels, then 4, 4 and 6 after 1, 2 and 3 epochs of sampling.
    assert framework.plan is not None
    assert framework.plan.updates == (3, 4, 5)
    assert recorder.pool == dict(enumerate([6] * 3 + [10] + [14] + [20] * 7))
    assert len(set(framework.labelled.tolist())) == 20
    assert framework.queried_labels(data) == 20
    assert framework.labelled[:6].tolist() == data.split.train[:6].tolist()
    assert not set(framework.labelled) & set(data.split.validation)
    assert framework.phase_results["warm_up"]["queried_labels"] == 6
    assert framework.phase_results["sampling"]["queried_labels"] == 20
    assert recorder.rates[8] == pytest.approx(1e-2)
    assert recorder.rates[9] == pytest.approx(1e-3)


def test_batches_are_drawn_with_replacement_from_the_pool() -> None:
    data, framework = make_data(), BatchTopSampling(**FEW)
    _, recorder = fit(framework, data)
    for epoch, rows in recorder.rows.items():
        assert len(rows) == 20, "the whole budget's number of steps"
        assert set(rows) <= set(framework.labelled[: recorder.pool[epoch]].tolist())
    assert recorder.rows[0] != recorder.rows[1]
    _, once = fit(BatchTopSampling(**FEW, replacement=False), make_data())
    assert [len(rows) for rows in once.rows.values()] == [6] * 3 + [10] + [14] + [20] * 7


def test_labels_that_were_not_bought_are_not_read() -> None:
    data, framework = make_data(), BatchTopSampling(**FEW)
    task, _ = fit(framework, data)
    other, again = make_data(), BatchTopSampling(**FEW)
    unread = np.ones(len(other.all_labels), dtype=bool)
    unread[framework.labelled] = False
    other.all_labels[unread] = 0.123
    changed, _ = fit(again, other)
    assert again.labelled.tolist() == framework.labelled.tolist()
    torch.testing.assert_close(
        score_all(changed.predictor, other.graphs), score_all(task.predictor, data.graphs)
    )
    pool = data.all_labels[framework.labelled[:6]]
    assert (data.mean, data.std) == pytest.approx((pool.mean(), pool.std()))
    assert task.hparams["label_scale"] == [data.mean, data.std]


@pytest.mark.parametrize("kill", [4, 7])
def test_killed_run_ends_as_the_whole_one(tmp_path: Path, kill: int) -> None:
    settings = {**FEW, "selection_epochs": 2}
    whole, data = BatchTopSampling(**settings), make_data(codes=True)
    task, uncut = fit(whole, data)
    with pytest.raises(Killed):
        fit(BatchTopSampling(**settings), make_data(codes=True), tmp_path, kill)
    resumed, rest = BatchTopSampling(**settings), make_data(codes=True)
    other, recorder = fit(resumed, rest, tmp_path)
    assert recorder.rows == {epoch: rows for epoch, rows in uncut.rows.items() if epoch >= kill}
    for name in ("labelled", "selected"):
        assert getattr(resumed, name).tolist() == getattr(whole, name).tolist()
    assert rest.coded.tolist() == data.coded.tolist()
    torch.testing.assert_close(other.predictor.state_dict(), task.predictor.state_dict())


def test_an_update_takes_the_best_of_a_random_share() -> None:
    """A predictor that knows the truth: each update's labels are the best that it could see."""

    class Oracle(Linear):
        def forward(self, graphs: Any) -> torch.Tensor:
            known = torch.from_numpy(tiny.accuracy(graphs.operations.numpy())).float()
            return known + 0 * self.offset

    found = {}
    for framework in (BatchTopSampling(**FEW), FullyTopSampling(**FEW)):
        data = make_data()
        task = PredictorTask(Oracle(), optimizer=lambda p: torch.optim.Adam(p, 1e-2))
        framework.prepare(task, data, EPOCHS)
        for number in range(3):
            framework._update(task, data, number)
        found[type(framework).__name__] = framework.labelled
        assert framework.queried_labels(data) == 20
    truth = tiny.accuracy(data.table.operations)
    truth[data.split.validation] = -1
    truth[data.split.train[:6]] = -1
    best = np.argsort(-truth, kind="stable")[:14]
    assert sorted(found["FullyTopSampling"][6:]) == sorted(best)
    assert truth[found["BatchTopSampling"][6:]].mean() < truth[best].mean()
    assert truth[found["BatchTopSampling"][6:]].mean() > np.median(truth)


def test_codes_that_were_used_are_counted() -> None:
    data, framework = make_data(codes=True), BatchTopSampling(**FEW)
    task, _ = fit(framework, data)
    before = data.queried_codes
    assert 20 <= before <= 20 + 3 * 4
    scores = data.scores(task.predictor)
    assert len(scores) == 200
    assert before <= data.queried_codes <= before + 9
    assert data.coded[np.argsort(-scores.numpy())[:9]].all()
    assert framework.phase_results["warm_up"]["queried_codes"] == 6
    assert framework.phase_results["sampling"]["ranking_seconds"] > 0


def test_selection_of_weights_costs_labels() -> None:
    data, framework = make_data(), BatchTopSampling(**FEW, selection_epochs=3)
    task, recorder = fit(framework, data)
    assert len(recorder.pool) == EPOCHS + 3
    assert len(framework.labelled) == 17
    assert len(framework.selected) == 3
    assert 17 <= framework.queried_labels(data) <= 20
    assert framework.selection_labels(data) == framework.queried_labels(data) - 17
    assert framework.phase_results["final"]["selection_labels"] == 0
    assert framework.best_label == data.all_labels[framework.selected].max()
    torch.testing.assert_close(dict(task.predictor.state_dict()), framework.best_weights)


def test_of_halves_only_the_training_half_is_bought() -> None:
    data, framework = make_data(pool_size=60, test_size=60), BatchTopSampling(**FEW)
    fit(framework, data)
    assert data.split.pool is not None
    assert len(framework.labelled) == 20
    assert set(framework.labelled) <= set(data.split.pool)


def test_without_sampling_all_labels_are_random() -> None:
    data, framework = make_data(), BatchTopSampling(initial=1.0)
    _, recorder = fit(framework, data)
    assert set(recorder.pool.values()) == {20}
    assert framework.labelled.tolist() == data.split.train.tolist()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"initial": 0}, "initial=0"),
        ({"initial": 2.5}, "whole number of labels"),
        ({"updates": 0}, "updates=0"),
        ({"share": 1.5}, r"share=1\.5: it is a share"),
        ({"schedule": "mine"}, r"schedule='mine' is unknown: choose official\|paper"),
        ({"warm_up": "some"}, "warm_up=some"),
        ({"replacement": 1}, "replacement=1"),
        ({"final_factor": -1}, "final_factor=-1"),
        ({"selection_epochs": -1}, "selection_epochs=-1"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(NaspError, match=said):
        BatchTopSampling(**settings)


@pytest.mark.parametrize(
    ("settings", "sizes", "said"),
    [
        ({"initial": 30}, {}, "train_size=20 is below the initial pool"),
        ({}, {"train_on_validation": True}, "train_on_validation"),
        (
            {"selection_epochs": 15},
            {},
            "selection_epochs=15: .* an initial pool of 1,",
        ),
    ],
)
def test_budgets_that_cannot_be(settings: dict[str, Any], sizes: dict[str, Any], said: str) -> None:
    data = make_data(**sizes)
    with pytest.raises(NaspError, match=said):
        BatchTopSampling(**settings).prepare(make_task(data), data, EPOCHS)


def test_early_stopping_is_refused() -> None:
    data = make_data()
    task = make_task(data)
    task.patience = 35
    with pytest.raises(NaspError, match=r"task\.patience=35 .*: set task\.patience=null"):
        BatchTopSampling().prepare(task, data, EPOCHS)


class Counting:
    """Ranks by the true accuracy, so that its choice is known; notes what it was fitted on."""

    def __init__(self, data: ArchitectureData) -> None:
        self.data, self.pools = data, list[list[int]]()

    def __call__(self, rows: Any) -> Any:
        self.pools.append(self.data.train_indices.tolist())
        assert np.isnan(self.data.all_labels[rows]).sum() == 0
        return self.data.all_labels[rows]


def test_a_predictor_without_gradients_is_fitted_anew_before_each_update() -> None:
    data, framework = make_data(validation_size=0), BatchTopSampling(updates=4, share=1.0)
    rank = Counting(data)
    first, size = data.split.train[:6].tolist(), data.train_size
    framework.gather(data, rank)
    bought = data.train_indices.tolist()
    assert [len(pool) for pool in rank.pools] == [6, 9, 12, 15]
    assert (bought[:6], len(bought), len(set(bought))) == (first, size, size)
    others = np.setdiff1d(np.arange(len(data.all_labels)), first)
    best = others[np.argsort(-data.all_labels[others])][: size - 6]
    assert bought[6:] == best.tolist()
    assert data.mean == pytest.approx(data.all_labels[first].mean())


@pytest.mark.parametrize(
    ("settings", "sizes", "said"),
    [
        ({"initial": 30}, {}, "train_size=20 is below the initial pool"),
        ({"selection_epochs": 3}, {}, "selection_epochs=3 chooses among the weights"),
        ({}, {"train_on_validation": True}, "train_on_validation"),
    ],
)
def test_what_they_cannot_have(settings: dict[str, Any], sizes: dict[str, Any], said: str) -> None:
    data = make_data(**sizes)
    with pytest.raises(NaspError, match=said):
        BatchTopSampling(**settings).gather(data, Counting(data))
