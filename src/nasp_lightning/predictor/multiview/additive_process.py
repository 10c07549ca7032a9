"""A Gaussian process whose kernel is a sum over views, each a Matérn 3/2 of its distances.

With squared distances D_v of the views v, amplitudes a_v, lengths l_v and noise s (variances):

    K = Σ_v a_v m(D_v / l_v²) + s I,    m(r²) = (1 + √3 r) exp(-√3 r).

The logarithms of a_v, l_v and s have independent normal priors, and take the values of the highest
posterior density: marginal likelihood times prior (Rasmussen and Williams, 2006, section 5.4.1).
With few labels the likelihood alone chooses badly between views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nasp_lightning.array import Array

JITTER = 1e-6  # added to the diagonal for the numerics
BOUND = 4.0  # hyper-parameters stay within so many deviations of their prior's mean


@dataclass(frozen=True)
class Prior:
    """Means and standard deviations of the hyper-parameters' logarithms.

    Targets are of unit variance, and training architectures at a squared distance of 2 on
    average, so that one prior serves every space. The amplitudes' means add up to 1.
    """

    amplitude_deviation: float = 1.5
    length_mean: float = 0.6
    length_deviation: float = 1.0
    noise_mean: float = float(np.log(0.1))
    noise_deviation: float = 1.5

    def moments(self, views: int) -> tuple[Array, Array]:
        """Mean and deviation ``[2 views + 1]``: amplitude and length of each view, noise."""
        mean = [-np.log(views), self.length_mean] * views + [self.noise_mean]
        deviation = [self.amplitude_deviation, self.length_deviation] * views
        return np.array(mean), np.array([*deviation, self.noise_deviation])


def kernel(distances: Sequence[Array], logarithms: Array) -> Array:
    """``[N, n]`` covariance of the signal.

    Args:
        distances: ``[N, n]`` squared distances in each of the V views.
        logarithms: ``[2 V + 1]`` of the hyper-parameters; the noise is not used.
    """
    total = np.zeros_like(distances[0])
    for view, squared in enumerate(distances):
        amplitude, length = logarithms[2 * view : 2 * view + 2]
        root = np.sqrt(squared * (3 * np.exp(-2 * length)))
        part = np.exp(amplitude - root)
        root += 1
        part *= root
        total += part
    return total


def negative_log_posterior(
    logarithms: Array, distances: Sequence[Array], targets: Array, prior: Prior
) -> tuple[float, Array]:
    """Of the hyper-parameters, up to a constant, and its gradient ``[2 V + 1]``.

    Args:
        logarithms: ``[2 V + 1]`` of the hyper-parameters.
        distances: ``[n (n - 1) / 2]`` squared distances below the diagonal, in each view.
        targets: ``[n]``.
        prior: of the hyper-parameters.
    """
    from scipy.linalg import cho_factor, cho_solve
    from scipy.linalg.lapack import dpotri

    count, below = len(targets), np.tri(len(targets), k=-1, dtype=bool)
    amplitudes, noise = np.exp(logarithms[:-1:2]), np.exp(logarithms[-1])
    parts, slopes, total = [], [], np.zeros_like(distances[0])
    for view, squared in enumerate(distances):
        amplitude, length = logarithms[2 * view : 2 * view + 2]
        root = np.sqrt(squared * (3 * np.exp(-2 * length)))
        decay = np.exp(amplitude - root)
        parts.append((1 + root) * decay)  # derivative by the amplitude's logarithm
        slopes.append(root**2 * decay)  # and by the length's
        total += parts[-1]
    covariance = np.zeros((count, count))
    covariance[below] = total
    covariance[np.diag_indices(count)] = amplitudes.sum() + noise + JITTER
    factor = cho_factor(covariance, lower=True, overwrite_a=True, check_finite=False)
    weights = cho_solve(factor, targets, check_finite=False)
    determinant = np.log(np.diag(factor[0])).sum()
    inverse, _ = dpotri(factor[0], lower=True)  # its lower triangle
    diagonal = np.diag(inverse).sum() - weights @ weights
    lower = inverse[below] - np.outer(weights, weights)[below]
    mean, deviation = prior.moments(len(distances))
    scaled = (logarithms - mean) / deviation
    gradient = scaled / deviation
    for view, amplitude in enumerate(amplitudes):
        gradient[2 * view] += lower @ parts[view] + 0.5 * amplitude * diagonal
        gradient[2 * view + 1] += lower @ slopes[view]
    gradient[-1] += 0.5 * noise * diagonal
    return float(0.5 * targets @ weights + determinant + 0.5 * scaled @ scaled), gradient


def most_probable(
    distances: Sequence[Array], targets: Array, prior: Prior, iterations: int
) -> Array:
    """``[2 V + 1]`` logarithms of the hyper-parameters, from the prior's mean uphill.

    Args:
        distances: ``[n, n]`` squared distances in each of the V views.
        targets: ``[n]``.
        prior: of the hyper-parameters.
        iterations: at most so many.
    """
    from scipy.optimize import minimize

    below = np.tri(len(targets), k=-1, dtype=bool)
    mean, deviation = prior.moments(len(distances))
    found = minimize(
        negative_log_posterior,
        mean,
        ([squared[below] for squared in distances], targets, prior),
        method="L-BFGS-B",
        jac=True,
        bounds=list(
            zip(mean - BOUND * deviation, mean + BOUND * deviation, strict=True),
        ),
        options={"maxiter": iterations},
    )
    logarithms: Array = found.x
    return logarithms


class AdditiveProcess:
    """The posterior given hyper-parameters.

    Args:
        distances: ``[n, n]`` squared distances between the training architectures in each view.
        targets: ``[n]`` of zero mean.
        logarithms: ``[2 V + 1]`` of the hyper-parameters.

    Attributes:
        noise: variance of a label about the signal.
    """

    def __init__(self, distances: Sequence[Array], targets: Array, logarithms: Array) -> None:
        from scipy.linalg import cho_factor, cho_solve

        self.logarithms, self.targets = logarithms, targets
        self.noise = float(np.exp(logarithms[-1]))
        covariance = kernel(distances, logarithms)
        covariance[np.diag_indices(len(targets))] += self.noise + JITTER
        self._factor = cho_factor(covariance, lower=True, check_finite=False)
        self._weights = cho_solve(self._factor, targets, check_finite=False)

    def mean(self, distances: Sequence[Array]) -> Array:
        """``[N]`` means, from squared distances ``[N, n]`` to the training architectures."""
        mean: Array = kernel(distances, self.logarithms) @ self._weights
        return mean

    def moments(self, distances: Sequence[Array]) -> tuple[Array, Array]:
        """Mean and standard deviation ``[N]`` of a new label, noise included."""
        from scipy.linalg import solve_triangular

        covariance = kernel(distances, self.logarithms)
        explained = solve_triangular(self._factor[0], covariance.T, lower=True, check_finite=False)
        prior = np.exp(self.logarithms[:-1:2]).sum() + self.noise
        variance = np.maximum(prior - (explained**2).sum(0), self.noise)
        return covariance @ self._weights, np.sqrt(variance)


def held_out_errors(
    distances: Sequence[Array], targets: Array, prior: Prior, iterations: int, folds: Array
) -> Array:
    """``[n]`` errors of held-out targets over the deviations that the process gave them.

    Each fold is predicted by a process whose hyper-parameters, too, come from the other folds:
    those of all targets fit them a little too well, so that closed-form leave-one-out errors
    under them are too small.

    Args:
        distances: ``[n, n]`` squared distances in each view.
        targets: ``[n]``.
        prior: of the hyper-parameters.
        iterations: of their maximisation, at most.
        folds: ``[n]`` number of each target's fold.
    """
    errors = np.empty(len(targets))
    for fold in np.unique(folds):
        rest, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        inside = [squared[np.ix_(rest, rest)] for squared in distances]
        found = most_probable(inside, targets[rest], prior, iterations)
        process = AdditiveProcess(inside, targets[rest], found)
        mean, deviation = process.moments([squared[np.ix_(held, rest)] for squared in distances])
        errors[held] = (targets[held] - mean) / deviation
    return errors
