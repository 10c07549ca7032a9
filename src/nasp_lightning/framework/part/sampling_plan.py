"""When and how many labels top sampling buys: Algorithm 2 as pure functions.

Zhang et al., "Siamese-NAS" (arXiv 2210.00546), section 3.4 and Algorithm 2. Which labels are
bought is in :mod:`~nasp_lightning.data.choosing`. Two schedules:

``official``, the published code's: a first stretch on the random pool (20 % of the epochs), a
second with the updates (50 %), a third at a lower learning rate and without updates (30 %). For
K updates in s epochs, they come after ``s // (K + 1)`` epochs each.

``paper``: Algorithm 2 as printed has no third stretch. Its second loop, ``while i < (1 − α) l``,
ends before it begins for α ≥ 1/2 and never reaches l: the bound is l here. Its line 11 takes
``(1 − λ) m / f`` architectures every f-th iteration, which adds up to ``(1 − λ) m`` only for f²
iterations: f is the number of updates here, as in the code, and they begin with the loop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nasp_lightning.data.choosing import random_size, share_of, split_chunks
from nasp_lightning.data.split import Indices
from nasp_lightning.error import NaspError

SCHEDULES = ("official", "paper")
SAMPLING, FINAL = 0.5, 0.3  # shares of the epochs in the official schedule
LEAST = 2  # labels that a fit can begin with


@dataclass(frozen=True)
class Plan:
    """Labels and epochs of one run.

    Attributes:
        initial: number of random labels that it begins with.
        chunks: labels bought at each update; with ``initial`` they are the budget.
        updates: after how many epochs of the whole run each update comes.
        warm_up: epochs on the random pool.
        sampling: epochs in which the pool grows.
        final: epochs after that, at a lower learning rate.
    """

    initial: int
    chunks: tuple[int, ...]
    updates: tuple[int, ...]
    warm_up: int
    sampling: int
    final: int


def make_plan(
    budget: int,
    epochs: int,
    initial: float = 0.3,
    updates: int = 10,
    schedule: str = "official",
    warm_up: float = 0.2,
    aside: int = 0,
) -> Plan:
    """The plan of a run.

    Args:
        budget: N, labels in all, those set aside among them.
        epochs: of training in all.
        initial: λ, share of the labels that are random, or from 2 on their number.
        updates: K.
        schedule: ``official`` or ``paper``.
        warm_up: α, share of the epochs before the second stretch.
        aside: labels that are not for training.

    Raises:
        NaspError: if the budget is below the initial pool, or the epochs do not suffice.
    """
    first = initial_size(budget, initial, aside)
    chunks = split_chunks(budget - aside - first, updates)
    before = min(epochs, max(1, share_of(epochs, warm_up)))
    if chunks and before == epochs:
        raise NaspError(
            f"trainer.max_epochs={epochs}: with framework.warm_up={warm_up} no epoch is left for "
            "the labels that are bought later: train at least 2, and choose a smaller warm_up"
        )
    after = 0
    if schedule == "official":
        after = max(0, min(share_of(epochs, FINAL), epochs - before - 1))
    between = epochs - before - after
    times = update_epochs(between, len(chunks), schedule)
    return Plan(first, chunks, tuple(before + time for time in times), before, between, after)


def initial_size(budget: int, initial: float, aside: int = 0) -> int:
    """Number of random labels that a run begins with; the arguments are those of the plan.

    Raises:
        NaspError: if that is more than the budget, or too few to fit anything.
    """
    size = random_size(budget - aside, initial)
    given = f"data.train_size={budget}"
    if aside:
        given += f" less framework.selection_epochs={aside}"
    if size > budget - aside:
        raise NaspError(
            f"{given} is below the initial pool of framework.initial={initial} labels: raise the "
            "one or lower the other"
        )
    if size < LEAST:
        raise NaspError(
            f"{given}: framework.initial={initial} makes an initial pool of "
            f"{size}, and a fit needs at least {LEAST} labels: raise one of them"
        )
    return size


def update_epochs(epochs: int, updates: int, schedule: str) -> tuple[int, ...]:
    """After how many of its ``epochs`` the second stretch makes each of its updates.

    With fewer epochs than updates, several come at once.
    """
    if schedule == "paper":
        return tuple(number * epochs // updates for number in range(updates))
    if epochs > updates:
        return tuple(epochs // (updates + 1) * number for number in range(1, updates + 1))
    return tuple(number * epochs // (updates + 1) for number in range(1, updates + 1))


def draw_batches(
    pool: Indices, batch_size: int, budget: int, generator: np.random.Generator
) -> Indices:
    """Rows of one epoch, drawn from the pool with replacement.

    As in the published code an epoch has ``budget // batch_size`` batches however small the pool
    still is, at least one.
    """
    steps = max(1, budget // batch_size)
    return generator.choice(pool, steps * batch_size, replace=True)
