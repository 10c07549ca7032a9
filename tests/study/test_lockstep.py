"""Many runs as one computation: views, clipping, what cannot be."""

from __future__ import annotations

import functools
import shutil
from typing import Any

import pytest
import torch
from torch._dynamo.exc import TorchDynamoException

from nasp_lightning.error import NaspError
from nasp_lightning.framework.batch_top_sampling import BatchTopSampling
from nasp_lightning.framework.self_evolution import SelfEvolution
from nasp_lightning.framework.supervised import Supervised
from nasp_lightning.predictor.siamese import Siamese
from nasp_lightning.study.lockstep import (
    Run,
    StackedRuns,
    clip_runs,
    gather,
    train_lockstep,
    why_not_lockstep,
)
from nasp_lightning.task.predictor import PredictorTask
from tests.framework.runs import Linear, adam, make_data
from tests.tiny import space

ADAM = {"max_epochs": 3, "accelerator": "cpu", "precision": "32-true", "gradient_clip_val": None}


def prepared(
    framework: Any, seed: int, predictor: Any = None, epochs: int = 4, loss: str = "mse"
) -> Run:
    data = make_data(validation_size=0, seed=seed)
    torch.manual_seed(seed)
    task = PredictorTask(predictor or Linear(), loss, optimizer=adam)
    framework.prepare(task, data, epochs)
    return Run(task, data, framework)


def offset(run: Run) -> torch.Tensor:
    assert isinstance(run.task.predictor, Linear)
    return run.task.predictor.offset


@pytest.mark.parametrize(
    ("kind", "loss", "backend"),
    [
        (Supervised, "mse", None),
        (BatchTopSampling, "mse", None),
        (BatchTopSampling, "hinge", None),
        (BatchTopSampling, "mse", "aot_eager"),
        pytest.param(BatchTopSampling, "mse", "inductor", marks=pytest.mark.slow),
    ],
)
def test_every_run_is_what_it_is_alone(
    kind: Any, loss: str, backend: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "inductor" and shutil.which("g++") is None:
        pytest.skip("no C++ compiler here")
    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    runs = [
        prepared(kind(), seed, Siamese(space().shape, hidden=4), loss=loss) for seed in range(3)
    ]
    starts = [
        {name: item.clone() for name, item in run.task.predictor.state_dict().items()}
        for run in runs
    ]
    train_lockstep(runs, 4, compiled=backend is not None)
    for seed, (run, start) in enumerate(zip(runs, starts, strict=True)):
        predictor = Siamese(space().shape, hidden=4)
        predictor.load_state_dict(start)
        alone, data = kind(), make_data(validation_size=0, seed=seed)
        task = _alone(alone, data, predictor, loss)
        assert data.train_indices.tolist() == run.data.train_indices.tolist()
        assert (data.mean, data.std) == (run.data.mean, run.data.std)
        for name, item in task.predictor.state_dict().items():
            torch.testing.assert_close(
                run.task.predictor.state_dict()[name], item, atol=1e-4, rtol=1e-3
            )


def _alone(framework: Any, data: Any, predictor: Any, loss: str) -> PredictorTask:
    from tests.framework.runs import train

    task = PredictorTask(predictor, loss, optimizer=adam)
    train(task, data, framework.prepare(task, data, 4), [framework])
    return task


def test_predictors_are_views_of_the_stacked_tensors() -> None:
    runs = [prepared(Supervised(), seed) for seed in range(3)]
    stacked = StackedRuns([run.task for run in runs])
    with torch.no_grad():
        stacked.parameters["predictor.offset"][1] = 7.0
    offsets = [offset(run).item() for run in runs]
    assert offsets == [0.0, 7.0, 0.0]
    rows = torch.arange(10).expand(3, 10)
    losses = stacked.losses(gather(runs[0].data.graphs, rows), torch.zeros(3, 10))
    assert losses.tolist() == [0.0, 49.0, 0.0]


def test_gradients_are_clipped_run_by_run() -> None:
    gradients = [torch.tensor([[3.0, 0.0], [0.3, 0.0]]), torch.tensor([[4.0], [0.4]]), None]
    clip_runs(gradients, 1.0)
    assert gradients[0] is not None
    assert gradients[0].flatten().tolist() == pytest.approx([0.6, 0, 0.3, 0], abs=1e-5)


@pytest.mark.parametrize(
    ("framework", "trainer", "words"),
    [
        (Supervised, {}, None),
        (BatchTopSampling, {}, None),
        (SelfEvolution, {}, "framework SelfEvolution trains one run at a time"),
        (Supervised, {"precision": "bf16-mixed"}, "trainer.precision=bf16-mixed is not 32-true"),
        (Supervised, {"accumulate_grad_batches": 2}, "trainer.accumulate_grad_batches is set"),
    ],
)
def test_what_can_be_trained_at_once(framework: Any, trainer: Any, words: str | None) -> None:
    data = make_data(validation_size=10)
    task = PredictorTask(Linear(), optimizer=adam)
    made = framework()
    made.prepare(task, data, 4)
    assert why_not_lockstep(Run(task, data, made), {**ADAM, **trainer}) == words


def test_runs_that_may_stop_early_go_alone() -> None:
    run = prepared(Supervised(), 0)
    run.task.patience = 3
    assert why_not_lockstep(run, ADAM) == "task.patience ends each run when its own loss says so"


class Branching(Linear):
    """Asks for a value, which cannot be vectorised."""

    def forward(self, graphs: Any) -> Any:
        scores = super().forward(graphs)
        return scores if float(scores.sum()) > 0 else scores + 0.0


def test_a_predictor_that_cannot_be_vectorised_is_named() -> None:
    run = prepared(Supervised(), 0, Branching())
    before = offset(run).detach().clone()
    words = why_not_lockstep(run, ADAM)
    assert words is not None
    assert words.startswith("Branching cannot be vectorised over runs (")
    assert torch.equal(offset(run), before)


def test_a_loss_that_is_not_finite_stops_all() -> None:
    runs = [prepared(Supervised(), seed) for seed in range(2)]
    offset(runs[1]).data.fill_(float("nan"))
    with pytest.raises(NaspError, match="the training loss is nan in epoch 0"):
        train_lockstep(runs, 2)


def test_what_cannot_be_compiled_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(*given: Any) -> Any:
        raise TorchDynamoException("no compiler\nand a long story")

    monkeypatch.setattr(torch, "compile", lambda function: compiled)
    words = r"cannot compile .*no compiler.*leave job.compile out"
    with pytest.raises(NaspError, match=words):
        train_lockstep([prepared(Supervised(), 0)], 2, compiled=True)
