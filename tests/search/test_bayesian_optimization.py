from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate
from nasp_lightning.search.base import RECOMMENDED
from nasp_lightning.search.bayesian_optimization import BayesianOptimization
from nasp_lightning.search.part.acquisition import ACQUISITIONS
from nasp_lightning.search.part.proposals import evolve
from tests.search.tables import Linear, evaluator, small, whole_space


def found_best(table: Any) -> bool:
    return bool(table.truth[table.history[int(table.accuracies.argmax())].key] == table.best)


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
@pytest.mark.parametrize("listed", [True, False])
def test_it_finds_the_optimum(acquisition: str, listed: bool):
    table, surrogate = evaluator(), Linear()
    search = BayesianOptimization(
        60, 20, 10, acquisition=acquisition, shortlist=100, listed=listed, proposals=1000
    )
    search.run(table, np.random.default_rng(0), surrogate)
    assert table.labels_used == 60
    assert surrogate.sizes == [20, 30, 40, 50, 60]  # the last for the recommendation
    assert found_best(table)


def test_fewer_labels_than_a_search_of_proposals():
    """With few labels it is ahead of random search by far."""
    regrets = []
    for seed in range(5):
        table = evaluator(whole_space(noise=0.01))
        BayesianOptimization(30, 10, 2).run(table, np.random.default_rng(seed), Linear())
        regrets.append(table.best - table.truth[table.history[table.accuracies.argmax()].key])
    assert np.mean(regrets) < 0.05


@pytest.mark.parametrize("pending", [1, 5])
def test_labels_come_later_with_more_workers(pending: int):
    """Whatever is chosen, ``pending`` others are being evaluated; nothing is asked for twice."""
    table, surrogate = evaluator(), Linear()
    chosen: list[tuple[int, int]] = []
    search = BayesianOptimization(40, 10, 2, pending=pending)
    choose = search.choose

    def noted(evaluator: Any, surrogate: Any, rng: Any, count: int, running: Any) -> Any:
        found = choose(evaluator, surrogate, rng, count, running)
        assert not {item.key for item in found} & {item.key for item in running}
        assert not any(evaluator.known(item) for item in found)
        chosen.append((len(running), count))
        return found

    search.choose = noted  # type: ignore[method-assign]
    search.run(table, np.random.default_rng(0), surrogate)
    assert table.labels_used == 40
    assert chosen[0] == (0, 2 + pending)
    assert set(chosen[1:-1]) == {(pending, 2)}
    assert sum(count for _, count in chosen) == 30


def test_an_exhausted_space_is_used_up_and_no_more():
    table = small(30)
    BayesianOptimization(30, 5, 4).run(table, np.random.default_rng(0), Linear())
    assert table.labels_used == 30
    with pytest.raises(NaspError, match="only 30 architectures can be evaluated: plan fewer"):
        BayesianOptimization(31).run(small(30), np.random.default_rng(0), Linear())
    used = small(30)
    used.evaluate(used.everything)
    linear = Linear()
    linear.fit(used.history, used.accuracies, 0)
    with pytest.raises(NaspError, match="the space is exhausted after 30 labels"):
        BayesianOptimization(30, 5).choose(used, linear, np.random.default_rng(0), 1)


@pytest.mark.parametrize("listed", [True, False])
def test_few_architectures_can_be_proposed(listed: bool):
    table = small(30)
    search = BayesianOptimization(29, 5, 4, listed=listed)
    search.run(table, np.random.default_rng(0), Linear())
    assert table.labels_used == 29


class Failing(Linear):
    """Notes the lowest accuracy that it is fitted on."""

    lowest = 1.0

    def fit(self, architectures: Sequence[Candidate], accuracies: Any, seed: int) -> None:
        self.lowest = min(self.lowest, float(accuracies.min()))
        super().fit(architectures, accuracies, seed)


