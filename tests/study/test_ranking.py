from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.error import NaspError
from nasp_lightning.metric.functional import kendall_tau
from nasp_lightning.study.ranking import rank_scores
from tests.tiny import space, tiny_table


def make(**settings: Any) -> ArchitectureData:
    sizes = {"train_size": 20, "validation_size": 10, **settings}
    return ArchitectureData(tiny_table(), space(), **sizes)


def test_a_perfect_ranking() -> None:
    data = make()
    results = rank_scores(data.true_accuracy.copy(), data, 10)
    for name in ("kendall_tau", "kendall_tau_excluding_train", "spearman", "pearson"):
        assert vars(results)[name] == pytest.approx(1)
    assert results.best_in_top_k == pytest.approx(data.true_accuracy.max())
    assert results.regret_at_k == pytest.approx(0)
    assert results.precision_at_k == 1
    assert results.best_percent_in_top_k == pytest.approx(0.1)  # one of 100 is the best 1 %
    assert results.kendall_tau_top_tenth == pytest.approx(1)
    assert (results.top_k, results.train_labels) == (10, 20)


def test_training_architectures_count_in_one_tau_and_not_in_the_other() -> None:
    data = make()
    scores = data.true_accuracy.copy()
    scores[data.train_indices] = -scores[data.train_indices]
    results = rank_scores(scores, data, 10)
    assert results.kendall_tau_excluding_train == pytest.approx(1)
    assert results.kendall_tau == pytest.approx(kendall_tau(scores, data.true_accuracy))
    assert results.kendall_tau < 0.9


def test_only_the_test_set_counts() -> None:
    data = make(test_size=30)
    scores = -data.true_accuracy
    scores[data.split.test] = data.true_accuracy[data.split.test]
    results = rank_scores(scores, data, 50)
    assert results.kendall_tau == pytest.approx(1)
    assert results.top_k == 30


def test_the_control_excludes_all_that_it_trained_on() -> None:
    data = make(train_on_validation=True)
    results = rank_scores(data.true_accuracy, data, 10)
    assert results.train_labels == 30


def test_nothing_left_beside_training() -> None:
    data = make(train_size=99, validation_size=0)
    assert rank_scores(data.true_accuracy, data, 10).kendall_tau_excluding_train is None


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(wrong: float) -> None:
    data = make()
    scores = data.true_accuracy.copy()
    scores[3] = wrong
    with pytest.raises(NaspError, match=r"1 of 100 scores are not finite: the fit diverged"):
        rank_scores(scores, data, 10)
