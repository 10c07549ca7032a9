"""Batch Top Sampling as a search: labels are bought where the predictor expects the best.

Zhang et al., "Siamese-NAS" (arXiv 2210.00546), section 3.4 and Algorithm 2, after its published
code, here with any predictor. A share λ of the labels is random. The rest is bought in equal
updates: each ranks a random tenth of the space and takes the best that have no label yet. The last
predictor ranks the space, and its best are evaluated.

As ``framework=batch_top_sampling`` the updates come while one training goes on; here the predictor
is fitted from scratch before each of them. Both choose by
:func:`~nasp_lightning.data.choosing.buy`.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.data.choosing import buy, random_size, split_chunks
from nasp_lightning.data.split import Indices
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Evaluator
from nasp_lightning.search.base import Search, Surrogate, fit_labelled, need, share, whole
from nasp_lightning.search.part.pool import Pool, check_size, finite_scores

LEAST = 2  # labels that a fit can begin with


class BatchTopSampling(Search):
    """A random share, K updates, then the K best predicted.

    Args:
        labels: architectures to evaluate in all.
        initial: λ, share of the labels but ``top_k`` that are random; from 2 on, their number.
        updates: K, how often labels are bought.
        share: of the space that an update ranks.
        top_k: labels of the best predicted of the whole space, after a last fit.
        pool: so many architectures are drawn and ranked where the space cannot be listed.

    Raises:
        NaspError: if a setting cannot be.
    """

    needs_predictor: ClassVar[bool] = True

    def __init__(
        self,
        labels: int = 200,
        initial: float = 0.3,
        updates: int = 10,
        share: float = 0.1,
        top_k: int = 20,
        pool: int = 10_000,
    ) -> None:
        super().__init__(labels)
        self.updates, self.share = whole("updates", updates), _share(share)
        self.top_k, self.pool = whole("top_k", top_k, 0), whole("pool", pool)
        bought = self.labels - self.top_k
        self.initial = _initial(initial, bought)
        self.chunks = split_chunks(bought - self.initial, self.updates)

    def check(self, evaluator: Evaluator) -> None:
        """Refuse a pool below the plan, too."""
        super().check(evaluator)
        check_size(evaluator, self.pool, self.labels)

    def run(
        self, evaluator: Evaluator, rng: np.random.Generator, surrogate: Surrogate | None = None
    ) -> dict[str, Array]:
        """Label the random share, the updates, then the top K."""
        self.check(evaluator)
        surrogate = need(surrogate)
        pool = Pool.of(evaluator, rng, self.pool)
        score, everything = surrogate.score, np.arange(len(pool))

        def rank(rows: Indices) -> Array:
            return finite_scores(score, pool.at(rows))

        evaluator.evaluate(pool.at(rng.choice(everything, self.initial, replace=False)))
        for count in self.chunks:
            if count:
                fit_labelled(surrogate, evaluator, rng)
                before = pool.labelled(evaluator)
                grown = buy(before, everything, self.share, count, rng, rank)
                evaluator.evaluate(pool.at(grown[len(before) :]))
        if self.top_k:
            fit_labelled(surrogate, evaluator, rng)
            pool.label_top(evaluator, score, self.top_k, rng)
        return {}


def _share(value: float) -> float:
    if not share("share", value):
        raise NaspError(f"search.share={value}: an update ranks nothing; choose a share above 0")
    return float(value)


def _initial(value: float, labels: int) -> int:
    """Number of random labels."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise NaspError(f"search.initial={value}: it must be a number above 0")
    if value > 1 and value != int(value):
        raise NaspError(
            f"search.initial={value}: it is a share up to 1, or a whole number of labels"
        )
    size = random_size(labels, value)
    if not LEAST <= size <= labels:
        raise NaspError(
            f"search.initial={value}: that makes {size} random ones of {labels} labels (those of "
            f"search.top_k left out), and a fit needs at least {LEAST}: change the one or the other"
        )
    return size
