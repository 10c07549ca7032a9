"""Which architectures' labels are bought next, as pure functions of scores and rows.

Frameworks, which train while labels are bought, and searches, which fit anew, choose alike:

* BRP-NAS's iterative sampling (Dudziak et al., NeurIPS 2020, section 4.2): :func:`round_sizes`,
  :func:`choose_round`;
* Siamese-NAS's top sampling (Zhang et al., arXiv 2210.00546, Algorithm 2): :func:`random_size`,
  :func:`split_chunks`, :func:`buy`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.data.split import Indices


def round_sizes(budget: int, rounds: int) -> list[int]:
    """Labels of each round; what does not divide goes to the first."""
    each = budget // rounds
    return [budget - each * (rounds - 1), *[each] * (rounds - 1)]


def choose_round(
    scores: Array,
    candidates: Indices,
    labelled: Indices,
    count: int,
    best: float,
    generator: np.random.Generator,
) -> tuple[Indices, Indices]:
    """One round: halve the candidates, take the best of them and others at random.

    Args:
        scores: ``[k]`` of the candidates, greater is better.
        candidates: ``[k]`` rows.
        labelled: rows that have a label already; they stay candidates but are not chosen.
        count: how many to choose.
        best: share of the best predicted.
        generator: of the random ones.

    Returns:
        the better half of the candidates, best first, and ``[count]`` chosen rows.
    """
    order = candidates[np.argsort(-scores, kind="stable")]
    better = order[: (len(order) + 1) // 2]
    free = better[~np.isin(better, labelled)]
    first = free[: round(best * count)]
    others = generator.choice(free[len(first) :], count - len(first), replace=False)
    return better, np.concatenate([first, others])


def random_size(budget: int, initial: float) -> int:
    """Number of random labels that top sampling begins with.

    Args:
        budget: labels in all.
        initial: λ, share of the labels that are random, or from 2 on their number.
    """
    return int(initial) if initial > 1 else share_of(budget, initial)


def share_of(whole: int, share: float) -> int:
    """``⌊whole · share⌋``, exact where the product is a whole number."""
    return int(whole * share + 1e-9)


def split_chunks(count: int, updates: int) -> tuple[int, ...]:
    """``count`` labels over K updates: equal parts, the remainder in the last; none for 0."""
    if not count:
        return ()
    each = count // updates
    return (*[each] * (updates - 1), count - each * (updates - 1))


def draw_subset(
    candidates: Indices,
    labelled: Indices,
    share: float,
    count: int,
    generator: np.random.Generator,
) -> Indices:
    """A random subset of the space with enough architectures to choose from.

    Args:
        candidates: ``[k]`` rows of the space.
        labelled: rows that are in the pool already; they can be drawn but not chosen.
        share: of the candidates to draw; more if fewer than ``count`` of them were free.
        count: how many will be chosen.
        generator: of the draw.
    """
    order, size = generator.permutation(candidates), int(len(candidates) * share)
    enough = np.searchsorted(np.cumsum(~np.isin(order, labelled)), count) + 1
    return order[: max(size, int(enough))]


def choose_top(scores: Array, rows: Indices, labelled: Indices, count: int) -> Indices:
    """The ``count`` best-scored of ``[k]`` rows that are not labelled yet, best first."""
    order = rows[np.argsort(-scores, kind="stable")]
    chosen: Indices = order[~np.isin(order, labelled)][:count]
    return chosen


def buy(
    labelled: Indices,
    candidates: Indices,
    share: float,
    count: int,
    generator: np.random.Generator,
    rank: Callable[[Indices], Array],
) -> Indices:
    """The pool after one update: a random share of the space is ranked, its best are bought.

    Args:
        labelled: ``[n]`` rows in the pool.
        candidates: ``[k]`` rows whose label can be bought.
        share: of the candidates that is ranked.
        count: how many are bought.
        generator: of the share's draw.
        rank: scores of rows, higher is better.

    Returns:
        ``[n + count]`` rows, in the order in which they were bought.
    """
    rows = draw_subset(candidates, labelled, share, count, generator)
    return np.concatenate([labelled, choose_top(rank(rows), rows, labelled, count)])
