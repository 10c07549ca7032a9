"""Gaussian process on graph features: the strongest of the classical predictors on small sets.

White et al., "How Powerful are Performance Predictors in Neural Architecture Search?" (NeurIPS
2021, arXiv 2104.01177) compare such predictors. Here: a Matérn kernel of smoothness 5/2 with one
length scale on standardised features, plus noise; amplitude, length and noise maximise the
marginal likelihood (Rasmussen and Williams, 2006, chapters 2 and 5); scikit-learn computes it.

Example:
    >>> predictor = GaussianProcess(shape=space.shape)  # doctest: +SKIP
    >>> predictor.fit(graphs[:100], labels)  # doctest: +SKIP
    >>> belief = predictor.posterior(graphs)  # .mean and .deviation  # doctest: +SKIP
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.predictor.base import (
    ClassicalPredictor,
    Draws,
    Posterior,
    Probabilistic,
    check_labels,
)
from nasp_lightning.predictor.part.features import graph_features
from nasp_lightning.predictor.part.targets import Targets, check_kind
from nasp_lightning.space.base import Graphs, Shape

if TYPE_CHECKING:
    from sklearn.gaussian_process import GaussianProcessRegressor

CHUNK = 4096  # architectures scored at once


class GaussianProcess(ClassicalPredictor, Probabilistic):
    """Exact Gaussian process regression.

    Args:
        shape: sizes of the space's encoding.
        targets: ``normal_scores`` of the labels (default), which rank a whole space best, or
            ``raw``.
        search_targets: the same of fits in a search (:meth:`refit`).
        restarts: further starts of the likelihood's maximisation, drawn at random.
        likelihood_labels: at most so many labels, drawn at random, set the hyper-parameters; all
            of them make the posterior. The likelihood costs their number cubed, many times over.
        places: one-hots of a fixed topology's places among the features.
        seed: of both draws.

    Raises:
        NaspError: if a setting cannot be.
    """

    loss = "marginal_likelihood"

    def __init__(
        self,
        shape: Shape,
        targets: str = "normal_scores",
        search_targets: str = "raw",
        restarts: int = 1,
        likelihood_labels: int = 1000,
        places: bool = False,
        seed: int = 0,
    ) -> None:
        check_whole("predictor.restarts", restarts, 0)
        check_whole("predictor.likelihood_labels", likelihood_labels, 2)
        check_kind(targets)
        check_kind(search_targets, "search_targets")
        self.shape, self.places, self.seed = shape, places, seed
        self.target_kind, self.search_kind, self.restarts = targets, search_targets, restarts
        self.likelihood_labels = likelihood_labels
        self._process: GaussianProcessRegressor | None = None

    def fit(self, graphs: Graphs, labels: Array) -> None:
        """Fit ``n`` architectures and their labels ``[n]``."""
        self._fit(graphs, labels, self.target_kind)

    def refit(self, graphs: Graphs, labels: Array) -> None:
        """The same on a search's targets."""
        self._fit(graphs, labels, self.search_kind)

    def _fit(self, graphs: Graphs, labels: Array, kind: str) -> None:
        labels = check_labels(labels)
        features = graph_features(graphs, self.shape, self.places).astype(np.float64)
        self._mean, deviation = features.mean(0), features.std(0)
        # A feature that is constant in training keeps its scale: a new value of it counts.
        self._deviation = np.where(deviation > 1e-6, deviation, 1.0)
        self._targets = Targets(labels, kind)
        inputs, targets = self._standardised(features), self._targets.values
        chosen = np.arange(len(labels))
        if len(labels) > self.likelihood_labels:
            chosen = np.random.default_rng(self.seed).permutation(len(labels))
            chosen = chosen[: self.likelihood_labels]
        self._process = self._maximise(inputs[chosen], targets[chosen])
        if len(chosen) < len(labels):
            from sklearn.gaussian_process import GaussianProcessRegressor

            kernel = self._process.kernel_
            self._process = GaussianProcessRegressor(kernel, optimizer=None, copy_X_train=False)
            self._process.fit(inputs, targets)

    def score(self, graphs: Graphs) -> Array:
        """``[N]`` medians of the posterior, on the labels' scale."""
        mean, _ = self._moments(graphs, deviations=False)
        return self._targets.inverse(mean)

    def posterior(self, graphs: Graphs) -> Posterior:
        """Mean and standard deviation ``[N]`` of a new label, its noise included."""
        return Posterior(*self._targets.moments(*self._moments(graphs)))

    def signal(self, graphs: Graphs) -> Posterior:
        """Mean and standard deviation ``[N]`` of what a label is about, its noise left out."""
        mean, deviation = self._moments(graphs)
        variance = np.maximum(deviation**2 - self._noise(), 1e-12)
        return Posterior(*self._targets.moments(mean, np.sqrt(variance)))

    def draws(self, graphs: Graphs, count: int, rng: np.random.Generator) -> Draws:
        """``count`` joint draws of that, on the labels' scale."""
        inputs = self._standardised(graph_features(graphs, self.shape, self.places))
        mean, covariance = self._fitted().predict(inputs, return_cov=True)
        # Without the noise, but for a little of it, which the numerics need.
        covariance[np.diag_indices(len(mean))] -= self._noise() - 1e-6 * covariance.max()
        factor = np.linalg.cholesky(covariance)
        drawn = mean + rng.standard_normal((count, len(mean))) @ factor.T
        return Draws(self._targets.inverse(drawn))

    def interval(self, graphs: Graphs, level: float = 0.9) -> tuple[Array, Array]:
        """Ends ``[N]`` of the central interval that holds a new label with that probability."""
        return self._targets.interval(*self._moments(graphs), level)

    def _standardised(self, features: Array) -> Array:
        standardised: Array = (features - self._mean) / self._deviation
        return standardised

    def _maximise(self, inputs: Array, targets: Array) -> GaussianProcessRegressor:
        """The process with the hyper-parameters of the highest marginal likelihood."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        # Standardised features of D dimensions are about sqrt(2 D) apart.
        length = np.sqrt(inputs.shape[1])
        signal = ConstantKernel(1.0, (1e-2, 1e3)) * Matern(length, (length / 10, 100 * length), 2.5)
        process = GaussianProcessRegressor(
            signal + WhiteKernel(0.1, (1e-4, 2.0)),
            n_restarts_optimizer=self.restarts,
            random_state=self.seed,
        )
        with warnings.catch_warnings():  # an optimum at a bound is one all the same
            warnings.simplefilter("ignore", ConvergenceWarning)
            return process.fit(inputs, targets)

    def _moments(self, graphs: Graphs, deviations: bool = True) -> tuple[Array, Array]:
        """Mean and deviation ``[N]`` of the targets."""
        process = self._fitted()
        mean, deviation = np.empty(len(graphs)), np.zeros(len(graphs))
        for start in range(0, len(graphs), CHUNK):
            part = slice(start, start + CHUNK)
            features = graph_features(graphs[part], self.shape, self.places)
            inputs = self._standardised(features)
            if deviations:
                mean[part], deviation[part] = process.predict(inputs, return_std=True)
            else:
                mean[part] = process.predict(inputs)
        return mean, deviation

    def _fitted(self) -> GaussianProcessRegressor:
        if self._process is None:
            raise NaspError("the Gaussian process was not fitted: call fit before score")
        return self._process

    def _noise(self) -> float:
        """Variance of a label about the signal."""
        return float(self._fitted().kernel_.k2.noise_level)
