"""A zero-cost proxy as a predictor: it ranks by one number and needs no label.

Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS" (ICLR 2021, arXiv 2101.08134). The
number is the one column of ``data.features``.
"""

from __future__ import annotations

import numpy as np

from nasp_lightning.array import Array
from nasp_lightning.error import NaspError
from nasp_lightning.predictor.base import ClassicalPredictor
from nasp_lightning.space.base import Graphs, Shape


class Proxy(ClassicalPredictor):
    """Ranks by the extra input of each architecture.

    Args:
        shape: sizes of the space's encoding; one extra input.
        name: the proxy's, for messages; ``data.features=[name]`` loads it.
        descending: True where a lower value promises a better architecture.

    Raises:
        NaspError: unless there is exactly one extra input.
    """

    needs_labels = False
    ranks_only = True
    loss = "none"

    def __init__(self, shape: Shape, name: str = "synflow", descending: bool = False) -> None:
        if shape.features != 1:
            raise NaspError(
                f"predictor proxy ranks by one extra input, not {shape.features}: set "
                f"data.features=[{name}]"
            )
        self.name = name
        self.sign = -1.0 if descending else 1.0

    def fit(self, graphs: Graphs, labels: Array) -> None:
        """Nothing to fit."""

    def score(self, graphs: Graphs) -> Array:
        """``[N]`` the proxy's normal scores."""
        assert graphs.features is not None
        scores: Array = self.sign * graphs.features[:, 0].cpu().numpy().astype(np.float64)
        return scores
