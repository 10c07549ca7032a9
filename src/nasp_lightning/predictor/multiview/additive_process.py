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
    number = distances[0].dtype.type  # single precision is enough, and twice as fast, for many
    total = np.zeros_like(distances[0])
    for view, squared in enumerate(distances):
        amplitude, length = logarithms[2 * view : 2 * view + 2]
        root = np.sqrt(squared * number(3 * np.exp(-2 * length)))
        part = np.exp(number(amplitude) - root)
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
    distances: Sequence[Array],
    targets: Array,
    prior: Prior,
    iterations: int,
    start: Array | None = None,
) -> tuple[Array, float]:
    """``[2 V + 1]`` logarithms of the hyper-parameters, uphill from a start.

    With them comes the logarithm of their posterior density, up to a constant.

    Args:
        distances: ``[n, n]`` squared distances in each of the V views.
        targets: ``[n]``.
        prior: of the hyper-parameters.
        iterations: at most so many.
        start: ``[2 V + 1]``; None: the prior's mean.
    """
    from scipy.optimize import minimize

    below = np.tri(len(targets), k=-1, dtype=bool)
    mean, deviation = prior.moments(len(distances))
    found = minimize(
        negative_log_posterior,
        mean if start is None else start,
        ([squared[below] for squared in distances], targets, prior),
        method="L-BFGS-B",
        jac=True,
        bounds=list(
            zip(mean - BOUND * deviation, mean + BOUND * deviation, strict=True),
        ),
        options={"maxiter": iterations},
    )
    return np.asarray(found.x), -float(found.fun)


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
        self.signal = float(np.exp(logarithms[:-1:2]).sum())
        covariance = kernel(distances, logarithms)
        covariance[np.diag_indices(len(targets))] += self.noise + JITTER
        self._factor = cho_factor(covariance, lower=True, check_finite=False)
        self._weights = cho_solve(self._factor, targets, check_finite=False)

    def mean(self, distances: Sequence[Array]) -> Array:
        """``[N]`` means, from squared distances ``[N, n]`` to the training architectures."""
        return self._mean(kernel(distances, self.logarithms))

    def moments(self, distances: Sequence[Array]) -> tuple[Array, Array]:
        """Mean and standard deviation ``[N]`` of the signal, without a label's noise."""
        covariance = kernel(distances, self.logarithms)
        explained = np.square(self._explained(covariance)).sum(0, dtype=np.float64)
        return self._mean(covariance), np.sqrt(np.maximum(self.signal - explained, 0))

    def joint(self, distances: Sequence[Array], own: Sequence[Array]) -> tuple[Array, Array]:
        """Mean ``[N]`` and covariance ``[N, N]`` of the signal.

        Args:
            distances: ``[N, n]`` to the training architectures.
            own: ``[N, N]`` among themselves.
        """
        cross = kernel(distances, self.logarithms)
        explained = self._explained(cross)
        prior = kernel(own, self.logarithms).astype(np.float64)
        return self._mean(cross), prior - explained.T @ explained

    def held_out_density(self) -> float:
        """Sum of the log densities of each target given the others, at these hyper-parameters.

        In closed form (Rasmussen and Williams, 2006, section 5.4.2).
        """
        from scipy.linalg import cho_solve

        count = len(self.targets)
        inverse = cho_solve(self._factor, np.eye(count), check_finite=False)
        variance = 1 / np.diag(inverse)
        errors = self._weights * variance
        densities = np.log(2 * np.pi * variance) + errors**2 / variance
        return float(-0.5 * densities.sum())

    def _mean(self, covariance: Array) -> Array:
        mean: Array = covariance @ self._weights.astype(covariance.dtype)
        return mean.astype(np.float64)

    def _explained(self, covariance: Array) -> Array:
        """``[n, N]``, whose squares add up to the variance that the targets explain."""
        from scipy.linalg import solve_triangular

        factor = self._factor[0].astype(covariance.dtype)
        solved: Array = solve_triangular(factor, covariance.T, lower=True, check_finite=False)
        return solved
