"""Bayesian optimization over the whole space, by any predictor that says how sure it is.

Where the space can be listed, each round scores all that has no label yet; where it cannot, an
evolution of the acquisition proposes thousands. The best of them by themselves are a shortlist,
and the batch is chosen from it jointly, by draws of the predictor's posterior
(:mod:`.part.acquisition`). What is still being evaluated takes part in the draws: these are its
fantasies.

This is our own code and not BoTorch's: there, too, a batch over a finite set is chosen greedily
by fixed draws (``optimize_acqf_discrete``), which takes a dozen lines over an array of draws, while
its processes know no graphs and would have to be wrapped around ours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate, Evaluator
from nasp_lightning.search.base import (
    RECOMMENDED,
    Surrogate,
    fit_labelled,
    need,
    usable,
    usable_labels,
    whole,
)
from nasp_lightning.search.part.acquisition import (
    check_acquisition,
    joint_improvement,
    joint_upper_bound,
    log_expected_improvement,
    thompson,
)
from nasp_lightning.search.part.proposals import evolve
from nasp_lightning.search.part.rounds import Rounds


class BayesianOptimization(Rounds):
    """Rounds of: fit on all labels, score, choose a batch jointly, evaluate it.

    Args:
        labels: architectures to evaluate, the initial ones included.
        initial: drawn at random before the first fit.
        batch: evaluated between two fits.
        pending: architectures that are still being evaluated whenever the next are chosen, as with
            so many further workers: their labels come later, in the order of their choice.
        acquisition: ``expected_improvement``, ``noisy_expected_improvement`` (over the best of
            what labels are about, instead of the best label; Letham et al., Bayesian Analysis
            2019), ``upper_confidence_bound`` or ``thompson_sampling``.
        kappa: deviations of the upper confidence bound.
        shortlist: architectures of which joint draws are made.
        draws: their number.
        listed: score everything where it can be listed; False: propose all the same.
        proposals: architectures that are proposed in a round where nothing is listed.
        recommend: what is handed over: of all evaluated, that of the best ``label``, or that of
            the best mean of the ``posterior``, which has noise averaged out.

    Raises:
        NaspError: if a setting cannot be.
    """

    needs_posterior: ClassVar[bool] = True

    def __init__(
        self,
        labels: int = 100,
        initial: int = 10,
        batch: int = 2,
        pending: int = 0,
        acquisition: str = "expected_improvement",
        kappa: float = 2.0,
        shortlist: int = 500,
        draws: int = 256,
        listed: bool = True,
        proposals: int = 5000,
        recommend: str = "posterior",
    ) -> None:
        super().__init__(labels, initial, batch, recommend)
        self.pending = whole("pending", pending, 0)
        self.shortlist, self.draws = whole("shortlist", shortlist, 2), whole("draws", draws, 2)
        self.proposals = whole("proposals", proposals, 100)
        self.acquisition = check_acquisition(acquisition)
        self.kappa, self.listed = float(kappa), listed
        if not kappa >= 0:
            raise NaspError(f"search.kappa={kappa}: it must not be negative")

    def run(
        self, evaluator: Evaluator, rng: np.random.Generator, surrogate: Surrogate | None = None
    ) -> dict[str, Array]:
        """Optimize until the labels are spent."""
        self.check(evaluator)
        surrogate = need(surrogate)
        evaluator.evaluate(evaluator.sample(rng, self.initial))
        while len(usable(evaluator)) < 2 and evaluator.labels_used < self.labels:
            evaluator.evaluate(evaluator.sample(rng, 1))  # instead of what failed
        recommended = np.full(self.labels, -1)
        running: deque[Candidate] = deque()
        while evaluator.labels_used < self.labels:
            fit_labelled(surrogate, evaluator, rng, further=True)
            recommended[evaluator.labels_used - 1] = self.recommendation(evaluator, surrogate)
            left = self.labels - evaluator.labels_used - len(running)
            wanted = min(left, self.batch + self.pending - len(running))
            if wanted > 0:
                running.extend(self.choose(evaluator, surrogate, rng, wanted, list(running)))
            arrived = [running.popleft() for _ in range(min(self.batch, len(running)))]
            evaluator.evaluate(arrived)
        if self.recommend == "posterior":
            fit_labelled(surrogate, evaluator, rng, further=True)
        recommended[-1] = self.recommendation(evaluator, surrogate)
        return {RECOMMENDED: recommended}

    def choose(
        self,
        evaluator: Evaluator,
        surrogate: Surrogate,
        rng: np.random.Generator,
        count: int,
        pending: Sequence[Candidate] = (),
    ) -> list[Candidate]:
        """``count`` architectures to evaluate next, by a surrogate that was fitted.

        Args:
            evaluator: what was evaluated so far.
            surrogate: fitted on it.
            rng: source of the draws.
            count: how many.
            pending: chosen before and still being evaluated.

        Raises:
            NaspError: if no architecture is left.
        """
        besides = {item.key for item in (*evaluator.history, *pending)}
        items, accuracies = usable_labels(evaluator)
        best = float(accuracies.max())
        if self.acquisition == "noisy_expected_improvement":
            best = float(surrogate.signal(items)[0].max())
        listed = evaluator.everything if self.listed else None
        if listed is None:
            short = evolve(
                evaluator,
                rng,
                lambda proposed: self._worth(surrogate, proposed, best),
                self.proposals,
                self.shortlist,
                besides,
            )
        else:
            worth = self._worth(surrogate, listed, best)
            worth[[item.key in besides for item in listed]] = -np.inf
            order = np.argsort(-worth, kind="stable")[: self.shortlist]
            short = [listed[place] for place in order if np.isfinite(worth[place])]
        if len(short) < count:
            raise NaspError(
                f"{count} further architectures were asked for, and {len(short)} are left: the "
                f"space is exhausted after {evaluator.labels_used} labels; lower search.labels"
            )
        places = self._joint(evaluator, surrogate, rng, short, list(pending), count)
        return [short[place] for place in places]

    def _worth(self, surrogate: Surrogate, items: Sequence[Candidate], best: float) -> Array:
        """``[N]`` what each architecture promises by itself."""
        mean, deviation = surrogate.signal(items)
        if not (np.isfinite(mean).all() and np.isfinite(deviation).all()):
            raise NaspError(
                f"{int((~np.isfinite(mean + deviation)).sum())} of {len(mean)} predictions are not "
                "finite: the fit diverged; choose another predictor, or lower optimizer.lr"
            )
        if self.acquisition in ("upper_confidence_bound", "thompson_sampling"):
            # Of a draw's best architectures, hardly any is not among the highest bounds.
            kappa = max(self.kappa, 2.0) if self.acquisition == "thompson_sampling" else self.kappa
            return np.asarray(mean + kappa * deviation)
        return log_expected_improvement(mean, deviation, best)

    def _joint(
        self,
        evaluator: Evaluator,
        surrogate: Surrogate,
        rng: np.random.Generator,
        short: list[Candidate],
        pending: list[Candidate],
        count: int,
    ) -> list[int]:
        """Places in the shortlist of the batch, chosen by joint draws."""
        noisy = self.acquisition == "noisy_expected_improvement"
        items, accuracies = usable_labels(evaluator)
        known = pending + (items if noisy else [])
        drawn = surrogate.draws([*short, *known], self.draws, rng)
        values, others = drawn[:, : len(short)], drawn[:, len(short) :]
        if self.acquisition == "thompson_sampling":
            return thompson(values, count)
        if self.acquisition == "upper_confidence_bound":
            return joint_upper_bound(values, others, self.kappa, count)
        best = np.full(len(drawn), -np.inf if noisy else accuracies.max())
        if others.shape[1]:
            best = np.maximum(best, others.max(1))
        return joint_improvement(values, best, count)
