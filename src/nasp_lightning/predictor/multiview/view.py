"""Views of architectures: each gives squared distances between architectures.

All are scaled so that two architectures of the set that a view was fitted to are at a squared
distance of 2 on average.

===========  ==================================================================================
features     hand-made features of the whole graph (:mod:`.features`), standardised; families
             weigh as :data:`FAMILY_WEIGHTS` says
contracted   the same of the graph without identities, where the space has any
subtrees     log counts of each operation together with all that feeds it and all that it feeds
             (:mod:`.subtrees`)
mean         what random networks of that graph compute, averaging (:mod:`.random_network`):
             two distances, of what arrives at the end and of the sum over operations
root         the same, adding over the square root of the number
places       one-hots of which operation stands where, dead parts included, where places mean the
             same in every architecture
inputs       the extra inputs (``graphs.features``), standardised, where there are any
===========  ==================================================================================

A chain of layers has the first, ``places`` and ``inputs`` alone: of it a graph says nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.predictor.multiview.live_graph import LiveGraphs, as_cells
from nasp_lightning.predictor.multiview.random_network import RandomNetworks
from nasp_lightning.predictor.part.features import (
    cell_features,
    feature_names,
    graph_features,
    most_operations,
)
from nasp_lightning.space.base import Graphs, Shape

# A prior on how much a family of features matters: its standardised features are multiplied by
# this. Roughly the mean of the log inverse length scales, one for each family, that the marginal
# likelihood finds at 600 labels of NAS-Bench-201's CIFAR-10 and of the first half of
# NAS-Bench-101's 20,001. All other families: 1.
FAMILY_WEIGHTS = {
    "mean": 3.0,
    "into": 1.3,
    "out": 1.2,
    "shortest": 1.2,
    "edge": 0.8,
    "fewest": 0.7,
    "longest": 0.7,
    "paths": 0.5,
}

Described = tuple[Array, ...]  # what a view keeps of N architectures; first axes are N


class View(ABC):
    """Distances in one representation.

    Attributes:
        parts: names of its distances, empty where there is only one.
    """

    parts: tuple[str, ...] = ()

    @abstractmethod
    def describe(self, graphs: Graphs, live: LiveGraphs) -> Described:
        """What it compares ``N`` architectures by, as they are and as live graphs."""

    @abstractmethod
    def fit(self, described: Described) -> None:
        """Take centre and scale from a set of architectures."""

    @abstractmethod
    def standardise(self, described: Described) -> Described:
        """The same architectures, centred and scaled as the set that was fitted."""

    def compact(self, standardised: Described) -> Described:
        """The same in less memory, where there are very many."""
        return standardised

    @abstractmethod
    def squared(self, left: Described, right: Described) -> list[Array]:
        """``[N, n]`` squared distances between standardised ones, of each part."""


class Vectors(View):
    """Euclidean distances of vectors ``[N, D]`` that a subclass makes, each standardised."""

    def describe(self, graphs: Graphs, live: LiveGraphs) -> Described:
        """See :class:`View`."""
        return (np.asarray(self._vectors(graphs, live), dtype=np.float32),)

    def fit(self, described: Described) -> None:
        """See :class:`View`."""
        (vectors,) = described
        self._centre, self._factors = centre_and_scale(vectors, self._weigh(vectors))

    def standardise(self, described: Described) -> Described:
        """See :class:`View`."""
        return with_norms((described[0] - self._centre) * self._factors)

    def squared(self, left: Described, right: Described) -> list[Array]:
        """See :class:`View`."""
        return [euclidean(left, right)]

    @abstractmethod
    def _vectors(self, graphs: Graphs, live: LiveGraphs) -> Array:
        """``[N, D]`` vectors of architectures."""

    def _weigh(self, vectors: Array) -> Array:
        """``[D]`` factors of the features."""
        deviation = vectors.std(0, dtype=np.float64)
        # A feature that is constant in the set keeps its scale: a new value of it counts.
        factors: Array = self._weights() / np.where(deviation > 1e-6, deviation, 1.0)
        return factors

    def _weights(self) -> Array | float:
        return 1.0


class Features(Vectors):
    """Hand-made features of the whole graph."""

    def __init__(self, shape: Shape, weighted: bool) -> None:
        self.shape, self.weighted = replace(shape, features=0), weighted

    def _vectors(self, graphs: Graphs, live: LiveGraphs) -> Array:
        bare = Graphs(graphs.operations, graphs.adjacency, graphs.vertices)
        return graph_features(bare, self.shape)

    def _weights(self) -> Array | float:
        return family_weights(feature_names(self.shape)) if self.weighted else 1.0


class Contracted(Vectors):
    """Hand-made features of the graph without identities."""

    def __init__(self, shape: Shape, weighted: bool) -> None:
        self.weighted, self.shape = weighted, replace(shape, features=0)
        self.most = most_operations(shape)

    def _vectors(self, graphs: Graphs, live: LiveGraphs) -> Array:
        return cell_features(as_cells(live), self.most)

    def _weights(self) -> Array | float:
        if not self.weighted:
            return 1.0
        return family_weights(feature_names(self.shape, most=self.most))


class Inputs(Vectors):
    """Extra inputs, such as zero-cost proxies, or what a lower training budget gave."""

    def of(self, graphs: Graphs) -> Described:
        """What :meth:`describe` gives, which needs no live graphs."""
        return (extra_inputs(graphs).astype(np.float32),)

    def _vectors(self, graphs: Graphs, live: LiveGraphs) -> Array:
        return extra_inputs(graphs)


class Places(Vectors):
    """Which operation stands where, and what feeds what: nothing is taken for dead.

    Where places mean nothing the view is not made: it would tell isomorphic cells apart.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def _vectors(self, graphs: Graphs, live: LiveGraphs) -> Array:
        tokens = np.arange(self.shape.vocabulary)
        onehots = graphs.operations.cpu().numpy()[:, :, None] == tokens
        parts = [onehots.reshape(len(onehots), -1)]
        if not self.shape.chain and not self.shape.fixed_topology:
            parts.append(graphs.adjacency.cpu().numpy().reshape(len(onehots), -1) > 0)
        return np.concatenate(parts, axis=1)

    def _weigh(self, vectors: Array) -> Array:
        return np.ones(vectors.shape[1])  # a rare operation weighs no more than another


