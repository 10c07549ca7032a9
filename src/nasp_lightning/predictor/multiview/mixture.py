"""Several additive processes, each on some of the views, weighted by what the labels say of them.

A sum of kernels spreads its amplitudes over all views, which few labels cannot undo where one view
alone is right: a latency is a sum over places, whatever the graph. So processes of fewer views
stand beside it, each weighted by its evidence. Two estimates of that are at hand, and we take their
geometric mean: the posterior density at the most probable hyper-parameters, and the product of each
label's density given the others (pseudo Bayesian model averaging: Geisser and Eddy, JASA 1979; Yao
et al., Bayesian Analysis 2018). The first alone trusts wrong models of few views too much, the
second is noisy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.predictor.multiview.additive_process import (
    AdditiveProcess,
    Prior,
    most_probable,
)

# Of one view alone, which may be long and high: close to linear, as costs are in their places.
ALONE = Prior(amplitude_deviation=2.0, length_mean=1.0, length_deviation=1.5)
LEAST = 0.02  # weight under which a process is left out
DIAGONAL = 1e-5  # of the signal's variance, added to a joint covariance for the numerics

Model = tuple[int, ...]  # numbers of the views that a process sums over


@dataclass(frozen=True)
class Hyperparameters:
    """Of each process, and how much it weighs.

    Attributes:
        logarithms: of each model ``[2 V + 1]``.
        weights: ``[M]``, adding up to 1.
    """

    logarithms: tuple[Array, ...]
    weights: Array


def choose(
    distances: Sequence[Array],
    targets: Array,
    models: Sequence[Model],
    iterations: int,
    start: Hyperparameters | None = None,
) -> Hyperparameters:
    """The most probable hyper-parameters of each model, and the models' weights.

    Args:
        distances: ``[n, n]`` squared distances in each view.
        targets: ``[n]``.
        models: which views each process has, the first of them more than one.
        iterations: of each maximisation, at most.
        start: hyper-parameters that it goes on from; None: the prior's mean.
    """
    found, evidence = [], []
    for number, model in enumerate(models):
        some = [distances[view] for view in model]
        before = None if start is None else start.logarithms[number]
        prior = ALONE if number else Prior()
        logarithms, density = most_probable(some, targets, prior, iterations, before)
        held_out = 0.0
        if len(models) > 1:
            held_out = AdditiveProcess(some, targets, logarithms).held_out_density()
        found.append(logarithms)
        evidence.append((density + held_out) / 2)
    weights = np.exp(np.array(evidence) - max(evidence))
    return Hyperparameters(tuple(found), weights / weights.sum())


class Mixture:
    """The posterior given hyper-parameters.

    Args:
        distances: ``[n, n]`` squared distances between the training architectures in each view.
        targets: ``[n]`` of zero mean.
        models: which views each process has.
        chosen: their hyper-parameters and weights.
    """

    def __init__(
        self,
        distances: Sequence[Array],
        targets: Array,
        models: Sequence[Model],
        chosen: Hyperparameters,
    ) -> None:
        kept = np.flatnonzero(chosen.weights >= LEAST).tolist()
        self.models = [models[number] for number in kept]
        self.weights = chosen.weights[kept] / chosen.weights[kept].sum()
        self.processes = [
            AdditiveProcess([distances[view] for view in model], targets, chosen.logarithms[number])
            for number, model in zip(kept, self.models, strict=True)
        ]

    def shares(self, views: int) -> Array:
        """``[V]`` share of each view of the signal's variance."""
        shares = np.zeros(views)
        for model, weight, process in zip(self.models, self.weights, self.processes, strict=True):
            amplitudes = np.exp(process.logarithms[:-1:2])
            shares[list(model)] += weight * amplitudes / amplitudes.sum()
        return shares

    def mean(self, distances: Sequence[Array]) -> Array:
        """``[N]`` means, from squared distances ``[N, n]`` to the training architectures."""
        parts = [
            process.mean([distances[view] for view in model])
            for model, process in zip(self.models, self.processes, strict=True)
        ]
        return np.asarray(self.weights @ np.stack(parts))

    def moments(self, distances: Sequence[Array], noisy: bool = True) -> tuple[Array, Array]:
        """Mean and standard deviation ``[N]`` of a new label, or of the signal alone."""
        means, squares = [], []
        for model, process in zip(self.models, self.processes, strict=True):
            mean, deviation = process.moments([distances[view] for view in model])
            means.append(mean)
            squares.append(mean**2 + deviation**2 + (process.noise if noisy else 0))
        mean = np.asarray(self.weights @ np.stack(means))
        variance = self.weights @ np.stack(squares) - mean**2
        return mean, np.sqrt(np.maximum(variance, 1e-12))

    def draws(
        self,
        distances: Sequence[Array],
        own: Sequence[Array],
        count: int,
        rng: np.random.Generator,
    ) -> Array:
        """``[count, N]`` joint draws of the signal, from each process as often as it weighs.

        Args:
            distances: ``[N, n]`` to the training architectures.
            own: ``[N, N]`` among themselves.
            count: number of draws.
            rng: source of randomness.
        """
        sizes = rng.multinomial(count, self.weights)
        found = []
        for model, process, size in zip(self.models, self.processes, sizes, strict=True):
            mean, covariance = process.joint(
                [distances[view] for view in model], [own[view] for view in model]
            )
            factor = _root(covariance, process.signal)
            found.append(mean + rng.standard_normal((size, len(mean))) @ factor.T)
        drawn: Array = np.concatenate(found)
        return drawn


def _root(covariance: Array, variance: float) -> Array:
    """Lower triangle L of L Lᵀ = ``covariance``, whose rounding may have left it indefinite."""
    places = np.diag_indices(len(covariance))
    added = DIAGONAL * variance
    while True:
        covariance[places] += added
        try:
            return np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:
            added *= 10


def held_out_errors(
    distances: Sequence[Array],
    targets: Array,
    models: Sequence[Model],
    iterations: int,
    folds: Array,
) -> Array:
    """``[n]`` errors of held-out targets over the deviations that the processes gave them.

    Each fold is predicted by processes whose hyper-parameters, too, come from the other folds:
    those of all targets fit them a little too well, so that closed-form leave-one-out errors
    under them are too small.

    Args:
        distances: ``[n, n]`` squared distances in each view.
        targets: ``[n]``.
        models: which views each process has.
        iterations: of each maximisation, at most.
        folds: ``[n]`` number of each target's fold.
    """
    errors = np.empty(len(targets))
    for fold in np.unique(folds):
        rest, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        inside = [squared[np.ix_(rest, rest)] for squared in distances]
        chosen = choose(inside, targets[rest], models, iterations)
        mixture = Mixture(inside, targets[rest], models, chosen)
        mean, deviation = mixture.moments([squared[np.ix_(held, rest)] for squared in distances])
        errors[held] = (targets[held] - mean) / deviation
    return errors
