"""How well predicted scores rank architectures: pure functions on 1-D arrays or tensors.

All take ``predicted`` (scores on any scale, higher is better) and ``true`` (accuracies), both
``[N]``, and give a Python float. None depends on the order of the architectures.

Undefined correlations are defined as 0.0, not NaN: a predictor (or a truth) that is constant,
which includes a single architecture, ranks nothing. Ties in the predictions at the border of
the predicted top K are broken against the predictor (the lower true accuracy is taken first),
so that a constant predictor earns nothing by luck. K above N means all N.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from nasp_lightning.error import NaspError

if TYPE_CHECKING:
    from torch import Tensor

Vector = npt.NDArray[np.float64]
Values: TypeAlias = "npt.ArrayLike | Tensor"  # one-dimensional


def kendall_tau(predicted: Values, true: Values) -> float:
    """Kendall's tau-b in [-1, 1], in O(N log N); 0.0 where either side is constant.

    This is the tau of the TNASP and PINAT tables (``scipy.stats.kendalltau``).

    Args:
        predicted: ``[N]`` scores.
        true: ``[N]`` accuracies.

    Raises:
        NaspError: for NaN, for no architecture at all, or for shapes that differ.
    """
    from scipy.stats import kendalltau

    predicted, true = _pair(predicted, true)
    if _constant(predicted) or _constant(true):
        return 0.0
    return float(kendalltau(predicted, true, variant="b").statistic)


def spearman(predicted: Values, true: Values) -> float:
    """Spearman's rank correlation in [-1, 1], ties by mean rank; 0.0 where either is constant.

    Args:
        predicted: ``[N]`` scores.
        true: ``[N]`` accuracies.

    Raises:
        NaspError: for NaN, for no architecture at all, or for shapes that differ.
    """
    from scipy.stats import rankdata

    predicted, true = _pair(predicted, true)
    return _correlation(rankdata(predicted), rankdata(true))


def pearson(predicted: Values, true: Values) -> float:
    """Pearson's linear correlation in [-1, 1]; 0.0 where either side is constant.

    Args:
        predicted: ``[N]`` scores.
        true: ``[N]`` accuracies.

    Raises:
        NaspError: for NaN or infinity, for no architecture at all, or for shapes that differ.
    """
    predicted, true = _pair(predicted, true)
    for name, values in (("predictions", predicted), ("true values", true)):
        if infinite := int(np.isinf(values).sum()):
            raise NaspError(
                f"{infinite} of {len(values)} {name} are infinite, and Pearson's correlation has "
                "no value: lower the learning rate, or use a rank metric"
            )
    return _correlation(predicted, true)


def best_in_top_k(predicted: Values, true: Values, k: int) -> float:
    """Best true accuracy among the K architectures predicted best, in the unit of ``true``.

    Args:
        predicted: ``[N]`` scores.
        true: ``[N]`` accuracies.
        k: size of the predicted top; ties at its border are broken against the predictor.

    Raises:
        NaspError: for K below 1, NaN, no architecture at all, or shapes that differ.
    """
    predicted, true = _pair(predicted, true)
    return float(true[_predicted_top(predicted, true, k)].max())


def regret_at_k(predicted: Values, true: Values, k: int) -> float:
    """Best true accuracy of all minus :func:`best_in_top_k`; zero or more, lower is better.

    Args:
        predicted: ``[N]`` scores.
        true: ``[N]`` accuracies.
        k: size of the predicted top; ties at its border are broken against the predictor.

    Raises:
        NaspError: for K below 1, NaN, no architecture at all, or shapes that differ.
    """
    predicted, true = _pair(predicted, true)
    return float(true.max() - true[_predicted_top(predicted, true, k)].max())


def precision_at_k(predicted: Values, true: Values, k: int) -> float:
    """Share of the predicted top K that belongs to the true top K, in [0, 1].

    The true top K is every architecture at least as accurate as the K-th best, so those tied
    with it count as hits. Ties in the predictions are broken against the predictor.

    Args:
        predicted: ``[N]`` scores.
        true: ``[N]`` accuracies.
        k: size of both tops.

    Raises:
        NaspError: for K below 1, NaN, no architecture at all, or shapes that differ.
    """
    predicted, true = _pair(predicted, true)
    chosen = _predicted_top(predicted, true, k)
    threshold = np.partition(true, len(true) - len(chosen))[len(true) - len(chosen)]
    return float((true[chosen] >= threshold).mean())


def best_percent_in_top_k(predicted: Values, true: Values, k: int) -> float:
    """Share of the predicted top K that belongs to the true best 1 %, in [0, 1].

    The best 1 % are the ⌈N/100⌉ most accurate of the N, and those tied with the last of them.
    Ties in the predictions are broken against the predictor. A random order has 0.01 in
    expectation. Where K is above the number of the best 1 %, 1 cannot be reached.

    Args:
        predicted: ``[N]`` scores.
        true: ``[N]`` accuracies.
        k: size of the predicted top.

    Raises:
        NaspError: for K below 1, NaN, no architecture at all, or shapes that differ.
    """
    predicted, true = _pair(predicted, true)
    return float(_true_top(true, 100)[_predicted_top(predicted, true, k)].mean())


def kendall_tau_top_tenth(predicted: Values, true: Values) -> float:
    """Kendall's tau-b among the true best tenth; 0.0 where either side is constant there.

    The best tenth are the ⌈N/10⌉ most accurate of the N, and those tied with the last of them.

    Args:
        predicted: ``[N]`` scores.
        true: ``[N]`` accuracies.

    Raises:
        NaspError: for NaN, for no architecture at all, or for shapes that differ.
    """
    predicted, true = _pair(predicted, true)
    best = _true_top(true, 10)
    return kendall_tau(predicted[best], true[best])


def check_top_k(k: int) -> int:
    """Give K back if it is a whole number of at least 1.

    Raises:
        NaspError: otherwise.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise NaspError(f"top K must be a whole number of at least 1, not {k!r}")
    return int(k)


