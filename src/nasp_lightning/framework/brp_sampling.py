"""BRP-NAS's iterative sampling: spend the labels in rounds, where the predictor expects the best.

Dudziak et al., "BRP-NAS: Prediction-based NAS using GCNs", NeurIPS 2020, section 4.2, after its
published code (half of a round the best predicted, half random). A budget of ``data.train_size``
labels is spent in equal rounds. The first is random; after each, the candidates are halved to
those predicted better, and the next round takes the α best of them and others at random.
Training goes on with the predictor as it is; its round r lasts r times as long as the first, so
that the last has ``trainer.max_epochs``. With ``task.patience`` (published: 35) a round ends when
its loss has stopped falling, and the next one's labels are bought.

Example:
    ``python -m nasp_lightning +experiment=nb201_brp_sampling``
"""

from __future__ import annotations

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer

from nasp_lightning.data.architectures import ArchitectureData
from nasp_lightning.data.choosing import choose_round, round_sizes
from nasp_lightning.data.split import Indices
from nasp_lightning.error import NaspError, check_whole
from nasp_lightning.framework.base import (
    Framework,
    candidate_rows,
    check_growing,
    normalise_by,
    train_on,
)
from nasp_lightning.framework.part.state import State, read_rows
from nasp_lightning.task.predictor import Phase, PredictorTask

DRAW = 3  # tells the draws of architectures from the seed's other uses


class BRPSampling(Framework):
    """Rounds of labelling as a Lightning callback, for any neural predictor.

    Labels are only read when their architecture is chosen, those of the normalisation included:
    it is that of the first round. ``data.train_indices`` are the labelled architectures so far.

    Args:
        rounds: number of rounds.
        best: α, share of a later round that is the best predicted; the others are random.

    Attributes:
        candidates: ``[k]`` rows of the space that later rounds choose from.

    Raises:
        NaspError: for a setting that cannot be.
    """

    def __init__(self, rounds: int = 5, best: float = 0.5) -> None:
        super().__init__()
        check_whole("framework.rounds", rounds)
        if not 0 <= best <= 1:
            raise NaspError(f"framework.best={best}: it is a share, from 0 to 1")
        self.rounds, self.best = rounds, best
        self.candidates: Indices = np.zeros(0, dtype=np.int64)
        self.labelled: Indices = np.zeros(0, dtype=np.int64)

    def check(self, task: PredictorTask, data: ArchitectureData) -> None:
        """Refuse other than neural predictors, and budgets that do not fit the space."""
        check_growing("framework=brp_sampling", data)
        if data.train_size < 2 * self.rounds:
            raise NaspError(
                f"data.train_size={data.train_size}: {self.rounds} rounds need at least "
                f"{2 * self.rounds} labels, or choose fewer framework.rounds"
            )
        left = len(candidate_rows(data)) // 2 ** (self.rounds - 1)
        if left < data.train_size:
            raise NaspError(
                f"framework.rounds={self.rounds}: after so many halvings {left} candidates are "
                f"left for data.train_size={data.train_size} labels; choose fewer rounds"
            )

    def prepare(self, task: PredictorTask, data: ArchitectureData, supervised_epochs: int) -> int:
        """Start from the first round; returns the number of epochs in all."""
        super().prepare(task, data, supervised_epochs)
        task.phases = [
            Phase(f"round_{number}", max(1, supervised_epochs * number // self.rounds))
            for number in range(1, self.rounds + 1)
        ]
        self.candidates = candidate_rows(data)
        first = data.split.train[: self.sizes(data.train_size)[0]]
        normalise_by(task, data, first)
        self._label(data, first)
        return sum(phase.epochs for phase in task.phases)

    def sizes(self, budget: int) -> list[int]:
        """Labels of each round."""
        return round_sizes(budget, self.rounds)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put back the training set of a resumed run, before its first batch is fetched."""
        _, data = self._parts(trainer, pl_module)
        self._label(data, self.labelled)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Where a round but the last ends, evaluate it, then label the next one's."""
        super().on_train_epoch_end(trainer, pl_module)
        task, data = self._parts(trainer, pl_module)
        index, epoch = task.phase_of(trainer.current_epoch)
        if epoch < task.phases[index].epochs - 1 or index == len(task.phases) - 1:
            return
        scores = data.scores(task.predictor, self.candidates).numpy()
        self.candidates, chosen = choose_round(
            scores,
            self.candidates,
            self.labelled,
            self.sizes(data.train_size)[index + 1],
            self.best,
            np.random.default_rng([data.seed, DRAW, index]),
        )
        self._label(data, np.concatenate([self.labelled, chosen]))

    def _label(self, data: ArchitectureData, rows: Indices) -> None:
        """Train on the labels of these rows from the next epoch on."""
        self.labelled = rows
        train_on(data, rows, rows)

    def state_dict(self) -> dict[str, object]:
        """The labelled architectures and the candidates."""
        return {
            **super().state_dict(),
            "labelled": torch.from_numpy(self.labelled),
            "candidates": torch.from_numpy(self.candidates),
        }

    def load_state_dict(self, state_dict: State) -> None:
        """Take the state of a killed run."""
        super().load_state_dict(state_dict)
        self.labelled = read_rows(state_dict, "labelled")
        self.candidates = read_rows(state_dict, "candidates")