@pytest.mark.parametrize("failure", [0.0, np.nan])
def test_failed_trainings_count_and_teach_nothing(failure: float):
    table, surrogate = evaluator(), Failing()
    table.failed_below = 0.3
    labels = table.labels

    def failing(architectures: Sequence[Candidate]) -> tuple[Any, Any]:
        accuracies, seconds = labels(architectures)
        failed = np.array([item.key % 3 == 0 for item in architectures])
        return np.where(failed, failure, accuracies), seconds

    table.labels = failing  # type: ignore[method-assign]
    extras = BayesianOptimization(40, 10, 3).run(table, np.random.default_rng(0), surrogate)
    assert table.labels_used == 40
    assert surrogate.lowest > 0.3
    assert table.accuracies[extras[RECOMMENDED][-1]] > 0.7


def test_when_all_first_trainings_fail_others_are_tried():
    table = evaluator()
    table.failed_below = 0.3
    labels, asked = table.labels, [0]

    def failing(architectures: Sequence[Candidate]) -> tuple[Any, Any]:
        accuracies, seconds = labels(architectures)
        asked[0] += len(architectures)
        return (accuracies if asked[0] > 8 else np.zeros(len(accuracies))), seconds

    table.labels = failing  # type: ignore[method-assign]
    BayesianOptimization(20, 5).run(table, np.random.default_rng(0), Linear())
    assert table.labels_used == 20


class Knowing(Linear):
    """Its scores are the truth."""

    def __init__(self, truth: Any) -> None:
        super().__init__()
        self.truth = truth

    def score(self, architectures: Sequence[Candidate]) -> Any:
        return self.truth[[item.key for item in architectures]]


@pytest.mark.parametrize("rule", ["label", "posterior"])
def test_recommendation(rule: str):
    table = evaluator(whole_space(noise=0.1))
    search = BayesianOptimization(40, 10, 4, recommend=rule)
    extras = search.run(table, np.random.default_rng(0), Knowing(table.truth))
    said = extras[RECOMMENDED]
    assert len(said) == 40
    assert (said[:9] == -1).all()
    for place in np.flatnonzero(said >= 0):
        evaluated = [item.key for item in table.history[: place + 1]]
        values = table.truth[evaluated] if rule == "posterior" else table.accuracies[: place + 1]
        assert values[said[place]] == values.max()
    handed = table.truth[table.history[said[-1]].key]
    assert (handed == table.truth[[item.key for item in table.history]].max()) == (
        rule == "posterior"
    )


def test_predictions_that_are_not_finite_are_refused():
    class Diverged(Linear):
        def signal(self, architectures: Sequence[Candidate]) -> tuple[Any, Any]:
            mean, deviation = super().signal(architectures)
            return np.where(np.arange(len(mean)) == 3, np.nan, mean), deviation

    with pytest.raises(NaspError, match="1 of 6561 predictions are not finite"):
        BayesianOptimization(20).run(evaluator(), np.random.default_rng(0), Diverged())


def test_proposals_climb_what_they_promise():
    table, rng = evaluator(), np.random.default_rng(0)
    table.evaluate(table.sample(rng, 10))
    known = {item.key for item in table.history}

    def worth(items: Sequence[Candidate]) -> Any:
        return table.truth[[item.key for item in items]]

    found = evolve(table, rng, worth, 1000, 50, known)
    keys = [item.key for item in found]
    assert len(keys) == len(set(keys)) == 50
    assert not known & set(keys)
    values = table.truth[keys]
    assert (np.diff(values) <= 0).all()
    assert values[0] == table.best


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": 9}, "search.initial=10 is more than search.labels=9"),
        ({"batch": 0}, "search.batch=0"),
        ({"pending": -1}, "search.pending=-1"),
        ({"kappa": -1.0}, "search.kappa=-1"),
        ({"acquisition": "luck"}, "search.acquisition=luck"),
        ({"recommend": "luck"}, "search.recommend=luck: choose label or posterior"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str):
    with pytest.raises(NaspError, match=message):
        BayesianOptimization(**settings)
