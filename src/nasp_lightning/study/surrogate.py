"""A study's predictor as a search's surrogate: fitted anew on whatever was labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import seed_everything
from torch import Tensor

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.data.labels import LabelScale
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate
from nasp_lightning.evaluator.table import rows_of
from nasp_lightning.predictor.base import (
    ClassicalPredictor,
    GradientPredictor,
    Probabilistic,
)
from nasp_lightning.run.process import set_threads
from nasp_lightning.space.base import Graphs, Space
from nasp_lightning.study.estimation_code import check_reads, fit_watched
from nasp_lightning.study.neural import fit, make_task
from nasp_lightning.study.settings import StudySettings, make_data
from nasp_lightning.study.study import new_predictor


class TableSurrogate:
    """A study's predictor, neural or classical, on the rows of one table.

    A neural one is trained as ``framework=supervised`` does, by the config's task, optimizer,
    schedule, trainer and patience. Nothing of the table's labels is read here.

    Args:
        settings: of the study.
        table: the benchmark.
        space: encodes it.
        folder: the run's, for the trainer.

    Raises:
        NaspError: for a framework that asks for labels of its own, or a setting that cannot be.
    """

    def __init__(
        self, settings: StudySettings, table: BenchmarkTable, space: Space, folder: Path
    ) -> None:
        if settings.framework.name != "supervised":
            raise NaspError(
                f"{settings.framework.word} asks for labels of its own, which a search could not "
                "count: set framework=supervised"
            )
        self.settings, self.folder = settings.unwatched(), folder
        # The split is the search's business: a smallest one stands in until the first fit.
        small = {"train_size": 1, "validation_size": 0, "train_on_validation": False}
        self.data = make_data(settings, table, space, **small, test_size="all")
        self.published = settings.data.settings.get("normalisation") == "published"
        self.predictor = self._new_predictor()
        self.device = torch.device("cpu")
        self._pool: Graphs | None = None  # as the predictor prepared it

    @property
    def neural(self) -> bool:
        """Whether it is trained by gradients."""
        return isinstance(self.predictor, GradientPredictor)

    def check_posterior(self) -> Probabilistic:
        """The predictor, which says how sure it is.

        Raises:
            NaspError: if it does not.
        """
        if not isinstance(self.predictor, Probabilistic):
            raise NaspError(
                f"{self.settings.predictor.word} does not say how sure it is, which this search "
                "needs: choose predictor=multiview, gaussian_process, bananas or bonas"
            )
        return self.predictor

    def fit(self, architectures: Sequence[Candidate], accuracies: Array, seed: int) -> None:
        """Fit from scratch on ``n`` architectures and their accuracies ``[n]``."""
        self._pool = None
        self._fit(architectures, accuracies, seed, further=False)

    def restart(self) -> None:
        """Begin another repeat of a search: nothing of the last one's fits or codes is known."""
        self.data.coded[:] = False
        if isinstance(self.predictor, ClassicalPredictor):
            self.predictor.forget()

    def refit(self, architectures: Sequence[Candidate], accuracies: Array, seed: int) -> None:
        """Fit with further labels; a classical predictor may go on from the last fit.

        It then keeps the seed of the run, and works on the whole table once.
        """
        predictor = self.predictor
        if isinstance(predictor, ClassicalPredictor) and self.data.code is None:
            if self._pool is None:
                self._pool = predictor.prepare(self.data.graphs)
            self._fit(architectures, accuracies, seed, further=True)
        else:
            self._fit(architectures, accuracies, seed, further=False)

    def _fit(
        self, architectures: Sequence[Candidate], accuracies: Array, seed: int, further: bool
    ) -> None:
        data, rows = self.data, rows_of(architectures)
        if not self.published:
            data.scale = LabelScale.of(accuracies)
        data.seed, data.train_indices = seed, rows
        data.split = replace(data.split, train=rows)
        seed_everything(seed, workers=False, verbose=False)
        if not further:
            self.predictor = self._new_predictor()
        indices, labels = torch.from_numpy(rows), data.normalise(accuracies)
        set_threads(self.settings.info.threads, fitting=True)
        if isinstance(self.predictor, GradientPredictor):
            check_reads(self.settings, self.predictor, data)
            self._train(self.predictor, indices, labels)
        elif further:
            self.predictor.refit(self._graphs(rows), labels.double().numpy())
        else:
            fit_watched(self.settings, data, self.predictor, labels.double().numpy())

    def score(self, architectures: Sequence[Candidate]) -> Array:
        """``[N]`` float64 scores."""
        rows = rows_of(architectures)
        set_threads(self.settings.info.threads, fitting=False)
        if isinstance(self.predictor, ClassicalPredictor):
            return np.asarray(self.predictor.score(self._graphs(rows)), dtype=np.float64)
        assert isinstance(self.predictor, GradientPredictor)
        scores = self.data.scores(self.predictor, rows, device=self.device)
        return np.asarray(scores.double().numpy())

    def posterior(self, architectures: Sequence[Candidate]) -> tuple[Array, Array]:
        """Mean and standard deviation ``[N]`` of the accuracy of a new training."""
        predictor, graphs = self._asked(architectures)
        with torch.no_grad():
            found = predictor.posterior(graphs)
        return found.accuracy(self.data.scale.mean, self.data.scale.deviation)

    def signal(self, architectures: Sequence[Candidate]) -> tuple[Array, Array]:
        """Mean and standard deviation ``[N]`` of the accuracy, a training's noise left out."""
        predictor, rows = self.check_posterior(), rows_of(architectures)
        scale, pool = self.data.scale, self._pool
        if pool is not None and 2 * len(rows) > len(pool):  # of all it keeps the distances
            mean, deviation = predictor.signal(pool).accuracy(scale.mean, scale.deviation)
            return mean[rows], deviation[rows]
        predictor, graphs = self._asked(architectures)
        with torch.no_grad():
            found = predictor.signal(graphs)
        return found.accuracy(scale.mean, scale.deviation)

    def draws(
        self, architectures: Sequence[Candidate], count: int, rng: np.random.Generator
    ) -> Array:
        """``[count, N]`` joint draws of that."""
        predictor, graphs = self._asked(architectures)
        with torch.no_grad():
            found = predictor.draws(graphs, count, rng)
        return found.accuracy(self.data.scale.mean, self.data.scale.deviation)

    def _asked(self, architectures: Sequence[Candidate]) -> tuple[Probabilistic, Graphs]:
        """The predictor and the architectures, on its device."""
        predictor = self.check_posterior()
        graphs = self._graphs(rows_of(architectures))
        if isinstance(predictor, GradientPredictor):
            predictor.to(self.device)
            graphs = graphs.to(self.device)
        return predictor, graphs

    def _graphs(self, rows: Array) -> Graphs:
        """Rows of the space with the codes that they are asked for."""
        self.data.need(rows)
        return members(self.data.graphs if self._pool is None else self._pool, rows)

    def _new_predictor(self) -> GradientPredictor | ClassicalPredictor:
        return new_predictor(self.settings.predictor, self.data)

    def _train(self, predictor: GradientPredictor, indices: Tensor, labels: Tensor) -> None:
        data, settings = self.data, self.settings
        task = make_task(settings, predictor, data)
        framework = settings.framework.build()
        epochs = framework.prepare(task, data, settings.training.trainer["max_epochs"])
        data.set_training(indices, labels)
        trainer, _ = fit(settings, self.folder, task, data, framework, epochs)
        device = trainer.strategy.root_device
        self.device, data.graphs = device, data.graphs.to("cpu")
        predictor.to(device).fit_posterior(data.graphs[indices].to(device), labels.to(device))


def members(graphs: Graphs, rows: Array) -> Graphs:
    """The architectures of rows; all of them, in their order, are ``graphs`` itself."""
    whole = len(rows) == len(graphs) and bool((np.diff(rows) == 1).all())
    return graphs if whole else graphs[torch.from_numpy(rows)]
