"""Learning rate schedules as pure functions of the epoch, or of the step among all steps.

Nothing has to be saved or stepped: a resumed run computes the same rate, and a framework's new
phase begins its own schedule.
"""

from __future__ import annotations

import math


def cosine(epoch: int, epochs: int) -> float:
    """Factor (1 + cos(π e / E)) / 2 of epoch e of E: PyTorch's CosineAnnealingLR to 0."""
    return (1 + math.cos(math.pi * epoch / epochs)) / 2


def constant(epoch: int, epochs: int) -> float:
    """Factor 1."""
    return 1.0


def linear(epoch: int, epochs: int, end: float = 0.0) -> float:
    """Factor that falls linearly from 1 to ``end``, which it would reach at ``epochs``."""
    return 1 + (end - 1) * epoch / epochs


def step(epoch: int, epochs: int, at: float = 0.7, factor: float = 0.1) -> float:
    """1, and ``factor`` in the last epochs, from the share ``at`` on (Siamese-NAS's recipe)."""
    return factor if epoch >= int(at * epochs + 1e-9) else 1.0
