"""The architectures that a search ranks, all of them or many, as rows 0, 1, …"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.data.choosing import choose_top
from nasp_lightning.data.split import Indices
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate, Evaluator

Score = Callable[[Sequence[Candidate]], Array]  # [n], higher is better


def finite_scores(score: Score, architectures: Sequence[Candidate]) -> Array:
    """``[n]`` float64 scores of architectures.

    Raises:
        NaspError: if one is not finite.
    """
    scores = np.asarray(score(architectures), dtype=np.float64)
    if not np.isfinite(scores).all():
        raise NaspError(
            f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores are not finite: the "
            "fit diverged; lower optimizer.lr"
        )
    return scores


class Pool:
    """Architectures by rows.

    Args:
        items: distinct architectures.
    """

    def __init__(self, items: Sequence[Candidate]) -> None:
        self.items = items
        self._rows = {item.key: row for row, item in enumerate(items)}

    @classmethod
    def of(cls, evaluator: Evaluator, rng: np.random.Generator, size: int) -> Pool:
        """The whole space where it can be listed, else ``size`` architectures drawn from it."""
        listed = evaluator.everything
        return cls(evaluator.draw(rng, size) if listed is None else listed)

    def __len__(self) -> int:
        """Number of architectures."""
        return len(self.items)

    def at(self, rows: Indices) -> list[Candidate]:
        """The architectures of rows."""
        return [self.items[row] for row in rows]

    def labelled(self, evaluator: Evaluator) -> Indices:
        """Rows that have a label already."""
        rows = [self._rows[item.key] for item in evaluator.history if item.key in self._rows]
        return np.array(rows, dtype=np.int64)

    def label_top(
        self, evaluator: Evaluator, score: Score, count: int, rng: np.random.Generator
    ) -> None:
        """Evaluate the ``count`` best-scored that have no label; ties are broken at random."""
        order = rng.permutation(len(self))
        scores = finite_scores(score, self.items)
        chosen = choose_top(scores[order], order, self.labelled(evaluator), count)
        evaluator.evaluate(self.at(chosen))


def check_size(evaluator: Evaluator, size: int, labels: int) -> None:
    """Refuse to draw fewer architectures than will be labelled.

    Raises:
        NaspError: if the space cannot be listed and the pool is below the plan.
    """
    if evaluator.everything is None and size < labels:
        raise NaspError(
            f"search.pool={size}: space {evaluator.space.name} cannot be listed, and the search "
            f"plans {labels} labels: choose a larger pool"
        )
