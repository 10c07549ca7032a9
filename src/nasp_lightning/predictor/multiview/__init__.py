"""A Gaussian process on several views of an architecture: the predictor recommended here.

Hand-made features of a cell rank well with few labels, and know nothing that was not thought of;
what random networks of that graph compute, and counts of operations with their neighbourhoods,
rank no better alone and add what the features leave out. Each view (:mod:`.view`) gives one or two
Matérn kernels, their sum is the process's (:mod:`.additive_process`), and the labels decide how
much each says and over what distance. Dead parts and identities are gone before anything is
compared, so isomorphic cells are one. Nothing is trained by gradients of a network, nothing needs
tuning: all hyper-parameters come from the training labels and from priors that are the same
everywhere.

Targets are the labels' normal scores (:mod:`.targets`). Standard deviations are those of the
process times one number, which makes intervals hold as many training labels as they should, each
label predicted by a process that was fitted, hyper-parameters included, without its quarter of
them.

Example:
    >>> predictor = MultiView(shape=space.shape)  # doctest: +SKIP
    >>> predictor.fit(graphs[:100], labels)  # doctest: +SKIP
    >>> belief = predictor.posterior(graphs)  # .mean and .deviation  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.predictor.base import (
    ClassicalPredictor,
    Posterior,
    Probabilistic,
    check_labels,
)
from nasp_lightning.predictor.multiview.additive_process import (
    AdditiveProcess,
    Prior,
    held_out_errors,
    most_probable,
)
from nasp_lightning.predictor.multiview.live_graph import live_graphs
from nasp_lightning.predictor.multiview.view import NAMES, View, make_views
from nasp_lightning.predictor.part.targets import Targets, check_kind
from nasp_lightning.space.base import Graphs, Shape

CHUNK = 4096  # architectures scored at once
FOLDS = 4  # of the cross-validation that sets deviations right
LEVELS = (0.8, 0.85, 0.9, 0.95)  # of the intervals that it looks at; their mean is less noisy
LEAST_CALIBRATED = 20  # labels under which there is too little to count
PRIOR_LABELS = 100  # labels with which the deviations as they are count, against what is found


class MultiView(ClassicalPredictor, Probabilistic):
    """Exact Gaussian process regression on a sum of kernels, one for each view.

    Args:
        shape: sizes of the space's encoding.
        views: which of :data:`~nasp_lightning.predictor.multiview.view.NAMES`; those that a space
            does not have are passed over.
        weighted: families of hand-made features weigh as
            :data:`~nasp_lightning.predictor.multiview.view.FAMILY_WEIGHTS` says; False: all the
            same.
        targets: ``normal_scores`` of the labels (default) or ``raw``.
        width: of each random network.
        likelihood_labels: at most so many labels, drawn at random, set the hyper-parameters; all
            of them make the posterior. The likelihood costs their number cubed, many times over.
        iterations: of the hyper-parameters' maximisation, at most.
        calibrated: deviations are set right by cross-validation, which takes about as long again
            as the fit.
        seed: of that draw and of the random networks.

    Attributes:
        shares: after a fit, the share of each view (of each part of it) of the signal's variance.

    Raises:
        NaspError: if a setting cannot be.
    """

    loss = "marginal_likelihood"

    def __init__(
        self,
        shape: Shape,
        views: Sequence[str] = NAMES,
        weighted: bool = True,
        targets: str = "normal_scores",
        width: int = 64,
        likelihood_labels: int = 1000,
        iterations: int = 60,
        calibrated: bool = True,
        seed: int = 0,
    ) -> None:
        check_whole("predictor.width", width)
        check_whole("predictor.likelihood_labels", likelihood_labels, 2)
        check_whole("predictor.iterations", iterations)
        check_kind(targets)
        self._new_views: Callable[[], dict[str, View]] = lambda: make_views(
            shape, views, width, weighted, seed
        )
        self._new_views()  # refuses wrong names before any fit
        self.shape, self.seed, self.target_kind = shape, seed, targets
        self.likelihood_labels, self.iterations = likelihood_labels, iterations
        self.calibrated = calibrated
        self.shares: dict[str, float] = {}
        self._process: AdditiveProcess | None = None

    def fit(self, graphs: Graphs, labels: Array) -> None:
        """Fit ``n`` architectures and their labels ``[n]``."""
        labels = check_labels(labels)
        self._targets = Targets(labels, self.target_kind)
        self._views = self._new_views()
        live = live_graphs(graphs, self.shape)
        for view in self._views.values():
            view.fit(graphs, live)
        distances = self._distances(graphs)
        targets, chosen = self._targets.values, np.arange(len(labels))
        if len(labels) > self.likelihood_labels:
            chosen = np.random.default_rng(self.seed).permutation(len(labels))
            chosen = chosen[: self.likelihood_labels]
        some = [squared[np.ix_(chosen, chosen)] for squared in distances]
        logarithms = most_probable(some, targets[chosen], Prior(), self.iterations)
        self._process = AdditiveProcess(distances, targets, logarithms)
        amplitudes = np.exp(logarithms[:-1:2])
        parts = (amplitudes / amplitudes.sum()).tolist()
        names = [
            f"{name}/{part}" if part else name
            for name, view in self._views.items()
            for part in view.parts or ("",)
        ]
        self.shares = dict(zip(names, parts, strict=True))
        self._factor = 1.0
        if self.calibrated and len(chosen) >= LEAST_CALIBRATED:
            self._factor = self._deviation_factor(some, targets[chosen])

    def score(self, graphs: Graphs) -> Array:
        """``[N]`` medians of the posterior, on the labels' scale."""
        mean = np.empty(len(graphs))
        process = self._fitted()
        for part in _parts(len(graphs)):
            mean[part] = process.mean(self._distances(graphs[part]))
        return self._targets.inverse(mean)

    def posterior(self, graphs: Graphs) -> Posterior:
        """Mean and standard deviation ``[N]`` of a new label, its noise included."""
        return Posterior(*self._targets.moments(*self._moments(graphs)))

    def interval(self, graphs: Graphs, level: float = 0.9) -> tuple[Array, Array]:
        """Ends ``[N]`` of the central interval that holds a new label with that probability."""
        return self._targets.interval(*self._moments(graphs), level)

    def _fitted(self) -> AdditiveProcess:
        if self._process is None:
            raise NaspError("the multi-view process was not fitted: call fit before score")
        return self._process

    def _distances(self, graphs: Graphs) -> list[Array]:
        """``[N, n]`` squared distances to the training architectures in each view."""
        live = live_graphs(graphs, self.shape)
        return [part for view in self._views.values() for part in view.distances(graphs, live)]

    def _moments(self, graphs: Graphs) -> tuple[Array, Array]:
        """Mean and deviation ``[N]`` of the targets."""
        process = self._fitted()
        mean, deviation = np.empty(len(graphs)), np.empty(len(graphs))
        for part in _parts(len(graphs)):
            mean[part], deviation[part] = process.moments(self._distances(graphs[part]))
        return mean, deviation * self._factor

    def _deviation_factor(self, distances: list[Array], targets: Array) -> float:
        """By what held-out labels are further from their predictions than those say.

        Absolute errors' quantiles over the normal distribution's, at several levels; the
        logarithm is drawn to 0, since few labels say little.
        """
        from scipy.stats import norm

        count = len(targets)
        folds = np.random.default_rng([self.seed, 6]).permutation(count) % FOLDS
        errors = held_out_errors(distances, targets, Prior(), self.iterations, folds)
        levels = np.array(LEVELS)
        ratios = np.quantile(np.abs(errors), levels) / norm.ppf(0.5 + levels / 2)
        return float(np.clip(ratios.mean(), 0.5, 3.0) ** (count / (count + PRIOR_LABELS)))


def _parts(count: int) -> list[slice]:
    return [slice(start, start + CHUNK) for start in range(0, count, CHUNK)]
