"""Which labels are bought next."""

from __future__ import annotations

import numpy as np
import pytest

from nasp_lightning.data.choosing import (
    buy,
    choose_round,
    choose_top,
    draw_subset,
    random_size,
    round_sizes,
    share_of,
    split_chunks,
)


def test_choice_of_a_round() -> None:
    candidates = np.arange(100, 120)
    scores = np.arange(20.0)
    labelled = np.array([119, 105])
    rng = np.random.default_rng(0)
    better, chosen = choose_round(scores, candidates, labelled, 4, 0.5, rng)
    assert better.tolist() == list(range(119, 109, -1))
    assert chosen[:2].tolist() == [118, 117]
    assert set(chosen[2:]) <= set(range(110, 117))
    assert len(set(chosen)) == 4


def test_a_subset_has_enough_to_choose_from() -> None:
    candidates, labelled = np.arange(50), np.arange(40)
    rows = draw_subset(candidates, labelled, 0.1, 4, np.random.default_rng(0))
    assert len(set(rows)) == len(rows)
    assert np.sum(rows >= 40) == 4
    few = draw_subset(candidates, labelled[:3], 0.4, 4, np.random.default_rng(0))
    assert len(few) == 20
    whole = draw_subset(candidates, labelled, 1.0, 10, np.random.default_rng(0))
    assert sorted(whole) == list(range(50))


def test_the_best_without_a_label_are_chosen() -> None:
    rows, scores = np.array([7, 3, 9, 1, 5]), np.array([0.1, 0.9, 0.5, 0.5, 0.8])
    assert choose_top(scores, rows, np.array([3]), 3).tolist() == [5, 9, 1]


def test_an_update_adds_the_best_of_a_share() -> None:
    pool, candidates = np.array([4, 8]), np.arange(20)
    seen: list[np.ndarray] = []

    def rank(rows: np.ndarray) -> np.ndarray:
        seen.append(rows)
        return rows.astype(float)

    grown = buy(pool, candidates, 0.5, 3, np.random.default_rng(0), rank)
    free = sorted(set(seen[0].tolist()) - {4, 8}, reverse=True)
    assert len(seen[0]) == 10
    assert grown.tolist() == [4, 8, *free[:3]]


@pytest.mark.parametrize(("budget", "rounds"), [(17, 3), (100, 5), (7, 1)])
def test_rounds_spend_the_budget(budget: int, rounds: int) -> None:
    sizes = round_sizes(budget, rounds)
    assert (sum(sizes), len(sizes), sizes[0]) == (budget, rounds, max(sizes))
    assert len(set(sizes[1:])) <= 1


def test_shares_and_chunks() -> None:
    assert (random_size(100, 0.3), random_size(10, 1), random_size(50, 20)) == (30, 10, 20)
    assert [share_of(100, share / 100) for share in range(100)] == list(range(100))
    assert split_chunks(70, 10) == (7,) * 10
    assert split_chunks(7, 10) == (0,) * 9 + (7,)
    assert split_chunks(0, 10) == ()
