"""A Gaussian process on several views of an architecture: the predictor recommended here.

Hand-made features of a cell rank well with few labels, and know nothing that was not thought of;
what random networks of that graph compute, and counts of operations with their neighbourhoods,
rank no better alone and add what the features leave out. Each view (:mod:`.view`) gives one or two
Matérn kernels, their sum is the process's (:mod:`.additive_process`), and the labels decide how
much each says and over what distance. Dead parts and identities are gone before anything is
compared, so isomorphic cells are one; where places mean the same everywhere, one more view has
which operation stands where, dead parts included, since they cost time all the same. Beside the
process of all views stand two of one view each, weighted by the labels (:mod:`.mixture`). Nothing
is trained by gradients of a network, nothing needs tuning: all hyper-parameters come from the
training labels and from priors that are the same everywhere.

Targets are the labels' normal scores (:mod:`.targets`), in a search the labels themselves. Standard
deviations are those of the process times one number, which makes intervals hold as many training
labels as they should, each label predicted by a process that was fitted, hyper-parameters included,
without its quarter of them.

Example:
    >>> predictor = MultiView(shape=space.shape)  # doctest: +SKIP
    >>> predictor.fit(graphs[:100], labels)  # doctest: +SKIP
    >>> belief = predictor.posterior(graphs)  # .mean and .deviation  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

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
from nasp_lightning.predictor.multiview.mixture import (
    Hyperparameters,
    Mixture,
    Model,
    choose,
    held_out_errors,
)
from nasp_lightning.predictor.multiview.pool import Pool
from nasp_lightning.predictor.multiview.views import CHUNK, NAMES, Views
from nasp_lightning.predictor.part.targets import Targets, check_kind
from nasp_lightning.space.base import Graphs, Shape

FOLDS = 4  # of the cross-validation that sets deviations right
LEVELS = (0.8, 0.85, 0.9, 0.95)  # of the intervals that it looks at; their mean is less noisy
LEAST_CALIBRATED = 20  # labels under which there is too little to count
PRIOR_LABELS = 100  # labels with which the deviations as they are count, against what is found
ALONE = ("places", "features")  # views that have a process of their own


class MultiView(ClassicalPredictor, Probabilistic):
    """Exact Gaussian process regression on a sum of kernels, one for each view.

    Args:
        shape: sizes of the space's encoding.
        views: which of :data:`~nasp_lightning.predictor.multiview.views.NAMES`; those that a space
            does not have are passed over.
        weighted: families of hand-made features weigh as
            :data:`~nasp_lightning.predictor.multiview.view.FAMILY_WEIGHTS` says; False: all the
            same.
        averaged: processes of single views stand beside that of all; False: that one alone.
        targets: ``normal_scores`` of the labels (default), which rank a whole space best, or
            ``raw``.
        search_targets: the same of fits in a search (:meth:`refit`): ``raw`` ones keep how far
            apart the best labels are, and find better architectures sooner.
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
        averaged: bool = True,
        targets: str = "normal_scores",
        search_targets: str = "raw",
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
        check_kind(search_targets, "search_targets")
        self._new_views: Callable[[], Views] = lambda: Views(shape, views, width, weighted, seed)
        self._views = self._new_views()  # refuses wrong names before any fit
        self.seed, self.target_kind, self.search_kind = seed, targets, search_targets
        self.likelihood_labels, self.iterations = likelihood_labels, iterations
        self.averaged, self.calibrated = averaged, calibrated
        self.shares: dict[str, float] = {}
        self._pool: Pool | None = None
        self._chosen: Hyperparameters | None = None
        self._mixture: Mixture | None = None

    def prepare(self, graphs: Graphs) -> Graphs:
        """Describe a pool once: fits on its members, and scores of it, take that up.

        Views are then standardised as this pool, instead of anew on each training set.
        """
        described = self._views.fit(graphs)
        self._pool = Pool(self._views, described)
        return described

    def fit(self, graphs: Graphs, labels: Array) -> None:
        """Fit ``n`` architectures and their labels ``[n]``."""
        self._fit(graphs, labels, self.target_kind, None)
        if self.calibrated and len(self._chosen_rows) >= LEAST_CALIBRATED:
            self._factor = self._deviation_factor()

    def refit(self, graphs: Graphs, labels: Array) -> None:
        """Fit again, the hyper-parameters from the last ones on, and without calibration."""
        self._fit(graphs, labels, self.search_kind, self._chosen)

    def forget(self) -> None:
        """The next :meth:`refit` begins at the prior's mean."""
        self._chosen = None

    def score(self, graphs: Graphs) -> Array:
        """``[N]`` medians of the posterior, on the labels' scale."""
        mixture, mean = self._fitted(), np.empty(len(graphs))
        for part, distances in self._distances(graphs):
            mean[part] = mixture.mean(distances)
        return self._targets.inverse(mean)

    def posterior(self, graphs: Graphs) -> Posterior:
        """Mean and standard deviation ``[N]`` of a new label, its noise included."""
        return Posterior(*self._targets.moments(*self._moments(graphs)))

    def signal(self, graphs: Graphs) -> Posterior:
        """Mean and standard deviation ``[N]`` of what a label is about, its noise left out."""
        return Posterior(*self._targets.moments(*self._moments(graphs, noisy=False)))

    def draws(self, graphs: Graphs, count: int, rng: np.random.Generator) -> Draws:
        """``count`` joint draws of that, on the labels' scale."""
        described = self._views.describe(graphs)
        distances = self._views.exact(described, self._training)
        own = self._views.squared(described, described)
        drawn = self._fitted().draws(distances, own, count, rng)
        return Draws(self._targets.inverse(drawn))

    def interval(self, graphs: Graphs, level: float = 0.9) -> tuple[Array, Array]:
        """Ends ``[N]`` of the central interval that holds a new label with that probability."""
        return self._targets.interval(*self._moments(graphs), level)

    def _fit(self, graphs: Graphs, labels: Array, kind: str, start: Hyperparameters | None) -> None:
        labels = check_labels(labels)
        self._targets = Targets(labels, kind)
        if self._pool is None:
            self._views = self._new_views()
            self._training = self._views.fit(graphs)
        else:
            self._training = self._views.describe(graphs)
            self._pool.reach(self._training)
        distances = self._views.exact(self._training, self._training)
        targets, chosen = self._targets.values, np.arange(len(labels))
        if len(labels) > self.likelihood_labels:
            chosen = np.random.default_rng(self.seed).permutation(len(labels))
            chosen = chosen[: self.likelihood_labels]
        self._chosen_rows = chosen
        self._some = [part[np.ix_(chosen, chosen)] for part in distances]
        models = self._models()
        found = choose(self._some, targets[chosen], models, self.iterations, start)
        self._chosen, self._factor = found, 1.0
        self._mixture = Mixture(distances, targets, models, found)
        parts = self._views.parts
        self.shares = dict(zip(parts, self._mixture.shares(len(parts)).tolist(), strict=True))

    def _models(self) -> list[Model]:
        """All views together, and those that stand alone."""
        parts = self._views.parts
        every = tuple(range(len(parts)))
        alone = [(parts.index(name),) for name in ALONE if name in parts] if self.averaged else []
        return [every, *(model for model in alone if model != every)]

    def _fitted(self) -> Mixture:
        if self._mixture is None:
            raise NaspError("the multi-view process was not fitted: call fit before score")
        return self._mixture

    def _distances(self, graphs: Graphs) -> Iterator[tuple[slice, list[Array]]]:
        """Parts of ``graphs`` with their ``[N, n]`` squared distances to the training ones."""
        known = None if self._pool is None else self._pool.columns(graphs)
        for start in range(0, len(graphs), CHUNK):
            part = slice(start, start + CHUNK)
            if known is not None:
                yield part, [columns[part] for columns in known]
            else:
                described = self._views.describe(graphs[part])
                yield part, self._views.exact(described, self._training)

    def _moments(self, graphs: Graphs, noisy: bool = True) -> tuple[Array, Array]:
        """Mean and deviation ``[N]`` of the targets."""
        mixture = self._fitted()
        mean, deviation = np.empty(len(graphs)), np.empty(len(graphs))
        for part, distances in self._distances(graphs):
            mean[part], deviation[part] = mixture.moments(distances, noisy)
        return mean, deviation * self._factor

    def _deviation_factor(self) -> float:
        """By what held-out labels are further from their predictions than those say.

        Absolute errors' quantiles over the normal distribution's, at several levels; the
        logarithm is drawn to 0, since few labels say little.
        """
        from scipy.stats import norm

        targets = self._targets.values[self._chosen_rows]
        count = len(targets)
        folds = np.random.default_rng([self.seed, 6]).permutation(count) % FOLDS
        errors = held_out_errors(self._some, targets, self._models(), self.iterations, folds)
        levels = np.array(LEVELS)
        ratios = np.quantile(np.abs(errors), levels) / norm.ppf(0.5 + levels / 2)
        return float(np.clip(ratios.mean(), 0.5, 3.0) ** (count / (count + PRIOR_LABELS)))