def _predicted_top(predicted: Vector, true: Vector, k: int) -> npt.NDArray[np.intp]:
    """Indices of the predicted top K; equal scores are ordered by true accuracy, worst first."""
    return np.lexsort((true, -predicted))[: check_top_k(k)]


def _true_top(true: Vector, parts: int) -> npt.NDArray[np.bool_]:
    """``[N]`` whether among the best ⌈N/parts⌉, or tied with the last of them."""
    place = len(true) - -(-len(true) // parts)
    return np.asarray(true >= np.partition(true, place)[place])


def _constant(values: Vector) -> bool:
    return bool((values == values[0]).all())


def bootstrap_interval(
    values: Values, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of independent values.

    Args:
        values: ``[R]``, such as one result for each repeat.
        level: share of the resampled means that it holds.
        draws: resamples.
        seed: of the resampling.

    Raises:
        NaspError: for NaN or no value at all.
    """
    vector = _vector(values, "values")
    chosen = np.random.default_rng(seed).integers(len(vector), size=(draws, len(vector)))
    low, high = np.quantile(vector[chosen].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _correlation(left: Vector, right: Vector) -> float:
    from scipy.stats import pearsonr

    if _constant(left) or _constant(right):
        return 0.0
    with warnings.catch_warnings():  # SciPy warns where the spread is lost to rounding
        warnings.simplefilter("ignore")
        value = float(pearsonr(left, right).statistic)
    return value if np.isfinite(value) else 0.0


def _pair(predicted: Values, true: Values) -> tuple[Vector, Vector]:
    """Both sides as float64 vectors of one length, without NaN."""
    left, right = _vector(predicted, "predictions"), _vector(true, "true values")
    if len(left) != len(right):
        raise NaspError(f"{len(left)} predictions cannot be compared with {len(right)} true values")
    return left, right


def _vector(values: Values, name: str) -> Vector:
    if hasattr(values, "detach"):  # a tensor, of any device and floating type
        values = values.detach().cpu().double().numpy()
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or not len(vector):
        raise NaspError(f"{name} must be a vector with at least one value, not {vector.shape}")
    if missing := int(np.isnan(vector).sum()):
        remedy = (
            "the predictor diverged: lower its learning rate"
            if name == "predictions"
            else "leave out the architectures that the benchmark has no value for"
        )
        raise NaspError(f"{missing} of {len(vector)} {name} are NaN: {remedy}")
    return vector
