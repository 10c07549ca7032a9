from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.gradient_boosting import GradientBoosting
from nasp_lightning.space.nasbench101 import NASBench101

SPACE = NASBench101()
SMALL = {"iterations": 60, "ensembles": 2}


def problem(count: int = 300) -> tuple[Any, Any]:
    operations, adjacency = SPACE.sample(np.random.default_rng(0), count)
    labels = (operations == 2).sum(1) + 0.3 * (operations == 3).sum(1) - 1.0 * adjacency[:, 0, 1]
    return SPACE.encode(operations, adjacency), labels


@pytest.mark.parametrize("targets", ["normal_scores", "raw"])
def test_learns_and_keeps_the_labels_scale(targets: str) -> None:
    graphs, labels = problem()
    boosting = GradientBoosting(SPACE.shape, targets=targets, **SMALL)
    boosting.fit(graphs[:120], labels[:120])
    scores = boosting.score(graphs)
    assert kendalltau(scores[120:], labels[120:])[0] > 0.7
    assert np.abs(scores[120:] - labels[120:]).mean() < 0.6


def test_seed_decides_the_scores() -> None:
    graphs, labels = problem(150)

    def scores(seed: int) -> Any:
        boosting = GradientBoosting(SPACE.shape, seed=seed, **SMALL)
        boosting.fit(graphs[:100], labels[:100])
        return boosting.score(graphs)

    np.testing.assert_array_equal(scores(1), scores(1))
    assert not np.array_equal(scores(1), scores(2))


@pytest.mark.parametrize(
    ("setting", "value"),
    [("iterations", 0), ("leaves", 1), ("ensembles", True), ("learning_rate", 0), ("l2", -1)],
)
def test_mistakes(setting: str, value: Any) -> None:
    with pytest.raises(NaspError, match=f"{setting}={value}"):
        GradientBoosting(SPACE.shape, **{setting: value})


def test_unfitted() -> None:
    with pytest.raises(NaspError, match="fit before score"):
        GradientBoosting(SPACE.shape).score(problem(5)[0])
