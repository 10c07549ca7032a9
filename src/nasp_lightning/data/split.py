"""Data splits: which architectures are trained on, held out for evaluation, and tested on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError, check_whole

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Row numbers of a benchmark table.

    Attributes:
        train: labelled for training.
        validation: disjoint from ``train``; what self-evolution evaluates on.
        test: what the final metric is read on; with "all", every row, ``train`` included.
        pool: the training half, whose labels may be asked for; None: there are no halves.
    """

    train: Indices
    validation: Indices
    test: Indices
    pool: Indices | None = None


def make_split(
    eligible: npt.NDArray[np.bool_],
    testable: npt.NDArray[np.bool_],
    train_size: int,
    test_size: int | str,
    validation_size: int,
    seed: int,
    pool_size: int | None = None,
) -> Split:
    """Draw a split, reproducible from the seed.

    One permutation of the space is drawn; the first ``train_size`` eligible rows train, the next
    ``validation_size`` validate, and a numeric ``test_size`` takes the next testable ones. So for
    one seed the sets of all methods agree, and the smaller training sets are part of the larger.
    (TNASP's published splits are one permutation for each size, from one RandomState.)

    With a ``pool_size`` the first so many eligible rows are the training half: training and
    validation are its first rows, and the test set is drawn from what is left beside the whole of
    it. So one seed has the same halves whatever share of the training half is labelled, which is
    the protocol of TA-GATES (Ning et al., NeurIPS 2022).

    Args:
        eligible: ``[N]`` rows with a training label.
        testable: ``[N]`` rows with a test label.
        train_size: number of training architectures.
        test_size: ``"all"``, or the number of test architectures.
        validation_size: number of validation architectures, 0 for none.
        seed: of the permutation.
        pool_size: architectures of the training half; None: no halves.

    Raises:
        NaspError: if a size is not positive or the space is too small for it.
    """
    _check_sizes(train_size, test_size, validation_size, seed)
    order = np.random.default_rng(seed).permutation(len(eligible))
    candidates = order[eligible[order]]
    pool = None if pool_size is None else _pool(candidates, pool_size, test_size)
    where, known = ("benchmark", candidates) if pool is None else ("training half", pool)
    wanted = train_size + validation_size
    if wanted > len(known):
        raise NaspError(
            f"data.train_size={train_size} and data.validation_size={validation_size} ask for "
            f"{wanted} labelled architectures, but the {where} has {len(known)}: "
            "choose smaller sizes"
        )
    train, validation = known[:train_size], known[train_size:wanted]
    if test_size == "all":
        test = np.flatnonzero(testable)
    elif pool is None:
        left = "training and validation: choose fewer, or `all`"
        test = _beside(known[:wanted], order[testable[order]], int(test_size), left)
    else:
        left = f"data.pool_size={pool_size}: choose fewer"
        test = _beside(pool, order[testable[order]], int(test_size), left)
    kept = None if pool is None else _int64(pool)
    return Split(_int64(train), _int64(validation), _int64(test), kept)


def _check_sizes(train_size: int, test_size: int | str, validation_size: int, seed: int) -> None:
    for name, value in (("train_size", train_size), ("validation_size", validation_size)):
        check_whole(f"data.{name}", value, 1 if name == "train_size" else 0)
    if test_size != "all" and (
        isinstance(test_size, bool) or not isinstance(test_size, int) or test_size < 2
    ):
        raise NaspError(f"data.test_size={test_size}: it must be `all` or a number, at least 2")
    check_whole("seed", seed, 0)


def _beside(taken: Indices, order: Indices, test_size: int, left: str) -> Indices:
    """The first ``test_size`` rows of ``order`` that are not taken."""
    rest = order[~np.isin(order, taken)]
    if test_size > len(rest):
        raise NaspError(
            f"data.test_size={test_size} asks for more test architectures than the {len(rest)} "
            f"that are left beside {left}"
        )
    return rest[:test_size]


def _pool(candidates: Indices, pool_size: int, test_size: int | str) -> Indices:
    """The training half: the first candidates."""
    check_whole("data.pool_size", pool_size)
    if test_size == "all":
        raise NaspError(
            f"data.pool_size={pool_size} halves the space, but data.test_size=all counts the "
            "training half in: set data.test_size to a number"
        )
    if pool_size > len(candidates):
        raise NaspError(
            f"data.pool_size={pool_size}: the benchmark has {len(candidates)} labelled "
            "architectures, choose fewer"
        )
    return candidates[:pool_size]


def _int64(array: Array) -> Indices:
    return np.ascontiguousarray(array, dtype=np.int64)
