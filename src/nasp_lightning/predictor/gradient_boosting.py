"""Gradient-boosted trees on graph features.

The predictor of NAS-Bench-301 and many others; scikit-learn's histogram form (after LightGBM, Ke
et al., NeurIPS 2017). Small training sets need small leaves, a low learning rate and the mean of
several seeds, each on its own bootstrap-like draw of features.

Example:
    >>> predictor = GradientBoosting(shape=space.shape)  # doctest: +SKIP
    >>> predictor.fit(graphs[:100], labels)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.predictor.base import ClassicalPredictor, check_labels
from nasp_lightning.predictor.part.features import graph_features
from nasp_lightning.predictor.part.targets import Targets, check_kind
from nasp_lightning.space.base import Graphs, Shape

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingRegressor

CHUNK = 16384  # architectures scored at once


class GradientBoosting(ClassicalPredictor):
    """Mean of a few boosted ensembles of regression trees.

    Args:
        shape: sizes of the space's encoding.
        targets: ``normal_scores`` of the labels (default) or ``raw``.
        iterations: trees of an ensemble.
        learning_rate: shrinkage of each tree.
        leaves: at most so many in a tree.
        leaf_size: training architectures in a leaf, at least.
        l2: penalty of the leaves' values.
        feature_fraction: share of the features that each split may choose from.
        ensembles: ensembles of different seeds.
        places: one-hots of a fixed topology's places among the features.
        seed: of the first ensemble.

    Raises:
        NaspError: if a setting cannot be.
    """

    loss = "mse"

    def __init__(
        self,
        shape: Shape,
        targets: str = "normal_scores",
        iterations: int = 300,
        learning_rate: float = 0.05,
        leaves: int = 8,
        leaf_size: int = 4,
        l2: float = 1.0,
        feature_fraction: float = 0.5,
        ensembles: int = 4,
        places: bool = False,
        seed: int = 0,
    ) -> None:
        check_whole("predictor.iterations", iterations)
        check_whole("predictor.leaves", leaves, 2)
        check_whole("predictor.leaf_size", leaf_size)
        check_whole("predictor.ensembles", ensembles)
        if not 0 < learning_rate <= 1 or not 0 < feature_fraction <= 1 or l2 < 0:
            raise NaspError(
                f"predictor.learning_rate={learning_rate}, feature_fraction={feature_fraction}, "
                f"l2={l2}: the first two lie in (0, 1], the third is not negative"
            )
        check_kind(targets)
        self.shape, self.places, self.seed = shape, places, seed
        self.target_kind, self.ensembles = targets, ensembles
        self.settings = {
            "max_iter": iterations,
            "learning_rate": learning_rate,
            "max_leaf_nodes": leaves,
            "min_samples_leaf": leaf_size,
            "l2_regularization": l2,
            "max_features": feature_fraction,
            "early_stopping": False,
        }
        self._fitted: list[HistGradientBoostingRegressor] = []

    def fit(self, graphs: Graphs, labels: Array) -> None:
        """Fit ``n`` architectures and their labels ``[n]``."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        labels = check_labels(labels)
        features = graph_features(graphs, self.shape, self.places)
        self._targets = Targets(labels, self.target_kind)
        self._fitted = [
            HistGradientBoostingRegressor(
                **self.settings, random_state=self.seed * 1_000_003 + number
            ).fit(features, self._targets.values)
            for number in range(self.ensembles)
        ]

    def score(self, graphs: Graphs) -> Array:
        """``[N]`` scores on the labels' scale."""
        if not self._fitted:
            raise NaspError("gradient boosting was not fitted: call fit before score")
        targets = np.empty(len(graphs))
        for start in range(0, len(graphs), CHUNK):
            part = slice(start, start + CHUNK)
            features = graph_features(graphs[part], self.shape, self.places)
            targets[part] = np.mean([trees.predict(features) for trees in self._fitted], axis=0)
        return self._targets.inverse(targets)
