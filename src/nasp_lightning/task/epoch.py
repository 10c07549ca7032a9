"""Sums over the steps of an epoch, and the time that they took."""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor


class EpochCounts:
    """Loss, right answers and images of the steps so far, on the device until somebody asks.

    Attributes:
        losses: how many were added.
        seen: images, each as often as it passed a network.
        seconds: of training, without the time in which the clock stood.
        learning_rate: of the last step.
        held_out: accuracy on held-out images, if it was measured in this epoch.
    """

    def __init__(self) -> None:
        self._loss: Tensor | float = 0.0
        self._right: Tensor | float = 0.0
        self.losses = self.seen = 0
        self.seconds = 0.0
        self.learning_rate = math.nan
        self.held_out: float | None = None
        self._since = time.perf_counter()

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count a batch: its mean loss, logits ``[B, classes]`` and labels ``[B]``."""
        self._loss = self._loss + loss.detach()
        self._right = self._right + (logits.detach().argmax(1) == labels).sum()
        self.losses += 1
        self.seen += len(labels)

    def sums(self, device: torch.device) -> Tensor:
        """``[4]`` sum of losses, right answers, number of losses, images seen."""
        values = [float(self._loss), float(self._right), self.losses, self.seen]
        return torch.tensor(values, dtype=torch.float64, device=device)

    def stop(self, device: torch.device) -> None:
        """Stop the clock, when the device has done what it was told."""
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        now = time.perf_counter()
        self.seconds += now - self._since
        self._since = now

    def go_on(self) -> None:
        """Start the clock again."""
        self._since = time.perf_counter()

    def rate(self) -> float:
        """Images seen in a second so far."""
        return self.seen / max(self.seconds + time.perf_counter() - self._since, 1e-9)
