from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.table import TableEvaluator
from nasp_lightning.metric.functional import kendall_tau
from nasp_lightning.predictor.base import adopt
from nasp_lightning.run.config import RunInfo
from nasp_lightning.study.settings import StudySettings
from nasp_lightning.study.surrogate import TableSurrogate
from tests.framework.runs import Stuck
from tests.job.searches import make_words
from tests.tiny import space, tiny_table


def make(tmp_path: Path, *words: str) -> tuple[TableSurrogate, TableEvaluator]:
    table = tiny_table()
    config = make_words("job=search", *words)
    surrogate = TableSurrogate(StudySettings.of(RunInfo.of(config)), table, space(), tmp_path)
    return surrogate, TableEvaluator(table, space())


def test_the_posterior_is_on_the_scale_of_accuracies(tmp_path: Path):
    surrogate, evaluator = make(tmp_path, "predictor=gaussian_process")
    everything = evaluator.everything
    surrogate.fit(everything[:60], evaluator.row_labels[:60], seed=0)
    mean, deviation = surrogate.posterior(everything)
    assert kendall_tau(mean[60:], evaluator.truth[60:]) > 0.6
    assert abs(mean[60:] - evaluator.truth[60:]).mean() < 0.08
    assert (deviation > 0).all()
    assert deviation.mean() < 0.2


def test_a_neural_fit_learns_and_its_seed_decides(tmp_path: Path):
    words = ("predictor=neural_predictor", "trainer.max_epochs=40", "optimizer.lr=0.003")
    surrogate, evaluator = make(tmp_path, *words)
    everything = evaluator.everything
    scores = []
    for seed in (3, 3, 4):
        surrogate.fit(everything[:60], evaluator.row_labels[:60], seed=seed)
        scores.append(surrogate.score(everything))
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])
    assert kendall_tau(scores[0][60:], evaluator.truth[60:]) > 0.3


def test_only_the_given_labels_are_used(tmp_path: Path):
    surrogate, evaluator = make(tmp_path, "predictor=gaussian_process")
    everything, labels = evaluator.everything, evaluator.row_labels[:40]
    surrogate.fit(everything[:40], labels, seed=0)
    straight = surrogate.score(everything)
    surrogate.fit(everything[:40], 1 - labels, seed=0)
    assert kendall_tau(straight, surrogate.score(everything)) < -0.9


def test_a_predictor_that_is_not_sure_of_itself_is_refused(tmp_path: Path):
    surrogate, evaluator = make(tmp_path, "predictor=gradient_boosting")
    with pytest.raises(NaspError, match="predictor=gradient_boosting does not say how sure"):
        surrogate.posterior(evaluator.everything)


def test_patience_ends_a_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    surrogate, evaluator = make(tmp_path, "trainer.max_epochs=60", "task.patience=2")
    monkeypatch.setattr(surrogate, "_new_predictor", lambda: adopt(Stuck(), "stuck"))
    order = Counting(surrogate.data.epoch_order)
    monkeypatch.setattr(surrogate.data, "epoch_order", order)
    surrogate.fit(evaluator.everything[:20], evaluator.row_labels[:20], seed=0)
    assert order.epochs == list(range(24))


class Counting:
    """Notes the epochs whose batches are asked for."""

    def __init__(self, order: Any) -> None:
        self.order, self.epochs = order, list[int]()

    def __call__(self, epoch: int) -> Any:
        self.epochs.append(epoch)
        return self.order(epoch)


def test_callbacks_that_a_search_leaves_out_are_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    target = "+callbacks.mine._target_=lightning.pytorch.callbacks.EarlyStopping"
    surrogate, evaluator = make(tmp_path, target)
    for seed in (0, 1):
        surrogate.fit(evaluator.everything[:20], evaluator.row_labels[:20], seed=seed)
    warnings = [item.message for item in caplog.records if item.levelno == logging.WARNING]
    assert warnings == [
        "left out of this job's fits: callbacks.mine; task.patience ends a fit early"
    ]


def test_most_of_a_pool_is_believed_as_all_of_it(tmp_path: Path):
    """Where some architectures cannot be evaluated, the others are no slower and no different."""
    surrogate, evaluator = make(tmp_path, "predictor=multiview", "predictor.width=8")
    everything = evaluator.everything
    surrogate.refit(everything[:30], evaluator.row_labels[:30], seed=0)
    mean, deviation = surrogate.signal(everything)
    most = everything[1:-3]
    for found, expected in zip(surrogate.signal(most), (mean, deviation), strict=True):
        np.testing.assert_array_equal(found, expected[1:-3])
    few = everything[5:9]  # without what is kept
    for found, expected in zip(surrogate.signal(few), (mean, deviation), strict=True):
        np.testing.assert_allclose(found, expected[5:9], atol=1e-4)
