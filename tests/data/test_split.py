from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from nasp_lightning.data.split import Split, make_split
from nasp_lightning.error import NaspError


def split(
    train: Any = 40, test: Any = "all", validation: Any = 20, seed: Any = 0, count: int = 500
) -> Split:
    known = np.ones(count, dtype=bool)
    return make_split(known, known, train, test, validation, seed)


def test_a_seed_draws_the_same_split_again() -> None:
    first, second, other = split(test=100), split(test=100), split(test=100, seed=1)
    for name in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
        assert set(getattr(first, name)) != set(getattr(other, name))


@pytest.mark.parametrize("seed", range(5))
def test_the_424_100_split_is_disjoint(seed: int) -> None:
    drawn = split(424, 100, 200, seed, count=1000)
    parts = [set(drawn.train.tolist()), set(drawn.validation.tolist()), set(drawn.test.tolist())]
    assert [len(part) for part in parts] == [424, 200, 100]
    assert len(set.union(*parts)) == 724


def test_all_counts_the_training_architectures_in() -> None:
    drawn = split()
    np.testing.assert_array_equal(drawn.test, np.arange(500))


def test_smaller_training_sets_are_part_of_larger_ones() -> None:
    sizes = [split(train).train for train in (10, 20, 40, 100)]
    for small, large in itertools.pairwise(sizes):
        np.testing.assert_array_equal(large[: len(small)], small)


def test_the_training_set_does_not_depend_on_the_other_sizes() -> None:
    np.testing.assert_array_equal(split().train, split(validation=0, test=30).train)


def test_what_failed_is_not_trained_on_and_what_is_unknown_not_tested_on() -> None:
    eligible, testable = np.ones(100, dtype=bool), np.ones(100, dtype=bool)
    eligible[::3] = False
    testable[1::3] = False
    drawn = make_split(eligible, testable, 30, "all", 20, 0)
    assert eligible[drawn.train].all()
    assert eligible[drawn.validation].all()
    np.testing.assert_array_equal(drawn.test, np.flatnonzero(testable))
    drawn = make_split(eligible, testable, 30, 20, 20, 0)
    assert testable[drawn.test].all()
    assert not set(drawn.test) & {*drawn.train.tolist(), *drawn.validation.tolist()}


def halves(
    train: Any, seed: int = 0, pool: Any = 250, test: Any = 250, validation: int = 0
) -> Split:
    known = np.ones(500, dtype=bool)
    return make_split(known, known, train, test, validation, seed, pool)


def test_halves_are_the_same_for_each_share_of_a_seed() -> None:
    shares = [halves(train) for train in (2, 12, 25, 125, 250)]
    for drawn in shares:
        assert drawn.pool is not None
        assert set(drawn.train) <= set(drawn.pool)
        assert not set(drawn.pool) & set(drawn.test)
        np.testing.assert_array_equal(drawn.pool, shares[0].pool)
        np.testing.assert_array_equal(drawn.test, shares[0].test)
    for small, large in itertools.pairwise(shares):
        np.testing.assert_array_equal(large.train[: len(small.train)], small.train)
    assert set(shares[0].test) != set(halves(2, seed=1).test)
    assert split().pool is None


def test_halves_hold_the_training_set_of_a_split_without_them() -> None:
    drawn = halves(40, validation=20)
    np.testing.assert_array_equal(drawn.train, split().train)
    np.testing.assert_array_equal(drawn.validation, split().validation)
    assert drawn.pool is not None
    assert set(drawn.validation) <= set(drawn.pool)


def test_halves_of_what_is_known() -> None:
    eligible, testable = np.ones(100, dtype=bool), np.ones(100, dtype=bool)
    eligible[::3] = False
    testable[1::3] = False
    drawn = make_split(eligible, testable, 5, 20, 0, 0, pool_size=30)
    assert drawn.pool is not None
    assert eligible[drawn.pool].all()
    assert testable[drawn.test].all()
    assert not set(drawn.pool) & set(drawn.test)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"train": 251}, "ask for 251 labelled architectures, but the training half has 250"),
        ({"train": 10, "test": "all"}, "data.test_size=all counts the training half in"),
        ({"train": 10, "test": 251}, "the 250 that are left beside data.pool_size=250"),
        ({"train": 10, "pool": 501}, "data.pool_size=501: the benchmark has 500"),
        ({"train": 10, "pool": 0}, "data.pool_size=0"),
    ],
)
def test_halves_that_cannot_be(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(NaspError, match=words):
        halves(**settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"train": 0}, "data.train_size=0: it must be a whole number, at least 1"),
        ({"train": -3}, "data.train_size=-3"),
        ({"train": 1.5}, r"data.train_size=1\.5"),
        ({"train": True}, "data.train_size=True"),
        ({"train": "many"}, "data.train_size=many"),
        ({"validation": -1}, "data.validation_size=-1"),
        ({"validation": None}, "data.validation_size=None"),
        ({"test": 1}, "data.test_size=1: it must be `all` or a number, at least 2"),
        ({"test": "some"}, "data.test_size=some"),
        ({"test": None}, "data.test_size=None"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 1.0}, r"seed=1\.0"),
        ({"train": 481}, "ask for 501 labelled architectures, but the benchmark has 500"),
        ({"train": 300, "test": 181}, "more test architectures than the 180 that are left"),
    ],
)
def test_sizes_that_cannot_be(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(NaspError, match=words):
        split(**settings)


def test_the_largest_split_that_fits() -> None:
    assert len(split(train=480).train) == 480
    assert len(split(train=300, test=180).test) == 180
