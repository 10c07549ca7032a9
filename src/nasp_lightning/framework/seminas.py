"""SemiNAS: the predictor labels further architectures itself and goes on training with them.

Luo et al., "Semi-Supervised Neural Architecture Search", NeurIPS 2020 (arXiv 2002.10389). The
defaults are TNASP's use of it (Lu et al., NeurIPS 2021, supplementary B, rows "+ SM" of Table 7):
predict the accuracy of another 100 architectures, add them to the training set, train 50 epochs,
and that twice. The sizes of SemiNAS' own paper are ``framework=seminas_original``.

Example:
    ``python -m nasp_lightning +experiment=nb201_tnasp_sm``
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.data.split import Indices
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.framework.base import Framework
from nasp_lightning.framework.part.admm import affine_calibration
from nasp_lightning.framework.part.state import State, read_tensor
from nasp_lightning.task.predictor import Phase, PredictorTask

DRAW = 2  # tells the draws of architectures from the seed's other uses


class SemiNAS(Framework):
    """Pseudo-labels as a Lightning callback, for any neural predictor with scalar scores.

    It begins where the plain fit ends. An iteration draws architectures that are neither training
    nor validation ones, labels them with their predicted accuracy, on the scale of the normalised
    labels (scores of a rank loss are mapped onto it on the training labels), and trains on them
    and on the real labels with a fresh optimizer.

    The supplementary leaves open whether the second 100 join the first or replace them; that they
    join, with the labels they were given, is our reading of "add them to the training set".

    Args:
        amount: m, architectures labelled in an iteration.
        epochs: of training in an iteration.
        iterations: how often.
        accumulate: whether those of earlier iterations stay, with their labels.
        up_sample: how often each real label is repeated in an epoch.
        learning_rate: of the fresh optimizers; None: the configured one.

    Attributes:
        chosen: ``[k]`` int64 rows of the space that bear pseudo-labels now.
        pseudo_labels: ``[k]`` float32, normalised.

    Raises:
        NaspError: for a setting that cannot be.
    """

    needs_scores: ClassVar[bool] = True

    def __init__(
        self,
        amount: int = 100,
        epochs: int = 50,
        iterations: int = 2,
        accumulate: bool = True,
        up_sample: int = 1,
        learning_rate: float | None = None,
    ) -> None:
        super().__init__()
        sizes = {"amount": amount, "epochs": epochs, "iterations": iterations}
        for name, value in {**sizes, "up_sample": up_sample}.items():
            check_whole(f"framework.{name}", value)
        if not isinstance(accumulate, bool):
            raise NaspError(f"framework.accumulate={accumulate}: it must be true or false")
        if learning_rate is not None and not learning_rate > 0:
            raise NaspError(f"framework.learning_rate={learning_rate}: it must be positive")
        self.amount, self.epochs, self.iterations = amount, epochs, iterations
        self.accumulate, self.up_sample = accumulate, up_sample
        self.learning_rate = learning_rate
        self.chosen = torch.zeros(0, dtype=torch.long)
        self.pseudo_labels = torch.zeros(0)

    def further_phases(self) -> list[Phase]:
        """A phase for each iteration."""
        names = [f"seminas_{iteration + 1}" for iteration in range(self.iterations)]
        return [Phase(name, self.epochs, self.learning_rate) for name in names]

    def check(self, task: PredictorTask, data: ArchitectureData) -> None:
        """Refuse small spaces."""
        wanted = self.amount * (self.iterations if self.accumulate else 1)
        pool = len(self._pool(data))
        if wanted > pool:
            raise NaspError(
                f"framework.amount={self.amount} asks for {wanted} unlabelled architectures, but "
                f"the space has {pool} beside training and validation: choose a smaller amount"
            )

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put back the training set of a resumed run, before its first batch is fetched."""
        task, data = self._parts(trainer, pl_module)
        if len(self.chosen):
            self._extend_training(task, data)

    def end_epoch(self, phase: Phase, task: PredictorTask, data: ArchitectureData) -> None:
        """Where a phase but the last ends, label the architectures of the next.

        Not where the next begins: a checkpoint between the two has the new training set then.
        """
        index, epoch = task.phase_of(task.current_epoch)
        if epoch < phase.epochs - 1 or index == len(task.phases) - 1:
            return
        drawn = self._draw(data, index)
        labels = self._predict(task, data, drawn)
        if self.accumulate:
            drawn = torch.cat([self.chosen, drawn])
            labels = torch.cat([self.pseudo_labels, labels])
        self.chosen, self.pseudo_labels = drawn, labels
        self._extend_training(task, data)

    def _pool(self, data: ArchitectureData) -> Indices:
        """Rows that are neither training nor validation ones; test ones are among them."""
        free = np.ones(len(data.graphs), dtype=bool)
        free[data.train_indices] = False
        free[data.split.validation] = False
        return np.flatnonzero(free)

    def _draw(self, data: ArchitectureData, iteration: int) -> Tensor:
        """``[m]`` new rows, a function of the seed, the iteration and what was drawn before."""
        pool = self._pool(data)
        if self.accumulate:
            pool = np.setdiff1d(pool, self.chosen.numpy(), assume_unique=True)
        generator = np.random.default_rng([data.seed, DRAW, iteration])
        return torch.from_numpy(generator.choice(pool, self.amount, replace=False))

    def _predict(self, task: PredictorTask, data: ArchitectureData, rows: Tensor) -> Tensor:
        """``[m]`` predictions for rows of the space, on the scale of the normalised labels."""
        scores = data.scores(task.predictor, rows.cpu().numpy())
        if not task.ranks_only:
            return scores
        real, labels = self._real(data)
        fitted = data.scores(task.predictor, real.cpu().numpy())
        slope, offset = affine_calibration(fitted, labels)
        return slope * scores + offset

    def _extend_training(self, task: PredictorTask, data: ArchitectureData) -> None:
        """Train on the real labels, repeated, and on the pseudo-labels from the next epoch on."""
        real, labels = self._real(data)
        data.set_training(
            torch.cat([real.repeat(self.up_sample), self.chosen]).to(task.device),
            torch.cat([labels.repeat(self.up_sample), self.pseudo_labels]).to(task.device),
        )

    @staticmethod
    def _real(data: ArchitectureData) -> tuple[Tensor, Tensor]:
        rows = data.train_indices
        return torch.from_numpy(rows), data.normalise(data.all_labels[rows])

    def state_dict(self) -> dict[str, object]:
        """The architectures that bear pseudo-labels, and these."""
        return {
            **super().state_dict(),
            "chosen": self.chosen,
            "pseudo_labels": self.pseudo_labels,
        }

    def load_state_dict(self, state_dict: State) -> None:
        """Take the state of a killed run."""
        super().load_state_dict(state_dict)
        self.chosen = read_tensor(state_dict, "chosen")
        self.pseudo_labels = read_tensor(state_dict, "pseudo_labels")
