from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau

from nasp_lightning.error import NaspError
from nasp_lightning.run.config import RunInfo
from nasp_lightning.study.levels import TableLevels
from nasp_lightning.study.settings import StudySettings
from tests.job.searches import make_words
from tests.search.tables import budgets
from tests.search.tables import levelled as evaluator

MACRO = ("job=search", "benchmark=macro")


def levels(tmp_path: Path, *words: str, count: int = 2) -> TableLevels:
    asked = evaluator()
    settings = StudySettings.of(RunInfo.of(make_words(*MACRO, *words)))
    return TableLevels(settings, budgets(), asked.space, tmp_path, count)


@pytest.mark.parametrize("predictor", ["multiview", "gaussian_process"])
def test_lower_labels_teach_of_the_full_budget(predictor: str, tmp_path: Path):
    words = (f"predictor={predictor}",)
    asked = evaluator()
    items, rng = asked.everything, np.random.default_rng(0)
    rows = rng.permutation(len(items))
    chosen = [items[row] for row in rows[:80]]
    lower = asked.evaluate_at("10", chosen)
    full = asked.evaluate(chosen[:12])
    surrogate = levels(tmp_path, *words)
    surrogate.refit_levels([(chosen, lower), (chosen[:12], full)], 0)
    belief = surrogate.belief(items)
    alone = levels(tmp_path, *words, count=1)
    alone.refit_levels([(chosen[:12], full)], 0)
    held = rows[80:1080]
    truth = asked.truth[held]
    tau = kendalltau(belief.mean[held], truth)[0]
    assert tau > kendalltau(alone.score(items)[held], truth)[0] + 0.1
    assert abs(belief.mean[held] - truth).mean() < 0.1  # accuracies
    assert belief.correlation.shape == belief.certainty.shape == (1, len(items))
    for share in (belief.correlation, belief.certainty):
        assert ((share >= 0) & (share <= 1)).all()
    if predictor == "multiview":  # a label that is there tells less; the plain one is too sure
        assert belief.correlation[0, rows[:80]].mean() < belief.correlation[0, held].mean()


def test_a_repeat_knows_nothing_of_the_last(tmp_path: Path):
    asked = evaluator()
    chosen = asked.everything[::100]
    sets: list[Any] = [
        (chosen[:40], asked.evaluate_at("10", chosen[:40])),
        (chosen[:8], asked.evaluate(chosen[:8])),
    ]
    others: list[Any] = [
        (chosen[40:], asked.evaluate_at("10", chosen[40:])),
        (chosen[50:60], asked.evaluate(chosen[50:60])),
    ]
    surrogate = levels(tmp_path, "predictor=multiview")
    surrogate.refit_levels(sets, 0)
    first = surrogate.belief(asked.everything)
    surrogate.refit_levels(others, 0)
    surrogate.restart()
    surrogate.refit_levels(sets, 0)
    again = surrogate.belief(asked.everything)
    np.testing.assert_allclose(first.mean, again.mean, atol=1e-5)
    np.testing.assert_allclose(first.deviation, again.deviation, atol=1e-5)


def test_predictors_that_cannot(tmp_path: Path):
    with pytest.raises(NaspError, match=r"cannot be fitted on several training budgets: choose"):
        levels(tmp_path, "predictor=gradient_boosting")
