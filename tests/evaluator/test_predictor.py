from __future__ import annotations

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.part.predictor import PredictorEvaluator
from tests.search.tables import evaluator


def test_scores_cost_no_label_and_are_asked_for_once():
    table, asked = evaluator(), []

    def score(items):
        asked.extend(item.key for item in items)
        return np.array([float(item.operations.sum()) for item in items])

    scored = PredictorEvaluator(table, score)
    drawn = scored.sample(np.random.default_rng(0), 10)
    assert scored.evaluate([*drawn, *drawn]).tolist() == [
        float(item.operations.sum()) for item in [*drawn, *drawn]
    ]
    scored.evaluate(drawn)
    assert asked == [item.key for item in drawn]
    assert table.labels_used == 0
    assert not {item.key for item in scored.sample(np.random.default_rng(0), 50)} & set(asked)
    assert scored.cost("parameters", drawn).tolist() == table.cost("parameters", drawn).tolist()
    assert len(scored.everything) == 6561
    mutant = scored.mutate(np.random.default_rng(1), drawn[0])
    assert (mutant.operations != drawn[0].operations).sum() == 1
    child = scored.crossover(np.random.default_rng(1), drawn[0], drawn[1])
    one, other = drawn[0].operations, drawn[1].operations
    assert ((child.operations == one) | (child.operations == other)).all()


def test_a_fit_that_diverged():
    scored = PredictorEvaluator(evaluator(), lambda items: np.full(len(items), np.nan))
    with pytest.raises(NaspError, match="3 of 3 scores are not finite"):
        scored.evaluate(scored.sample(np.random.default_rng(0), 3))
