"""What evaluating an architecture promises, by what a predictor believes of it.

For one architecture after the other in closed form, and for several at once by joint draws of what
labels are about: each next one is judged by what it adds to those chosen before it and to those
that are still being evaluated (Wilson et al., "Maximizing acquisition functions for Bayesian
optimization", NeurIPS 2018, arXiv 1805.10196: greedy, with the draws held fixed). A batch is then
no list of near-copies.
"""

from __future__ import annotations

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError

ACQUISITIONS = (
    "expected_improvement",
    "noisy_expected_improvement",
    "upper_confidence_bound",
    "thompson_sampling",
)


def check_acquisition(name: str, known: tuple[str, ...] = ACQUISITIONS) -> str:
    """The name of an acquisition.

    Raises:
        NaspError: if there is none of that name.
    """
    if name not in known:
        raise NaspError(f"search.acquisition={name}: choose " + " or ".join(known))
    return name


def expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """``[N]`` expectation of max(y - best, 0) for y normal with that mean and deviation.

    Jones et al., "Efficient Global Optimization of Expensive Black-Box Functions" (1998).
    """
    from scipy.stats import norm

    gap = np.asarray(mean, dtype=np.float64) - best
    spread = np.maximum(np.asarray(deviation, dtype=np.float64), 1e-12)
    ratio = gap / spread
    improvement: Array = gap * norm.cdf(ratio) + spread * norm.pdf(ratio)
    return improvement


def log_expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """Its logarithm ``[N]``, which still orders architectures that have no hope left.

    Ament et al., "Unexpected Improvements to Expected Improvement" (NeurIPS 2023, arXiv
    2310.20708): log(φ(z) + z Φ(z)) for z far below 0 by the scaled complementary error function.
    """
    from scipy.special import erfcx
    from scipy.stats import norm

    spread = np.maximum(np.asarray(deviation, dtype=np.float64), 1e-12)
    z = (np.asarray(mean, dtype=np.float64) - best) / spread
    far = z < -1
    near, below = np.where(far, 0.0, z), np.where(far, z, -1.0)
    value = np.log(norm.pdf(near) + near * norm.cdf(near))
    ratio = np.abs(below) * erfcx(-below / np.sqrt(2)) * np.sqrt(np.pi / 2)  # |z| Φ(z) / φ(z)
    # 1 - ratio tends to 1 / z²; its own rounding would rule further out.
    rest = np.where(below < -1e3, 1 / below**2, np.maximum(1 - ratio, 1e-300))
    tail = -0.5 * below**2 - 0.5 * np.log(2 * np.pi) + np.log(rest)
    logarithm: Array = np.where(far, tail, value) + np.log(spread)
    return logarithm


def joint_improvement(draws: Array, best: Array, count: int) -> list[int]:
    """Places of ``count`` architectures whose best is expected to improve most.

    Args:
        draws: ``[S, N]`` of what labels are about.
        best: ``[S]`` best of what is evaluated, or being evaluated, in each draw.
        count: at most N.
    """
    gains, chosen = draws, []
    free, best = np.ones(draws.shape[1], dtype=bool), best.copy()
    for _ in range(count):
        gain = np.maximum(gains - best[:, None], 0).mean(0)
        if gain[free].max() <= 0:  # no draw improves: the highest mean
            gain = draws.mean(0)
        place = int(np.argmax(np.where(free, gain, -np.inf)))
        free[place] = False
        chosen.append(place)
        best = np.maximum(best, draws[:, place])
    return chosen


def joint_upper_bound(draws: Array, pending: Array, kappa: float, count: int) -> list[int]:
    """Places of ``count`` architectures whose best upper bound is expected to be highest.

    The bound of a draw f is ``μ + κ √(π / 2) |f - μ|``, whose mean for one architecture is the
    upper confidence bound μ + κ σ (Wilson et al., 2018, appendix A).

    Args:
        draws: ``[S, N]`` of what labels are about.
        pending: ``[S, P]`` of those that are being evaluated.
        kappa: κ, deviations.
        count: at most N.
    """

    def bound(values: Array) -> Array:
        mean = values.mean(0)
        reached: Array = mean + kappa * np.sqrt(np.pi / 2) * np.abs(values - mean)
        return reached

    # Bounds against the best pending one; without any, against what any draw exceeds.
    bounds = bound(draws)
    start = bound(pending).max(1) if pending.shape[1] else np.full(len(draws), bounds.min())
    return joint_improvement(bounds, start, count)


def thompson(draws: Array, count: int) -> list[int]:
    """Places of ``count`` architectures, each the best of another draw.

    Kandasamy et al., "Parallelised Bayesian Optimisation via Thompson Sampling" (AISTATS 2018).
    A draw whose best is chosen already gives its best of the others.

    Args:
        draws: ``[S, N]`` of what labels are about.
        count: at most N.
    """
    chosen: list[int] = []
    for number in range(count):
        values = draws[number % len(draws)].copy()
        values[chosen] = -np.inf
        chosen.append(int(np.argmax(values)))
    return chosen
