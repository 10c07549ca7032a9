"""Log counts of operations with their neighbourhoods: a view of :mod:`.view`.

One round of Weisfeiler and Lehman in both directions (Shervashidze et al., JMLR 2011), as in
NAS-BOWL (Ru et al., ICLR 2021, arXiv 2006.07556).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.predictor.multiview.live_graph import LiveGraphs
from nasp_lightning.predictor.multiview.view import Described, View
from nasp_lightning.space.base import Graphs

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class Subtrees(View):
    """Distances of log counts; only labels that two architectures share have to be compared."""

    def describe(self, graphs: Graphs, live: LiveGraphs) -> Described:
        """Labels ``[N, V]`` and their shares of the log counts, and ``[N]`` squared lengths.

        Each of a label's c occurrences has the share s = log(1 + c) / c; all c of them add
        c · c s² = log(1 + c)².
        """
        labels, shares = neighbourhoods(live)
        return labels, shares, _norms(labels, shares)

    def fit(self, described: Described) -> None:
        """See :class:`.view.View`."""
        labels, shares, norms = described
        mean = np.asarray(counts_of(labels, shares, known_labels(labels, shares)).mean(0)).ravel()
        spread = float(norms.mean() - mean @ mean)
        self._scale = spread if spread > 1e-9 else 1.0  # architectures that are all the same

    def standardise(self, described: Described) -> Described:
        """See :class:`.view.View`."""
        labels, shares, _ = described
        scaled = (shares / np.sqrt(self._scale)).astype(np.float32)
        return labels, scaled, _norms(labels, scaled.astype(np.float64))

    def squared(self, left: Described, right: Described) -> list[Array]:
        """See :class:`.view.View`."""
        known = known_labels(right[0], right[1])  # others add to the length alone
        products = counts_of(left[0], left[1], known) @ counts_of(right[0], right[1], known).T
        squared = left[2][:, None] + right[2] - 2 * products.toarray()
        return [np.maximum(squared, 0).astype(left[1].dtype)]


def _norms(labels: Array, shares: Array) -> Array:
    """``[N]`` squared lengths of the log counts, see :meth:`Subtrees.describe`."""
    times = (labels[:, :, None] == labels[:, None, :]).sum(2)
    return np.asarray((shares**2 * times).sum(1))


def known_labels(labels: Array, shares: Array) -> Array:
    """The labels that any of the architectures has, sorted."""
    return np.unique(labels[shares > 0])


def counts_of(labels: Array, shares: Array, known: Array) -> csr_matrix:
    """``[N, labels known]`` log counts."""
    from scipy.sparse import csr_matrix

    if not len(known):
        return csr_matrix((len(labels), 1))
    place = np.minimum(np.searchsorted(known, labels), len(known) - 1)
    rows, columns = np.nonzero((known[place] == labels) & (shares > 0))
    entries = (shares[rows, columns], (rows, place[rows, columns]))
    return csr_matrix(entries, shape=(len(labels), len(known)))


def neighbourhoods(live: LiveGraphs) -> tuple[Array, Array]:
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
