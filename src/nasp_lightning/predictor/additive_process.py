"""A Gaussian process whose kernel is a sum over views, each a Matérn 5/2 of its distances.

With squared distances D_v of the views v, amplitudes a_v, lengths l_v and noise s (variances):

    K = Σ_v a_v m(D_v / l_v²) + s I,    m(r²) = (1 + √5 r + 5 r² / 3) exp(-√5 r).

The logarithms of a_v, l_v and s have independent normal priors, and take the values of the highest
posterior density: marginal likelihood times prior (Rasmussen and Williams, 2006, section 5.4.1).
With few labels the likelihood alone chooses badly between views. Leave-one-out predictions are in
closed form (there, section 5.4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nasp_lightning.error import NaspError

Array = npt.NDArray[Any]

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
        root = np.sqrt(squared * (5 * np.exp(-2 * length)))
        part = np.exp(amplitude - root)
        root *= 1 + root / 3
        root += 1
        part *= root
        total += part
    return total


def negative_log_posterior(
    logarithms: Array, distances: Sequence[Array], targets: Array, prior: Prior
) -> tuple[float, Array]:
    """Of the hyper-parameters, up to a constant, and its gradient ``[2 V + 1]``."""
    from scipy.linalg import cho_factor, cho_solve

    mean, deviation = prior.moments(len(distances))
    scaled = (logarithms - mean) / deviation
    noise = np.exp(logarithms[-1])
    identity = np.eye(len(targets))
    covariance = kernel(distances, logarithms) + (noise + JITTER) * identity
    factor = cho_factor(covariance, lower=True, check_finite=False)
    inverse = cho_solve(factor, identity, check_finite=False)
    weights = inverse @ targets
    value = 0.5 * targets @ weights + np.log(np.diag(factor[0])).sum() + 0.5 * scaled @ scaled
    inverse -= np.outer(weights, weights)  # twice the derivative by the covariance
    gradient = scaled / deviation
    for view, squared in enumerate(distances):
        amplitude, length = logarithms[2 * view : 2 * view + 2]
        ratio = squared * np.exp(-2 * length)
        root = np.sqrt(5 * ratio)
        decay = np.exp(amplitude - root)
        slope = ratio * (1 + root) * decay * (5 / 3)
        gradient[2 * view] += 0.5 * np.vdot(inverse, (1 + root + root**2 / 3) * decay)
        gradient[2 * view + 1] += 0.5 * np.vdot(inverse, slope)
    gradient[-1] += 0.5 * noise * np.trace(inverse)
    return float(value), gradient


def most_probable(
    distances: Sequence[Array], targets: Array, prior: Prior, iterations: int
) -> Array:
    """``[2 V + 1]`` logarithms of the hyper-parameters, from the prior's mean uphill."""
    from scipy.optimize import minimize

    mean, deviation = prior.moments(len(distances))
    found = minimize(
        negative_log_posterior,
        mean,
        (distances, targets, prior),
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
        from scipy.linalg import LinAlgError, cho_factor, cho_solve

        self.logarithms, self.targets = logarithms, targets
        self.noise = float(np.exp(logarithms[-1]))
        covariance = kernel(distances, logarithms)
        covariance[np.diag_indices(len(targets))] += self.noise + JITTER
        try:
            self._factor = cho_factor(covariance, lower=True, check_finite=False)
        except LinAlgError as error:
            raise NaspError(
                "the Gaussian process's covariance is not positive definite: the labels or the "
                "extra inputs are not finite, or of very different sizes"
            ) from error
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

    def leave_one_out(self) -> tuple[Array, Array]:
        """Mean and standard deviation ``[n]`` of each training label, given all the others."""
        from scipy.linalg import cho_solve

        inverse = cho_solve(self._factor, np.eye(len(self.targets)), check_finite=False)
        variance = 1 / np.diag(inverse)
        return self.targets - self._weights * variance, np.sqrt(variance)
