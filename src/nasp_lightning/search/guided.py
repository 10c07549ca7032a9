"""Predictor-guided evolution: label some, fit, evolve over the score, label the proposals, repeat.

The loop of TNASP's image side (supplementary A.5; PINAT's supplementary D): a predictor learns
from labelled architectures, and an evolution that costs no label searches over its score, under
hard limits. One round is the published way; further rounds spend the labels where the predictor
proposes, which makes the most of few (Wu et al., "Stronger NAS with Weaker Predictors", NeurIPS
2021, arXiv 2102.10490).
"""

from __future__ import annotations

import numpy as np

from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate, Evaluator
from nasp_lightning.evaluator.part.predictor import PredictorEvaluator
from nasp_lightning.search.base import Search, Surrogate, share
from nasp_lightning.search.part.mutants import Found, fill
from nasp_lightning.search.part.rounds import Rounds


class Guided(Rounds):
    """Spends ``labels`` labels: ``initial`` random ones, then ``batch`` proposals after each fit.

    Args:
        labels: architectures to evaluate in all.
        initial: drawn at random before the first fit.
        batch: proposals evaluated between two fits.
        evolution: what searches over the predictor's score: SPOS or NSGA-II, or any strategy.
        front_share: share of the proposals that is spread over the evolution's Pareto front (if
            it has one); the others are the best predicted.

    Raises:
        NaspError: if a setting cannot be, or the initial labels exceed all.
    """

    def __init__(
        self,
        evolution: Search,
        labels: int = 100,
        initial: int = 20,
        batch: int = 10,
        front_share: float = 0.0,
    ) -> None:
        super().__init__(labels, initial, batch)
        self.evolution, self.front_share = evolution, share("front_share", front_share)
        if evolution.needs_predictor:
            raise NaspError(
                f"search.evolution={type(evolution).__name__} fits a predictor of its own: choose "
                "spos or nsga2"
            )

    def choose(
        self, evaluator: Evaluator, surrogate: Surrogate, rng: np.random.Generator, count: int
    ) -> list[Candidate]:
        """What the evolution proposes, and random ones where it found no more."""
        chosen = propose(evaluator, rng, surrogate, self.evolution, count, self.front_share)
        found: Found = {item.key: item for item in chosen}
        fill(found, evaluator, rng, count)
        return list(found.values())


def propose(
    evaluator: Evaluator,
    rng: np.random.Generator,
    surrogate: Surrogate,
    evolution: Search,
    count: int,
    front_share: float = 0.0,
) -> list[Candidate]:
    """At most ``count`` architectures without a label that an evolution over the score found.

    Args:
        evaluator: knows what has a label already; no label is asked for.
        rng: the only source of randomness.
        surrogate: fitted.
        evolution: runs on the scores.
        count: how many to propose.
        front_share: see :class:`Guided`.
    """
    scored = PredictorEvaluator(evaluator, surrogate.score)
    found = evolution.run(scored, rng)
    history, scores = scored.history, scored.accuracies
    chosen: dict[int, None] = {}
    if "front" in found and front_share > 0:
        front = [place for place in found["front"] if not evaluator.known(history[place])]
        spread = np.linspace(0, len(front) - 1, min(round(front_share * count), len(front)))
        chosen.update(
            dict.fromkeys(front[place] for place in np.unique(spread.round().astype(int)))
        )
    for place in np.argsort(-scores, kind="stable"):
        if len(chosen) >= count:
            break
        if not evaluator.known(history[place]):
            chosen[int(place)] = None
    return [history[place] for place in chosen]
