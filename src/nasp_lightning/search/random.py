"""Random search: distinct architectures drawn uniformly; the measure of every other strategy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.evaluator.base import Evaluator
from nasp_lightning.search.base import Search, Surrogate


class RandomSearch(Search):
    """Evaluates ``labels`` distinct architectures drawn uniformly.

    Args:
        labels: architectures to evaluate.
    """

    def run(
        self, evaluator: Evaluator, rng: np.random.Generator, surrogate: Surrogate | None = None
    ) -> dict[str, Array]:
        """Draw and evaluate."""
        self.check(evaluator)
        evaluator.evaluate(evaluator.sample(rng, self.labels))
        return {}


def expected_accuracy(labels: Array, truth: Array, counts: Sequence[int]) -> Array:
    """Expected true accuracy of what random search selects, in closed form.

    Of n architectures drawn without replacement from N, the one with the k-th lowest label is
    the selected one in C(k - 1, n - 1) of C(N, n) cases.

    Args:
        labels: ``[N]`` what the search selects by.
        truth: ``[N]`` what it is judged by.
        counts: the values of n, each from 1 to N.

    Returns:
        float64, one for each of ``counts``.
    """
    from scipy.special import gammaln

    ordered = np.asarray(truth, dtype=np.float64)[np.argsort(labels, kind="stable")]
    expected = []
    for size in counts:
        below = np.arange(size - 1, len(ordered))  # k - 1
        logarithms = gammaln(below + 1) - gammaln(below - size + 2)
        chances = np.exp(logarithms - logarithms.max())
        expected.append(float(chances @ ordered[size - 1 :] / chances.sum()))
    return np.array(expected)
