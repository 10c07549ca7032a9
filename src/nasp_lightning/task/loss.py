"""Losses of predictor regression: squared error and pairwise ranking."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nasp_lightning.error import NaspError
from nasp_lightning.predictor.base import Loss

RANKING_LOSSES = ("logistic", "hinge")


def _differences(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """All ordered pairs: score differences ``[B, B]`` and where the first label is greater."""
    return scores[:, None] - scores[None, :], labels[:, None] > labels[None, :]


def _mean_over(pairs: Tensor, values: Tensor) -> Tensor:
    return (values * pairs).sum() / pairs.sum().clamp(min=1)


def mse(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean squared error of ``[B]`` scores and labels (TNASP, PINAT)."""
    return F.mse_loss(scores, labels)


def logistic(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean of log(1 + exp(−(s_i − s_j))) over pairs with y_i > y_j; PINAT's "BCE"."""
    difference, greater = _differences(scores, labels)
    return _mean_over(greater, F.softplus(-difference))


def hinge(scores: Tensor, labels: Tensor, margin: float = 0.1) -> Tensor:
    """Mean of max(0, m − (s_i − s_j)) over pairs with y_i > y_j (GATES)."""
    difference, greater = _differences(scores, labels)
    return _mean_over(greater, torch.relu(margin - difference))


def make_loss(name: str, margin: float = 0.1) -> Loss:
    """The loss of a name.

    Raises:
        NaspError: if there is none of that name, or the margin is not positive.
    """
    if name == "hinge":
        if not margin > 0:
            raise NaspError(f"task.margin={margin}: the margin of the hinge loss must be positive")
        return lambda scores, labels: hinge(scores, labels, margin)
    losses: dict[str, Loss] = {"mse": mse, "logistic": logistic}
    if name not in losses:
        raise NaspError(f"task.loss={name}: choose mse, logistic or hinge")
    return losses[name]
