from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.error import NaspError
from nasp_lightning.predictor.base import AdoptedModule, GradientPredictor
from nasp_lightning.predictor.bonas import BONAS
from nasp_lightning.predictor.gaussian_process import GaussianProcess
from nasp_lightning.predictor.siamese import Siamese
from nasp_lightning.space.base import Graphs
from nasp_lightning.task.loss import logistic
from nasp_lightning.task.predictor import Phase, PredictorTask
from nasp_lightning.task.schedule import cosine
from tests.tiny import space, tiny_table


class Linear(GradientPredictor):
    """A linear predictor of the operations."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 6, _weight=torch.zeros(5, 6))

    def forward(self, graphs: Graphs) -> Tensor:
        weights = self.table(graphs.operations.long())
        return weights.diagonal(dim1=1, dim2=2).sum(1)


def fit(task: PredictorTask, epochs: int, **settings: Any) -> None:
    data = ArchitectureData(tiny_table(), space(), train_size=40, validation_size=10, **settings)
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    trainer.fit(task, datamodule=data)


def adam(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, 0.05)


@pytest.mark.parametrize("loss", ["mse", "logistic", "hinge"])
def test_every_loss_learns_the_order(loss: str) -> None:
    from nasp_lightning.metric.functional import kendall_tau

    task = PredictorTask(Linear(), loss, optimizer=adam)
    fit(task, 40)
    table = tiny_table()
    scores = task(space().encode(table.operations)).detach()
    truth = table.metrics["cifar10/test_accuracy/200"].mean(1)
    assert kendall_tau(scores, truth) > 0.8
    assert task.ranks_only == (loss != "mse")


def test_the_learning_rate_follows_the_phases() -> None:
    rates: list[float] = []

    class Recorded(PredictorTask):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            if batch_idx == 0:
                rates.append(self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]
            return super().training_step(batch, batch_idx)

    task = Recorded(Linear(), optimizer=adam, schedule=cosine)
    task.phases = [Phase("supervised", 2), Phase("second", 2, learning_rate=1.0)]
    fit(task, 4)
    assert rates == pytest.approx([0.05, 0.025, 1.0, 0.5])


def test_phases_by_epoch() -> None:
    task = PredictorTask(Linear())
    task.phases = [Phase("a", 2), Phase("b", 3)]
    assert [task.phase_of(epoch) for epoch in range(6)] == [
        *((0, 0), (0, 1)),
        *((1, 0), (1, 1), (1, 2)),
        (1, 3),
    ]


def test_the_auxiliary_term_is_added_to_every_step() -> None:
    task = PredictorTask(Linear(), optimizer=lambda parameters: torch.optim.SGD(parameters, 0.0))
    seen: list[int] = []

    def term() -> Tensor:
        seen.append(1)
        return task.predictor.table.weight.sum()  # type: ignore[union-attr,operator,no-any-return]

    task.auxiliary = term
    fit(task, 1)
    assert len(seen) == 4
    gradient = task.predictor.table.weight.grad  # type: ignore[union-attr]
    assert isinstance(gradient, Tensor)
    assert gradient.sum() != 0


def test_the_epochs_loss_is_the_mean_of_its_steps() -> None:
    losses: list[float] = []

    class Recorded(PredictorTask):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            loss = super().training_step(batch, batch_idx)
            losses.append(float(loss.detach()))
            return loss

    task = Recorded(Linear(), optimizer=adam)
    fit(task, 2)
    assert task.epoch_loss == pytest.approx(sum(losses[4:]) / 4, rel=1e-5)
    logged = task.trainer.callback_metrics["train/loss"]
    assert float(logged) == pytest.approx(task.epoch_loss)


def test_a_loss_that_is_not_finite_is_one_sentence() -> None:
    task = PredictorTask(Linear(), optimizer=lambda parameters: torch.optim.SGD(parameters, 1e30))
    with pytest.raises(NaspError, match=r"the training loss is \w+ in epoch 0: lower optimizer.lr"):
        fit(task, 3)


def test_an_unknown_loss_is_one_sentence() -> None:
    with pytest.raises(NaspError, match=r"task.loss=foo"):
        PredictorTask(Linear(), loss="foo")


def test_a_ranking_loss_takes_the_place_of_a_loss_that_lets_it() -> None:
    made = Siamese(space().shape, hidden=4)
    assert PredictorTask(made).loss_name == "own"
    task = PredictorTask(made, loss="logistic")
    assert (task.loss_name, task.ranks_only) == ("logistic", True)
    graphs, labels = space().encode(tiny_table().operations[:8]), torch.arange(8.0)
    made.eval()
    torch.testing.assert_close(task.batch_loss(graphs, labels), logistic(made(graphs), labels))


def test_another_loss_of_its_own_stays() -> None:
    made = BONAS(space().shape)
    assert PredictorTask(made).loss_name == "own"
    for loss in ("logistic", "hinge"):
        with pytest.raises(NaspError, match=f"task.loss={loss}: BONAS has a loss of its own"):
            PredictorTask(made, loss=loss)


def test_a_plain_module_is_adopted() -> None:
    plain = nn.Linear(1, 1)
    task = PredictorTask(plain)
    assert isinstance(task.predictor, AdoptedModule)
    assert task.predictor.module is plain
    assert list(task.state_dict()) == ["predictor.module.weight", "predictor.module.bias"]


def test_what_is_not_trained_by_gradients_is_refused() -> None:
    made = GaussianProcess(space().shape)
    with pytest.raises(NaspError, match="GaussianProcess has no gradient training"):
        PredictorTask(made)  # type: ignore[arg-type]