class Networks(View):
    """What random networks compute; both directions count the same."""

    parts: tuple[str, ...] = ("end", "sum")

    def __init__(self, kind: str, width: int, seed: int) -> None:
        self.kind, self.width, self.seed = kind, width, seed
        self._networks: RandomNetworks | None = None

    def describe(self, graphs: Graphs, live: LiveGraphs) -> Described:
        """See :class:`View`."""
        if self._networks is None:
            self._networks = RandomNetworks(self.kind, live.operations, self.width, self.seed)
        return tuple(self._networks.blocks(live))

    def fit(self, described: Described) -> None:
        """See :class:`View`."""
        spread = [float(block.var(0, dtype=np.float64).sum()) for block in described]
        factors = [1 / np.sqrt(total) if total > 1e-12 else 1.0 for total in spread]
        self._standards = []
        for part in range(len(self.parts)):
            pair, own = described[part::2], factors[part::2]
            each = np.concatenate([np.full(self.width, factor) for factor in own])
            self._standards.append(centre_and_scale(np.concatenate(pair, axis=1), each))

    def standardise(self, described: Described) -> Described:
        """See :class:`View`."""
        found: Described = ()
        for part, (centre, factors) in enumerate(self._standards):
            vectors = np.concatenate(described[part::2], axis=1)
            found += with_norms((vectors - centre) * factors)
        return found

    def compact(self, standardised: Described) -> Described:
        """In half precision, with the lengths of what is left."""
        halves = (standardised[at].astype(np.float16) for at in (0, 2))
        return tuple(array for half in halves for array in with_norms(half))

    def squared(self, left: Described, right: Described) -> list[Array]:
        """See :class:`View`."""
        return [euclidean(left[at : at + 2], right[at : at + 2]) for at in (0, 2)]


def extra_inputs(graphs: Graphs) -> Array:
    """``[N, F]`` float64 extra inputs.

    Raises:
        NaspError: if there are none, or one is not finite.
    """
    if graphs.features is None:
        raise NaspError(
            "these architectures have no extra inputs: set data.features=[…], or "
            "predictor.trend=false"
        )
    inputs: Array = graphs.features.double().cpu().numpy()
    if not np.isfinite(inputs).all():
        raise NaspError(
            f"{int((~np.isfinite(inputs)).any(1).sum())} of {len(inputs)} architectures have "
            "extra inputs that are not finite: choose other data.features"
        )
    return inputs


def centre_and_scale(vectors: Array, factors: Array) -> tuple[Array, Array]:
    """Centre and factors ``[D]`` float32 of vectors ``[N, D]``, in which columns weigh ``factors``.

    Two of the vectors are then at a squared distance of 2 on average.
    """
    centre = vectors.mean(0, dtype=np.float64)
    spread = float((vectors.var(0, dtype=np.float64) * factors**2).sum())
    scaled = factors / np.sqrt(spread or 1.0)
    return centre.astype(np.float32), np.asarray(scaled, dtype=np.float32)


def with_norms(vectors: Array) -> Described:
    """The vectors and ``[N]`` float64 their squared lengths, exactly theirs."""
    return vectors, np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)


def euclidean(left: Described, right: Described) -> Array:
    """``[N, n]`` squared distances between vectors with their squared lengths."""
    number = np.promote_types(np.promote_types(left[0].dtype, right[0].dtype), np.float32)
    squared = left[0].astype(number, copy=False) @ (-2 * right[0].astype(number, copy=False).T)
    squared += left[1][:, None]
    squared += right[1]
    np.maximum(squared, 0, out=squared)
    return np.asarray(squared)


def family_weights(names: Sequence[str]) -> Array:
    """``[D]`` weights of features by their names."""
    ends = ("edge/input-", "-output")  # what the input feeds and what feeds the output: 1
    return np.array(
        [
            1.0
            if ends[0] in name or name.endswith(ends[1])
            else FAMILY_WEIGHTS.get(name.partition("/")[0], 1.0)
            for name in names
        ]
    )
