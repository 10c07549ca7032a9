"""Proposals from a space that cannot be listed: an evolution of what they promise."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.evaluator.base import Candidate, Evaluator
from nasp_lightning.search.part.mutants import best_labelled

GENERATIONS = 10  # the first, of mutants of the best labelled and of random ones, included
RANDOM = 0.2  # share of each generation that is drawn at random
PARENTS = 50  # of the best so far
TRIES = 3  # mutations for each proposal that is wanted: many are known already


def evolve(
    evaluator: Evaluator,
    rng: np.random.Generator,
    worth: Callable[[Sequence[Candidate]], Array],
    proposals: int,
    shortlist: int,
    besides: Collection[Hashable],
) -> list[Candidate]:
    """The best ``shortlist`` of many proposals, best first; fewer where there are no more.

    Args:
        evaluator: makes and mutates architectures.
        rng: source of randomness.
        worth: of architectures, ``[n]``; higher is better.
        proposals: scored in all, at most.
        shortlist: of them that are handed over, at most.
        besides: keys of architectures that are not proposed.
    """
    parents = best_labelled(evaluator, PARENTS)
    found: dict[Hashable, Candidate] = {}
    values: dict[Hashable, float] = {}
    size = max(1, proposals // GENERATIONS)
    for _ in range(GENERATIONS):
        new = _generation(evaluator, rng, parents, size, {*besides, *found})
        if not new:
            break
        found.update(new)
        values.update(zip(new, worth(list(new.values())).tolist(), strict=True))
        ordered = sorted(values, key=lambda key: -values[key])
        parents = [found[key] for key in ordered[:PARENTS]]
    ordered = sorted(values, key=lambda key: -values[key])
    return [found[key] for key in ordered[:shortlist]]


def _generation(
    evaluator: Evaluator,
    rng: np.random.Generator,
    parents: Sequence[Candidate],
    size: int,
    known: set[Hashable],
) -> dict[Hashable, Candidate]:
    """At most ``size`` new proposals: mutants of one or two steps, and random ones."""
    wanted = round(RANDOM * size)
    if evaluator.size is not None:
        wanted = min(wanted, evaluator.size - len(known))
    drawn = evaluator.draw(rng, wanted, known) if wanted > 0 else []
    new: dict[Hashable, Candidate] = {item.key: item for item in drawn}
    for _ in range(TRIES * size):
        if len(new) >= size:
            break
        mutant = evaluator.mutate(rng, parents[int(rng.integers(len(parents)))])
        if rng.random() < 0.5:
            mutant = evaluator.mutate(rng, mutant)
        if mutant.key not in known:
            new[mutant.key] = mutant
    return new
