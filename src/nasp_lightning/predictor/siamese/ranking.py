"""Siamese-Ranking: a cheap score ranks all architectures, a dear one re-ranks the best of them.

Zhang et al., "Siamese-NAS" (arXiv 2210.00546), section 3.3 and Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.base import ScoringModule
from nasp_lightning.space.base import Graphs


def top_rows(scores: Tensor, count: int) -> Tensor:
    """``[min(c, N)]`` int64 rows of the c greatest of ``[N]`` scores, best first, ties in order."""
    return torch.argsort(scores, descending=True, stable=True)[:count]


def resort(scores: Tensor, rows: Tensor, estimated: Tensor) -> Tensor:
    """Scores ``[N]`` whose order is Algorithm 1's.

    The c best change places among themselves: the one that is estimated best gets their highest
    score, and so on (line 15). So the values stay those of the basic branch, and every other
    architecture stays where it was.

    Args:
        scores: ``[N]`` of the basic branch.
        rows: ``[c]`` those of the c greatest, best first.
        estimated: ``[c]`` their scores by the estimation branch.
    """
    order = torch.argsort(estimated, descending=True, stable=True)
    final = scores.clone()
    final[rows[order]] = scores[rows]
    return final


def siamese_ranking(
    scores: Tensor, estimate: Callable[[Tensor], Tensor], count: int
) -> tuple[Tensor, Tensor]:
    """Algorithm 1, with the estimation branch asked about the top c alone.

    Args:
        scores: ``[N]`` of the basic branch.
        estimate: from ``[c]`` rows to their scores ``[c]`` by the estimation branch.
        count: c; 0 leaves the basic branch's order.

    Returns:
        ``[N]`` scores in the final order, and the ``[min(c, N)]`` rows that were estimated.
    """
    rows = top_rows(scores, count)
    if not len(rows):
        return scores, rows
    return resort(scores, rows, estimate(rows).to(scores.dtype)), rows


class Ranked(ScoringModule):
    """Scores that are known already, handed out batch by batch in the order of the architectures.

    A re-ranking needs all architectures at once; ``score_all`` asks for batch after batch.

    Args:
        scores: ``[N]``.
    """

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.register_buffer("scores", scores, persistent=False)
        self.batch_size = max(1, len(scores))
        self._given = 0

    def forward(self, graphs: Graphs) -> Tensor:
        """``[B]`` scores of the next B architectures.

        Raises:
            NaspError: if there are not so many left.
        """
        part = self.scores[self._given : self._given + len(graphs)]
        if len(part) < len(graphs):
            raise NaspError(
                f"a ranking of {len(self.scores)} architectures was asked for more; "
                "score them with score_all"
            )
        self._given += len(graphs)
        return part

    # Buffer, declared for the type checker.
    scores: Tensor
