"""A study's predictor over architecture and training budget: one for each budget, in a chain.

Each budget's predictor reads, beside the architecture, what the next lower one expects of it: a
nonlinear autoregressive process (Perdikaris et al., "Nonlinear information fusion algorithms for
data-efficient multi-fidelity modelling", Proceedings of the Royal Society A, 2017). How much a
lower label would tell is the part of the belief that the lower one's uncertainty makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.data.labels import LabelScale
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate
from nasp_lightning.evaluator.table import rows_of
from nasp_lightning.predictor.base import ClassicalPredictor, Probabilistic, adopt
from nasp_lightning.run.process import set_threads
from nasp_lightning.search.base import Belief
from nasp_lightning.space.base import Graphs, Space
from nasp_lightning.study.settings import StudySettings
from nasp_lightning.study.surrogate import TableSurrogate, members

LEAST = 1e-12  # of a variance


class TableLevels(TableSurrogate):
    """As a :class:`.surrogate.TableSurrogate`, for labels of several training budgets.

    Args:
        settings: of the study.
        table: the benchmark.
        space: encodes it.
        folder: the run's.
        levels: number of training budgets, the full one included.

    Raises:
        NaspError: for a predictor that is trained by gradients, does not say how sure it is, or
            reads codes.
    """

    def __init__(
        self,
        settings: StudySettings,
        table: BenchmarkTable,
        space: Space,
        folder: Path,
        levels: int,
    ) -> None:
        super().__init__(settings, table, space, folder)
        if self.data.shape.features:
            raise NaspError(
                "a search over several training budgets reads no extra inputs: set "
                "estimation_code=none and data.features=null"
            )
        self.chain = [self._link(number) for number in range(levels)]
        self.predictor = self.chain[-1]
        self._pools: list[Graphs] = []
        self.scales = [LabelScale() for _ in self.chain]

    def restart(self) -> None:
        """Begin another repeat of a search."""
        for link in self.chain:
            link.forget()

    def refit_levels(self, levels: Sequence[tuple[Sequence[Candidate], Array]], seed: int) -> None:
        """Fit on architectures and accuracies of each budget, the lowest first, the full last."""
        set_threads(self.settings.info.threads, fitting=True)
        graphs = self.data.graphs
        pools: list[Graphs] = []
        for number, (link, (items, accuracies)) in enumerate(zip(self.chain, levels, strict=True)):
            if number:
                mean, _ = self._signal(number - 1, pools[-1])
                before = self._pools[number] if self._pools else graphs
                pools.append(link.prepare(_reading(before, mean)))
            else:
                pools.append(self._pools[0] if self._pools else link.prepare(graphs))
            self.scales[number] = scale = LabelScale.of(accuracies)
            rows = torch.from_numpy(rows_of(items))
            link.refit(pools[number][rows], scale.normalise(accuracies))
        self._pools, self._pool = pools, pools[-1]
        self.data.scale = self.scales[-1]

    def belief(self, architectures: Sequence[Candidate]) -> Belief:
        """What is believed of ``N`` architectures.

        The next budget's mean is taken at the lower one's mean and a deviation on either side.
        """
        rows = rows_of(architectures)
        parts = [members(pool, rows) for pool in self._pools]
        mean, deviation = self._signal(0, parts[0])
        certainty = [self._certainty(0, parts[0], deviation)]
        correlation: list[Array] = []
        for number in range(1, len(self.chain)):
            sides = []
            for side in (-1, 1):
                moved = _reading(parts[number], mean + side * deviation)
                sides.append(self._signal(number, moved)[0])
            reach = np.abs(sides[1] - sides[0]) / 2
            mean, own = self._signal(number, parts[number])
            deviation = np.sqrt(np.maximum(own**2 + reach**2, LEAST))
            step = reach / deviation
            correlation = [*(each * step for each in correlation), step]
            if number < len(self.chain) - 1:
                certainty.append(self._certainty(number, parts[number], own))
        scale = self.scales[-1]
        return Belief(
            scale.restore(mean),
            deviation * scale.deviation,
            np.stack(correlation),
            np.stack(certainty),
        )

    def _link(self, number: int) -> ClassicalPredictor:
        """A predictor that reads one more input than the data has, but for the lowest budget's."""
        settings, shape = self.settings.predictor, self.data.shape
        if number:
            shape = replace(shape, features=shape.features + 1)
        link = adopt(settings.build(shape=shape), settings.name)
        if not isinstance(link, ClassicalPredictor) or not isinstance(link, Probabilistic):
            raise NaspError(
                f"{settings.word} cannot be fitted on several training budgets: choose "
                "predictor=multiview or predictor=gaussian_process"
            )
        return link

    def _signal(self, number: int, graphs: Graphs) -> tuple[Array, Array]:
        """Mean and deviation ``[N]`` of normalised labels, their noise left out."""
        link = self.chain[number]
        assert isinstance(link, Probabilistic)
        found = link.signal(graphs)
        return found.mean, found.deviation

    def _certainty(self, number: int, graphs: Graphs, deviation: Array) -> Array:
        """``[N]`` α₂ of Huang et al. (2006): 1 - σ_ε / √(s² + σ_ε²)."""
        link = self.chain[number]
        assert isinstance(link, Probabilistic)
        whole = np.maximum(link.posterior(graphs).deviation, 1e-9)
        noise = np.sqrt(np.maximum(whole**2 - deviation**2, 0))
        return np.asarray(1 - np.minimum(noise / whole, 1))


def _reading(graphs: Graphs, lower: Array) -> Graphs:
    """Architectures with what the lower budget says of them, ``[N]``, as their extra input."""
    return replace(graphs, features=torch.from_numpy(lower).float()[:, None])
