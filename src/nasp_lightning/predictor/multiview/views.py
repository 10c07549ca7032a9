"""All views of a space together, and architectures described once for many fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.predictor.multiview.live_graph import live_graphs
from nasp_lightning.predictor.multiview.subtrees import Subtrees
from nasp_lightning.predictor.multiview.view import (
    Contracted,
    Described,
    Features,
    Inputs,
    Networks,
    Places,
    View,
)
from nasp_lightning.space.base import Graphs, Shape

NAMES = ("features", "contracted", "subtrees", "mean", "root", "places", "inputs")
CHUNK = 4096  # architectures described at once
SAMPLE = 20_000  # of a larger pool, drawn at random, that give its centre and scale


@dataclass(frozen=True)
class DescribedGraphs(Graphs):
    """Architectures with what each view compares them by, standardised.

    Attributes:
        described: of each view, in their order.
        inputs: the extra inputs that are described; others in ``features`` were put there since.
    """

    described: tuple[Described, ...] = field(default=())
    inputs: Tensor | None = None

    def __getitem__(self, index: Tensor | slice) -> DescribedGraphs:
        """The chosen architectures."""
        chosen = super().__getitem__(index)
        rows = index if isinstance(index, slice) else index.cpu().numpy()
        return DescribedGraphs(
            chosen.operations,
            chosen.adjacency,
            chosen.vertices,
            chosen.features,
            tuple(tuple(array[rows] for array in arrays) for arrays in self.described),
            chosen.features if self.features is self.inputs else None,
        )

    def to(self, device: torch.device | str) -> DescribedGraphs:
        """The same; descriptions stay where they are."""
        current = self.features is self.inputs
        return _with(super().to(device), self.described, current)


class Views:
    """The views of those names that a space has.

    Args:
        shape: sizes of the space's encoding.
        names: of views, from :data:`NAMES`.
        width: of the random networks.
        weighted: whether families of features weigh as
            :data:`~nasp_lightning.predictor.multiview.view.FAMILY_WEIGHTS` says.
        seed: of the random networks.

    Attributes:
        parts: names of the distances, such as ``features`` and ``mean/end``.

    Raises:
        NaspError: if a name is unknown or none is left.
    """

    def __init__(
        self, shape: Shape, names: Sequence[str], width: int, weighted: bool, seed: int
    ) -> None:
        for name in names:
            if name not in NAMES:
                raise NaspError(f"predictor.views has {name!r}: choose from " + ", ".join(NAMES))
        every: dict[str, View] = {
            "features": Features(shape, weighted),
            "contracted": Contracted(shape, weighted),
            "subtrees": Subtrees(),
            "mean": Networks("mean", width, seed),
            "root": Networks("root", width, seed),
            "places": Places(shape),
            "inputs": Inputs(),
        }
        lacking = {
            # Of a chain a graph says nothing: such views only take part of the amplitude.
            **dict.fromkeys(("contracted", "subtrees", "mean", "root"), shape.chain),
            "contracted": shape.chain or not shape.identity_tokens,
            "places": not (shape.chain or shape.fixed_topology or shape.ordered),
            "inputs": not shape.features,
        }
        chosen = {name: every[name] for name in NAMES if name in names and not lacking.get(name)}
        if not chosen:
            raise NaspError(
                f"predictor.views={list(names)} leaves nothing to compare architectures of this "
                "space by: add features, subtrees, mean or root"
            )
        self.shape, self.by_name = shape, chosen
        self.parts = [
            f"{name}/{part}" if part else name
            for name, view in chosen.items()
            for part in view.parts or ("",)
        ]

    def fit(self, graphs: Graphs) -> DescribedGraphs:
        """Take centre and scale of each view from architectures, and describe them."""
        if isinstance(graphs, DescribedGraphs):  # as this pool, but for the extra inputs
            return self._with_inputs(graphs, anew=True)
        some = graphs
        if len(graphs) > SAMPLE:
            rows = np.random.default_rng(0).choice(len(graphs), SAMPLE, replace=False)
            some = graphs[torch.from_numpy(np.sort(rows))]
        parts = [self._describe(some[part]) for part in _parts(len(some))]
        for number, view in enumerate(self.by_name.values()):
            each = zip(*(part[number] for part in parts), strict=True)
            view.fit(tuple(np.concatenate(arrays) for arrays in each))
        return self.describe(graphs)

    def describe(self, graphs: Graphs) -> DescribedGraphs:
        """Architectures, standardised as those that were fitted; described ones as they are."""
        if isinstance(graphs, DescribedGraphs):
            current = graphs.features is graphs.inputs
            return graphs if current else self._with_inputs(graphs, anew=False)
        found: list[list[Array]] = []
        for part in _parts(len(graphs)):  # intermediate arrays are large
            described = self._describe(graphs[part])
            for number, view in enumerate(self.by_name.values()):
                arrays = view.standardise(described[number])
                if len(graphs) > SAMPLE:
                    arrays = view.compact(arrays)
                if part.start == 0:
                    found.append([_room(len(graphs), array) for array in arrays])
                for whole, array in zip(found[number], arrays, strict=True):
                    whole[part] = array
        return _with(graphs, [tuple(arrays) for arrays in found])

    def squared(self, left: DescribedGraphs, right: DescribedGraphs) -> list[Array]:
        """``[N, n]`` float32 squared distances between architectures, of each part."""
        pairs = zip(self.by_name.values(), left.described, right.described, strict=True)
        return [part for view, one, other in pairs for part in view.squared(one, other)]

    def exact(self, left: DescribedGraphs, right: DescribedGraphs) -> list[Array]:
        """The same in double precision.

        A fit needs it, and so does what follows from one with next to no noise: the kernel's sums
        then nearly cancel.
        """
        return self.squared(_doubled(left), _doubled(right))

    def _with_inputs(self, graphs: DescribedGraphs, anew: bool) -> DescribedGraphs:
        """The same architectures with their extra inputs described, ``anew`` standardised too."""
        found = list(graphs.described)
        for place, view in enumerate(self.by_name.values()):
            if isinstance(view, Inputs):
                arrays = view.of(graphs)
                if anew:
                    view.fit(arrays)
                found[place] = view.standardise(arrays)
        return _with(graphs, found)

    def _describe(self, graphs: Graphs) -> list[Described]:
        """By each view, as they are."""
        live = live_graphs(graphs, self.shape)
        return [view.describe(graphs, live) for view in self.by_name.values()]


def _parts(count: int) -> list[slice]:
    return [slice(start, start + CHUNK) for start in range(0, max(1, count), CHUNK)]


def _room(count: int, array: Array) -> Array:
    """For ``count`` architectures what ``array`` is for some."""
    return np.empty((count, *array.shape[1:]), dtype=array.dtype)


def _doubled(graphs: DescribedGraphs) -> DescribedGraphs:
    doubled = [
        tuple(array.astype(np.float64) if array.dtype.kind == "f" else array for array in arrays)
        for arrays in graphs.described
    ]
    return _with(graphs, doubled, graphs.features is graphs.inputs)


def _with(graphs: Graphs, described: Sequence[Described], current: bool = True) -> DescribedGraphs:
    return DescribedGraphs(
        graphs.operations,
        graphs.adjacency,
        graphs.vertices,
        graphs.features,
        tuple(described),
        graphs.features if current else None,
    )
