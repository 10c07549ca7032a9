"""Views of architectures: each gives squared distances to the training architectures.

All are scaled so that two training architectures are at a squared distance of 2 on average.

===========  ==================================================================================
features     hand-made features of the whole graph (:mod:`.features`), standardised on the
             training set; families weigh as :data:`FAMILY_WEIGHTS` says
contracted   the same of the graph without identities, where the space has any
subtrees     log counts of each operation together with all that feeds it and all that it feeds:
             one round of Weisfeiler and Lehman in both directions (Shervashidze et al., JMLR
             2011), as in NAS-BOWL (Ru et al., ICLR 2021, arXiv 2006.07556)
mean         what random networks of that graph compute, averaging (:mod:`.random_network`):
             two distances, of what arrives at the end and of the sum over operations
root         the same, adding over the square root of the number
inputs       the extra inputs (``graphs.features``), standardised, where there are any
===========  ==================================================================================
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

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

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

NAMES = ("features", "contracted", "subtrees", "mean", "root", "inputs")

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


class View(Protocol):
    """Distances in one representation.

    Attributes:
        parts: names of its distances, empty where there is only one.
    """

    parts: tuple[str, ...]

    def fit(self, graphs: Graphs, live: LiveGraphs) -> None:
        """Take ``n`` training architectures, as they are and as live graphs."""

    def distances(self, graphs: Graphs, live: LiveGraphs) -> list[Array]:
        """``[N, n]`` float64 squared distances to the training architectures, of each part."""


def make_views(
    shape: Shape, names: Sequence[str], width: int, weighted: bool, seed: int
) -> dict[str, View]:
    """The views of those names that the space has.

    Args:
        shape: sizes of the space's encoding.
        names: of views, from :data:`NAMES`.
        width: of the random networks.
        weighted: whether families of features weigh as :data:`FAMILY_WEIGHTS` says.
        seed: of the random networks.

    Raises:
        NaspError: if a name is unknown or none is left.
    """
    for name in names:
        if name not in NAMES:
            raise NaspError(f"predictor.views has {name!r}: choose from " + ", ".join(NAMES))
    makers: dict[str, Callable[[], View]] = {
        "features": lambda: Features(shape, weighted),
        "contracted": lambda: Contracted(shape, weighted),
        "subtrees": Subtrees,
        "mean": lambda: Networks("mean", width, seed),
        "root": lambda: Networks("root", width, seed),
        "inputs": Inputs,
    }
    lacking = {"contracted": not shape.identity_tokens, "inputs": not shape.features}
    chosen = {name: makers[name]() for name in NAMES if name in names and not lacking.get(name)}
    if not chosen:
        raise NaspError(
            f"predictor.views={list(names)} leaves nothing to compare architectures of this space "
            "by: add features, subtrees, mean or root"
        )
    return chosen


class Distances:
    """Squared Euclidean distances to training vectors, scaled to 2 on average.

    Args:
        training: ``[n, D]``.
    """

    def __init__(self, training: Array) -> None:
        self._centre = training.mean(0)
        self._training = training - self._centre
        self._norms = (self._training**2).sum(1)
        self._scale = float(self._norms.mean()) or 1.0

    def of(self, vectors: Array) -> Array:
        """``[N, n]`` from ``[N, D]``."""
        vectors = vectors - self._centre
        squared = (vectors**2).sum(1)[:, None] + self._norms - 2 * vectors @ self._training.T
        scaled: Array = np.maximum(squared, 0) / self._scale
        return scaled


class _Vectors(ABC):
    """Distances of vectors ``[N, D]`` that a subclass makes, standardised on the training set."""

    parts: tuple[str, ...] = ()

    def fit(self, graphs: Graphs, live: LiveGraphs) -> None:
        """See :class:`View`."""
        vectors = self._vectors(graphs, live)
        deviation = vectors.std(0, dtype=np.float64)
        # A feature that is constant in training keeps its scale: a new value of it counts.
        self._factors = self._weights() / np.where(deviation > 1e-6, deviation, 1.0)
        self._distances = Distances(vectors * self._factors)

    def distances(self, graphs: Graphs, live: LiveGraphs) -> list[Array]:
        """See :class:`View`."""
        return [self._distances.of(self._vectors(graphs, live) * self._factors)]

    @abstractmethod
    def _vectors(self, graphs: Graphs, live: LiveGraphs) -> Array:
        """``[N, D]`` vectors of architectures."""

    def _weights(self) -> Array | float:
        return 1.0


class Features(_Vectors):
    """Hand-made features of the whole graph."""

    def __init__(self, shape: Shape, weighted: bool) -> None:
        self.shape, self.weighted = replace(shape, features=0), weighted

    def _vectors(self, graphs: Graphs, live: LiveGraphs) -> Array:
        return graph_features(replace(graphs, features=None), self.shape)

    def _weights(self) -> Array | float:
        return family_weights(feature_names(self.shape)) if self.weighted else 1.0


class Contracted(_Vectors):
    """Hand-made features of the graph without identities; a chain is read as a graph too."""

    def __init__(self, shape: Shape, weighted: bool) -> None:
        self.weighted = weighted
        self.shape = replace(shape, features=0, chain=False)
        self.most = shape.tokens if shape.chain else most_operations(shape)

    def _vectors(self, graphs: Graphs, live: LiveGraphs) -> Array:
        return cell_features(as_cells(live), self.most)

    def _weights(self) -> Array | float:
        if not self.weighted:
            return 1.0
        return family_weights(feature_names(self.shape, most=self.most))


class Inputs(_Vectors):
    """Extra inputs, such as zero-cost proxies."""

    def _vectors(self, graphs: Graphs, live: LiveGraphs) -> Array:
        assert graphs.features is not None
        inputs: Array = graphs.features.double().cpu().numpy()
        if not np.isfinite(inputs).all():
            raise NaspError(
                f"{int((~np.isfinite(inputs)).any(1).sum())} of {len(inputs)} architectures have "
                "extra inputs that are not finite: choose other data.features"
            )
        return inputs


class Networks:
    """What random networks compute; both directions count the same."""

    parts: tuple[str, ...] = ("end", "sum")

    def __init__(self, kind: str, width: int, seed: int) -> None:
        self.kind, self.width, self.seed = kind, width, seed

    def fit(self, graphs: Graphs, live: LiveGraphs) -> None:
        """See :class:`View`."""
        self._networks = RandomNetworks(self.kind, live.operations, self.width, self.seed)
        blocks = self._networks.blocks(live)
        spread = [float(block.var(0, dtype=np.float64).sum()) for block in blocks]
        self._factors = [1 / np.sqrt(total) if total > 1e-12 else 1.0 for total in spread]
        self._distances = [Distances(vectors) for vectors in self._pairs(blocks)]

    def distances(self, graphs: Graphs, live: LiveGraphs) -> list[Array]:
        """See :class:`View`."""
        pairs = self._pairs(self._networks.blocks(live))
        return [own.of(vectors) for own, vectors in zip(self._distances, pairs, strict=True)]

    def _pairs(self, blocks: list[Array]) -> list[Array]:
        """``[N, 2 H]`` float64 of each part: the block of either direction, scaled."""
        scaled = [
            block.astype(np.float64) * factor
            for block, factor in zip(blocks, self._factors, strict=True)
        ]
        return [np.concatenate(scaled[part::2], axis=1) for part in range(2)]


class Subtrees:
    """Log counts of operations with their neighbourhoods."""

    parts: tuple[str, ...] = ()

    def fit(self, graphs: Graphs, live: LiveGraphs) -> None:
        """See :class:`View`."""
        labels, shares = _neighbourhoods(live)
        self._known = np.unique(labels[shares > 0])
        self._training = self._known_counts(labels, shares).toarray().T
        products = self._training.T @ self._training
        self._norms = np.diag(products)
        self._scale = float(self._norms.mean() - products.mean()) or 1.0

    def distances(self, graphs: Graphs, live: LiveGraphs) -> list[Array]:
        """See :class:`View`."""
        labels, shares = _neighbourhoods(live)
        counts = self._known_counts(labels, shares)
        # Labels that training does not have add to the norm alone. Each of a label's c occurrences
        # has the share s = log(1 + c) / c; all c of them add c · c s² = log(1 + c)².
        times = (labels[:, :, None] == labels[:, None, :]).sum(2)
        norms = (shares**2 * times).sum(1)
        squared = norms[:, None] + self._norms - 2 * (counts @ self._training)
        return [np.maximum(squared, 0) / self._scale]

    def _known_counts(self, labels: Array, shares: Array) -> csr_matrix:
        """``[N, labels known]`` log counts, as a sparse matrix."""
        from scipy.sparse import csr_matrix

        place = np.minimum(np.searchsorted(self._known, labels), len(self._known) - 1)
        rows, columns = np.nonzero((self._known[place] == labels) & (shares > 0))
        entries = (shares[rows, columns], (rows, place[rows, columns]))
        return csr_matrix(entries, shape=(len(labels), len(self._known)))


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


def _neighbourhoods(live: LiveGraphs) -> tuple[Array, Array]:
    """Label and share of the log count of every vertex: ``[N, V]`` uint64 and float64.

    A label is a random linear hash of the vertex's kind and of the kinds, with their numbers of
    edges, before and after it; with 64 bits, no two labels of a space are likely to collide.
    """
    kinds = live.kinds
    before, after = np.matmul(live.edges.transpose(0, 2, 1), kinds), np.matmul(live.edges, kinds)
    words = np.random.default_rng(0).integers(2**63, size=(3, kinds.shape[2]), dtype=np.uint64)
    labels = np.zeros(kinds.shape[:2], dtype=np.uint64)
    for counts, word in zip((kinds, before, after), 2 * words + np.uint64(1), strict=True):
        labels += (np.rint(counts).astype(np.uint64) * word).sum(2, dtype=np.uint64)
    present = kinds.any(axis=2)
    labels[~present] = 0
    times = (labels[:, :, None] == labels[:, None, :]).sum(2)
    return labels, np.where(present, np.log1p(times) / times, 0.0)
