"""When top sampling buys, and how much: the published numbers, and what must always hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasp_lightning.error import NaspError
from nasp_lightning.framework.part.sampling_plan import (
    draw_batches,
    initial_size,
    make_plan,
    update_epochs,
)


def test_official_plan_is_the_published_one() -> None:
    """In Siamese-NAS's code λ = 0.3, ten updates at 9, 18, … 90 of the second 100 epochs."""
    plan = make_plan(budget=100, epochs=200)
    assert (plan.warm_up, plan.sampling, plan.final) == (40, 100, 60)
    assert plan.initial == 30
    assert plan.chunks == (7,) * 10
    assert plan.updates == tuple(range(49, 131, 9))


def test_the_remainder_is_in_the_last_chunk() -> None:
    assert make_plan(budget=97, epochs=200).chunks == (6,) * 9 + (14,)


def test_paper_plan_has_no_last_stretch_and_spends_all() -> None:
    plan = make_plan(budget=100, epochs=200, schedule="paper")
    assert (plan.warm_up, plan.sampling, plan.final) == (40, 160, 0)
    assert plan.updates == tuple(range(40, 200, 16))
    assert plan.initial + sum(plan.chunks) == 100


@pytest.mark.parametrize("schedule", ["official", "paper"])
@pytest.mark.parametrize("epochs", [2, 3, 7, 12, 57, 203])
@pytest.mark.parametrize("budget", [7, 30, 101])
@pytest.mark.parametrize("updates", [1, 4, 10])
def test_what_holds_of_every_plan(schedule: str, epochs: int, budget: int, updates: int) -> None:
    plan = make_plan(budget, epochs, updates=updates, schedule=schedule)
    assert plan.warm_up + plan.sampling + plan.final == epochs
    assert plan.initial + sum(plan.chunks) == budget
    assert len(plan.updates) == len(plan.chunks) == updates
    assert list(plan.updates) == sorted(plan.updates)
    assert plan.warm_up <= plan.updates[0]
    assert plan.updates[-1] < plan.warm_up + plan.sampling, "the last labels are trained on"
    assert plan.updates[0] >= 1, "no ranking by an untrained predictor"


def test_few_epochs_make_several_updates_at_once() -> None:
    assert update_epochs(5, 10, "official") == (0, 0, 1, 1, 2, 2, 3, 3, 4, 4)
    assert update_epochs(11, 10, "official") == tuple(range(1, 11))


@pytest.mark.parametrize(
    ("budget", "initial", "size"),
    [(100, 0.3, 30), (27, 0.3, 8), (10, 1.0, 10), (10, 1, 10), (30, 20, 20), (190, 0.3, 57)],
)
def test_initial_pool(budget: int, initial: float, size: int) -> None:
    assert initial_size(budget, initial) == size


def test_without_updates_all_labels_are_random() -> None:
    plan = make_plan(50, 1, initial=1.0)
    assert (plan.initial, plan.chunks, plan.updates, plan.warm_up) == (50, (), (), 1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"budget": 20, "initial": 30}, "train_size=20 is below the initial pool"),
        ({"budget": 5}, "an initial pool of 1"),
        ({"epochs": 1}, "train at least 2"),
        ({"warm_up": 1.0}, "smaller warm_up"),
    ],
)
def test_plans_that_cannot_be(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(NaspError, match=said):
        make_plan(**{"budget": 100, "epochs": 200, **settings})


def test_batches_of_an_epoch() -> None:
    pool = np.array([2, 4, 6])
    rows = draw_batches(pool, 8, 100, np.random.default_rng(0))
    assert len(rows) == 12 * 8
    assert set(rows) == {2, 4, 6}
    assert len(draw_batches(pool, 8, 5, np.random.default_rng(0))) == 8
