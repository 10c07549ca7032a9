"""Any predictor of a config as a search's surrogate: fitted anew on whatever was labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from lightning.pytorch import seed_everything
from torch import Tensor, nn

from nasp_lightning.array import Array
from nasp_lightning.benchmark.base import BenchmarkTable
from nasp_lightning.error import NaspError
from nasp_lightning.evaluator.base import Candidate
from nasp_lightning.evaluator.table import rows_of
from nasp_lightning.framework.base import Framework
from nasp_lightning.predictor.base import ClassicalPredictor
from nasp_lightning.run.construction import constructing
from nasp_lightning.run.folder import stem
from nasp_lightning.run.process import set_threads
from nasp_lightning.space.base import Graphs, Space
from nasp_lightning.study.estimation_code import check_reads, fit_watched
from nasp_lightning.study.neural import fit, make_task, without_callbacks
from nasp_lightning.study.parts import make_data

Config = dict[str, Any]

# Methods that give mean and deviation: of a new label on the labels' scale, or of its logit.
SURE = ("predict", "posterior")

# Nodes and weights of a normal variable's expectations (Gauss-Hermite).
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


class TableSurrogate:
    """The config's predictor, neural or classical, on the rows of one table.

    A neural one is trained as ``framework=supervised`` does, by the config's task, optimizer,
    schedule, trainer and patience. Nothing of the table's labels is read here.

    Args:
        config: resolved config.
        table: the benchmark.
        space: encodes it.
        folder: the run's, for the trainer.

    Raises:
        NaspError: for a framework that asks for labels of its own, or a setting that cannot be.
    """

    def __init__(self, config: Config, table: BenchmarkTable, space: Space, folder: Path) -> None:
        framework = stem(config["framework"]["_target_"])
        if framework != "supervised":
            raise NaspError(
                f"framework={framework} asks for labels of its own, which a search could not "
                "count: set framework=supervised"
            )
        self.config, self.folder = without_callbacks(config), folder
        # The split is the search's business: a smallest one stands in until the first fit.
        settings = {"train_size": 1, "validation_size": 0, "train_on_validation": False}
        small = {**config, "data": {**config["data"], **settings, "test_size": "all"}}
        self.data = make_data(small, table, space)
        self.published = config["data"].get("normalisation") == "published"
        with constructing("predictor"):
            self.make_predictor = instantiate(config["predictor"])
        self.predictor = self._new_predictor()
        self.device = torch.device("cpu")

    @property
    def neural(self) -> bool:
        """Whether it is trained by gradients."""
        return isinstance(self.predictor, nn.Module)

    def check_posterior(self) -> None:
        """Refuse a predictor that does not say how sure it is.

        Raises:
            NaspError: if it has neither ``predict`` nor ``posterior``.
        """
        if not any(callable(getattr(self.predictor, name, None)) for name in SURE):
            name = stem(self.config["predictor"]["_target_"])
            raise NaspError(
                f"predictor={name} does not say how sure it is, which search=bonas needs: choose "
                "predictor=gaussian_process or predictor=bonas"
            )

    def fit(self, architectures: Sequence[Candidate], accuracies: Array, seed: int) -> None:
        """Fit from scratch on ``n`` architectures and their accuracies ``[n]``."""
        data, rows = self.data, rows_of(architectures)
        if not self.published:
            deviation = float(accuracies.std())
            data.mean, data.std = float(accuracies.mean()), deviation if deviation > 0 else 1.0
        data.seed, data.train_indices = seed, rows
        data.split = replace(data.split, train=rows)
        seed_everything(seed, workers=False, verbose=False)
        self.predictor = self._new_predictor()
        indices, labels = torch.from_numpy(rows), data.normalise(accuracies)
        set_threads(self.config.get("threads"), fitting=True)
        if not self.neural:
            fit_watched(self.config, data, self.predictor, labels.double().numpy())
            return
        check_reads(self.config, self.predictor, data)
        self._train(indices, labels)

    def score(self, architectures: Sequence[Candidate]) -> Array:
        """``[N]`` float64 scores."""
        rows = rows_of(architectures)
        set_threads(self.config.get("threads"), fitting=False)
        if self.neural:
            scores = self.data.scores(self.predictor, rows, device=self.device)
            return np.asarray(scores.double().numpy())
        return np.asarray(self.predictor.score(self._graphs(rows)), dtype=np.float64)

    def posterior(self, architectures: Sequence[Candidate]) -> tuple[Array, Array]:
        """Mean and standard deviation ``[N]`` of the accuracy."""
        self.check_posterior()
        graphs = self._graphs(rows_of(architectures))
        if hasattr(self.predictor, "predict"):
            mean, deviation = map(_array, self.predictor.predict(graphs))
            return mean * self.data.std + self.data.mean, deviation * self.data.std
        with torch.no_grad():
            logits = self.predictor.to(self.device).posterior(graphs.to(self.device))
        return logit_moments(*map(_array, logits))

    def _graphs(self, rows: Array) -> Graphs:
        """Rows of the space with the codes that they are asked for."""
        self.data.need(rows)
        return self.data.graphs[torch.from_numpy(rows)]

    def _new_predictor(self) -> Any:
        with constructing("predictor"):
            predictor = self.make_predictor(shape=self.data.shape)
        if hasattr(predictor, "set_label_scale"):
            predictor.set_label_scale(self.data.mean, self.data.std)
        if not isinstance(predictor, nn.Module | ClassicalPredictor):
            raise NaspError(
                f"predictor {stem(self.config['predictor']['_target_'])} is neither a "
                "torch.nn.Module nor has it the methods fit and score"
            )
        return predictor

    def _train(self, indices: Tensor, labels: Tensor) -> None:
        data = self.data
        task = make_task(self.config, self.predictor, data)
        with constructing("framework"):
            framework: Framework = instantiate(self.config["framework"])
        epochs = framework.prepare(task, data, self.config["trainer"]["max_epochs"])
        data.set_training(indices, labels)
        trainer, _ = fit(self.config, self.folder, task, data, framework, epochs)
        device = trainer.strategy.root_device
        self.device, data.graphs = device, data.graphs.to("cpu")
        if hasattr(self.predictor, "fit_posterior"):
            self.predictor.to(device).fit_posterior(
                data.graphs[indices].to(device), labels.to(device)
            )


def logit_moments(mean: Array, deviation: Array) -> tuple[Array, Array]:
    """Mean and deviation ``[N]`` of accuracies whose logits are normal with those ``[N]``."""
    logits = mean[:, None] + deviation[:, None] * _NODES
    accuracies = 1 / (1 + np.exp(-logits))
    expected = accuracies @ _WEIGHTS
    variance = (accuracies - expected[:, None]) ** 2 @ _WEIGHTS
    return expected, np.sqrt(variance)


def _array(values: Any) -> Array:
    tensor = values.detach().cpu() if isinstance(values, Tensor) else values
    return np.asarray(tensor, dtype=np.float64)
