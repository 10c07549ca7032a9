"""Candidates without a label: mutants of the best, and random ones where these run out."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from nasp_lightning.evaluator.base import Candidate, Evaluator
from nasp_lightning.search.base import mutated

Found = dict[Hashable, Candidate]


def best_labelled(evaluator: Evaluator, count: int) -> list[Candidate]:
    """The ``count`` evaluated architectures of the highest labels, best first."""
    history = evaluator.history
    return [history[row] for row in np.argsort(-evaluator.accuracies, kind="stable")[:count]]


def add_mutants(
    found: Found,
    evaluator: Evaluator,
    rng: np.random.Generator,
    parent: Candidate,
    count: int,
    rate: float,
    tries: int,
) -> None:
    """Add at most ``count`` mutants that are not among the found and have no label.

    Args:
        found: candidates so far.
        evaluator: mutates, and knows what has a label.
        rng: source of randomness.
        parent: of the mutants.
        count: how many are wanted.
        rate: probability of a place to change; one changes in any case.
        tries: mutations at most: a parent has so many mutants and no more.
    """
    wanted = len(found) + count
    for _ in range(tries):
        if len(found) >= wanted:
            return
        mutant = mutated(evaluator, rng, parent, rate)
        if not evaluator.known(mutant):
            found.setdefault(mutant.key, mutant)


def fill(found: Found, evaluator: Evaluator, rng: np.random.Generator, least: int) -> None:
    """Add random candidates without a label until there are ``least``."""
    if len(found) < least:
        besides = {*found, *(item.key for item in evaluator.history)}
        for item in evaluator.draw(rng, least - len(found), besides):
            found[item.key] = item
