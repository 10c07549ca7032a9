"""A problem that a predictor can learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from nasp_lightning.space.base import Graphs
from nasp_lightning.space.nasbench201 import NASBench201, all_operations, multiply_adds

SPACE = NASBench201()


def problem(count: int, noise: float = 0.0, seed: int = 0) -> tuple[Graphs, Any]:
    """Cells and a smooth function of their features, with a long lower tail."""
    rng = np.random.default_rng(seed)
    operations = rng.permutation(all_operations())[:count]
    signal = np.log(multiply_adds(operations)) - 0.1 * (operations == 4).sum(1)
    signal = (signal - signal.mean()) / signal.std()
    return SPACE.encode(operations), signal + noise * rng.standard_normal(count)
