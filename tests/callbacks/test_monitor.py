from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning.pytorch import Callback

from nasp_lightning.callbacks.monitor import Monitor
from nasp_lightning.error import NaspError
from nasp_lightning.framework.supervised import Supervised
from nasp_lightning.metric.functional import kendall_tau
from tests.framework.runs import Linear, fit, make_data


class Logged(Callback):
    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.last = -2.0

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        value = float(trainer.callback_metrics.get("monitor/kendall_tau", -2.0))
        if value != self.last:
            self.epochs.append(trainer.current_epoch)
        self.last = value


def test_it_measures_every_few_epochs_and_at_the_end() -> None:
    logged, data, predictor = Logged(), make_data(monitor_size=50), Linear()
    fit(Supervised(), data, 7, predictor, callbacks=(Monitor(3), logged))
    assert logged.epochs == [2, 5, 6]
    chosen = data.monitor_indices
    scores = predictor(data.graphs[torch.from_numpy(chosen)]).detach()
    assert logged.last == pytest.approx(kendall_tau(scores, data.true_accuracy[chosen]), abs=1e-6)


def test_looking_changes_nothing() -> None:
    watched, alone = Linear(), Linear()
    fit(Supervised(), make_data(), 4, watched, callbacks=(Monitor(1),))
    fit(Supervised(), make_data(), 4, alone)
    assert torch.equal(watched.table, alone.table)
    assert watched.training


def test_it_needs_an_epoch() -> None:
    with pytest.raises(NaspError, match=r"callbacks.monitor.every_epochs=0"):
        Monitor(0)
