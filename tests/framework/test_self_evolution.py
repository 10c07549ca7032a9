from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback

from nasp_lightning.callbacks.checkpoint import ClockCheckpoint
from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.error import NaspError
from nasp_lightning.framework.part import admm
from nasp_lightning.framework.self_evolution import SelfEvolution
from nasp_lightning.metric.functional import kendall_tau
from nasp_lightning.predictor.base import GradientPredictor
from nasp_lightning.task.predictor import PredictorTask
from tests.framework.runs import Linear, fit, make_data

BOTH = pytest.mark.parametrize("targets", ["closed_form", "gradient"])


@BOTH
def test_one_evaluation_for_the_plain_fit_and_one_for_each_iteration(targets: str) -> None:
    framework, data = SelfEvolution(iterations=4, targets=targets), make_data()
    fit(framework, data, 3)
    assert framework.predictions.shape == (5, 20)
    assert framework.errors.shape == framework.multipliers.shape == (5,)
    assert framework.targets.shape == (20,)
    for array in (framework.predictions, framework.errors, framework.multipliers):
        assert torch.isfinite(array).all()
    assert framework.queried_labels(data) == 60
    assert framework.phase_results["supervised"]["queried_labels"] == 40


def test_errors_are_mean_squared_errors_of_the_predictions() -> None:
    framework, data = SelfEvolution(iterations=3, label_floor=None), make_data()
    fit(framework, data, 3)
    truth = data.normalise(data.all_labels[data.split.validation]).double()
    wanted = ((framework.predictions - truth) ** 2).mean(1)
    torch.testing.assert_close(framework.errors, wanted)


def test_failed_architectures_do_not_fill_the_evaluations() -> None:
    framework, data = SelfEvolution(iterations=3, label_floor=-1.5), make_data()
    failed = data.split.validation[:3]
    data.all_labels[failed] = data.mean - 50 * data.std
    fit(framework, data, 3)
    truth = data.normalise(data.all_labels[data.split.validation]).double()
    assert truth.min() < -49
    assert framework.errors.max() < 9  # without the floor: above 3 · 49² / 20
    assert framework.predictions.min() >= -1.5
    wanted = ((framework.predictions - truth.clamp(min=-1.5)) ** 2).mean(1)
    torch.testing.assert_close(framework.errors, wanted)
    assert framework.targets.abs().max() < 9


class Recorder(Linear):
    """Remembers the lowest label of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def training_loss(self, graphs: Any, labels: Any) -> Any:
        self.seen.append(float(labels.min()))
        return ((self(graphs) - labels) ** 2).mean()


def test_the_floor_holds_for_the_labels_trained_on_too() -> None:
    predictor = Recorder()
    fit(SelfEvolution(iterations=2, label_floor=-0.5), make_data(), 2, predictor)
    half = len(predictor.seen) // 2
    assert min(predictor.seen[:half]) < -0.5
    assert min(predictor.seen[half:]) == -0.5


def test_rank_losses_keep_the_order_of_all_labels() -> None:
    trainer = fit(SelfEvolution(iterations=2, label_floor=-0.5), make_data(), 2, loss="logistic")
    assert trainer.lightning_module.label_floor is None  # type: ignore[union-attr]


def test_the_targets_come_nearer_to_the_hidden_labels() -> None:
    framework, data = SelfEvolution(iterations=15, learning_rate=0.05), make_data()
    fit(framework, data, 5)
    truth = data.normalise(data.all_labels[data.split.validation]).double()
    first = float(((framework.predictions[0] - truth) ** 2).mean())
    assert float(((framework.targets.double() - truth) ** 2).mean()) < 0.9 * first


@BOTH
def test_the_validation_labels_enter_through_evaluations_alone(
    targets: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other labels that answer every evaluation alike change nothing, to the last bit."""
    runs = []
    for altered in (False, True):
        data = make_data()
        answers = iter(torch.linspace(1.0, 0.5, 5, dtype=torch.float64))
        monkeypatch.setattr(admm, "evaluation_error", lambda *_, a=answers: next(a))
        if altered:
            rng = np.random.default_rng(1)
            data.all_labels[data.split.validation] = rng.random(20)
            data.true_accuracy[data.split.validation] = rng.random(20)
        predictor = Linear()
        fit(SelfEvolution(iterations=4, targets=targets), data, 3, predictor)
        runs.append(predictor.table.detach().clone())
    assert torch.equal(*runs)


def test_only_the_evaluation_reads_the_validation_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    data, reads = make_data(), []

    class Spied(np.ndarray):
        def __getitem__(self, key: Any) -> Any:
            reads.append(np.atleast_1d(key))
            return np.asarray(self)[key]

    data.all_labels = data.all_labels.view(Spied)
    data.true_accuracy = None  # type: ignore[assignment]  # reading it would fail
    fit(SelfEvolution(iterations=4), data, 3)
    assert len(reads) == 5
    assert all(np.array_equal(key, data.split.validation) for key in reads)


def test_the_training_labels_stay_as_they_are() -> None:
    data = make_data()
    before = data.training_labels.clone()
    fit(SelfEvolution(iterations=2), data, 2)
    assert torch.equal(data.training_labels, before)
    assert not set(data.training_indices.tolist()) & set(data.split.validation.tolist())


@BOTH
def test_a_predictor_that_fits_already_stays_as_good(targets: str) -> None:
    """Its evaluations are above zero (the runs' noise), yet tau moves by less than 0.01."""
    data = make_data(count=400, train_size=200, validation_size=50)
    predictor = Linear()

    def evaluate() -> dict[str, Any]:
        return {"tau": kendall_tau(predictor(data.graphs).detach(), data.true_accuracy)}

    framework = SelfEvolution(
        iterations=15,
        targets=targets,
        learning_rate=1e-3,
        label_floor=None,  # a linear predictor cannot follow labels that are bent at a floor
    )
    framework.evaluate = evaluate
    fit(framework, data, 50, predictor)
    before, after = framework.phase_results["supervised"]["tau"], evaluate()["tau"]
    assert before > 0.9
    assert float(framework.errors.min()) > 0
    assert abs(after - before) < 0.01


@pytest.mark.parametrize("loss", ["logistic", "hinge"])
def test_scores_of_rank_losses_are_put_on_the_labels_scale(loss: str) -> None:
    framework, data = SelfEvolution(iterations=3), make_data()
    trainer = fit(framework, data, 30, loss=loss)
    task = trainer.lightning_module
    assert isinstance(task, PredictorTask)
    scores = task(data.graphs[data.training_indices]).detach()
    labels = data.training_labels.clamp(min=-1.0)  # the framework's floor
    slope, offset = framework.scale
    assert slope != 1.0
    wanted = admm.affine_calibration(scores.double(), labels.double())
    assert framework.scale == pytest.approx(wanted, rel=1e-4)
    residual = slope * scores + offset - labels
    assert float((residual**2).mean()) < 0.5  # of labels of unit variance
    assert float(framework.errors[-1]) < 1.0


def test_scores_of_the_squared_error_are_on_that_scale_already() -> None:
    framework = SelfEvolution(iterations=2)
    fit(framework, make_data(), 2)
    assert framework.scale == (1.0, 0.0)


def test_the_window_keeps_the_newest_constraints(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    original = admm.closed_form_targets

    def spied(prediction: Any, predictions: Any, *rest: Any) -> Any:
        seen.append(len(predictions))
        return original(prediction, predictions, *rest)

    monkeypatch.setattr(admm, "closed_form_targets", spied)
    framework = SelfEvolution(iterations=5, window=3)
    fit(framework, make_data(), 2)
    assert seen == [1, 2, 3, 3, 3, 3]
    assert len(framework.multipliers) == 6


def test_part_of_the_validation_set_in_each_step() -> None:
    framework = SelfEvolution(iterations=2, validation_batch=5)
    fit(framework, make_data(), 2)
    assert len(framework.targets) == 20


class Stop(Callback):
    """Ends the fit with an error at the beginning of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == self.epoch:
            raise ZeroDivisionError


@BOTH
def test_the_state_survives_a_kill(targets: str, tmp_path: Path) -> None:
    unbroken, whole = SelfEvolution(iterations=6, targets=targets), Linear()
    fit(unbroken, make_data(), 3, whole)

    def clock() -> ClockCheckpoint:
        return ClockCheckpoint(tmp_path, every_seconds=0)

    with pytest.raises(ZeroDivisionError):
        fit(
            SelfEvolution(iterations=6, targets=targets),
            *(make_data(), 3),
            callbacks=(clock(), Stop(6)),
        )
    resumed, again = SelfEvolution(iterations=6, targets=targets), Linear()
    torch.manual_seed(99)
    path = clock().path
    fit(resumed, make_data(), 3, again, callbacks=(clock(),), checkpoint=path)
    assert torch.equal(again.table, whole.table)
    for name in ("targets", "multipliers", "predictions", "errors"):
        assert torch.equal(getattr(resumed, name), getattr(unbroken, name)), name
    assert resumed.scale == unbroken.scale
    assert resumed.phase_results == unbroken.phase_results


def test_predictors_that_compare_pairs_are_refused() -> None:
    class Pairwise(GradientPredictor):
        pairwise = True

    with pytest.raises(NaspError, match="Pairwise only compares pairs: use framework=supervised"):
        SelfEvolution().prepare(PredictorTask(Pairwise()), make_data(), 1)


def refuse(data: ArchitectureData, words: str) -> None:
    with pytest.raises(NaspError, match=words):
        SelfEvolution().prepare(PredictorTask(Linear()), data, 1)


def test_splits_that_cannot_be_evolved_on_are_refused() -> None:
    refuse(make_data(validation_size=0), "data.validation_size=0")
    refuse(make_data(train_on_validation=True), "is the control of self-evolution")


@pytest.mark.parametrize(
    "settings",
    [
        {"iterations": 0},
        {"iterations": -1},
        {"iterations": 2.5},
        {"iterations": None},
        {"inner_steps": 0},
        {"inner_steps": None},
        {"window": 0},
        {"validation_batch": 0},
        {"mu": -1.0},
        {"rho": -1.0},
        {"epsilon": float("nan")},
        {"multiplier_clip": -1.0},
        {"learning_rate": 0.0},
        {"learning_rate": -1.0},
        {"label_floor": "low"},
        {"label_floor": float("nan")},
        {"targets": "wrong"},
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any]) -> None:
    ((name, value),) = settings.items()
    with pytest.raises(NaspError, match=f"framework.{name}={value}: "):
        SelfEvolution(**settings)


@pytest.mark.parametrize("settings", [{"rho": 0.0}, {"step": 0.0}, {"step": 0.5}])
def test_settings_of_the_gradient_form_are_refused_before_the_fit(settings: Any) -> None:
    ((name, value),) = settings.items()
    with pytest.raises(NaspError, match=f"framework.{name}={value}: "):
        SelfEvolution(targets="gradient", **settings)
